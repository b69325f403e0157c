"""Findings: which one belongs to a disease, and which one tells two lookalikes apart."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.plan import Directive, EvidenceBook, Plan, Spot
from synth.prompts import bare, cap
from synth.recipes.shared import (
    LETTERS,
    ClueFact,
    GroundFact,
    NoPlan,
    clue_fact,
    dropped,
    ground_facts,
    person,
)
from synth.recipes.vignette import candidates
from synth.sample import Answer
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Typical


class OptionFact(NamedTuple):
    """A finding that is offered and wrong."""

    name: str
    clinical: str
    plural: bool
    general: bool
    letter: str
    finding: str
    grounds: tuple[GroundFact, ...]


def _offered(knowledge: Knowledge, name: str, letter: str, book: EvidenceBook) -> OptionFact:
    finding = knowledge.tables.findings[name]
    general = finding.specificity == "general"
    ident = book.record(finding.ref)
    return OptionFact(name, finding.clinical, finding.plural, general, letter, ident, ())


def compose_finding(
    knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]
) -> Plan:
    """Give a disease and two of its findings; ask which of four further findings fits it."""
    anchor, (target, *given) = spot.unit.anchor, spot.unit.picks
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[anchor]
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[anchor]}
    pool = [
        name
        for name in _excluded(knowledge, anchor)
        if name not in dropped(directives)
        and not any(knowledge.related(name, taken) for taken in spot.unit.picks)
        and knowledge.tables.findings[name].kind == knowledge.tables.findings[target].kind
    ]
    chosen = _apart(knowledge, pool, draw)
    order = [target, *chosen]
    draw.shuffle(order)
    letters = {name: LETTERS[place] for place, name in enumerate(order)}
    rivals = []
    for name in order:
        if name != target:
            grounds = ground_facts(knowledge, knowledge.grounds(anchor, "", [name]), book)
            rivals.append(_offered(knowledge, name, letters[name], book)._replace(grounds=grounds))
    facts = {
        "person": person(knowledge, anchor, draw, book),
        "disease": disease.name,
        "gloss": book.record(disease.ref),
        "given": [clue_fact(by_name[name], book) for name in given],
        "target": clue_fact(by_name[target], book),
        "rivals": rivals,
        "letter": letters[target],
        "answer": cap(by_name[target].finding.clinical),
    }
    return Plan(
        recipe="finding",
        genre="choice",
        topic="finding",
        content="diagnosis",
        anchor=anchor,
        department=knowledge.department(anchor),
        stage="basic",
        answer=Answer(
            text=cap(by_name[target].finding.clinical), option=letters[target], aliases=(), concept=target
        ),
        uniqueness="proved",
        options=tuple(cap(knowledge.tables.findings[name].clinical) for name in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
        stem=tuple(given),
    )


def _excluded(knowledge: Knowledge, disease: str) -> list[str]:
    """Findings of its neighbors that the tables rule out for a disease, the plainest first."""
    entries = knowledge.tables.typical[disease]
    never = [entry.finding for entry in entries.values() if entry.verdict == "never ask"]
    near = {entry.finding for rival in candidates(knowledge, disease) for entry in _typical(knowledge, rival)}
    beyond = [name for name in sorted(near) if name not in entries and knowledge.out_of_reach(disease, name)]
    return never + beyond


def _typical(knowledge: Knowledge, disease: str) -> list[Typical]:
    return [e for e in knowledge.tables.typical.get(disease, {}).values() if e.verdict == "typical"]


def _apart(knowledge: Knowledge, pool: list[str], draw: Random) -> list[str]:
    """Three findings of which none contains another, mostly from the head of the pool."""
    head = pool[:6]
    tail = pool[6:]
    draw.shuffle(head)
    draw.shuffle(tail)
    chosen: list[str] = []
    for name in head + tail:
        if len(chosen) < 3 and not any(knowledge.related(name, other) for other in chosen):
            chosen.append(name)
    if len(chosen) < 3:
        raise NoPlan("too few findings that are ruled out")
    return chosen


class ComparedFact(NamedTuple):
    """A finding that both diseases, or neither, bring, so that it does not separate them."""

    name: str
    clinical: str
    plural: bool
    letter: str
    one: ClueFact | None
    shared: tuple[str, ...]
    """Ids of the two typical lines; empty if neither disease brings the finding."""
    grounds: tuple[GroundFact, ...]


def compose_comparison(
    knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]
) -> Plan:
    """Offer findings of which one separates two lookalikes; the others are shared or belong to neither."""
    anchor, (rival, target) = spot.unit.anchor, spot.unit.picks
    book = EvidenceBook(knowledge)
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[anchor]}
    kinds = knowledge.tables.findings
    barred = dropped(directives)
    shared = [
        name
        for name in by_name
        if knowledge.typical_in(rival, name) and not knowledge.related(name, target) and name not in barred
    ]
    neither = [
        name
        for name in _excluded(knowledge, anchor)
        if knowledge.grounds(rival, "", [name])
        and name not in barred
        and not any(knowledge.related(name, taken) for taken in (target, *shared))
    ]
    draw.shuffle(shared)
    draw.shuffle(neither)
    chosen: list[str] = []
    for name in shared + neither:
        if len(chosen) < 3 and not any(knowledge.related(name, other) for other in chosen):
            chosen.append(name)
    if len(chosen) < 3 or not shared:
        raise NoPlan("too few findings that do not separate the two")
    order = [target, *chosen]
    draw.shuffle(order)
    letters = {name: LETTERS[place] for place, name in enumerate(order)}
    rivals = [
        ComparedFact(
            name,
            kinds[name].clinical,
            kinds[name].plural,
            letters[name],
            clue_fact(by_name[name], book) if name in by_name else None,
            _both(knowledge, anchor, rival, name, book) if name in shared else (),
            ()
            if name in shared
            else ground_facts(knowledge, knowledge.grounds(anchor, "", [name]), book)[:1]
            + ground_facts(knowledge, knowledge.grounds(rival, "", [name]), book)[:1],
        )
        for name in order
        if name != target
    ]
    one, other = knowledge.tables.diseases[anchor], knowledge.tables.diseases[rival]
    names = [one.name, other.name]
    draw.shuffle(names)
    answer = cap(kinds[target].clinical)
    facts = {
        "one": one.name,
        "other": other.name,
        "pair": names,
        "glosses": (book.record(one.ref), book.record(other.ref)),
        "target": clue_fact(by_name[target], book),
        "against": ground_facts(knowledge, knowledge.grounds(rival, anchor, [target]), book)[0],
        "rivals": rivals,
        "letter": letters[target],
        "answer": answer,
        "bare": bare(kinds[target].clinical),
    }
    return Plan(
        recipe="compare",
        genre="compare",
        topic="comparison",
        content="diagnosis",
        anchor=anchor,
        department=knowledge.department(anchor),
        stage="advanced",
        answer=Answer(text=answer, option=letters[target], aliases=(), concept=target),
        uniqueness="proved",
        options=tuple(cap(kinds[name].clinical) for name in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )


def _both(
    knowledge: Knowledge, one: str, other: str, name: str, book: EvidenceBook
) -> tuple[str, ...]:
    entries = (knowledge.tables.typical[disease][name] for disease in (one, other))
    return tuple(book.record(entry.ref) for entry in entries)
