"""Explainers: why a disease presents as it does, for a reader who wants to understand it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from synth.plan import Directive, EvidenceBook, Plan, Spot
from synth.recipes.shared import RivalFact, clue_fact, dropped, rival_fact
from synth.sample import Answer
from synth_kg.knowledge import Knowledge


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Explain the findings of a disease and what sets it apart from its nearest rivals."""
    anchor = spot.unit.anchor
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[anchor]
    clues = list(knowledge.clues[anchor])
    if spot.variant and len(clues) > 4:
        clues = sorted(draw.sample(clues, 4), key=clues.index)
    present = [clue.finding.finding for clue in clues]
    rivals: list[RivalFact] = []
    for rival in knowledge.rivals(anchor):
        fact = rival_fact(knowledge, rival, anchor, present, (), book)
        new = fact.grounds and all(fact.grounds[0].finding != other.grounds[0].finding for other in rivals)
        if new and rival not in dropped(directives) and len(rivals) < 2:
            rivals.append(fact._replace(grounds=fact.grounds[:1]))
    facts = {
        "disease": disease.name,
        "gloss": book.record(disease.ref),
        "clues": [clue_fact(clue, book) for clue in clues],
        "rivals": rivals,
        "answer": disease.name,
        "letter": "",
        "variant": spot.variant,
    }
    return Plan(
        recipe="explainer",
        genre="explainer",
        topic="mechanism",
        content="mechanism",
        anchor=anchor,
        department=knowledge.department(anchor),
        stage="basic",
        answer=Answer(text=f"How {disease.name} produces its findings", option=None, aliases=(), concept=anchor),
        uniqueness="source_relative",
        options=(),
        facts=facts,
        evidence=book.all(),
        stem=tuple(present),
    )
