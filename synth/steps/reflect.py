"""Reflect: revise a row while an outside finding stands, by a gate that cannot make it worse.

A revision answers one finding. It is kept if that finding is gone and no check that passed
before fails now; else the row stays as it was. Without a finding there is no reflection, and
the reviser is told the finding, never the answer.
"""

from __future__ import annotations

from synth.engines.engine import Former
from synth.errors import NotStored, Unanswered
from synth.plan import Directive
from synth.sample import Attempt, Finding, Sample
from synth.steps.check import Check
from synth.steps.draft import Draft, Origin

_DROPPED = {"unique", "options distinct"}


class Reflect:
    """Revises what the checks rejected."""

    def __init__(self, draft: Draft, check: Check, rounds: int) -> None:
        self.draft = draft
        self.check = check
        self.rounds = rounds

    async def __call__(self, sample: Sample) -> Sample:
        """Revise a rejected sample up to `rounds` times; anything else passes through."""
        while sample.verdict.step == "check" and len(sample.attempts) < self.rounds:
            revised = await self.revise(sample, sample.verdict.findings[0])
            if revised is sample:
                break
            sample = revised
        return sample

    async def revise(self, sample: Sample, finding: Finding) -> Sample:
        """Answer one finding; returns `sample` itself if nothing can be done about it."""
        origin = sample.plan
        if not isinstance(origin, Origin) or origin.plan is None:
            return sample
        directive = self._answer_to(finding, sample, origin)
        if directive is None or directive in origin.directives:
            return sample
        former = None
        if directive.kind == "reword":
            findings = sample.verdict.findings or (finding,)
            former = Former(sample.question, sample.steps, sample.response, findings)
        try:
            revision = await self.check(await self.draft(origin.spot, (*origin.directives, directive), former))
            kept, why = _gate(sample, revision, finding)
        except NotStored:
            raise
        except Unanswered as unanswered:
            revision, kept, why = sample, False, f"no revision: {unanswered}"
        attempt = Attempt(round=len(sample.attempts) + 1, finding=finding, kept=kept, why=why)
        base = revision if kept else sample
        plan = base.plan if kept else origin._replace(directives=(*origin.directives, directive))
        return base.model_copy(update={"attempts": (*sample.attempts, attempt), "plan": plan})

    def _answer_to(self, finding: Finding, sample: Sample, origin: Origin) -> Directive | None:
        """What a revision has to do differently."""
        place = finding.place.split(".")
        plan = origin.plan
        if finding.check in _DROPPED and place[0] == "options" and plan is not None:
            concept = plan.concepts["ABCDEFGH".index(place[1])]
            return Directive("drop option", concept)
        if self.draft.engine.mends(finding):
            return Directive("reword", f"{finding.check} {len(sample.attempts) + 1}")
        return None


def _gate(before: Sample, after: Sample, cause: Finding) -> tuple[bool, str]:
    """Keep a revision if the finding is gone and nothing that passed fails now."""
    if after.verdict.step == "draft" and after.verdict.status == "rejected":
        return False, f"no revision: {after.verdict.reason}"
    if any(_same(finding, cause) for finding in after.verdict.findings):
        return False, "the finding still stands"
    known = (cause, *before.verdict.findings)
    new = [finding for finding in after.verdict.findings if not any(_same(finding, other) for other in known)]
    if new:
        return False, f"what passed fails now: {new[0].check}"
    return True, "the finding is gone and nothing that passed fails"


def _same(one: Finding, other: Finding) -> bool:
    """Whether two findings are about the same fault of the same thing."""
    return (one.check, one.reason, one.quote) == (other.check, other.reason, other.quote)
