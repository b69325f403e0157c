"""Proof: the stem states what the edges say, citations hold, and prose says nothing beyond them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from synth.checks.concepts import fault, is_child, stem_findings, wrong_options
from synth.claims import same
from synth.claims_annotated import about
from synth.differential import fair
from synth.prompts import Prompts, bare
from synth.sample import ANNOTATED, WORDED, WRITTEN, Claim, Evidence, Finding, Sample
from synth_kg.aliases import normal
from synth_kg.tables import Mode, Onset

if TYPE_CHECKING:
    from synth.checks import Context
    from synth_kg.knowledge import Knowledge

GROUNDED = "grounded"
_WORD = re.compile(r"[a-z]+|[\u4e00-\u9fff]")
"""A word, or a Chinese character."""
_LETTERS = frozenset("abcdefgh")
_DENYING_ZH = frozenset("不无没非未别勿莫否")
_DENYING = frozenset(("no", "not", "never", "without", "neither", "nor", "cannot", "hardly", "false", *_DENYING_ZH))
_DENIALS = re.compile(rf"\b(?:{'|'.join(sorted(_DENYING - _DENYING_ZH))})\b|[{''.join(sorted(_DENYING_ZH))}]")
_SENTENCE = re.compile(r"[.?!]\s+|[。？！]")
_BREAK = re.compile(r"\{\{|\}\}|\{%|%\}|\"|\{#.*?#\}", re.S)
"""Where a template's own words end: at a tag, a quotation mark, a comment."""
_AGED = re.compile(r"\b(\d+)-year-old (woman|man|girl|boy)\b")
_PERSONS = frozenset(
    ("a", "an", "and", "male", "female", "adult", "infant", "woman", "man", "girl", "boy", "year", "old", "she", "he",
     "the", "patient")
)  # fmt: skip
_RECIPES = {
    "vignette": "vignette", "open": "vignette", "multihop": "vignette", "reverse": "reverse",
    "compare": "compare", "calculation": "calculation", "explainer": "explainer",
    "abstract": "explainer", "dialogue": "explainer",
}  # fmt: skip
_CHOICES = {"pathogen": "pathogen", "route": "route", "finding": "finding", "drug class": "drugs"}


def recipe_of(sample: Sample) -> str:
    """The template folder of a row."""
    if sample.topic in ANNOTATED:
        return f"syndromes/{sample.genre}_{sample.topic}"
    return _RECIPES.get(sample.genre) or _CHOICES.get(sample.topic, "")


def stem(sample: Sample, context: Context) -> Iterator[Finding]:
    """A vignette states at least three findings, each by an edge that the tables keep."""
    if recipe_of(sample) != "vignette":
        return
    found = stem_findings(sample, context.knowledge)
    if len(found) < 3:
        yield fault("fewer than three findings of the stem stand in the evidence", "question")
    cited = {item.ref for item in sample.seed.evidence}
    entries = context.knowledge.tables.typical.get(sample.seed.anchor, {})
    for name in found:
        if name not in entries or entries[name].verdict != "typical" or entries[name].ref not in cited:
            yield fault("no cited line calls a finding of the stem typical", "seed.evidence", quote=name)
            return
    if not fair(context.knowledge, sample.seed.anchor, found):
        yield fault("the findings make no fair stem", "question", quote=", ".join(found))


def citations(sample: Sample, context: Context) -> Iterator[Finding]:
    """Every cited id exists and says what the claim says, and the claim stands in its step."""
    evidence = {item.id: item for item in sample.seed.evidence}
    if len(evidence) != len(sample.seed.evidence):
        yield fault("two pieces of evidence have one id", "seed.evidence")
    for number, step in enumerate(sample.steps):
        text = step.text.casefold()
        for claim in step.claims:
            place = f"steps.{number}"
            missing = [ident for ident in claim.evidence if ident not in evidence]
            if missing or not claim.evidence:
                yield fault("a claim cites what is not there", place, quote=", ".join(missing) or claim.text)
            elif claim.text.casefold() not in text:
                yield fault("the step does not say the claim", place, quote=claim.text, evidence=claim.evidence)
            elif not _holds(sample, claim, [evidence[ident] for ident in claim.evidence], context):
                yield fault("the evidence does not say the claim", place, quote=claim.text, evidence=claim.evidence)


def _holds(sample: Sample, claim: Claim, items: list[Evidence], context: Context) -> bool:
    """Whether a claim is what it says it is.

    What the embedded engine claims is a wording of its evidence. A model may put it in words of its
    own: then it is 'unknown', says so, and has at least to name what its evidence is about, which is
    seen where both are in one language.
    """
    verdict = context.claims.judge(claim.text, items)
    if claim.verdict != verdict:
        return False
    if verdict == "supported":
        return True
    if sample.generator.engine == GROUNDED:
        return False
    return sample.language != WORDED or all(context.claims.about(claim.text, item) for item in items)


def claimed(sample: Sample, _context: Context) -> Iterator[Finding]:
    """A row rests on its evidence: at least two claims, or one where a text or a calculation follows from it."""
    least = 1 if sample.genre in {*WRITTEN, "calculation"} else 2
    if sum(len(step.claims) for step in sample.steps) < least:
        yield fault("too few claims that cite evidence", "steps")


def prose(sample: Sample, context: Context) -> Iterator[Finding]:
    """What stands between the claims only connects: words of the templates and names of the row.

    A word that denies ('not', 'never' ...) may stand only beside the words that it has in a template.
    """
    if sample.generator.engine != GROUNDED:
        return  # a model's prose is free; what it claims is in its claims
    speech = _speech(context.claims.prompts, recipe_of(sample))
    known = speech.words | _names(sample, context) | _LETTERS
    told = _told(sample, context)
    for number, step in enumerate(sample.steps):
        strange = _strange(step.text, [*told, *(claim.text for claim in step.claims)], known, speech)
        if strange:
            yield fault("says something without a claim", f"steps.{number}", quote=strange)
    strange = _strange(sample.response, [*told, *_sayable(sample, context)], known, speech)
    if strange:
        yield fault("says what no evidence of the row says", "response", quote=strange)
    strange = _strange(sample.question, told, known | _PERSONS, speech)
    if strange:
        yield fault("tells what no evidence of the row says", "question", quote=strange)


def person(sample: Sample, context: Context) -> Iterator[Finding]:
    """The patient's age and sex lie in the range that a source gives; a calculation states its own."""
    found = _AGED.search(sample.question)
    entry = context.knowledge.tables.patients.get(sample.seed.anchor)
    if found is None:
        young = entry is not None and entry.age_min < 18
        if is_child(sample.question) and not young:
            yield fault("no source gives this patient", "question", quote="child")
        return
    age, noun = int(found.group(1)), found.group(2)
    female = noun in {"woman", "girl"}
    item = next((item for item in sample.seed.evidence if item.type == "calculation"), None)
    if item is not None:
        given = {quantity.name: quantity.value for quantity in item.inputs or ()}
        right = given.get("age") == age and given.get("female") == female
    else:
        cited = {item.ref for item in sample.seed.evidence}
        right = (
            entry is not None
            and entry.ref in cited
            and entry.age_min <= age <= entry.age_max
            and entry.sex in ("any", "female" if female else "male")
        )
    if not right:
        yield fault("no source gives this patient", "question", quote=found.group(0))


def _told(sample: Sample, context: Context) -> list[str]:
    """What a row may tell: its options, and the wordings of findings, exposures, histories and exclusions."""
    told = {sample.answer.text: None, **dict.fromkeys((sample.options or {}).values())}
    for item in sample.seed.evidence:
        told.update(dict.fromkeys(_tellable(context.knowledge, item.ref)))
    return list(told)


@lru_cache(maxsize=20_000)
def _tellable(knowledge: Knowledge, ref: str) -> tuple[str, ...]:
    """What one piece of evidence lets a stem tell."""
    tables = knowledge.tables
    row, edge = tables.rows.get(ref), knowledge.graph.edges.get(ref)
    if told := _annotated(knowledge, ref):
        return told
    names = (getattr(row, "finding", ""), *(knowledge.findings_of(edge) if edge else ()))
    findings = (tables.findings[name] for name in names if name in tables.findings)
    worded = (text for f in findings for text in (f.clinical, f.patient, bare(f.clinical)))
    rest = (getattr(row, name, "") for name in ("statement", "exposure", "history"))
    return tuple(dict.fromkeys(text for text in (*worded, *rest) if text))


def _annotated(knowledge: Knowledge, ref: str) -> tuple[str, ...]:
    """The names and wordings of what an annotation, or a line that words annotations, is about."""
    row = knowledge.tables.rows.get(ref)
    if isinstance(row, Mode | Onset):
        return (row.name, row.name_zh)
    item = knowledge.annotations.known(ref) if knowledge.annotations is not None and row is None else None
    return tuple(name for names in about(knowledge, item) for name in names) if item is not None else ()


def _strange(text: str, said: list[str], known: frozenset[str] | set[str], speech: _Speech) -> str:
    """The first word of a text that is neither in what it says nor known, or that denies out of place."""
    left = _without(text, said)
    found = next((word for word in _WORD.findall(left) if word not in known), "")
    if found or not _DENIALS.search(left):
        return found
    sentences = (_without(sentence, said).split("|") for sentence in _SENTENCE.split(text))
    pairs = (pair for parts in sentences for part in parts for pair in pairwise(_WORD.findall(part)))
    return next((" ".join(pair) for pair in pairs if _DENYING & {*pair} and pair not in speech.pairs), "")


def _without(text: str, claims: list[str]) -> str:
    """The words of a text, with a bar for each claim that was taken out."""
    left = _spaced(text)
    for claim in sorted(claims, key=len, reverse=True):  # a claim may hold a shorter one
        left = left.replace(_spaced(claim), " | ")
    return left


@lru_cache(maxsize=100_000)
def _spaced(text: str) -> str:
    """The words of a text, each between spaces of its own, so that only whole words are replaced."""
    return f" {'  '.join(_WORD.findall(text.casefold()))} "


def _sayable(sample: Sample, context: Context) -> set[str]:
    """Every wording of the evidence that the reasoning cites."""
    evidence = {item.id: item for item in sample.seed.evidence}
    found: set[str] = set()
    for step in sample.steps:
        for claim in step.claims:
            items = [evidence[ident] for ident in claim.evidence if ident in evidence]
            found |= context.claims.sayable(items)
    return {same(text) for text in found}


class _Speech(NamedTuple):
    """What the templates of a recipe say by themselves."""

    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    """Words that stand side by side."""


@lru_cache(maxsize=64)
def _speech(prompts: Prompts, recipe: str) -> _Speech:
    text = prompts.text(recipe).casefold()
    found = (pair for part in _BREAK.split(text) for pair in pairwise(_WORD.findall(part)))
    return _Speech(frozenset(_WORD.findall(text)), frozenset(found))


def _names(sample: Sample, context: Context) -> set[str]:
    """Words of the names that a row may mention: options, answer, diseases and findings of its evidence."""
    words = set(_words_of(sample.answer.text))
    for text in wrong_options(sample).values():
        words |= _words_of(text)
    for item in sample.seed.evidence:
        words |= _named_by(context.knowledge, item.ref)
        words |= _words_of(item.source)
    if sample.genre == "calculation":
        words |= _words_of(sample.question)
    return words


@lru_cache(maxsize=20_000)
def _words_of(text: str) -> frozenset[str]:
    return frozenset((*_WORD.findall(text.casefold()), *normal(text).split()))


@lru_cache(maxsize=20_000)
def _named_by(knowledge: Knowledge, ref: str) -> frozenset[str]:
    """Words of the names in one line of the tables."""
    if told := _annotated(knowledge, ref):
        return frozenset[str]().union(*map(_words_of, told))
    row, tables = knowledge.tables.rows.get(ref), knowledge.tables
    texts = [getattr(row, name, "") for name in ("name", "clinical", "agent", "route", "drug", "statement", "disease")]
    if (finding := tables.findings.get(str(getattr(row, "finding", "")))) is not None:
        texts.append(finding.clinical)
    if (disease := tables.diseases.get(str(getattr(row, "disease", "")))) is not None:
        texts.append(disease.name)
    return frozenset[str]().union(*(_words_of(text) for text in texts if isinstance(text, str)))
