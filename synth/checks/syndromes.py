"""Rows about diseases that are known by their annotations: fair stems, and options that are far from them.

Each rule asks `synth.syndromes` again what sampling asked, from the row as it is written. A name stands for every
disease that goes by it, so an option is wrong only if all of them are far.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from synth import syndromes
from synth.checks.concepts import fault, wrong_options
from synth.sample import ANNOTATED, Finding, Sample
from synth_kg.aliases import normal, same_name

if TYPE_CHECKING:
    from synth.checks import Context
    from synth_kg.annotations import Annotations
    from synth_kg.tables import Onset

_SEX = {"male": re.compile(r"\bmale patient\b|男性?患者"), "female": re.compile(r"\bfemale patient\b|女性?患者")}


def annotated(sample: Sample, context: Context) -> Iterator[Finding]:
    """The answer is what the annotations say, the stem is fair, and no other option fits."""
    a = context.knowledge.annotations
    if sample.topic not in ANNOTATED:
        return
    disease = a.disease(sample.seed.anchor) if a is not None else None
    if a is None or disease is None:
        yield fault("the graph does not hold the disease", "seed.anchor", quote=sample.seed.anchor)
        return
    text = f" {normal(sample.question)} "
    for term in a.denied(disease):
        if a.text(term) and f" {normal(a.text(term))} " in text:
            yield fault("the stem states what the disease does not bring", "question", quote=a.text(term))
    yield from _RULES[sample.genre, sample.topic](sample, context, a, disease)


def _stated(sample: Sample, a: Annotations, disease: int) -> list[int]:
    """The findings of the disease that the question states and the evidence holds."""
    text = f" {normal(sample.question)} "
    found = []
    for item in sample.seed.evidence:
        if item.type == "edge" and item.relation == "has_phenotype" and item.head and item.tail and not item.negated:
            term = a.graph.number("Phenotype", item.tail.id)
            own = item.head.id == sample.seed.anchor
            if term is not None and own and term in a.features(disease) and f" {normal(a.text(term))} " in text:
                found.append(term)
    return list(dict.fromkeys(found))


def _stem(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    terms = _stated(sample, a, disease)
    if len(terms) < 3:
        yield fault("fewer than three findings of the stem stand in the evidence", "question")
    elif not syndromes.fair(context.knowledge, disease, terms):
        yield fault("the findings make no fair stem", "question", quote=", ".join(map(a.text, terms)))
    told = next((name for name, words in _SEX.items() if words.search(sample.question)), "")
    if told != syndromes.sex(context.knowledge, terms):
        yield fault("no finding gives this patient", "question", quote=told)
    if f" {normal(a.name(disease))} " in f" {normal(sample.question)} ":
        yield fault("the stem names the disease that has to be found", "question", quote=a.name(disease))


def _diagnosis(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    yield from _stem(sample, context, a, disease)
    if not same_name(sample.answer.text, a.name(disease)) or sample.answer.concept != sample.seed.anchor:
        yield fault("the answer is not the disease that the evidence describes", "answer")
    terms = _stated(sample, a, disease)
    for letter, text in wrong_options(sample).items():
        rivals = a.named(text)
        place = f"options.{letter}"
        if not rivals:
            yield fault("an option is not a known disease", place, quote=text)
        elif syndromes.namesakes(text, sample.answer.text):
            yield fault("an option is a lookalike or a kind of the answer", place, quote=text)
        elif not syndromes.ruled_out(context.knowledge, rivals[0], terms):
            yield fault("an option may bring the findings as well", place, quote=text)


def _inheritance(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    knowledge = context.knowledge
    own = syndromes.mode(knowledge, disease)
    if (
        own is None
        or sample.answer.concept != own[1].term
        or not same_name(sample.answer.text, own[1].named(a.language))
    ):
        yield fault("the answer is not how the disease is inherited", "answer")
        return
    if sample.genre == "multihop":
        yield from _stem(sample, context, a, disease)
        terms = _stated(sample, a, disease)
        if terms and not syndromes.settled(knowledge, disease, terms):
            yield fault("another disease with these findings is inherited in another way", "question")
    if syndromes.says_mode(a.name(disease)):
        yield fault("the disease's name says how it is inherited", "question", quote=a.name(disease))
    names = {normal(mode.named(a.language)): name for name, mode in knowledge.tables.modes.items()}
    for letter, text in wrong_options(sample).items():
        if names.get(normal(text)) not in own[1].foils:
            yield fault("an option is no other mode of inheritance", f"options.{letter}", quote=text)


def _onset(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    own = syndromes.onset(context.knowledge, disease)
    if (
        own is None
        or sample.answer.concept != own[1].term
        or not same_name(sample.answer.text, own[1].named(a.language))
    ):
        yield fault("the answer is not when the disease begins", "answer")
        return
    rows: dict[str, list[Onset]] = {}
    for row in context.knowledge.tables.onsets.values():
        rows.setdefault(normal(row.named(a.language)), []).append(row)
    for letter, text in wrong_options(sample).items():
        others = rows.get(normal(text), [])
        if not others or not all(syndromes.ages_apart(row, own[1]) for row in others):
            yield fault("an option is no time apart from the answer's", f"options.{letter}", quote=text)


def _feature(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    """One feature is the disease's; the others are far from it."""
    knowledge = context.knowledge
    texts = _texts(sample, a)
    target = texts.get(normal(sample.answer.text))
    if target is None or not syndromes.usable(knowledge, disease, target) or a.ident(target) != sample.answer.concept:
        yield fault("the answer is no feature of the disease", "answer")
        return
    for letter, text in wrong_options(sample).items():
        term = texts.get(normal(text))
        if term is None or not syndromes.tells_apart(knowledge, term, disease):
            yield fault("an option may be a feature as well", f"options.{letter}", quote=text)


def _comparison(sample: Sample, context: Context, a: Annotations, disease: int) -> Iterator[Finding]:
    """One feature is of one disease alone; both have the others."""
    knowledge = context.knowledge
    heads = {item.head.id for item in sample.seed.evidence if item.type == "edge" and item.head}
    others = [a.disease(ident) for ident in sorted(heads - {sample.seed.anchor})]
    texts = _texts(sample, a)
    target = texts.get(normal(sample.answer.text))
    if len(others) != 1 or others[0] is None:
        yield fault("the row does not say which two diseases it compares", "seed")
        return
    other = others[0]
    fits = target is not None and syndromes.usable(knowledge, disease, target)
    if target is None or not fits or a.ident(target) != sample.answer.concept:
        yield fault("the answer is no feature of the disease", "answer")
    elif not syndromes.tells_apart(knowledge, target, other):
        yield fault("the answer does not separate the two diseases", "answer")
    for letter, text in wrong_options(sample).items():
        term = texts.get(normal(text))
        both = term is not None and all(syndromes.usable(knowledge, one, term) for one in (disease, other))
        if not both:
            yield fault("an option may separate the two as well", f"options.{letter}", quote=text)


def _texts(sample: Sample, a: Annotations) -> dict[str, int]:
    """The findings that the evidence holds, by how text words them."""
    nodes = (node for item in sample.seed.evidence for node in (item.head, item.tail, *(item.terms or ())))
    terms = (a.graph.number(*(node.type, node.id)) for node in nodes if node is not None and node.type == "Phenotype")
    return {normal(a.text(term)): term for term in terms if term is not None and a.text(term)}


_RULES: dict[tuple[str, str], Callable[[Sample, Context, Annotations, int], Iterator[Finding]]] = {
    ("vignette", "syndrome"): _diagnosis,
    ("multihop", "inheritance"): _inheritance,
    ("choice", "inheritance"): _inheritance,
    ("choice", "onset"): _onset,
    ("choice", "feature"): _feature,
    ("compare", "feature"): _comparison,
}
