"""The row: frozen, whole, and named by what it says."""

import json

import pytest
from pydantic import ValidationError

import synth
from synth.sample import Lineage, Sample, content_id, from_json, license_of, to_json

CONTRACT = {
    "id", "verdict", "seed", "genre", "language", "question", "options", "answer", "uniqueness", "conditioning",
    "reasoning", "response", "steps", "attempts", "scores", "labels", "difficulty", "stage", "flags", "generator",
    "lineage", "license",
}  # fmt: skip


def test_a_row_has_the_keys_of_the_contract(rows: list[Sample]) -> None:
    for row in rows[:20]:
        data = json.loads(to_json(row))
        assert data.keys() == CONTRACT | {"topic"}
        assert data["verdict"].keys() == {"status", "step", "reason", "findings"}
        assert {"kind", "anchor", "group", "evidence"} <= data["seed"].keys()
        assert data["answer"].keys() == {"text", "option", "aliases", "concept"}
        assert data["difficulty"].keys() == {"k", "correct", "band"}
        for step in data["steps"]:
            assert step.keys() == {"text", "claims"}
            assert all(claim.keys() == {"text", "evidence", "verdict"} for claim in step["claims"])


def test_a_row_reads_back_the_same(rows: list[Sample]) -> None:
    for row in rows:
        again = from_json(to_json(row))
        assert again == row.model_copy(update={"plan": None})
        assert content_id(again) == row.id == synth.content_id(json.loads(to_json(row)))


@pytest.mark.parametrize("key", ["seed", "genre", "language", "question", "options", "answer", "reasoning", "steps"])
def test_the_id_follows_what_a_row_says(one: Sample, key: str) -> None:
    data = json.loads(to_json(one))
    data[key] = [data[key]] if key != "question" else data[key] + " "
    assert content_id(data) != one.id


@pytest.mark.parametrize("key", ["scores", "labels", "license", "response", "verdict"])
def test_the_id_does_not_follow_what_is_said_about_a_row(one: Sample, key: str) -> None:
    data = json.loads(to_json(one))
    data[key] = None
    assert content_id(data) == one.id


def test_rows_are_frozen_and_strict(one: Sample) -> None:
    with pytest.raises(ValidationError):
        one.question = "another"  # type: ignore[misc]
    data = json.loads(to_json(one))
    with pytest.raises(ValidationError):
        Sample.model_validate({**data, "surprise": 1})


@pytest.mark.parametrize(
    ("licenses", "result"),
    [
        (["CC0-1.0", "public domain"], "CC0-1.0"),
        (["CC0-1.0", "CC-BY-4.0"], "CC-BY-4.0"),
        (["CC-BY-3.0", "CC-BY-4.0"], "CC-BY-3.0 AND CC-BY-4.0"),
        (["CC0-1.0", "not stated"], "mixed: CC0-1.0, not stated"),
    ],
)
def test_the_licence_is_computed_from_the_sources(licenses: list[str], result: str) -> None:
    lineage = tuple(Lineage(source="s", version="1", license=name) for name in licenses)
    assert license_of(lineage, "") == result
