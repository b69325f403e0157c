"""Drug classes: two members of a class are given and a third is to be found.

A drug of the table has one class and the table is complete for the classes that are asked,
so a drug of another class is wrong by the table. Nothing is said of doses or of choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.differential import OFFERED, other_drugs
from synth.plan import Directive, EvidenceBook, Plan, Spot
from synth.prompts import cap
from synth.recipes.shared import LETTERS, dropped
from synth.sample import Answer
from synth_kg.knowledge import Knowledge


class DrugFact(NamedTuple):
    """A drug, its class and what the class does, with the ids of what says so."""

    name: str
    letter: str
    plural: str
    member: tuple[str, ...]
    acts: str
    used: str
    """Id of the edge that says it is used for the disease; empty if none does."""


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Ask which of four drugs shares the class of two others."""
    disease, (target, *given) = spot.unit.anchor, spot.unit.picks
    book = EvidenceBook(knowledge)
    used = knowledge.drugs_for(disease)

    def fact(drug: str, letter: str = "") -> DrugFact:
        entry = knowledge.tables.drugs[drug]
        group = knowledge.tables.classes[entry.drug_class]
        edge = knowledge.class_edge(drug)
        member = (book.record(entry.ref), *((book.edge(edge),) if edge else ()))
        indication = book.edge(used[drug]) if drug in used else ""
        return DrugFact(drug, letter, group.plural, member, book.record(group.ref), indication)

    near, far = other_drugs(knowledge, disease, target, dropped(directives))
    draw.shuffle(near)
    draw.shuffle(far)
    chosen: dict[str, str] = {}
    for drug in near + far:
        if len(chosen) < OFFERED:
            chosen.setdefault(knowledge.tables.drugs[drug].drug_class, drug)
    order = [target, *chosen.values()]
    draw.shuffle(order)
    letters = {drug: LETTERS[place] for place, drug in enumerate(order)}
    mainstay = knowledge.tables.mainstays[disease]
    book.record(mainstay.ref)
    facts = {
        "disease": mainstay.name,
        "target": fact(target, letters[target]),
        "given": [fact(drug) for drug in given],
        "rivals": [fact(drug, letters[drug]) for drug in order if drug != target],
        "letter": letters[target],
        "answer": cap(target),
    }
    return Plan(
        recipe="drugs",
        genre="choice",
        topic="drug class",
        anchor=disease,
        department=knowledge.department(disease),
        answer=Answer(text=cap(target), option=letters[target], aliases=(), concept=target),
        options=tuple(cap(drug) for drug in order),
        concepts=tuple(order),
        facts=facts,
        evidence=book.all(),
    )
