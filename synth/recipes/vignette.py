"""Vignettes: findings of a patient, and the disease, or one hop further its organism, is asked.

The wrong options are diseases that a clinician would weigh: the table's differential first,
then diseases that co-occur with the answer in the literature or share one of the findings.
The draft offers them in that order; whether each is really wrong is for the checks to say.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from random import Random
from typing import Any

from synth.plan import Directive, EvidenceBook, Plan, Spot
from synth.prompts import bare, cap
from synth.recipes.shared import (
    LETTERS,
    FlagFact,
    NoPlan,
    RivalFact,
    clue_fact,
    dropped,
    person,
    rival_fact,
)
from synth.sample import Answer
from synth_kg.knowledge import Knowledge
from synth_kg.tables import RedFlag

OPTIONS = 4
MISSED = 2
"""Findings that a good wrong option leaves unexplained."""
FLAGS = 3
"""Emergencies that one stem may have to exclude."""


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Compose a vignette that asks for the diagnosis, openly or among four, or for the organism."""
    unit = spot.unit
    book = EvidenceBook(knowledge)
    disease = knowledge.tables.diseases[unit.anchor]
    by_name = {clue.finding.finding: clue for clue in knowledge.clues[unit.anchor]}
    clues = [clue_fact(by_name[name], book) for name in unit.picks]
    clues.sort(key=lambda clue: clue.general)
    who = person(knowledge, unit.anchor, draw, book)
    organism = unit.genre == "multihop"
    flags = _flags(knowledge, unit.anchor, unit.picks, book)
    barred = dropped(directives).union(*(flag.excludes for _, flag in flags))
    rivals = _choose(knowledge, unit.anchor, unit.picks, draw, barred, organism, who.child)
    denied = _denied(knowledge, unit.anchor, unit.picks, rivals, draw)
    stated = (*denied, *(name for _, flag in flags for name in flag.negates))
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
        "flags": [fact for fact, _ in flags],
        "disease": disease.name,
        "gloss": book.record(disease.ref),
        "multihop": organism,
    }
    rival_facts = [rival_fact(knowledge, rival, unit.anchor, unit.picks, denied, book) for rival in rivals]
    draft = _Draft(knowledge, spot, draw, book, facts, rival_facts, stated)
    return _organism(draft) if organism else _diagnosis(draft)


@dataclass(frozen=True)
class _Draft:
    """What both kinds of vignette share."""

    knowledge: Knowledge
    spot: Spot
    draw: Random
    book: EvidenceBook
    facts: dict[str, Any]
    rivals: list[RivalFact]
    stated: tuple[str, ...]

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
            stage="advanced",
            answer=answer.model_copy(update={"option": letters.get(anchor)}),
            options=tuple(text for text, _ in entries),
            concepts=tuple(concept for _, concept in entries),
            facts=facts,
            evidence=self.book.all(),
            stem=self.spot.unit.picks,
            denied=self.stated,
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
        content="diagnosis",
        uniqueness="proved" if entries else "source_relative",
    )


def _organism(draft: _Draft) -> Plan:
    """One hop further: the organism behind the disease that the stem describes."""
    knowledge, book, anchor = draft.knowledge, draft.book, draft.spot.unit.anchor
    names = knowledge.tables.infections
    cause = {}
    for disease in (anchor, *(rival.disease for rival in draft.rivals)):
        edge = knowledge.agent_edge(disease)
        if edge is None:
            raise NoPlan("the graph states no agent")
        cause[disease] = (book.record(names[disease].ref), book.edge(edge))
    entries = [(cap(names[disease].agent), disease) for disease in cause]
    draft.draw.shuffle(entries)
    draft.facts["cause"] = cause
    draft.facts["agents"] = {disease: names[disease].agent for disease in cause}
    answer = cap(names[anchor].agent)
    return draft.plan(
        entries,
        Answer(text=answer, option=None, aliases=(), concept=f"agent of {anchor}"),
        topic="pathogen",
        content="mechanism",
        uniqueness="proved",
    )


def _choose(
    knowledge: Knowledge,
    anchor: str,
    present: Sequence[str],
    draw: Random,
    barred: Set[str],
    organism: bool,
    child: bool,
) -> list[str]:
    """Three rivals to offer: one of the most tempting, the others from further down the list.

    Each explains a part of the stem and misses a part.

    A disease that the stem's red flags already exclude (`barred`) is no rival.
    """
    pool = [
        rival
        for rival in knowledge.rivals(anchor)
        if rival not in barred
        and any(knowledge.brings(rival, anchor, finding) for finding in present)
        and knowledge.of_age(rival, child)
        and len(knowledge.unexplained(rival, present)) >= MISSED
        and (not organism or _has_other_agent(knowledge, anchor, rival))
        and knowledge.grounds(rival, anchor, present, _deniable(knowledge, anchor, rival, present))
    ]
    if len(pool) < OPTIONS - 1:
        raise NoPlan("too few diseases to weigh against it")
    first = draw.choice(pool[:3])
    rest = [rival for rival in pool if rival != first]
    count = min(len(rest), 6)
    return [first, *draw.sample(rest[:count], OPTIONS - 2)]


def _has_other_agent(knowledge: Knowledge, anchor: str, rival: str) -> bool:
    names = knowledge.tables.infections
    return rival in names and knowledge.agent_edge(rival) is not None and names[rival].agent != names[anchor].agent


def _deniable(knowledge: Knowledge, anchor: str, rival: str, present: Sequence[str]) -> list[str]:
    """Findings nearly always present in a rival that a stem about the answer may deny."""
    entries = knowledge.tables.typical.get(rival, {})
    return [
        entry.finding
        for entry in entries.values()
        if entry.cardinal
        and knowledge.denies(anchor, entry.finding)
        and all(knowledge.compatible(entry.finding, stated) for stated in present)
    ]


def _denied(
    knowledge: Knowledge, anchor: str, present: Sequence[str], rivals: Sequence[str], draw: Random
) -> list[str]:
    """A finding that the stem denies for each rival that nothing else speaks against."""
    kept: list[str] = []
    for rival in rivals:
        options = _deniable(knowledge, anchor, rival, present)
        if knowledge.grounds(rival, anchor, present, kept) or not options:
            continue
        kept.append(draw.choice(options))
    return kept


def _denial(knowledge: Knowledge, name: str) -> str:
    finding = knowledge.tables.findings[name]
    return bare(finding.clinical)


def _flags(
    knowledge: Knowledge, anchor: str, present: Sequence[str], book: EvidenceBook
) -> list[tuple[FlagFact, RedFlag]]:
    """The red flags that the stem raises and must exclude.

    Raises:
        NoPlan: the stem states, or the answer may bring, what would have to be denied.
    """
    found: list[tuple[FlagFact, RedFlag]] = []
    for flag in knowledge.red_flags(anchor, present):
        if any(says(fact.statement, flag.statement) for fact, _ in found):
            continue  # the same look excludes both
        if any(knowledge.explains(anchor, name) for name in flag.negates):
            raise NoPlan("the findings could be an emergency that a stem of this disease cannot exclude")
        trigger = knowledge.tables.findings[next(name for name in present if name in flag.triggers)]
        fact = FlagFact(flag.statement, trigger.clinical, (book.record(flag.ref), book.record(trigger.ref)))
        found.append((fact, flag))
    found = [
        (fact, flag)
        for fact, flag in found
        if not any(says(other.statement, fact.statement) for other, _ in found if other != fact)
    ]
    if len(found) > FLAGS:
        raise NoPlan("the findings could be more emergencies than a stem can exclude")
    return found


def _exposure(knowledge: Knowledge, anchor: str, book: EvidenceBook) -> str:
    """How the patient came by an infection, where the tables tell."""
    infection = knowledge.tables.infections.get(anchor)
    if infection is None or not infection.exposure:
        return ""
    book.record(infection.ref)
    return infection.exposure


def says(text: str, statement: str) -> bool:
    """Whether a text says what a statement of the red-flag table says."""
    return statement.rstrip(".").casefold() in text.casefold()


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
