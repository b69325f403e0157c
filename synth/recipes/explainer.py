"""Explainers: why a disease presents as it does, for a reader who wants to understand it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from synth.plan import Directive, EvidenceBook, Plan, Spot
from synth.recipes.shared import clue_fact
from synth.sample import Answer
from synth_kg.knowledge import Clue, Knowledge


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Explain the findings of a disease, all of them or four; an abstract and a dialogue do so in their own form."""
    anchor = spot.unit.anchor
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[anchor]
    all_clues = knowledge.clues[anchor]
    within = {name for clue in all_clues for name in knowledge.broader[clue.finding.finding]}
    said = {frozenset(pair) for disease, pair in knowledge.tables.apart if disease == anchor}
    clues: list[Clue] = []
    for clue in all_clues:  # none that contains another, and no two that say the same
        name = clue.finding.finding
        if name not in within and not any(frozenset((name, c.finding.finding)) in said for c in clues):
            clues.append(clue)
    if spot.variant and len(clues) > 4:
        clues = sorted(draw.sample(clues, 4), key=clues.index)
    facts = {
        "disease": disease.name,
        "gloss": book.record(disease.ref),
        "clues": [clue_fact(clue, book) for clue in clues],
        "answer": disease.name,
        "letter": "",
        "variant": spot.variant,
    }
    return Plan(
        recipe=spot.unit.genre,
        genre=spot.unit.genre,
        topic="mechanism",
        anchor=anchor,
        department=knowledge.department(anchor),
        answer=Answer(text=f"How {disease.name} produces its findings", option=None, aliases=(), concept=anchor),
        options=(),
        facts=facts,
        evidence=book.all(),
    )
