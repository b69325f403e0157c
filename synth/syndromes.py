"""What may be asked of a disease that is known by its annotations alone: fair stems, and what to offer as wrong.

Sampling asks this module what makes a row, the recipes compose the row from the same answer, and the checks ask it
again. A disease that is not annotated with a finding may bring it all the same, so what is offered as wrong has to be
far away: at least two findings that it is not known to bring, one of them of an organ that it is not known to affect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from synth.plan import NoPlan, annotated
from synth_kg.aliases import share_stem, stems
from synth_kg.annotations import ALMOST_ALWAYS, FEMALE, MALE, OFTEN, Annotations, Diseases
from synth_kg.knowledge import Knowledge
from synth_kg.labels import english
from synth_kg.tables import Mode, Onset, System

OFFERED = 3
MISSED = 2
"""Findings of a stem that a disease offered as wrong is not known to bring, at least."""
RICH = 8
"""Features that a disease needs before anything is made of what it is not known to bring."""
KNOWN = 15
"""Features that a disease needs before it is offered as wrong, or a finding is offered as none of its own."""
FEW, MANY = 30, 600
"""Diseases that bring a finding: up to here it is a telling one, from here on it says little."""
TELLING = 150
"""A stem needs a finding that no more diseases bring."""
USABLE = 9
"""Findings of a disease that stems draw from: those that fewest diseases bring."""
YEARS = 4
"""Years between two times of onset that cannot be taken for each other."""
POOL = 10
"""Diseases, the most tempting, from which the wrong options are drawn."""

_BAD_NAME = re.compile(
    r"susceptib|included|\bmodifier|protection|resistance to|NON RARE|obsolete|retardation|\?|;|\[|\{|suicid|overdos|"
    r"risk|predisposition|quantitative|variation|level of|to be|without further|not otherwise|unspecified|, or\b|"
    r"\bblood group|phenotype\b",
    re.I,
)
_SERIES = re.compile(r"[\s,]*(?:type\s*)?(?:\b[IVXivx]+[a-c]?|\b\d+[a-z]?|\b[A-Z]\d?)$")
_SAID = re.compile(r"dominant|recessive|x-?linked|mitochondri|maternal", re.I)
_OPPOSITES = (
    ("hyper", "hypo"), ("macro", "micro"), ("tall", "short"), ("long", "short"), ("large", "small"), ("thick", "thin"),
    ("increased", "decreased"), ("increased", "reduced"), ("elevated", "decreased"), ("elevated", "reduced"),
    ("broad", "narrow"), ("wide", "narrow"), ("high", "low"), ("poly", "oligo"), ("full", "thin"), ("deep", "flat"),
    ("prominent", "depressed"), ("prognath", "retrognath"), ("upslanted", "downslanted"), ("-cytosis", "-penia"),
    ("advanced", "delayed"), ("premature", "delayed"), ("excess", "sparse"), ("telorism", "telorism"),
)  # fmt: skip
_EMERGENCIES = re.compile(
    r"arrest|shock|anaphyla|sepsis|septic|meningitis|hemorrhage|rupture|dissection|thrombosis|embol|infarct|stroke|coma\b|"
    r"status epilepticus|respiratory failure|acute|crisis|volvulus|peritonitis|fulminant|fibrillation|tachycardia|"
    r"syncope|hyperammonemia|hypoglycemi|ketoacidosis|lactic acidosis|adrenal insufficiency|apnea",
    re.I,
)
"""Findings by which a patient is in danger now: a stem about a diagnosis years old would pass over that."""


@lru_cache(maxsize=50_000)
def nameable(name: str) -> bool:
    """Whether a disease goes by a name that a question can use."""
    letters = [letter for letter in name if letter.isalpha()]
    shouted = sum(map(str.isupper, letters)) > 0.4 * len(letters)
    return not _BAD_NAME.search(name) and not shouted and len(name) <= 90 and len(letters) > 5


@lru_cache(maxsize=50_000)
def family(name: str) -> frozenset[str]:
    """What a name has in common with those of its series: its telling words, without a number at the end."""
    before = ""
    while before != name:
        before, name = name, _SERIES.sub("", name)
    return stems(name)


def namesakes(one: str, other: str) -> bool:
    """Whether two diseases may be the same, or kinds of one: their names share a telling word."""
    return bool(family(one) & family(other)) or share_stem(one, other)


def system_rows(knowledge: Knowledge, term: int) -> list[tuple[int, System]]:
    """The organ systems of a finding that the tables word."""
    a = annotated(knowledge)
    rows = ((system, knowledge.tables.systems.get(a.ident(system))) for system in a.systems_of(term))
    return [(system, row) for system, row in rows if row is not None]


@lru_cache(maxsize=200_000)
def tellable(knowledge: Knowledge, term: int) -> bool:
    """Whether a stem can state a finding: it is worded, of an organ system, and no emergency."""
    a = annotated(knowledge)
    label = a.graph.name(term)
    return bool(a.text(term) and english(label) and system_rows(knowledge, term) and not _EMERGENCIES.search(label))


def usable(knowledge: Knowledge, disease: int, term: int) -> bool:
    """Whether a finding may stand in a stem of a disease: often found, tellable, and not given away by its name."""
    a = annotated(knowledge)
    return (
        a.typicality(disease, term) in OFTEN
        and tellable(knowledge, term)
        and not share_stem(a.graph.name(term), a.name(disease))
    )


def findings(knowledge: Knowledge, disease: int) -> list[int]:
    """The findings that stems of a disease may state, those that fewest diseases bring first."""
    a = annotated(knowledge)
    found = [term for term in a.features(disease) if usable(knowledge, disease, term)]
    return sorted(found, key=lambda term: (len(a.bringing(term)), term))


def anchor(knowledge: Knowledge, disease: int) -> bool:
    """Whether rows may be about a disease: it can be named, and enough is known of it."""
    a = annotated(knowledge)
    return nameable(a.name(disease)) and len(a.features(disease)) >= RICH


@lru_cache(maxsize=2)
def anchors(knowledge: Knowledge) -> Diseases:
    """The diseases, counted from 0, that rows may be about."""
    a = annotated(knowledge)
    return np.array([anchor(knowledge, disease) for disease in range(a.first, a.end)], np.bool_)


@lru_cache(maxsize=2)
def described(knowledge: Knowledge) -> Diseases:
    """The diseases, counted from 0, of which enough is known to say what is not known of them."""
    a = annotated(knowledge)
    return np.array([len(a.features(disease)) >= KNOWN for disease in range(a.first, a.end)], np.bool_)


def sex(knowledge: Knowledge, terms: Sequence[int]) -> str:
    """'male' or 'female' if findings are of one sex alone, 'both' if they contradict each other, else ''."""
    a = annotated(knowledge)
    roots = [(name, a.graph.number("Phenotype", ident)) for name, ident in (("male", MALE), ("female", FEMALE))]
    found = {name for name, root in roots for term in terms if root == term or root in a.above(term)}
    return "both" if len(found) > 1 else next(iter(found), "")


def opposed(one: str, other: str) -> bool:
    """Whether two labels contradict each other.

    >>> opposed("Hypertelorism", "Hypotelorism"), opposed("Tall stature", "Short stature"), opposed("Ptosis", "Myopia")
    (True, True, False)
    """
    left, right = one.lower(), other.lower()
    return any(
        left.replace(a, "*") == right.replace(b, "*") or left.replace(b, "*") == right.replace(a, "*")
        for a, b in _OPPOSITES
        if (a in left and b in right) or (b in left and a in right)
    )


def fair(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> bool:
    """Whether findings make a fair stem of a disease.

    All are usable; two are found in most patients, one is telling, at most one says little; they involve two organ
    systems; none says what another says, and no two contradict each other.
    """
    a = annotated(knowledge)
    if not all(usable(knowledge, disease, term) for term in terms):
        return False
    sizes = [len(a.bringing(term)) for term in terms]
    strong = sum(a.typicality(disease, term) in ALMOST_ALWAYS for term in terms)
    if strong < min(2, len(terms)) or min(sizes) > TELLING or sum(size >= MANY for size in sizes) > 1:
        return False
    if len({system for term in terms for system, _ in system_rows(knowledge, term)[:1]}) < 2:
        return False
    return sex(knowledge, terms) != "both" and not any(_alike(a, *pair) for pair in combinations(terms, 2))


def alike(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether two findings say the same or contradict each other."""
    return _alike(annotated(knowledge), one, other)


def _alike(a: Annotations, one: int, other: int) -> bool:
    names = (a.graph.name(one), a.graph.name(other))
    return (
        a.text(one) == a.text(other)
        or a.related(one, other)
        or bool({*a.parents(one)} & {*a.parents(other)})
        or opposed(*names)
    )


def same(knowledge: Knowledge, disease: int) -> tuple[int, ...]:
    """Every entry of a disease: what is not known of it is known under none of them."""
    a = annotated(knowledge)
    return a.named(a.name(disease))


def missing(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> list[int]:
    """The findings that a disease is not known to bring, not even in broader words."""
    a, entries = annotated(knowledge), same(knowledge, disease)
    return [term for term in terms if not any(a.among(one, a.may_bring(term)) for one in entries)]


def untouched(knowledge: Knowledge, disease: int, term: int) -> int | None:
    """The first organ system of a finding, if the disease is not known to affect any of them; else None."""
    a = annotated(knowledge)
    if not all(_far(knowledge, term)[one - a.first] for one in same(knowledge, disease)):
        return None
    return next(node for node, row in system_rows(knowledge, term) if row.organ)


def ruled_out(knowledge: Knowledge, rival: int, terms: Sequence[int]) -> bool:
    """Whether a disease is far enough from findings to be offered as wrong."""
    lacking = missing(knowledge, rival, terms)
    return len(lacking) >= MISSED and any(untouched(knowledge, rival, term) is not None for term in lacking)


def contenders(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> list[int]:
    """Diseases that bring a finding of a stem often and are yet far from it, the most tempting first.

    Raises:
        NoPlan: they are fewer than the wrong options of a row.
    """
    a = annotated(knowledge)
    shared = np.zeros(a.size)
    lacking = np.full(a.size, len(terms))
    far = np.zeros(a.size, np.bool_)
    for term in terms:
        shared[a.often(term)] += np.log(a.size / max(1, len(a.bringing(term))))
        lacking[a.may_bring(term)] -= 1
        alone = _far(knowledge, term)
        alone[a.may_bring(term)] = False
        far |= alone
    fit = np.flatnonzero((shared > 0) & (lacking >= MISSED) & far & anchors(knowledge) & described(knowledge))
    name = a.name(disease)
    found: list[int] = []
    for place in fit[np.lexsort((fit, -shared[fit]))]:
        rival = int(place) + a.first
        known = (name, *(a.name(taken) for taken in found))
        if not any(namesakes(a.name(rival), other) for other in known) and ruled_out(knowledge, rival, terms):
            found.append(rival)
        if len(found) == POOL:
            break
    if len(found) < OFFERED:
        raise NoPlan("too few diseases to weigh against it")
    return found


def _far(knowledge: Knowledge, term: int) -> Diseases:
    """The diseases that are not known to affect any organ system of a finding, nor any beside it."""
    a = annotated(knowledge)
    organs = [(node, row) for node, row in system_rows(knowledge, term) if row.organ]
    found = np.full(a.size, bool(organs))
    for node, row in organs:
        for one in (node, *map(a.term, row.beside)):
            found &= a.untouched(one)
    return found


def mode(knowledge: Knowledge, disease: int) -> tuple[int, Mode] | None:
    """The one mode of inheritance of a disease, and of all that go by its name; None if there is not exactly one."""
    a = annotated(knowledge)
    told = {term for one in same(knowledge, disease) for term in a.values(one, "has_inheritance")}
    found = [(term, knowledge.tables.modes.get(a.ident(term))) for term in told]
    if len(found) != 1 or found[0][1] is None or found[0][0] not in a.values(disease, "has_inheritance"):
        return None
    return found[0][0], found[0][1]


def says_mode(name: str) -> bool:
    """Whether a disease's name tells how it is inherited."""
    return bool(_SAID.search(name))


def onset(knowledge: Knowledge, disease: int) -> tuple[int, Onset] | None:
    """The one time of onset of a disease; None if there is not exactly one."""
    a = annotated(knowledge)
    told = a.values(disease, "has_onset")
    row = knowledge.tables.onsets.get(a.ident(told[0])) if len(told) == 1 else None
    return (told[0], row) if row is not None else None


def begins_apart(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether one disease is known to begin at another time of life than another, with years between."""
    mine, its = onset(knowledge, one), onset(knowledge, other)
    if mine is None or its is None:
        return False
    return mine[1].age_min > its[1].age_max + YEARS or its[1].age_min > mine[1].age_max + YEARS


def inherits_apart(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether one disease is known to be inherited in a way that cannot be taken for that of another."""
    mine, its = mode(knowledge, one), mode(knowledge, other)
    return mine is not None and its is not None and mine[1].term in its[1].foils


def stars(knowledge: Knowledge, disease: int, draw: Callable[[str], float], most: int) -> list[tuple[int, ...]]:
    """Sets of findings that make a fair stem of a disease and have enough diseases to weigh against it.

    Of four findings; of three where the disease has no four.

    Args:
        knowledge: the graph and the tables.
        disease: the answer.
        draw: a number in (0, 1) for a name.
        most: how many, at most.
    """
    pool = findings(knowledge, disease)[:USABLE]
    for size in (4, 3):
        found = []
        order = sorted(combinations(pool, size), key=lambda terms: draw("|".join(map(str, terms))))
        for terms in order:
            if fair(knowledge, disease, terms) and _weighable(knowledge, disease, terms):
                found.append(terms)
            if len(found) == most:
                break
        if found:
            return found
    return []


def _weighable(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> bool:
    try:
        contenders(knowledge, disease, terms)
    except NoPlan:
        return False
    return True


def alone(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> bool:
    """Whether every disease that is known to bring all findings is inherited as this one is."""
    a = annotated(knowledge)
    own = mode(knowledge, disease)
    kept = a.bringing(terms[0])
    for term in terms[1:]:
        kept = np.intersect1d(kept, a.bringing(term), assume_unique=True)
    return own is not None and all(mode(knowledge, int(one) + a.first) == own for one in kept)


def pairs(knowledge: Knowledge, disease: int, draw: Callable[[str], float], most: int) -> Iterator[tuple[int, int]]:
    """Diseases that share three findings with one, each with a finding that tells the one from the other."""
    a = annotated(knowledge)
    pool = findings(knowledge, disease)
    shared = np.zeros(a.size, np.int64)
    for term in pool:
        shared[a.often(term)] += 1
    strong = [term for term in pool if a.typicality(disease, term) in ALMOST_ALWAYS]
    found = 0
    places = np.flatnonzero((shared >= OFFERED) & anchors(knowledge) & described(knowledge))
    order = sorted(places, key=lambda place: (-min(int(shared[place]), 5), draw(f"pair {place}")))
    for place in order[: 4 * most]:
        other = int(place) + a.first
        if other == disease or namesakes(a.name(disease), a.name(other)):
            continue
        telling = [term for term in strong if tells_apart(knowledge, term, other)]
        if telling and len(undecided(knowledge, disease, other, telling[0])) >= OFFERED:
            yield other, telling[0]
            found += 1
        if found == most:
            return


def tells_apart(knowledge: Knowledge, term: int, other: int) -> bool:
    """Whether a finding speaks against a disease: denied, or of an organ that it is not known to affect."""
    a = annotated(knowledge)
    denied = [a.denies(one, term) for one in same(knowledge, other)]
    if all(node is not None and a.text(node) for node in denied):
        return True
    return bool(missing(knowledge, other, [term])) and untouched(knowledge, other, term) is not None


def undecided(knowledge: Knowledge, one: int, other: int, target: int) -> list[int]:
    """Findings that both diseases often bring, of which none says what another says."""
    a = annotated(knowledge)
    found: list[int] = []
    for term in findings(knowledge, one):
        both = term != target and usable(knowledge, other, term)
        if both and not any(_alike(a, term, taken) for taken in (target, *found)):
            found.append(term)
    return found


def foils(knowledge: Knowledge, disease: int, target: int, given: Sequence[int]) -> list[int]:
    """Findings of diseases near one that are of organs which it is not known to affect, the most tempting first."""
    a = annotated(knowledge)
    if not described(knowledge)[disease - a.first]:
        return []
    near: dict[int, int] = {}
    for term in given:
        for other in a.often(term)[:40]:
            rival = int(other) + a.first
            if rival != disease and anchors(knowledge)[other]:
                for feature in findings(knowledge, rival)[:USABLE]:
                    near[feature] = near.get(feature, 0) + 1
    found: list[int] = []
    for term in sorted(near, key=lambda node: (-near[node], node)):
        if not missing(knowledge, disease, [term]) or untouched(knowledge, disease, term) is None:
            continue
        if share_stem(a.graph.name(term), a.name(disease)):
            continue
        if not any(_alike(a, term, taken) for taken in (target, *given, *found)):
            found.append(term)
        if len(found) == POOL:
            break
    return found
