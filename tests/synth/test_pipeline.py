"""Sampling, drafting, reflection and the gate."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from synth.claims import Claims
from synth.config import Config
from synth.engines.engine import Reply, Task
from synth.engines.grounded import Grounded
from synth.executors.local import execute
from synth.pipeline import Pipeline
from synth.sample import Finding, Sample, opening
from synth.seeds.kg import Seeds
from synth.store import Memory, Store
from synth_kg.aliases import normal
from synth_kg.knowledge import Knowledge


@pytest.fixture(scope="module")
def pipeline(knowledge: Knowledge, claims: Claims) -> Pipeline:
    return Pipeline(knowledge, Config(), claims, Grounded(claims))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path)) as store:
        yield store


class Patient(Grounded):
    """An engine as one that asks a model: the gate does not wait for it to word a row anew."""

    waits = True


class Slow(Patient):
    """An engine that takes its time, the longer the earlier the row."""

    async def word(self, task: Task) -> Reply:
        await asyncio.sleep(0.3 if task.place == 0 else 0.001 * (60 - task.place))
        return await super().word(task)


Outcomes = list[tuple[int, str, str]]


def outcome(pipeline: Pipeline, knowledge: Knowledge, store: Store, n: int, width: int) -> Outcomes:
    accepted = 0

    async def collect() -> Outcomes:
        nonlocal accepted
        found = []
        spots = islice(Seeds(knowledge, pipeline.config), n)
        flow = execute(pipeline, spots, Memory(store._db), lambda: accepted, store, width)
        async for index, sample in flow:
            accepted += sample.verdict.status == "accepted"
            found.append((index, sample.id, sample.verdict.status))
        return found

    return asyncio.run(collect())


def test_the_sequence_depends_on_seed_and_index_alone(knowledge: Knowledge) -> None:
    first = list(islice(Seeds(knowledge, Config(random_seed=5)), 400))
    assert first[:150] == list(islice(Seeds(knowledge, Config(random_seed=5)), 150))
    other = list(islice(Seeds(knowledge, Config(random_seed=6)), 400))
    assert first != other
    assert [spot.place for spot in first] == list(range(400))


def test_concurrency_changes_nothing(pipeline: Pipeline, knowledge: Knowledge, store: Store) -> None:
    assert outcome(pipeline, knowledge, store, 60, 1) == outcome(pipeline, knowledge, store, 60, 16)


def test_a_slow_row_holds_nobody_up_and_changes_nothing(
    claims: Claims, knowledge: Knowledge, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.executors.local._AT_HAND", 5)  # so that most wait on disk
    slow = Pipeline(knowledge, Config(), claims, Slow(claims))
    start = time.monotonic()
    found = outcome(slow, knowledge, store, 60, 16)
    assert time.monotonic() - start < 5
    laid_aside = store._db.total_changes
    assert laid_aside > 0
    assert found == outcome(Pipeline(knowledge, Config(), claims, Patient(claims)), knowledge, store, 60, 1)
    assert store._db.total_changes == laid_aside


def test_the_gate_can_reword_what_came_early(
    pipeline: Pipeline, claims: Claims, knowledge: Knowledge, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes back from disk has lost the plan by which it would be worded anew."""

    class Hesitant(Grounded):
        async def word(self, task: Task) -> Reply:
            await asyncio.sleep(0.5 if task.place == 0 else 0)
            return await super().word(task)

    monkeypatch.setattr("synth.executors.local._AT_HAND", 1)
    found = outcome(Pipeline(knowledge, Config(), claims, Hesitant(claims)), knowledge, store, 60, 100)
    assert found == outcome(pipeline, knowledge, store, 60, 1)


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


def test_the_gate_refuses_a_repeated_question(pipeline: Pipeline, knowledge: Knowledge, store: Store) -> None:
    spot = next(spot for spot in Seeds(knowledge, pipeline.config) if spot.unit.genre == "explainer")

    async def twice() -> Sample:
        sample = await pipeline.flow(spot)
        first = await pipeline.admit(sample, store.memory, 0)
        assert first.verdict.status == "accepted"
        return await pipeline.admit(sample, store.memory, 1)

    second = asyncio.run(twice())
    assert second.attempts or second.verdict.status == "rejected"
    assert second.attempts[0].finding.check == "duplicate"


def test_seeds_that_admit_no_row_keep_their_place_and_reason(run) -> None:
    rejected = list(run.rejected())
    assert all(row.verdict.reason for row in rejected)
    assert all(row.verdict.status in {"rejected", "failed"} for row in rejected)
