"""Rare diseases that are known by their annotations: the diagnosis, its inheritance, its features, one against another.

What rules an option out is said as what it is: a disease is not *described* with a finding. So every question of this
module is closed on its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from synth import syndromes
from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot, annotated
from synth.prompts import cap
from synth.recipes.shared import LETTERS, dropped
from synth.sample import Answer
from synth.syndromes import OFFERED
from synth_kg.annotations import Annotation, Annotations
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Mode


class Shown(NamedTuple):
    """Findings of a disease that one claim can state together, with the ids of what says so."""

    form: str
    """'counted' where patients were counted, else 'shows'."""
    ids: tuple[str, ...]


class RivalFact(NamedTuple):
    """A disease that is offered as wrong."""

    disease: int
    name: str
    letter: str
    shared: tuple[Shown, ...]
    unknown: tuple[str, ...]
    """The count of a finding of the stem that it is not described with."""
    begins: tuple[str, ...]
    """That it begins at another time of life than the stem tells; empty where it does not, or nothing is told."""
    inherits: tuple[str, ...]
    """That it is inherited in another way than the stem tells."""


class _Book:
    """Cites what annotations say."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.a: Annotations = annotated(knowledge)
        self.book = EvidenceBook(knowledge)
        self.left: Counter[int] = Counter()
        """How often a finding was said to be left open by an option."""

    def annotation(self, disease: int, term: int, relation: str = "has_phenotype") -> tuple[str, Annotation]:
        told = self.a.annotation(disease, term, relation)
        return self.book.annotation(told), told

    def shown(self, disease: int, terms: Sequence[int]) -> tuple[Shown, ...]:
        """Findings of a disease: those without a count first, then those of which patients were counted.

        A frequency that is no count of one reference is an estimate; it decides what is asked, and no row repeats it.
        """
        groups: dict[str, list[str]] = {}
        for term in terms:
            ident, told = self.annotation(disease, term)
            groups.setdefault("counted" if told.counted and len(told.said) == 1 else "shows", []).append(ident)
        return tuple(Shown(form, tuple(groups[form])) for form in ("shows", "counted") if form in groups)

    def few(self, term: int) -> str:
        """The count that says that few diseases are described with a finding; empty where it says little."""
        return self.book.count(self.a.count([term])) if syndromes.seldom(self.knowledge, term) else ""

    def unknown(self, disease: int, *terms: int) -> tuple[str, ...]:
        return tuple(self.book.count(self.a.count([term], disease)) for term in terms)

    def onset(self, disease: int) -> tuple[str, ...]:
        found = syndromes.onset(self.knowledge, disease)
        return (self.annotation(disease, found[0], "has_onset")[0], self.book.record(found[1].ref)) if found else ()

    def mode(self, disease: int) -> tuple[str, ...]:
        found = syndromes.mode(self.knowledge, disease)
        if found is None:
            return ()
        return (self.annotation(disease, found[0], "has_inheritance")[0], self.book.record(found[1].ref))

    def rival(self, disease: int, terms: Sequence[int], told: Mapping[str, Any], answer: int) -> RivalFact:
        """Cite what a disease shares with a stem and the farthest of what it leaves open, another for each option."""
        often = [term for term in terms if syndromes.usable(self.knowledge, disease, term)]
        far = [
            t
            for t in syndromes.missing(self.knowledge, disease, terms)
            if syndromes.untouched(self.knowledge, disease, t)
        ]
        lacking = sorted(far, key=lambda term: (self.left[term], len(self.a.bringing(term))))[:1]
        self.left.update(lacking)
        early = told["began"] and syndromes.begins_apart(self.knowledge, disease, answer)
        otherwise = told["inherited"] and syndromes.inherits_apart(self.knowledge, disease, answer)
        return RivalFact(
            disease, self.a.name(disease), "", self.shown(disease, often[:2]), self.unknown(disease, *lacking),
            self.onset(disease) if early else (), self.mode(disease) if otherwise else (),
        )  # fmt: skip


def _start(knowledge: Knowledge, spot: Spot) -> tuple[_Book, int]:
    book = _Book(knowledge)
    disease = book.a.disease(spot.unit.anchor)
    if disease is None:
        raise NoPlan("the graph does not hold the disease")
    return book, disease


def _finish(
    book: _Book,
    spot: Spot,
    answer: Answer,
    entries: Sequence[tuple[str, str]],
    facts: dict[str, Any],
    first: int | None,
) -> Plan:
    """The plan, its options in the order of `entries` (text, concept), in the department of the finding `first`."""
    unit = spot.unit
    department = "Medical Genetics" if first is None else syndromes.system_rows(book.knowledge, first)[0][1].department
    return Plan(
        recipe=f"syndromes/{unit.genre}_{unit.topic}",
        genre=unit.genre,
        topic=unit.topic,
        anchor=unit.anchor,
        department=department,
        answer=answer,
        options=tuple(text for text, _ in entries),
        concepts=tuple(concept for _, concept in entries),
        facts={**facts, "letter": answer.option or "", "answer": answer.text},
        evidence=book.book.all(),
    )


def _stem(book: _Book, disease: int, terms: Sequence[int], draw: Random, *, family: bool) -> dict[str, Any]:
    """What a stem tells: its findings and whose they are, when they began, and how they run in the family."""
    a, language = book.a, book.a.language
    began = syndromes.onset(book.knowledge, disease)
    inherited = syndromes.mode(book.knowledge, disease) if family and draw.random() < 0.6 else None
    if inherited is not None and inherited[1].name == "autosomal dominant":
        inherited = None  # which arises anew more often than not in many a disease: no family history would show it
    facts: dict[str, Any] = {
        "person": syndromes.sex(book.knowledge, terms), "began": "", "begins": "", "inherited": "", "inherits": "",
        "disease": a.name(disease), **_clues(book, disease, terms),
    }  # fmt: skip
    if began is not None:
        facts |= {"began": began[1].named(language), "begins": book.onset(disease)}
    if inherited is not None:
        facts |= {"inherited": inherited[1].named(language), "inherits": book.mode(disease)}
    return facts


def _clues(book: _Book, disease: int, terms: Sequence[int]) -> dict[str, Any]:
    """The findings of a stem: how often they are found, how telling they are, and what they leave together."""
    a = book.a
    telling = min(terms, key=lambda term: len(a.bringing(term)))
    whole = a.count(terms)
    return {
        "clues": [a.text(term) for term in terms],
        "shown": book.shown(disease, terms),
        "few": book.few(telling),
        "narrows": tuple(book.book.count(a.count(step)) for step in syndromes.narrowed(book.knowledge, terms)),
        "alone": (
            (book.book.count(whole), *(book.annotation(disease, term)[0] for term in terms))
            if whole.number == 1
            else ()
        ),
    }


def compose_diagnosis(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Findings of a patient, and which of four rare diseases is described with all of them."""
    book, disease = _start(knowledge, spot)
    a = book.a
    terms = [a.term(pick) for pick in spot.unit.picks]
    pool = [one for one in syndromes.contenders(knowledge, disease, terms) if a.ident(one) not in dropped(directives)]
    if len(pool) < OFFERED:
        raise NoPlan("too few diseases to weigh against it")
    chosen = [pool[0], *draw.sample(pool[1:], OFFERED - 1)]
    entries = [(a.name(one), a.ident(one)) for one in (disease, *chosen)]
    draw.shuffle(entries)
    letters = {concept: LETTERS[place] for place, (_, concept) in enumerate(entries)}
    draw.shuffle(terms)
    silent = not any(syndromes.says_mode(name) for name, _ in entries)
    told = _stem(book, disease, terms, draw, family=silent)
    rivals = (book.rival(one, terms, told, disease)._replace(letter=letters[a.ident(one)]) for one in chosen)
    facts = {**told, "rivals": sorted(rivals, key=lambda rival: rival.letter)}
    name = a.name(disease)
    answer = Answer(text=name, option=letters[spot.unit.anchor], aliases=(), concept=spot.unit.anchor)
    return _finish(book, spot, answer, entries, facts, min(terms, key=lambda term: len(a.bringing(term))))


def compose_inheritance(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """How a disease is inherited: one that is named, or one that has to be found from its findings first."""
    book, disease = _start(knowledge, spot)
    a, tables = book.a, knowledge.tables
    told = syndromes.mode(knowledge, disease)
    if told is None:
        raise NoPlan("the disease has not exactly one mode of inheritance")
    term, own = told
    chosen = _modes([tables.modes[name] for name in own.foils if name not in dropped(directives)], draw)
    order = [own, *chosen]
    draw.shuffle(order)
    letters = {mode.term: LETTERS[place] for place, mode in enumerate(order)}
    terms = [a.term(pick) for pick in spot.unit.picks]
    draw.shuffle(terms)
    facts: dict[str, Any] = {
        **(_stem(book, disease, terms, draw, family=False) if terms else _unseen(book, disease)),
        "mode": own.named(a.language),
        "modes": [
            {"name": mode.named(a.language), "letter": letters[mode.term], "why": book.book.record(mode.ref)}
            for mode in order
            if mode is not own
        ],
        "why": book.book.record(own.ref),
    }
    facts["inherits"] = (book.annotation(disease, term, "has_inheritance")[0], facts["why"])
    answer = Answer(text=cap(own.named(a.language)), option=letters[own.term], aliases=(), concept=own.term)
    entries = [(cap(mode.named(a.language)), mode.term) for mode in order]
    return _finish(book, spot, answer, entries, facts, terms[0] if terms else None)


def _unseen(book: _Book, disease: int) -> dict[str, Any]:
    """A disease that is named without any of its findings."""
    return {"disease": book.a.name(disease), "clues": [], "shown": ()}


def _modes(others: Sequence[Mode], draw: Random) -> list[Mode]:
    """Three modes to offer as wrong: one on the X chromosome at most."""
    linked = [mode for mode in others if mode.name.startswith("X")]
    rest = [mode for mode in others if mode not in linked]
    chosen = [*rest, *draw.sample(linked, 1 if linked else 0)]
    if len(chosen) < OFFERED:
        raise NoPlan("too few other modes of inheritance")
    return draw.sample(chosen, OFFERED)


def compose_onset(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """When a disease begins: four times of life with years between the right one and the others."""
    book, disease = _start(knowledge, spot)
    a = book.a
    told = syndromes.onset(knowledge, disease)
    if told is None:
        raise NoPlan("the disease has not exactly one time of onset")
    own = told[1]
    pool = [row for row in syndromes.other_onsets(knowledge, own) if row.term not in dropped(directives)]
    if len(pool) < OFFERED:
        raise NoPlan("too few other times of onset")
    chosen = draw.sample(pool, OFFERED)
    order = sorted([own, *chosen], key=lambda row: (row.age_min, row.age_max))
    letters = {row.term: LETTERS[place] for place, row in enumerate(order)}
    terms = [a.term(pick) for pick in spot.unit.picks]
    facts = {
        "disease": a.name(disease),
        "clues": [a.text(term) for term in terms],
        "shown": book.shown(disease, terms),
        "begins": book.onset(disease),
        "inherits": book.mode(disease),
        "time": own.named(a.language),
        "others": [
            {"name": row.named(a.language), "letter": letters[row.term], "later": row.age_min >= own.age_max}
            for row in order
            if row is not own
        ],
    }
    answer = Answer(text=cap(own.named(a.language)), option=letters[own.term], aliases=(), concept=own.term)
    entries = [(cap(row.named(a.language)), row.term) for row in order]
    return _finish(book, spot, answer, entries, facts, terms[0])


def compose_feature(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Give a disease and two of its findings; ask which of four further findings it is described with."""
    book, disease = _start(knowledge, spot)
    a = book.a
    target, *given = (a.term(pick) for pick in spot.unit.picks)
    pool = [p for p in syndromes.foils(knowledge, disease, target, given) if a.ident(p[0]) not in dropped(directives)]
    if len(pool) < OFFERED:
        raise NoPlan("too few findings that are far from the disease")
    chosen = dict(draw.sample(pool, OFFERED))
    order = [target, *chosen]
    draw.shuffle(order)
    letters = {term: LETTERS[place] for place, term in enumerate(order)}
    facts = {
        "disease": a.name(disease),
        "given": [a.text(term) for term in given],
        "shown": book.shown(disease, given),
        "target": a.text(target),
        "shows": book.shown(disease, [target])[0],
        "few": book.few(target),
        "rivals": [
            {
                "text": a.text(term), "letter": letters[term], "unknown": book.unknown(disease, term),
                "home": book.shown(chosen[term], [term])[0],
            }
            for term in order
            if term != target
        ],
    }  # fmt: skip
    answer = Answer(text=cap(a.text(target)), option=letters[target], aliases=(), concept=a.ident(target))
    entries = [(cap(a.text(term)), a.ident(term)) for term in order]
    return _finish(book, spot, answer, entries, facts, target)


def compose_comparison(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Offer findings of which one tells two diseases apart; both are described with the others."""
    book, disease = _start(knowledge, spot)
    a = book.a
    other, target = a.disease(spot.unit.picks[0]), a.term(spot.unit.picks[1])
    if other is None:
        raise NoPlan("the graph does not hold the disease")
    pool = [t for t in syndromes.undecided(knowledge, disease, other, target) if a.ident(t) not in dropped(directives)]
    if len(pool) < OFFERED:
        raise NoPlan("too few findings that do not separate the two")
    order = [target, *draw.sample(pool, OFFERED)]
    draw.shuffle(order)
    letters = {term: LETTERS[place] for place, term in enumerate(order)}
    names = [a.name(disease), a.name(other)]
    draw.shuffle(names)
    denied = a.denies(other, target) == target
    facts = {
        "one": a.name(disease),
        "other": a.name(other),
        "pair": names,
        "target": a.text(target),
        "shows": book.shown(disease, [target])[0],
        "few": book.few(target),
        "denied": book.annotation(other, target)[0] if denied else "",
        "unknown": () if denied else book.unknown(other, target),
        "shared": [
            {
                "letter": letters[term], "mine": book.shown(disease, [term])[0],
                "its": book.shown(other, [term])[0],
            }
            for term in order
            if term != target
        ],
    }  # fmt: skip
    answer = Answer(text=cap(a.text(target)), option=letters[target], aliases=(), concept=a.ident(target))
    entries = [(cap(a.text(term)), a.ident(term)) for term in order]
    return _finish(book, spot, answer, entries, facts, target)
