"""Sampling, drafting, reflection and the gate."""

import asyncio
from collections import Counter
from itertools import islice

import pytest

from synth.claims import Claims
from synth.config import Config
from synth.engines import open_engine
from synth.executors.local import execute
from synth.pipeline import Memory, Pipeline, opening
from synth.sample import Finding, Sample
from synth.seeds.kg import Seeds
from synth_kg.aliases import normal
from synth_kg.knowledge import Knowledge


@pytest.fixture(scope="module")
def pipeline(knowledge: Knowledge, claims: Claims) -> Pipeline:
    config = Config()
    return Pipeline(knowledge, config, claims, open_engine(config, claims))


def outcome(pipeline: Pipeline, knowledge: Knowledge, n: int, concurrency: int) -> list[tuple[int, str, str]]:
    async def collect() -> list[tuple[int, str, str]]:
        spots = islice(Seeds(knowledge, pipeline.config), n)
        return [(i, s.id, s.verdict.status) async for i, s in execute(pipeline, spots, Memory(), concurrency)]

    return asyncio.run(collect())


def test_the_sequence_depends_on_seed_and_index_alone(knowledge: Knowledge) -> None:
    first = list(islice(Seeds(knowledge, Config(random_seed=5)), 400))
    assert first[:150] == list(islice(Seeds(knowledge, Config(random_seed=5)), 150))
    other = list(islice(Seeds(knowledge, Config(random_seed=6)), 400))
    assert first != other
    assert [spot.place for spot in first] == list(range(400))


def test_concurrency_changes_nothing(pipeline: Pipeline, knowledge: Knowledge) -> None:
    assert outcome(pipeline, knowledge, 60, 1) == outcome(pipeline, knowledge, 60, 16)


def test_an_evidence_set_comes_back_only_after_all_others(knowledge: Knowledge) -> None:
    seeds = Seeds(knowledge, Config.model_validate({"mixture": dict.fromkeys(_others("reverse"), 0)}))
    total = len(seeds.lists["reverse"])
    drawn = list(islice(seeds, total * 2))
    assert len({spot.unit for spot in drawn[:total]}) == total
    assert {spot.variant for spot in drawn[total:]} == {1}


def _others(genre: str) -> list[str]:
    from synth.config import Mixture

    return [name for name in Mixture.model_fields if name != genre]


def test_a_spent_mixture_ends(knowledge: Knowledge) -> None:
    config = Config.model_validate({"mixture": dict.fromkeys(_others("reverse"), 0)})
    seeds = Seeds(knowledge, config)
    assert len(list(seeds)) == len(seeds.lists["reverse"]) * config.sampling.per_evidence_set


def test_rare_anchors_are_favored_and_hubs_are_damped(knowledge: Knowledge) -> None:
    """With the weights on, diseases that few sources describe come sooner than without."""

    def early(damping: float, rarity: float) -> float:
        options = {"sampling": {"hub_damping": damping, "rarity": rarity}}
        seeds = Seeds(knowledge, Config.model_validate(options))
        drawn = [spot.unit.anchor for spot in islice(iter(seeds), 600) if spot.unit.genre == "vignette"]
        return sum(len(knowledge.stated(anchor)) for anchor in drawn) / len(drawn)

    assert early(0.5, 1.5) < early(0.0, 0.0)


def test_at_most_four_rows_rest_on_one_evidence_set(rows: list[Sample]) -> None:
    assert max(Counter(row.seed.group for row in rows).values()) <= 4


def test_questions_and_openings_do_not_repeat(rows: list[Sample]) -> None:
    questions = Counter(normal(row.question) for row in rows)
    assert max(questions.values()) == 1
    openings = Counter(opening(row) for row in rows)
    assert max(openings.values()) <= 0.05 * len(rows) + 1


def test_a_revision_answers_its_finding_and_spoils_nothing(rows: list[Sample], context) -> None:
    kept = [(row, attempt) for row in rows for attempt in row.attempts if attempt.kept]
    assert kept
    from synth.checks import run_checks

    for row, attempt in kept:
        assert attempt.why == "the finding is gone and nothing that passed fails"
        assert isinstance(attempt.finding, Finding)
        assert attempt.finding.check not in {finding.check for finding in run_checks(row, context)}


def test_without_a_finding_there_is_no_reflection(rows: list[Sample]) -> None:
    for row in rows:
        assert all(attempt.finding.reason for attempt in row.attempts)
        assert len(row.attempts) <= 4  # two rounds before the gate, two at it


def test_the_gate_refuses_a_repeated_question(pipeline: Pipeline, knowledge: Knowledge) -> None:
    spot = next(spot for spot in Seeds(knowledge, pipeline.config) if spot.unit.genre == "explainer")

    async def twice() -> Sample:
        sample = await pipeline.flow(spot)
        memory = Memory()
        first = await pipeline.admit(sample, memory)
        assert first.verdict.status == "accepted"
        memory.groups.clear()
        return await pipeline.admit(sample, memory)

    second = asyncio.run(twice())
    assert second.attempts or second.verdict.status == "rejected"
    assert second.attempts[0].finding.check == "duplicate"


def test_seeds_that_admit_no_row_keep_their_place_and_reason(run) -> None:
    rejected = list(run.rejected())
    assert all(row.verdict.reason for row in rejected)
    assert all(row.verdict.status in {"rejected", "failed"} for row in rejected)
