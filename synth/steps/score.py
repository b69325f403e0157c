"""Score: rank what passed, with every part of the score kept in the row."""

from __future__ import annotations

from synth.sample import Outcome, Sample, Scores
from synth_kg.aliases import normal
from synth_reward.rule import rule_score

ACCEPTED = Outcome(status="accepted", step="score", reason="", findings=())


class Score:
    """Scores and accepts a sample that passed every check."""

    async def __call__(self, sample: Sample) -> Sample:
        """Return the sample scored and accepted, or as it came if it did not pass."""
        if sample.verdict.status != "pending":
            return sample
        return scored(sample).model_copy(update={"verdict": ACCEPTED})


def scored(sample: Sample) -> Sample:
    """The sample with the rule scorer's parts and total."""
    total, parts = rule_score(features(sample))
    return sample.model_copy(update={"scores": Scores(reward=total, rule=total, parts=parts)})


def features(sample: Sample) -> dict[str, float]:
    """The counts that the rule scorer reads; see `synth_reward.rule.rule_score`."""
    words = normal(sample.reasoning).split()
    claims = [claim for step in sample.steps for claim in step.claims]
    said = [f" {normal(claim.text)} " for claim in claims]
    rivals = [f" {normal(text)} " for letter, text in (sample.options or {}).items() if letter != sample.answer.option]
    findings = [(item.text or "").split("\t") for item in sample.seed.evidence if item.table == "findings"]
    return {
        "claims": len(claims),
        "supported": sum(claim.verdict == "supported" for claim in claims),
        "words": len(words),
        "words_distinct": len(set(words)),
        "rivals": len(rivals),
        "arguments": sum(min(2, sum(rival in text for text in said)) for rival in rivals),
        "findings": len(findings),
        "findings_specific": sum("general" not in line for line in findings),
    }
