"""Annotations: what follows from the true-path rule, what is unknown, how often, and how labels are worded.

The ontology here is made up, terms and all: the annotations of HPO may not be altered.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_kg.annotations import ROOT, Annotations, pooled
from synth_kg.labels import chinese, english
from synth_kg.readers.sources import build
from synth_kg.typed import TypedGraph

TERMS = {
    ROOT: ("Phenotypic abnormality", ()),
    "HP:0000478": ("Abnormality of the eye", (ROOT,)),
    "HP:0001626": ("Abnormality of the cardiovascular system", (ROOT,)),
    "HP:9000001": ("Abnormal humming of the eye", ("HP:0000478",)),
    "HP:9000002": ("Loud humming of the eye", ("HP:9000001",)),
    "HP:9000003": ("Soft humming of the eye", ("HP:9000001",)),
    "HP:9000004": ("Square pulse", ("HP:0001626",)),
    "HP:0000007": ("Autosomal recessive inheritance", ()),
}
HEADER = "\t".join((
    "database_id", "disease_name", "qualifier", "hpo_id", "reference", "evidence", "onset", "frequency", "sex",
    "modifier", "aspect", "biocuration",
))  # fmt: skip
ROWS = (
    ("OMIM:1", "Humming disease", "", "HP:9000002", "PMID:1", "7/10", "P"),
    ("OMIM:1", "Humming disease", "", "HP:9000002", "PMID:2", "10/10", "P"),
    ("OMIM:1", "Humming disease", "NOT", "HP:9000004", "PMID:1", "", "P"),
    ("OMIM:1", "Humming disease", "", "HP:0000007", "PMID:1", "", "I"),
    ("OMIM:2", "Pulse disease", "", "HP:9000004", "PMID:3", "1/1", "P"),
    ("OMIM:2", "Pulse disease", "", "HP:9000001", "PMID:3", "HP:0040283", "P"),
    ("ORPHA:2", "Pulse disease", "", "HP:9000004", "ORPHA:2", "HP:0040281", "P"),
    ("OMIM:3", "Torn disease", "", "HP:9000002", "PMID:4", "4/4", "P"),
    ("OMIM:3", "Torn disease", "NOT", "HP:9000001", "PMID:5", "", "P"),
)


@pytest.fixture(scope="module")
def a(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    folder = tmp_path_factory.mktemp("hpo")
    obo = ["format-version: 1.2", "data-version: made-up", ""]
    for ident, (name, parents) in TERMS.items():
        obo += ["[Term]", f"id: {ident}", f"name: {name}", *(f"is_a: {parent}" for parent in parents), ""]
    (folder / "hp.obo").write_text("\n".join(obo), encoding="utf-8")
    lines = [f"{i}\t{n}\t{q}\t{t}\t{r}\tPCS\t\t{f}\t\t\t{x}\tme[2020-01-01]" for i, n, q, t, r, f, x in ROWS]
    (folder / "phenotype.hpoa").write_text("\n".join(("#version: made-up", HEADER, *lines, "")), encoding="utf-8")
    TypedGraph.of(build([folder / "hp.obo", folder / "phenotype.hpoa"])).write(folder / "g")
    return Annotations(TypedGraph.open(folder / "g"))


def places(a: Annotations, *idents: str) -> list[int]:
    return sorted(number - a.first for ident in idents if (number := a.disease(ident)) is not None)


def of(a: Annotations, ident: str) -> int:
    found = a.disease(ident)
    assert found is not None
    return found


def test_a_disease_brings_what_is_above_its_terms(a: Annotations) -> None:
    assert a.bringing(a.term("HP:0000478")).tolist() == places(a, "OMIM:1", "OMIM:2")
    assert a.brings(of(a, "OMIM:1"), a.term("HP:9000001"))
    assert not a.brings(of(a, "OMIM:2"), a.term("HP:9000002"))


def test_a_broader_term_may_be_the_finding(a: Annotations) -> None:
    assert a.may_bring(a.term("HP:9000003")).tolist() == places(a, "OMIM:2")
    assert a.may_bring(a.term("HP:9000002")).tolist() == places(a, "OMIM:1", "OMIM:2")


def test_what_is_asserted_and_denied_is_neither(a: Annotations) -> None:
    torn = of(a, "OMIM:3")
    assert not a.features(torn)
    assert not list(a.denied(torn))


def test_denials(a: Annotations) -> None:
    humming = of(a, "OMIM:1")
    pulse = a.term("HP:9000004")
    assert list(a.denied(humming)) == [pulse]
    assert pulse not in a.features(humming)
    assert a.denies(humming, pulse) == pulse
    assert a.denies(humming, a.term("HP:9000003")) is None
    assert a.annotation(humming, pulse).edge.negated


def test_counts_of_patients_are_added_up(a: Annotations) -> None:
    told = a.annotation(of(a, "OMIM:1"), a.term("HP:9000002"))
    assert (told.typicality, told.found, told.counted) == ("very frequent", 17, 20)
    assert {one.reference for one in told.said} == {"PMID:1", "PMID:2"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([{"patients": 1, "frequency": 1.0, "typicality": "obligate"}], ("", 0, 0)),
        ([{"patients": 4, "frequency": 1.0, "typicality": "obligate"}], ("described", 0, 0)),
        ([{"patients": 4, "frequency": 0.75, "typicality": "frequent"}], ("", 0, 0)),
        ([{"patients": 2, "frequency": 1.0}, {"patients": 3, "frequency": 1.0}], ("obligate", 5, 5)),
        ([{"patients": 5, "frequency": 0.4, "typicality": "frequent"}], ("frequent", 2, 5)),
        ([{"patients": 5, "frequency": 0.2, "typicality": "occasional"}], ("occasional", 1, 5)),
        ([{"typicality": "very frequent"}, {"typicality": "occasional"}], ("occasional", 0, 0)),
        ([{"typicality": "occasional"}, {"patients": 9, "frequency": 1.0}], ("occasional", 9, 9)),
        ([{"reference": "OMIM:1"}], ("described", 0, 0)),
        ([], ("described", 0, 0)),
    ],
)
def test_how_often_all_references_say_it_is(told: list[dict[str, object]], expected: tuple[str, int, int]) -> None:
    assert pooled(told) == expected


def test_one_disease_under_two_ids_is_found_by_its_name(a: Annotations) -> None:
    assert a.named("pulse disease") == tuple(sorted((of(a, "OMIM:2"), of(a, "ORPHA:2"))))


def test_counts_are_what_they_say(a: Annotations) -> None:
    eye, pulse = (a.term(ident) for ident in ("HP:0000478", "HP:9000004"))
    assert (a.count([eye]).number, a.count([eye]).of) == (2, a.size)
    assert a.count([eye, pulse]).number == 1
    assert a.count([pulse], of(a, "OMIM:1")).number == 0
    assert a.count([eye], of(a, "OMIM:2")).number == 1


def test_statements_are_found_by_ref_and_other_things_only_once_cited(a: Annotations) -> None:
    fresh = Annotations(a.graph)
    told = a.annotation(of(a, "OMIM:1"), a.term("HP:0000007"), "has_inheritance")
    assert fresh.known(told.ref) is None
    assert fresh.statement(told.ref) == told == fresh.known(told.ref)
    count = a.count([a.term("HP:0000478")])
    assert fresh.statement(count.ref) is None
    assert fresh.count([fresh.term("HP:0000478")]).ref == count.ref


def test_another_language_shares_everything_but_words(a: Annotations) -> None:
    other = a.worded("zh")
    assert other.features(of(a, "OMIM:1")) == a.features(of(a, "OMIM:1"))
    assert (a.text(a.term("HP:9000004")), other.text(a.term("HP:9000004"))) == ("square pulse", "")


def test_other_graphs_hold_none(a: Annotations, tmp_path: Path) -> None:
    assert Annotations.there(a.graph)
    (tmp_path / "t.tsv").write_text("a\tr\tb\nb\tr\tc\n", encoding="utf-8")
    assert not Annotations.there(TypedGraph.of(build([tmp_path / "t.tsv"])))


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("Cleft palate", "cleft palate"),
        ("Inguinal hernia", "an inguinal hernia"),
        ("Uvula agenesis", "uvula agenesis"),
        ("Sparse eyebrow", "sparse eyebrows"),
        ("Supernumerary tooth", "supernumerary teeth"),
        ("Upslanted palpebral fissure", "an upslanted palpebral fissure"),
        ("Down-sloping shoulders", "down-sloping shoulders"),
        ("Short phalanx of finger", "short phalanges of the fingers"),
        ("Unilateral renal agenesis", "unilateral renal agenesis"),
        ("Raynaud phenomenon", "Raynaud phenomenon"),
        ("2-3 toe syndactyly", "2-3 toe syndactyly"),
        ("T-wave inversion", "T-wave inversion"),
        ("Abnormality of the eye", ""),
        ("Cleft upper lip or palate", ""),
        ("Decreased fetal movement", ""),
        ("Febrile seizure (within the age range of 3 months to 6 years)", ""),
    ],
)
def test_labels_in_english(label: str, text: str) -> None:
    assert english(label) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [(["Ptosis", "上睑下垂"], "上睑下垂"), (["红细胞 增多"], "红细胞增多"), (["眼部异常"], ""), (["Ptosis"], "")],
)
def test_labels_in_chinese(names: list[str], text: str) -> None:
    assert chinese(names) == text
