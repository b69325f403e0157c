"""The pipeline: draft -> check -> reflect -> score, then the gate that sees the rows in order.

`Pipeline.flow` is what one seed goes through on its own; it depends on nothing but the seed.
`Pipeline.admit` sees finished samples in the order of their seeds and keeps the run free of
repeats: no question twice, no evidence set too often, no opening worn out. What it finds is
a finding like any other, and reflection gets one more try at it.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from synth.checks import Context
from synth.claims import Claims
from synth.config import Config
from synth.engines import Engine
from synth.errors import SynthError
from synth.funnel import opening
from synth.plan import Spot
from synth.sample import Finding, Outcome, Sample
from synth.steps.check import Check
from synth.steps.draft import Draft
from synth.steps.reflect import Reflect
from synth.steps.score import Score
from synth_kg.aliases import normal
from synth_kg.knowledge import Knowledge

log = logging.getLogger(__name__)


@dataclass
class Memory:
    """What the gate has let in so far, in the order of the seeds."""

    questions: set[str] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)
    openings: Counter[str] = field(default_factory=Counter)
    accepted: int = 0

    def take(self, sample: Sample) -> None:
        """Remember an accepted sample."""
        self.questions.add(normal(sample.question))
        self.groups[sample.seed.group] += 1
        self.openings[opening(sample)] += 1
        self.accepted += 1


class Pipeline:
    """The steps of one configuration."""

    def __init__(self, knowledge: Knowledge, config: Config, claims: Claims, engine: Engine) -> None:
        self.config = config
        self.context = Context(knowledge, claims, config.checks)
        self.draft = Draft(knowledge, config, engine)
        self.check = Check(self.context)
        self.reflect = Reflect(self.draft, self.check, config.run.rounds)
        self.score = Score()

    async def flow(self, spot: Spot) -> Sample:
        """Take one seed through draft, check and reflection; what breaks on one row fails that row alone."""
        try:
            return await self.reflect(await self.check(await self.draft(spot)))
        except SynthError:
            raise  # a fault of the configuration, the templates or the machine, not of the row
        except Exception as error:
            log.exception("seed %d failed", spot.place)
            return self.draft.failed(spot, error)

    async def admit(self, sample: Sample, memory: Memory) -> Sample:
        """Let a sample into the run, reword it if it repeats another, or reject it; then score it."""
        finding = self._repeats(sample, memory)
        tries = 0
        while finding is not None and finding.check != "evidence set" and tries < self.config.run.rounds:
            sample = await self.reflect.revise(_reject(sample, finding), finding)
            finding, tries = self._repeats(_pending(sample), memory), tries + 1
        sample = _reject(sample, finding) if finding is not None else _pending(sample)
        sample = await self.score(sample)
        if sample.verdict.status == "accepted":
            memory.take(sample)
        return sample

    def _repeats(self, sample: Sample, memory: Memory) -> Finding | None:
        if sample.verdict.status != "pending":
            return None
        if memory.groups[sample.seed.group] >= self.config.sampling.per_evidence_set:
            return Finding(check="evidence set", reason="the evidence set was used often enough", place="seed")
        if normal(sample.question) in memory.questions:
            return Finding(check="duplicate", reason="the question was asked before", place="question")
        limit = max(1.0, self.config.checks.max_opening_share * (memory.accepted + 1))
        if memory.openings[opening(sample)] + 1 > limit:
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
