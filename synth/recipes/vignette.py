"""Vignettes: findings of a patient, and the disease, or one hop further its organism or process, is asked.

The wrong options are diseases that a clinician would weigh: the table's differential first,
then diseases that co-occur with the answer in the literature. `synth.differential` says which of
them the stem makes tempting and yet rules out; the checks look at each again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from synth.differential import OFFERED, contenders, deniable, flags
from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot
from synth.prompts import bare, cap
from synth.recipes.shared import (
    LETTERS,
    FlagFact,
    RivalFact,
    clue_fact,
    dropped,
    person,
    rival_fact,
)
from synth.sample import Answer
from synth_kg.knowledge import Knowledge
from synth_kg.tables import RedFlag


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Compose a vignette that asks for the diagnosis, openly or among four, or for the organism."""
    unit = spot.unit
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[unit.anchor]
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[unit.anchor]}
    clues = [clue_fact(by_name[name], book) for name in unit.picks]
    clues.sort(key=lambda clue: clue.general)
    who = person(knowledge, unit.anchor, draw, book)
    organism = unit.topic == "pathogen"
    raised = flags(knowledge, unit.anchor, unit.picks)
    barred = dropped(directives).union(*(flag.excludes for flag in raised))
    pool = contenders(knowledge, unit.anchor, unit.picks, child=who.child, organism=organism, barred=barred)
    rivals = _choose(pool, draw)
    denied = _denied(knowledge, unit.anchor, unit.picks, rivals, draw)
    facts = {
        "person": who,
        "course": disease.course,
        "history": disease.history,
        "exposure": _exposure(knowledge, unit.anchor, book),
        "acquired": _acquired(knowledge, unit.anchor, book),
        "lives": _lives(knowledge, unit.anchor, book) if not organism else (),
        "clues": clues,
        "symptoms": [clue for clue in clues if clue.kind == "symptom"],
        "signs": [clue for clue in clues if clue.kind == "sign"],
        "tests": [clue for clue in clues if clue.kind == "test"],
        "denied": [_denial(knowledge, name) for name in denied],
        "flags": [_flag_fact(knowledge, flag, unit.picks, book) for flag in raised],
        "disease": disease.name,
        "gloss": book.record(disease.ref),
        "hops": unit.topic if unit.genre == "multihop" else "",
    }
    rival_facts = [rival_fact(knowledge, rival, unit.anchor, unit.picks, denied, book) for rival in rivals]
    draft = _Draft(knowledge, spot, draw, book, facts, rival_facts)
    return _behind(draft) if unit.genre == "multihop" else _diagnosis(draft)


@dataclass(frozen=True)
class _Draft:
    """What both kinds of vignette share."""

    knowledge: Knowledge
    spot: Spot
    draw: Random
    book: EvidenceBook
    facts: dict[str, Any]
    rivals: list[RivalFact]

    def plan(self, entries: list[tuple[str, str]], answer: Answer, **changes: Any) -> Plan:
        """The plan, its options lettered in the order of `entries` (text, concept)."""
        anchor = self.spot.unit.anchor
        letters = {concept: LETTERS[place] for place, (_, concept) in enumerate(entries)}
        rivals = [rival._replace(letter=letters.get(rival.disease, "")) for rival in self.rivals]
        facts = {
            **self.facts,
            "anchor": anchor,
            "rivals": sorted(rivals, key=lambda rival: rival.letter),
            "order": sorted(rivals, key=lambda rival: -len(rival.shared)),
            "letter": letters.get(anchor, ""),
            "answer": answer.text,
        }
        return Plan(
            recipe="vignette",
            genre=self.spot.unit.genre,
            anchor=anchor,
            department=self.knowledge.department(anchor),
            answer=answer.model_copy(update={"option": letters.get(anchor)}),
            options=tuple(text for text, _ in entries),
            concepts=tuple(concept for _, concept in entries),
            facts=facts,
            evidence=self.book.all(),
            **changes,
        )


def _diagnosis(draft: _Draft) -> Plan:
    knowledge, anchor = draft.knowledge, draft.spot.unit.anchor
    name = knowledge.tables.diseases[anchor].name
    aliases = tuple(alias for alias in knowledge.aliases(anchor) if alias != name)
    entries: list[tuple[str, str]] = []
    if draft.spot.unit.genre == "vignette":
        entries = [(name, anchor), *((rival.name, rival.disease) for rival in draft.rivals)]
        draft.draw.shuffle(entries)
    return draft.plan(
        entries,
        Answer(text=name, option=None, aliases=aliases, concept=anchor),
        topic="diagnosis",
    )


def _behind(draft: _Draft) -> Plan:
    """One hop further: the organism or the process behind the disease that the stem describes."""
    knowledge, book, anchor = draft.knowledge, draft.book, draft.spot.unit.anchor
    topic = draft.spot.unit.topic
    behind: dict[str, tuple[str, ...]] = {}
    texts: dict[str, str] = {}
    for disease in (anchor, *(rival.disease for rival in draft.rivals)):
        profile = knowledge.tables.diseases[disease]
        if topic == "pathogen":
            infection, edge = knowledge.tables.infections[disease], knowledge.agent_edge(disease)
            if edge is None:
                raise NoPlan("the graph states no agent")
            behind[disease] = (book.record(infection.ref), book.edge(edge))
            texts[disease] = cap(infection.agent)
        else:
            behind[disease] = (book.record(profile.ref),)
            texts[disease] = cap(profile.gloss)
    entries = [(text, disease) for disease, text in texts.items()]
    draft.draw.shuffle(entries)
    draft.facts["behind"] = behind
    concept = f"{'agent' if topic == 'pathogen' else topic} of {anchor}"
    return draft.plan(
        entries,
        Answer(text=texts[anchor], option=None, aliases=(), concept=concept),
        topic=topic,
    )


def _choose(pool: Sequence[str], draw: Random) -> list[str]:
    """Three rivals to offer: one of the most tempting, the others from further down the list."""
    first = draw.choice(pool[:OFFERED])
    rest = [rival for rival in pool if rival != first]
    return [first, *draw.sample(rest[:6], OFFERED - 1)]


def _denied(
    knowledge: Knowledge, anchor: str, present: Sequence[str], rivals: Sequence[str], draw: Random
) -> list[str]:
    """A finding that the stem denies for each rival that nothing else speaks against."""
    kept: list[str] = []
    for rival in rivals:
        options = deniable(knowledge, anchor, rival, present)
        if knowledge.grounds(rival, anchor, present, kept) or not options:
            continue
        kept.append(draw.choice(options))
    return kept


def _denial(knowledge: Knowledge, name: str) -> str:
    finding = knowledge.tables.findings[name]
    return bare(finding.clinical)


def _flag_fact(knowledge: Knowledge, flag: RedFlag, present: Sequence[str], book: EvidenceBook) -> FlagFact:
    raised = next(group for group in flag.triggers if set(group).issubset(present))
    findings = (book.record(knowledge.tables.findings[name].ref) for name in raised)
    return FlagFact(flag.statement, (book.record(flag.ref), *findings))


def _exposure(knowledge: Knowledge, anchor: str, book: EvidenceBook) -> str:
    """How the patient came by an infection, where the tables tell."""
    infection = knowledge.tables.infections.get(anchor)
    if infection is None or not infection.exposure:
        return ""
    book.record(infection.ref)
    return infection.exposure


def _acquired(knowledge: Knowledge, anchor: str, book: EvidenceBook) -> tuple[str, ...]:
    """What says how the infection is transmitted, if the stem tells of an exposure."""
    infection, edge = knowledge.tables.infections.get(anchor), knowledge.route_edge(anchor)
    if infection is None or not infection.exposure or not infection.route or edge is None:
        return ()
    return (book.record(infection.ref), book.edge(edge))


def _lives(knowledge: Knowledge, anchor: str, book: EvidenceBook) -> tuple[str, ...]:
    """What says which organism it is and how it lives, if the stem tells of an exposure."""
    infection, edge = knowledge.tables.infections.get(anchor), knowledge.agent_edge(anchor)
    if infection is None or not infection.exposure or edge is None:
        return ()
    return (book.record(infection.ref), book.edge(edge))
