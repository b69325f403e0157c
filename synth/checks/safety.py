"""Safety: emergencies are excluded in words, the stem denies nothing that belongs to the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING

from synth.checks.concepts import denied_findings, fault, stem_findings
from synth.sample import ANNOTATED, Finding, Sample

if TYPE_CHECKING:
    from synth.checks import Context

_MINOR = re.compile(r"\b(?:infant|newborn|child|girl|boy|pregnan\w*)\b|\b(?:[0-9]|1[0-7])-year-old\b", re.I)
_BARRED = re.compile(r"\boverdose\b|\bsuicid\w*|\bself-harm\b|\bkill (?:him|her|them)sel\w+|自杀|自残", re.I)
_WORDS = (
    r"half|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|"
    r"seventy|eighty|ninety|hundred|thousand"
)
_NUMBER = rf"(?:\d+(?:[.,]\d+)?|(?:{_WORDS})(?:[ -](?:and[ -])?(?:a[ -])?(?:{_WORDS}))*)"
_UNIT = (
    r"(?:mg|mcg|[µμu]g|g|ml|cc|l|meq|mmol|u|iu|(?:milli|micro)?gram(?:me)?s?|(?:milli)?lit(?:er|re)s?|"
    r"milliequivalents?|(?:international )?units?|tab(?:let)?s?|capsules?|pills?|puffs?|drops?|sprays?|ampoules?|"
    r"vials?|sachets?|patch(?:es)?|suppositor(?:y|ies)|teaspoons?)(?![a-z])"
)
_MEASURED = r"(?!\s*(?:/|per)\s*(?:d?l\b|[µμu]l\b|ml\b|lit(?:er|re)|min(?:ute)?s?\b|mm|g\b|mol|h(?:our)?\b))"
"""What makes it a concentration or a clearance, and no dose."""
_SPAN = r"(?:hours?|hrs?|h|minutes?|days?|nights?|weeks?|months?)\b"
_GIVE = r"(?:give|take|use(?! up)|combine|administer|prescribe|mix|start)"
_GIVEN = r"(?:given|taken|used|combined|administered|prescribed|mixed|started)"
_SLIP = r"(?:assum|anchor|prematur|confus|error|bias|jump|over|mistak|miss|harm|delay)"
_QUANTITY = re.compile(
    r"(?<![a-z\d.])(?:"  # where a word begins, in small letters: looking for either is most of the time it takes
    rf"{_NUMBER}[\s-]*(?:(?:-|\u2013|to|or)\s*{_NUMBER}[\s-]*)?{_UNIT}{_MEASURED}|"
    r"(?:over)?dos(?:e|es|ed|age|ages|ing)\b|"
    rf"(?:once|twice|thrice|{_NUMBER} times) (?:(?:a|per|each|every) )?(?:day|daily|night|nightly|week|weekly)\b|"
    rf"every (?:(?:{_NUMBER})[\s-]*|other |second |third )(?:to \w+ )?{_SPAN}|"
    r"(?:b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?\d+h|qhs|p\.?r\.?n)\b|"
    r"interact|contra-?indicat|potentiat|co-?(?:administ|prescri)|"
    r"(?:un)?safe(?:ly|r)? (?:in|with|for|during|to)\b|not (?:\w+ )?safe\b|"
    rf"(?:do not|don't|never|should not|shouldn't|must not|mustn't|cannot|can't) {_GIVE}\b|"
    rf"(?:not|never|cannot|[a-z]+n't) (?:to )?be (?:\w+ )?{_GIVEN}\b|"
    r"(?:be|is|are) (?:best )?avoided\b|"
    rf"avoid(?:s|ing)?\b(?! (?:a |the |any )?{_SLIP}))"
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_QUANTITY_ZH = re.compile(
    r"(?:[\d\uff10-\uff19]+(?:[.\uff0e]\d+)?|[二三四五六七八九十百千万半两]|一(?!片))\s*"
    r"(?:毫克|微克|克|毫升|升|国际单位|单位|片|粒|丸|滴|支|袋)(?!\s*[/每]\s*(?:升|分升|毫升|分))|"
    r"(?:服|用|给|注射|滴注|静滴|吸入|外敷|涂)[^。；]{0,20}(?:每[日天晚周次]|一日)|"
    r"(?:每[日天晚周次]|一日)[^。；]{0,12}(?:服|用药|给药|注射|滴注|吸入|涂)|"
    r"剂量|用量|禁忌|禁用|禁止(?:使?用|服)|禁服|慎用|相互作用|[合联并同]用|同服|配伍|"
    r"(?:不宜|不可|不能|不得|不应|切勿|避免)[^。；，,]{0,6}(?:用|服|与|给)|忌(?:与|用|服)"
)
_DIAGNOSTIC = {"diagnosis", "pathogen", "process", "finding", "comparison", "mechanism", "route", *ANNOTATED}


def safety(sample: Sample, context: Context) -> Iterator[Finding]:
    """Red flags are excluded, minors appear only where a diagnosis is asked, no dose is named."""
    text = f"{sample.question} {sample.reasoning} {sample.response}"
    barred = _BARRED.search(text) if sample.genre != "calculation" else None
    if barred:
        yield fault("speaks of self-harm or an overdose", "question", quote=barred.group(0))
    if sample.topic not in _DIAGNOSTIC and _MINOR.search(sample.question):
        yield fault("a minor or a pregnant patient outside a diagnosis", "question")
    if sample.genre not in {"vignette", "open", "multihop"} or sample.topic in ANNOTATED:
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
    proved = [claim.text for step in sample.steps for claim in step.claims if claim.verdict == "supported"]
    places = {"question": sample.question, "reasoning": sample.reasoning, "response": sample.response}
    for place, text in places.items():
        rest = reduce(lambda left, claim: left.replace(claim, " "), proved, text)
        found = _QUANTITY.search(rest.lower()) or (_QUANTITY_ZH.search(rest) if _CHINESE.search(rest) else None)
        if found:
            yield fault("a dose, an interaction or a contraindication without evidence", place, quote=found.group(0))


def _missing_flags(sample: Sample, context: Context, present: list[str]) -> list[str]:
    """Statements of the red-flag table that the stem needs and lacks."""
    told = sample.question.casefold()
    needed = context.knowledge.red_flags(sample.seed.anchor, present)
    return [flag.statement for flag in needed if flag.statement.rstrip(".").casefold() not in told]
