"""When two names give each other away."""

import pytest

from synth_kg.aliases import named_in, normal, same_name, share_stem


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("leprosy", "Mycobacterium leprae", True),
        ("Q fever", "Coxiella burnetii", False),
        ("coccidioidomycosis", "Coccidioides immitis", True),
        ("scrub typhus", "trombiculid mites", False),
        ("cat-scratch disease", "the scratch or bite of a kitten", True),
        ("chest pain", "acute chest syndrome", False),
    ],
)
def test_share_stem(one: str, other: str, alike: bool) -> None:
    assert share_stem(one, other) is alike


def test_names_compare_without_case_marks_and_number() -> None:
    assert same_name("Crohn's colitis", "crohns Colitis")
    assert normal("Meniere\u2019s disease") == normal("Menieres diseases")


def test_a_name_stands_in_a_text_as_whole_words_only() -> None:
    assert named_in("a case of malaria.", ["malaria"]) == "malaria"
    assert named_in("antimalarial drugs", ["malaria"]) is None
