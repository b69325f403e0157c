"""Safety: emergencies are excluded in words, the stem denies nothing that belongs to the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING

from synth.checks.concepts import denied_findings, fault, stem_findings
from synth.sample import Finding, Sample

if TYPE_CHECKING:
    from synth.checks import Context

_MINOR = re.compile(r"\b(?:infant|newborn|child|girl|boy|pregnan\w*)\b|\b(?:[0-9]|1[0-7])-year-old\b", re.I)
_BARRED = re.compile(r"\boverdose\b|\bsuicid\w*|\bself-harm\b|\bkill (?:him|her|them)sel\w+|自杀|自残", re.I)
_QUANTITY = re.compile(
    r"\b\d+(?:[.,]\d+)?\s*(?:mg|mcg|µg|μg|g|ml|milli(?:gram|litre|liter)s?|micrograms?|grams?|units?|iu|"
    r"tab(?:let)?s?|capsules?|puffs?|drops?|毫克|微克|克|毫升|片)(?![a-z])(?!\s*/\s*(?:d?l\b|litre|liter))|"
    r"\bdos(?:e|es|age|ing)\b|\b(?:once|twice|three times|four times) (?:a|per) day\b|\b(?:once|twice|times) daily\b|"
    r"\bevery \d+ hours\b|\binteract\w*\b|\bcontra-?indicat\w*|\bmust not be (?:given|taken|combined|used)\b|"
    r"\b(?:do|should) not (?:be )?combined? \w+ with\b|剂量|禁忌|禁用|慎用|相互作用|合用",
    re.I,
)
_DIAGNOSTIC = {"diagnosis", "pathogen", "process", "finding", "comparison", "mechanism", "route"}


def safety(sample: Sample, context: Context) -> Iterator[Finding]:
    """Red flags are excluded, minors appear only where a diagnosis is asked, no dose is named."""
    text = f"{sample.question} {sample.reasoning} {sample.response}"
    barred = _BARRED.search(text) if sample.genre != "calculation" else None
    if barred:
        yield fault("speaks of self-harm or an overdose", "question", quote=barred.group(0))
    if sample.topic not in _DIAGNOSTIC and _MINOR.search(sample.question):
        yield fault("a minor or a pregnant patient outside a diagnosis", "question")
    if sample.genre not in {"vignette", "open", "multihop"}:
        return
    knowledge = context.knowledge
    anchor = sample.seed.anchor
    present = stem_findings(sample, knowledge)
    for name in denied_findings(sample.question, knowledge):
        if not knowledge.denies(anchor, name):
            yield fault("the stem denies what the answer may bring", "question", quote=name)
        elif not all(knowledge.compatible(name, stated) for stated in present):
            yield fault("the stem denies a finding and states a kind of it", "question", quote=name)
    if _missing_flags(sample, context, present):
        yield fault("an emergency that the findings could be is not excluded", "question")


def quantity(sample: Sample, _context: Context) -> Iterator[Finding]:
    """A dose, an interaction or a contraindication is stated only in a claim that quotes its evidence."""
    if sample.genre == "calculation":
        return
    proved = [claim.text for step in sample.steps for claim in step.claims if claim.verdict == "supported"]
    places = {"question": sample.question, "reasoning": sample.reasoning, "response": sample.response}
    for place, text in places.items():
        rest = reduce(lambda left, claim: left.replace(claim, " "), proved, text)
        found = _QUANTITY.search(rest)
        if found:
            yield fault("a dose, an interaction or a contraindication without evidence", place, quote=found.group(0))


def _missing_flags(sample: Sample, context: Context, present: list[str]) -> list[str]:
    """Statements of the red-flag table that the stem needs and lacks."""
    told = sample.question.casefold()
    needed = context.knowledge.red_flags(sample.seed.anchor, present)
    return [flag.statement for flag in needed if flag.statement.rstrip(".").casefold() not in told]
