"""Form: whether a row is whole, says its answer once and where it should, and gives nothing away."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING

from synth.checks.concepts import fault, wrong_options
from synth.sample import WORDED, WRITTEN, Finding, Sample, words
from synth_kg.aliases import named_in, normal, share_stem

if TYPE_CHECKING:
    from synth.checks import Context

_RESIDUE = re.compile(r"\{\{|\}\}|\{%|\bNone\b|\bUndefined\b|  |\.\.|,,| \.| ,")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_MOSTLY, _HARDLY = 0.3, 0.02
"""Share of Chinese characters among the letters of a Chinese text, at least, and of an English one, at most.
English names in parentheses take up to two thirds of a Chinese text's letters."""
_SENTENCE = re.compile(r"[.?!]\s+|[。？！]|\n+")


def schema(sample: Sample, _context: Context) -> Iterator[Finding]:
    """Nothing empty, no leftovers of a template, options lettered from A and the answer among them."""
    for place in ("question", "reasoning", "response"):
        text = getattr(sample, place)
        if not text.strip():
            yield fault("empty", place)
        elif residue := _RESIDUE.search(text):
            yield fault("leftover of a template", place, quote=residue.group(0))
        elif not text.strip().endswith((".", "?", "!", "。", "？", "！")):
            yield fault("cut off before its end", place)
    if sample.reasoning != " ".join(step.text for step in sample.steps):
        yield fault("the reasoning is not the sequence of its steps", "reasoning")
    if sample.options is not None:
        letters = "".join(sample.options)
        if letters != "ABCD":
            yield fault("the options are not four, lettered from A", "options")
        if sample.answer.option is None or sample.options.get(sample.answer.option) != sample.answer.text:
            yield fault("the answer is not the text of its option", "answer")
    elif sample.answer.option is not None:
        yield fault("an answer option without options", "answer")


def leak(sample: Sample, context: Context) -> Iterator[Finding]:
    """The stem neither names the answer nor shares a telling word with it that no other option shares."""
    if sample.genre in {*WRITTEN, "calculation"}:
        return
    names = (sample.answer.text, *sample.answer.aliases)
    found = named_in(sample.question, names)
    if found:
        yield fault("the stem names the answer", "question", quote=found)
    elif sample.topic in {"diagnosis", "pathogen", "process"} and share_stem(sample.question, sample.answer.text):
        others = wrong_options(sample).values()
        if not any(share_stem(sample.question, other) for other in others):
            yield fault("the stem shares a telling word with the answer alone", "question")


def language(sample: Sample, _context: Context) -> Iterator[Finding]:
    """The texts are in the script of the row's language."""
    for place in ("question", "reasoning", "response"):
        text = _unnamed(getattr(sample, place), sample)
        chinese = len(_CHINESE.findall(text)) / max(1, len(_LETTER.findall(text)))
        if (sample.language == "zh" and chinese < _MOSTLY) or (sample.language == "en" and chinese > _HARDLY):
            yield fault("not in the language of the row", place, quote=f"{chinese:.0%} Chinese characters")


def _unnamed(text: str, sample: Sample) -> str:
    """A text without the names of diseases, which a row keeps in the language of its source."""
    if sample.language == WORDED:
        return text
    heads = (item.head.name for item in sample.seed.evidence if item.head is not None and item.head.type == "Disease")
    return reduce(lambda left, name: left.replace(name, " "), sorted({*heads}, key=len, reverse=True), text)


def answered(sample: Sample, _context: Context) -> Iterator[Finding]:
    """The reasoning ends in the answer, does not begin with it, and the response gives it."""
    if sample.genre in WRITTEN:
        return
    answer = normal(sample.answer.text)
    last, first = normal(sample.steps[-1].text), normal(sample.steps[0].text)
    if f" {answer} " not in f" {last} ":
        yield fault("the reasoning does not end in the answer", "steps")
    letter = sample.answer.option
    closing = _SENTENCE.split(sample.steps[-1].text)
    if letter and not any(
        re.search(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", s) and f" {answer} " in f" {normal(s)} " for s in closing
    ):
        yield fault("the reasoning does not end in the answer's letter", "steps")
    if sample.topic in {"diagnosis", "pathogen", "process", "syndrome"} and f" {answer} " in f" {first} ":
        yield fault("the answer is given before it is argued for", "steps.0")
    if f" {answer} " not in f" {normal(sample.response)} ":
        yield fault("the response does not give the answer", "response")


def argued(sample: Sample, _context: Context) -> Iterator[Finding]:
    """Every option is dealt with in the reasoning."""
    text = f" {normal(sample.reasoning)} "
    for letter, option in wrong_options(sample).items():
        if f" {_core(option)} " not in text:
            yield fault("an option is never weighed", f"options.{letter}", quote=option)


def _core(option: str) -> str:
    words = normal(option).split()
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) else words)


def length(sample: Sample, context: Context) -> Iterator[Finding]:
    """Long enough to argue, not longer than a reader bears; two Chinese characters count as a word.

    Written texts carry theirs in the response.
    """
    count = words(sample.reasoning)
    if sample.genre not in WRITTEN and count < context.bounds.min_reasoning_words:
        yield fault("too few words of reasoning", "reasoning", quote=str(count))
    if count > context.bounds.max_reasoning_words:
        yield fault("too many words of reasoning", "reasoning", quote=str(count))


def repetition(sample: Sample, _context: Context) -> Iterator[Finding]:
    """No sentence and no claim is said twice."""
    sentences = Counter(normal(part) for part in _SENTENCE.split(sample.reasoning) if len(part.split()) > 4)
    twice = next((text for text, count in sentences.items() if count > 1), None)
    if twice:
        yield fault("a sentence is said twice", "reasoning", quote=twice)
    claims = Counter((claim.text, claim.evidence) for step in sample.steps for claim in step.claims)
    again = next((text for (text, _), count in claims.items() if count > 1), None)
    if again and not twice:
        yield fault("a claim is made twice", "steps", quote=again)
