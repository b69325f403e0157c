"""Rare diseases that are known by their annotations: the diagnosis, its inheritance, its features, one against another.

What rules an option out is said as what it is: a disease is not *known* to bring a finding or to affect an organ. So
every question of this module is closed on its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from synth import syndromes
from synth.claims_annotated import OFTEN
from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot, annotated
from synth.prompts import cap
from synth.recipes.shared import LETTERS, dropped
from synth.sample import Answer
from synth.syndromes import FEW, MANY, OFFERED
from synth_kg.annotations import Annotation, Annotations
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Mode


class FeatureFact(NamedTuple):
    """A finding of a disease with the ids of what says so."""

    term: int
    text: str
    shows: str
    """The annotation."""
    form: str
    """'counted' where patients were counted, else 'shows'."""
    kind: str
    """That it is of an organ system."""
    spread: str
    """How many diseases bring it; empty where that is neither few nor many."""
    few: bool


class Shown(NamedTuple):
    """Findings of a disease that are found as often as each other."""

    ids: tuple[str, ...]
    counted: bool
    """Whether it is one finding, for which patients were counted."""


class LackFact(NamedTuple):
    """A finding that a disease is not known to bring, with the ids of what says so."""

    text: str
    unknown: tuple[str, ...]
    """The count, and the annotation of another disease that words the finding."""
    untouched: tuple[str, ...]
    """The count of features of the finding's organ system; empty where there are some."""
    denied: str
    """The annotation that denies it, or what it is a kind of; empty where none does."""


class RivalFact(NamedTuple):
    """A disease that is offered as wrong."""

    disease: int
    name: str
    letter: str
    shared: tuple[Shown, ...]
    lacks: tuple[LackFact, ...]
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

    def feature(self, disease: int, term: int, *, spread: bool = False) -> FeatureFact:
        shows, told = self.annotation(disease, term)
        number = len(self.a.bringing(term))
        telling = number <= FEW or number >= MANY
        return FeatureFact(
            term, self.a.text(term), shows, "counted" if told.counted else "shows",
            self.book.closure(self.a.closure(term, syndromes.system_rows(self.knowledge, term)[0][0])),
            self.book.count(self.a.count([term])) if spread and telling else "", number <= FEW,
        )  # fmt: skip

    def shown(self, disease: int, terms: Sequence[int]) -> tuple[Shown, ...]:
        """Findings of a disease by how often they are found, the most frequent first."""
        groups: dict[str, list[int]] = {}
        for term in terms:
            groups.setdefault(self.a.typicality(disease, term), []).append(term)
        found = []
        for often in sorted(groups, key=list(OFTEN).index):
            told = [self.annotation(disease, term) for term in groups[often]]
            found.append(Shown(tuple(ident for ident, _ in told), len(told) == 1 and told[0][1].counted > 0))
        return tuple(found)

    def organs(self, terms: Sequence[int]) -> list[tuple[str, ...]]:
        """That findings are of an organ system, for each system of theirs."""
        groups: dict[int, list[str]] = {}
        for term in terms:
            system = syndromes.system_rows(self.knowledge, term)[0][0]
            groups.setdefault(system, []).append(self.book.closure(self.a.closure(term, system)))
        return [tuple(ids) for ids in groups.values()]

    def lack(self, disease: int, term: int) -> LackFact:
        denied = self.a.denies(disease, term)
        system = syndromes.untouched(self.knowledge, disease, term)
        return LackFact(
            self.a.text(term), (self.book.count(self.a.count([term], disease)),),
            (self.book.count(self.a.count([system], disease)),) if system is not None else (),
            self.annotation(disease, denied)[0] if denied is not None and self.a.text(denied) else "",
        )  # fmt: skip

    def onset(self, disease: int) -> tuple[str, ...]:
        found = syndromes.onset(self.knowledge, disease)
        return (self.annotation(disease, found[0], "has_onset")[0], self.book.record(found[1].ref)) if found else ()

    def mode(self, disease: int) -> tuple[str, ...]:
        found = syndromes.mode(self.knowledge, disease)
        if found is None:
            return ()
        return (self.annotation(disease, found[0], "has_inheritance")[0], self.book.record(found[1].ref))

    def rival(self, disease: int, terms: Sequence[int], told: Mapping[str, Any], answer: int) -> RivalFact:
        """Cite what a disease shares with a stem and what it leaves open; of that, what no other left open first."""
        often = [term for term in terms if disease - self.a.first in self.a.often(term)]
        lacking = syndromes.missing(self.knowledge, disease, terms)
        far = [term for term in lacking if syndromes.untouched(self.knowledge, disease, term) is not None]
        far.sort(key=self.left.__getitem__)
        shown = [far[0], *sorted((term for term in lacking if term != far[0]), key=self.left.__getitem__)][:2]
        self.left.update(shown)
        early = told["began"] and syndromes.begins_apart(self.knowledge, disease, answer)
        otherwise = told["inherited"] and syndromes.inherits_apart(self.knowledge, disease, answer)
        return RivalFact(
            disease, self.a.name(disease), "", self.shown(disease, often[:2]),
            tuple(self.lack(disease, term) for term in shown),
            self.onset(disease) if early else (), self.mode(disease) if otherwise else (),
        )  # fmt: skip


def _start(knowledge: Knowledge, spot: Spot) -> tuple[_Book, int]:
    book = _Book(knowledge)
    disease = book.a.disease(spot.unit.anchor)
    if disease is None:
        raise NoPlan("the graph does not hold the disease")
    return book, disease


def _finish(
    book: _Book, spot: Spot, answer: Answer, entries: Sequence[tuple[str, str]], facts: dict[str, Any], first: int
) -> Plan:
    """The plan, its options in the order of `entries` (text, concept)."""
    unit = spot.unit
    department = syndromes.system_rows(book.knowledge, first)[0][1].department
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


def _person(knowledge: Knowledge, terms: Sequence[int]) -> str:
    """Whose findings they are: no source gives an age, and only findings of one sex give a sex."""
    return syndromes.sex(knowledge, terms)


def _stem(book: _Book, disease: int, terms: Sequence[int], draw: Random, *, family: bool) -> dict[str, Any]:
    """What a stem tells besides its findings: when it began, how it runs in the family."""
    began, language = syndromes.onset(book.knowledge, disease), book.a.language
    inherited = syndromes.mode(book.knowledge, disease) if family and draw.random() < 0.5 else None
    facts: dict[str, Any] = {
        "person": _person(book.knowledge, terms), "began": "", "begins": "", "inherited": "", "inherits": "",
        "disease": book.a.name(disease),
    }  # fmt: skip
    if began is not None:
        facts |= {"began": began[1].named(language), "begins": book.onset(disease)}
    if inherited is not None:
        facts |= {"inherited": inherited[1].named(language), "inherits": book.mode(disease)}
    return facts


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
    clues = _clues(book, disease, terms)
    rivals = (book.rival(one, terms, told, disease)._replace(letter=letters[a.ident(one)]) for one in chosen)
    facts = {**told, **clues, "rivals": sorted(rivals, key=lambda rival: rival.letter)}
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
    others = [tables.modes[name] for name in own.foils if name not in dropped(directives)]
    chosen = _modes(others, draw)
    order = [own, *chosen]
    draw.shuffle(order)
    letters = {mode.term: LETTERS[place] for place, mode in enumerate(order)}
    terms = [a.term(pick) for pick in spot.unit.picks]
    draw.shuffle(terms)
    hop = spot.unit.genre == "multihop"
    facts: dict[str, Any] = {
        **_stem(book, disease, terms, draw, family=False),
        **_clues(book, disease, terms),
        "mode": own.named(a.language),
        "modes": [
            {"name": mode.named(a.language), "letter": letters[mode.term], "why": book.book.record(mode.ref)}
            for mode in order
            if mode is not own
        ],
        "why": book.book.record(own.ref),
    }
    facts["inherits"] = (book.annotation(disease, term, "has_inheritance")[0], facts["why"])
    if hop:
        facts["only"] = _only(book, disease, terms)
    text = cap(own.named(a.language))
    answer = Answer(text=text, option=letters[own.term], aliases=(), concept=own.term)
    entries = [(cap(mode.named(a.language)), mode.term) for mode in order]
    return _finish(book, spot, answer, entries, facts, terms[0])


def _clues(book: _Book, disease: int, terms: Sequence[int]) -> dict[str, Any]:
    """The findings of a stem: how often they are found, of which organs they are, and how telling they are."""
    a = book.a
    sizes = {term: len(a.bringing(term)) for term in terms}
    telling, common = min(terms, key=lambda term: sizes[term]), max(terms, key=lambda term: sizes[term])
    return {
        "clues": [a.text(term) for term in terms],
        "shown": book.shown(disease, terms),
        "organs": book.organs(terms),
        "few": book.book.count(a.count([telling])) if sizes[telling] <= FEW else "",
        "many": book.book.count(a.count([common])) if sizes[common] >= MANY else "",
    }


def _only(book: _Book, disease: int, terms: Sequence[int]) -> tuple[str, ...]:
    """That no other disease is known to bring all findings; empty where another is."""
    count = book.a.count(terms)
    shows = (book.annotation(disease, term)[0] for term in terms)
    return (book.book.count(count), *shows) if count.number == 1 else ()


def _modes(others: Sequence[Mode], draw: Random) -> list[Mode]:
    """Three modes to offer as wrong: one on the X chromosome at most."""
    linked = [mode for mode in others if mode.name.startswith("X")]
    rest = [mode for mode in others if mode not in linked]
    chosen = [*rest, *draw.sample(linked, 1 if linked else 0)]
    if len(chosen) < OFFERED:
        raise NoPlan("too few other modes of inheritance")
    return draw.sample(chosen, OFFERED)


def compose_feature(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Give a disease and two of its findings; ask which of four further findings it is described with."""
    book, disease = _start(knowledge, spot)
    a = book.a
    target, *given = (a.term(pick) for pick in spot.unit.picks)
    pool = [t for t in syndromes.foils(knowledge, disease, target, given) if a.ident(t) not in dropped(directives)]
    if len(pool) < OFFERED:
        raise NoPlan("too few findings that are far from the disease")
    order = [target, *_of_other_organs(knowledge, pool, draw)]
    draw.shuffle(order)
    letters = {term: LETTERS[place] for place, term in enumerate(order)}
    facts = {
        "disease": a.name(disease),
        "given": [a.text(term) for term in given],
        "shown": book.shown(disease, given),
        "organs": book.organs(given),
        "target": book.feature(disease, target, spread=True),
        "rivals": [
            {
                "text": a.text(term), "letter": letters[term], "lack": book.lack(disease, term),
                "kind": book.book.closure(a.closure(term, syndromes.untouched(knowledge, disease, term) or 0)),
            }
            for term in order
            if term != target
        ],
    }  # fmt: skip
    answer = Answer(text=cap(a.text(target)), option=letters[target], aliases=(), concept=a.ident(target))
    entries = [(cap(a.text(term)), a.ident(term)) for term in order]
    return _finish(book, spot, answer, entries, facts, target)


def _of_other_organs(knowledge: Knowledge, pool: Sequence[int], draw: Random) -> list[int]:
    """Three findings of a pool, of different organ systems where there are such."""
    drawn = draw.sample(pool, len(pool))
    first = {syndromes.system_rows(knowledge, term)[0][0]: term for term in reversed(drawn)}
    return [*first.values(), *(term for term in drawn if term not in first.values())][:OFFERED]


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
    facts = {
        "one": a.name(disease),
        "other": a.name(other),
        "pair": names,
        "target": book.feature(disease, target, spread=True),
        "lack": book.lack(other, target),
        "shared": [
            {"letter": letters[term], "mine": book.feature(disease, term), "its": book.feature(other, term)}
            for term in order
            if term != target
        ],
    }
    answer = Answer(text=cap(a.text(target)), option=letters[target], aliases=(), concept=a.ident(target))
    entries = [(cap(a.text(term)), a.ident(term)) for term in order]
    return _finish(book, spot, answer, entries, facts, target)
