"""Check: run every check; what fails is rejected with its findings, for reflection to mend."""

from __future__ import annotations

from synth.checks import Context, run_checks
from synth.sample import Outcome, Sample


class Check:
    """Judges a sample that is still pending."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def __call__(self, sample: Sample) -> Sample:
        """Return the sample with its findings; without findings it stays pending."""
        if sample.verdict.status != "pending":
            return sample
        findings = tuple(run_checks(sample, self.context))
        if not findings:
            return sample
        first = findings[0]
        outcome = Outcome(status="rejected", step="check", reason=f"{first.check}: {first.reason}", findings=findings)
        return sample.model_copy(update={"verdict": outcome})
