"""Findings: which one belongs to a disease, and which one tells two lookalikes apart."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot
from synth.prompts import bare, cap
from synth.recipes.shared import (
    LETTERS,
    ClueFact,
    GroundFact,
    clue_fact,
    dropped,
    ground_facts,
    person,
)
from synth.sample import Answer
from synth_kg.knowledge import Knowledge


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


def compose_finding(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Give a disease and two of its findings; ask which of four further findings fits it."""
    anchor, (target, *given) = spot.unit.anchor, spot.unit.picks
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[anchor]
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[anchor]}
    pool = [
        name
        for name in knowledge.foils(anchor)
        if name not in dropped(directives)
        and not any(knowledge.related(name, taken) for taken in spot.unit.picks)
        and knowledge.tables.findings[name].kind == knowledge.tables.findings[target].kind
    ]
    chosen = knowledge.apart(_mixed(pool, draw), 3)
    if len(chosen) < 3:
        raise NoPlan("too few findings that are ruled out")
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
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=cap(by_name[target].finding.clinical), option=letters[target], aliases=(), concept=target),
        options=tuple(cap(knowledge.tables.findings[name].clinical) for name in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )


def _mixed(names: Sequence[str], draw: Random) -> list[str]:
    """The names with their head and their tail shuffled, the head still first."""
    head, tail = list(names[:6]), list(names[6:])
    draw.shuffle(head)
    draw.shuffle(tail)
    return head + tail


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


def compose_comparison(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Offer findings of which one separates two lookalikes; the others are shared or belong to neither."""
    anchor, (rival, target) = spot.unit.anchor, spot.unit.picks
    book = EvidenceBook(knowledge)
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[anchor]}
    kinds = knowledge.tables.findings
    barred = dropped(directives)
    shared, neither = (
        [name for name in names if name not in barred] for names in knowledge.undecided(anchor, rival, target)
    )
    draw.shuffle(shared)
    draw.shuffle(neither)
    chosen = knowledge.apart(shared + neither, 3)
    if len(chosen) < 3 or not shared:
        raise NoPlan("too few findings that do not separate the two")
    order = [target, *chosen]
    draw.shuffle(order)
    letters = {name: LETTERS[place] for place, name in enumerate(order)}
    rivals = [
        _compared(knowledge, anchor, rival, name, name in shared, book)._replace(letter=letters[name])
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
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=answer, option=letters[target], aliases=(), concept=target),
        options=tuple(cap(kinds[name].clinical) for name in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )


def _compared(knowledge: Knowledge, one: str, other: str, name: str, shared: bool, book: EvidenceBook) -> ComparedFact:
    """Cite why a finding does not separate two diseases: both bring it, or each has a reason not to."""
    finding = knowledge.tables.findings[name]
    clue = next((clue for clue in knowledge.clues[one] if clue.finding.finding == name), None)
    grounds: tuple[GroundFact, ...] = ()
    told = clue_fact(clue, book) if clue else None
    both = _both(knowledge, one, other, name, book) if shared else ()
    if not shared:
        for disease in (one, other):
            grounds += ground_facts(knowledge, knowledge.grounds(disease, "", [name]), book)[:1]
    return ComparedFact(name, finding.clinical, finding.plural, "", told, both, grounds)


def _both(knowledge: Knowledge, one: str, other: str, name: str, book: EvidenceBook) -> tuple[str, ...]:
    entries = (knowledge.tables.typical[disease][name] for disease in (one, other))
    return tuple(book.record(entry.ref) for entry in entries)
