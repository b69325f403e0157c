"""Reflect: revise a row while an outside finding stands, by a gate that cannot make it worse.

A revision answers one finding. It is kept if that finding is gone and no check that passed
before fails now; else the row stays as it was. Without a finding there is no reflection, and
the reviser is told the finding, never the answer.
"""

from __future__ import annotations

from synth.plan import Directive
from synth.sample import Attempt, Finding, Sample
from synth.steps.check import Check
from synth.steps.draft import Draft, Origin

_REWORDED = {"leak", "prose", "length", "repetition", "duplicate", "opening", "answered", "argued"}
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
        directive = _answer_to(finding, sample, origin)
        if directive is None or directive in origin.directives:
            return sample
        revision = await self.check(await self.draft(origin.spot, (*origin.directives, directive)))
        kept, why = _gate(sample, revision, finding)
        attempt = Attempt(round=len(sample.attempts) + 1, finding=finding, kept=kept, why=why)
        base = revision if kept else sample
        plan = base.plan if kept else origin._replace(directives=(*origin.directives, directive))
        return base.model_copy(update={"attempts": (*sample.attempts, attempt), "plan": plan})


def _answer_to(finding: Finding, sample: Sample, origin: Origin) -> Directive | None:
    """What a revision has to do differently."""
    place = finding.place.split(".")
    plan = origin.plan
    if finding.check in _DROPPED and place[0] == "options" and plan is not None:
        concept = plan.concepts["ABCDEFGH".index(place[1])]
        return Directive("drop option", concept)
    if finding.check in _REWORDED:
        return Directive("reword", f"{finding.check} {len(sample.attempts) + 1}")
    return None


def _gate(before: Sample, after: Sample, cause: Finding) -> tuple[bool, str]:
    """Keep a revision if the finding is gone and nothing that passed fails now."""
    if after.verdict.step == "draft" and after.verdict.status == "rejected":
        return False, f"no revision: {after.verdict.reason}"
    failing = {finding.check for finding in before.verdict.findings} | {cause.check}
    new = {finding.check for finding in after.verdict.findings}
    if any(f.check == cause.check and f.reason == cause.reason for f in after.verdict.findings):
        return False, "the finding still stands"
    if new - failing:
        return False, f"a check that passed fails now: {sorted(new - failing)[0]}"
    return True, "the finding is gone and nothing that passed fails"
