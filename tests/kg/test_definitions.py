"""The parser against fifty definitions that were read by hand."""

import json
from pathlib import Path

import pytest

from synth_kg.definitions import parse_definition, sentences

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "definitions.json").read_text(encoding="utf-8"))
TYPED = {"has_symptom", "has_material_basis_in", "transmitted_by", "located_in"}


def facts_of(definition: str) -> set[tuple[str, str]]:
    return {(f.relation, f.phrase) for f in parse_definition(definition) if f.relation in TYPED}


def test_fifty_definitions_read_by_hand() -> None:
    right = wrong = missed = exact = 0
    for entry in FIXTURE["definitions"]:
        wanted = {tuple(fact) for fact in entry["facts"]}
        found = facts_of(entry["definition"])
        right += len(found & wanted)
        wrong += len(found - wanted)
        missed += len(wanted - found)
        exact += found == wanted
    assert len(FIXTURE["definitions"]) == 50
    assert exact >= 44, f"only {exact} of 50 definitions are read exactly"
    assert right / (right + wrong) > 0.97
    assert right / (right + missed) > 0.97


@pytest.mark.parametrize("entry", FIXTURE["definitions"], ids=lambda entry: entry["id"])
def test_a_span_is_the_sentence_that_states_the_fact(entry: dict[str, str]) -> None:
    text = entry["definition"]
    for fact in parse_definition(text):
        sentence = text[fact.start : fact.end]
        assert (fact.start, fact.end) in sentences(text)
        assert fact.phrase.split()[0] in sentence


def test_negated_relations_state_nothing() -> None:
    assert facts_of("A disease that does not has_symptom fever.") == set()


def test_one_marker_governs_a_list_and_many_markers_one_item_each() -> None:
    assert facts_of("An infection that has_symptom fever, chills and nausea.") == {
        ("has_symptom", "fever"),
        ("has_symptom", "chills"),
        ("has_symptom", "nausea"),
    }
    many = "It has_symptom pain, in the upper belly at first, has_symptom nausea."
    assert facts_of(many) == {("has_symptom", "pain, in the upper belly at first"), ("has_symptom", "nausea")}


def test_adjectives_that_share_a_noun_stay_together() -> None:
    assert facts_of("It has_symptom thermal and pinprick numbness, fever.") == {
        ("has_symptom", "thermal and pinprick numbness"),
        ("has_symptom", "fever"),
    }


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "A virus, St. Louis virus, is the agent. It has_symptom fever."
    first = "A virus, St. Louis virus, is the agent."
    assert [text[start:end] for start, end in sentences(text)] == [first, "It has_symptom fever."]
