"""The pipeline: draft -> check -> reflect -> score, then the gate that sees the rows in order.

`Pipeline.flow` is what one seed goes through on its own; it depends on nothing but the seed.
`Pipeline.admit` sees finished samples in the order of their seeds and keeps the run free of
repeats: no question twice, no evidence set too often, no opening worn out. What it finds is
a finding like any other, and reflection gets one more try at it, unless that would mean to
wait for a model while all later rows wait too.
"""

from __future__ import annotations

import logging
import sqlite3

from synth.checks import Context
from synth.claims import Claims
from synth.config import Config
from synth.engines.engine import Engine
from synth.errors import SynthError, Unanswered
from synth.plan import Spot
from synth.sample import Finding, Outcome, Sample, opening
from synth.steps.check import Check
from synth.steps.draft import Draft
from synth.steps.reflect import Reflect
from synth.steps.score import Score
from synth.store import Memory, question_name
from synth_kg.knowledge import Knowledge

_FEW = 5
"""Chains that may share an opening however small the run, where none can be reworded at the gate."""
log = logging.getLogger(__name__)


class Pipeline:
    """The steps of one configuration."""

    def __init__(self, knowledge: Knowledge, config: Config, claims: Claims, engine: Engine) -> None:
        self.config = config
        self.context = Context(knowledge, claims, config.checks)
        self.draft = Draft(knowledge, config, engine)
        self.check = Check(self.context)
        self.reflect = Reflect(self.draft, self.check, config.run.rounds)
        self.score = Score()
        self.flowed = 0
        """Samples that came out of `flow`."""

    async def flow(self, spot: Spot) -> Sample:
        """Take one seed through draft, check and reflection; what breaks on one row fails that row alone."""
        sample = await self._flow(spot)
        self.flowed += 1
        return sample

    async def _flow(self, spot: Spot) -> Sample:
        try:
            return await self.reflect(await self.check(await self.draft(spot)))
        except (SynthError, sqlite3.Error, OSError, MemoryError):
            raise  # a fault of the configuration, the templates or the machine, or the end of the run
        except Unanswered as error:
            return self.draft.failed(spot, str(error))
        except Exception as error:
            log.exception("seed %d failed", spot.place)
            return self.draft.failed(spot, f"{type(error).__name__}: {error}")

    async def admit(self, sample: Sample, memory: Memory, accepted: int) -> Sample:
        """Let a sample into the run, reword it if it repeats another, or reject it; then score it.

        Args:
            sample: what `flow` made.
            memory: what was let in before.
            accepted: how many rows were.
        """
        finding = self._repeats(sample, memory, accepted)
        tries = self.config.run.rounds if self.draft.engine.waits else 0
        while finding is not None and finding.check != "evidence set" and tries < self.config.run.rounds:
            sample = await self.reflect.revise(_reject(sample, finding), finding)
            finding, tries = self._repeats(_pending(sample), memory, accepted), tries + 1
        sample = _reject(sample, finding) if finding is not None else _pending(sample)
        sample = await self.score(sample)
        if sample.verdict.status == "accepted":
            memory.take(sample)
        return sample

    def _repeats(self, sample: Sample, memory: Memory, accepted: int) -> Finding | None:
        if sample.verdict.status != "pending":
            return None
        if memory.times("group", sample.seed.group) >= self.config.sampling.per_evidence_set:
            return Finding(check="evidence set", reason="the evidence set was used often enough", place="seed")
        if memory.times("question", question_name(sample)):
            return Finding(check="duplicate", reason="the question was asked before", place="question")
        few = _FEW if self.draft.engine.waits else 1
        limit = max(few, self.config.checks.max_opening_share * (accepted + 1))
        if memory.times("opening", opening(sample)) + 1 > limit:
            return Finding(check="opening", reason="the opening is worn out", place="reasoning")
        return None


def _reject(sample: Sample, finding: Finding) -> Sample:
    outcome = Outcome(status="rejected", step="admit", reason=f"{finding.check}: {finding.reason}", findings=(finding,))
    return sample.model_copy(update={"verdict": outcome})


def _pending(sample: Sample) -> Sample:
    """A sample that the gate had rejected, open again; any other as it is."""
    if sample.verdict.step != "admit":
        return sample
    outcome = Outcome(status="pending", step="admit", reason="", findings=())
    return sample.model_copy(update={"verdict": outcome})
