"""Infections: their organism, their route, and the way back from organism to disease.

An organism is wrong that the definition of the infection does not name among its causes.
Routes are different: a definition that names some does not deny the others, so a route item is
closed on its source ('according to the Disease Ontology').
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot
from synth.prompts import cap
from synth.recipes.shared import LETTERS, clue_fact, dropped, person
from synth.sample import Answer
from synth_kg.aliases import share_stem
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Infection


class InfectionFact(NamedTuple):
    """An infection as templates word it, with the ids of what says so."""

    disease: str
    name: str
    agent: str
    kind: str
    route: str
    letter: str
    caused: tuple[str, ...]
    habit: tuple[str, ...]
    acquired: tuple[str, ...]
    """Empty where the graph states no route that the table words."""


def _fact(knowledge: Knowledge, disease: str, letter: str, book: EvidenceBook) -> InfectionFact:
    infection = knowledge.tables.infections[disease]
    record = book.record(infection.ref)
    agent, route = knowledge.agent_edge(disease), knowledge.route_edge(disease)
    return InfectionFact(
        disease,
        infection.name,
        infection.agent,
        infection.agent_kind,
        infection.route,
        letter,
        (record, book.edge(agent)) if agent else (),
        (record,),
        (record, book.edge(route)) if route and infection.route else (),
    )


def compose_pathogen(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Ask which of four organisms causes an infection."""
    anchor = spot.unit.anchor
    mine = knowledge.tables.infections[anchor]
    barred = dropped(directives)
    others = [
        other
        for other in knowledge.tables.infections.values()
        if other.disease not in barred
        and other.agent != mine.agent
        and knowledge.agent_edge(other.disease) is not None
        and not share_stem(other.agent, mine.agent)
        and not share_stem(other.agent, mine.name)
        and not share_stem(other.agent, other.name)
    ]
    chosen = _draw_agents(mine, others, draw)
    return _agent_plan(knowledge, spot, draw, [mine, *chosen])


_BACTERIA = {"bacterium", "spirochete"}


def _draw_agents(mine: Infection, others: list[Infection], draw: Random) -> list[Infection]:
    """Three organisms like the answer: of its kind, and those that travel like it first."""

    def distance(other: Infection) -> tuple[bool, bool]:
        kinds = {mine.agent_kind, other.agent_kind}
        alike = len(kinds) == 1 or kinds <= _BACTERIA
        return (not alike, not set(other.route_category) & set(mine.route_category))

    draw.shuffle(others)
    chosen: dict[str, Infection] = {}
    for other in sorted(others, key=distance):
        if not any(_overlap(other, taken) for taken in (mine, *chosen.values())):
            chosen[other.agent] = other
    if len(chosen) < 3:
        raise NoPlan("too few organisms to offer")
    return draw.sample(list(chosen.values())[:5], 3)


def _overlap(one: Infection, other: Infection) -> bool:
    """Whether one organism is the other, or a species of it: a hantavirus and Puumala virus."""
    return one.agent_term in other.agent_term or other.agent_term in one.agent_term


def _agent_plan(knowledge: Knowledge, spot: Spot, draw: Random, infections: list[Infection]) -> Plan:
    anchor = spot.unit.anchor
    book = EvidenceBook(knowledge)
    order = [infection.disease for infection in infections]
    draw.shuffle(order)
    letters = {disease: LETTERS[place] for place, disease in enumerate(order)}
    mine = _fact(knowledge, anchor, letters[anchor], book)
    clues = [clue_fact(clue, book) for clue in knowledge.clues.get(anchor, ())]
    facts = {
        "mine": mine,
        "rivals": [_fact(knowledge, d, letters[d], book) for d in order if d != anchor],
        "clues": clues[:3],
        "letter": letters[anchor],
        "answer": cap(mine.agent),
    }
    return Plan(
        recipe="pathogen",
        genre="choice",
        topic="pathogen",
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=cap(mine.agent), option=letters[anchor], aliases=(), concept=f"agent of {anchor}"),
        options=tuple(cap(knowledge.tables.infections[d].agent) for d in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )


def compose_route(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Ask how an infection is acquired, closed on the source that describes it."""
    anchor = spot.unit.anchor
    mine = knowledge.tables.infections[anchor]
    barred = dropped(directives)
    foils = knowledge.route_foils(anchor)
    by_route: dict[tuple[str, ...], Infection] = {}
    others = [i for i in knowledge.tables.infections.values() if i.disease not in barred]
    draw.shuffle(others)
    for other in others:
        fits = len(other.route_category) == 1 and other.route_category[0] in foils
        if fits and knowledge.route_edge(other.disease) is not None and not share_stem(other.route, mine.route):
            by_route.setdefault(other.route_category, other)
    if len(by_route) < 3:
        raise NoPlan("too few other routes")
    chosen = draw.sample(sorted(by_route.values(), key=lambda i: i.disease), 3)
    book = EvidenceBook(knowledge)
    order = [anchor, *(infection.disease for infection in chosen)]
    draw.shuffle(order)
    letters = {disease: LETTERS[place] for place, disease in enumerate(order)}
    fact = _fact(knowledge, anchor, letters[anchor], book)
    facts = {
        "mine": fact,
        "rivals": [_fact(knowledge, d, letters[d], book) for d in order if d != anchor],
        "letter": letters[anchor],
        "answer": cap(mine.route),
        "source": "the Disease Ontology",
    }
    return Plan(
        recipe="route",
        genre="choice",
        topic="route",
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=cap(mine.route), option=letters[anchor], aliases=(), concept=f"route of {anchor}"),
        options=tuple(cap(knowledge.tables.infections[d].route) for d in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )


def compose_reverse(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Give organism, route and findings, and ask for the disease by name."""
    anchor = spot.unit.anchor
    book = EvidenceBook(knowledge)
    infection = knowledge.tables.infections[anchor]
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[anchor]}
    clues = [clue_fact(by_name[name], book) for name in spot.unit.picks]
    rivals = [
        other
        for other in knowledge.tables.infections.values()
        if other.disease != anchor
        and other.agent_kind == infection.agent_kind
        and other.agent != infection.agent
        and knowledge.agent_edge(other.disease) is not None
        and set(other.route_category) & set(infection.route_category)
        and not share_stem(other.agent, other.name)
    ]
    draw.shuffle(rivals)
    profile = knowledge.tables.diseases[anchor]
    facts = {
        "mine": _fact(knowledge, anchor, "", book),
        "rivals": [_fact(knowledge, other.disease, "", book) for other in rivals[:2]],
        "clues": clues,
        "person": person(knowledge, anchor, draw, book),
        "gloss": book.record(profile.ref),
        "disease": profile.name,
        "answer": profile.name,
        "letter": "",
    }
    aliases = tuple(alias for alias in knowledge.aliases(anchor) if alias != profile.name)
    return Plan(
        recipe="reverse",
        genre="reverse",
        topic="diagnosis",
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=profile.name, option=None, aliases=aliases, concept=anchor),
        options=(),
        facts=facts,
        evidence=book.all(),
    )
