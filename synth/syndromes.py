"""What may be asked of a disease that is known by its annotations alone: fair stems, and what to offer as wrong.

Sampling asks this module what makes a row, the recipes compose the row from the same answer, and the checks ask it
again. A disease that is not annotated with a finding may bring it all the same. So a row never says that it does not,
only that it is not described with it, and what is offered as wrong is far away: at least two telling findings that it
is not described with, one of them of an organ of which nothing is described in it.

Annotations name organs by the branch of an ontology, symptoms that any illness brings, diseases that nobody would call
rare or inherited, and now and then a name that is misspelt. What comes of these reads badly or is wrong, so much of
this module says what is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from synth.plan import NoPlan, annotated
from synth_kg.aliases import share_stem, stems
from synth_kg.annotations import ALMOST_ALWAYS, DESCRIBED, FEMALE, MALE, OFTEN, Annotations, Diseases
from synth_kg.bundle import read_tsv, tables_folder
from synth_kg.knowledge import Knowledge
from synth_kg.labels import english
from synth_kg.tables import Mode, Onset, System

OFFERED = 3
MISSED = 2
"""Telling findings of a stem that a disease offered as wrong is not described with, at least."""
RICH = 8
"""Features that a disease needs for rows to be about it."""
KNOWN = 15
"""Features that a disease needs before it is offered as wrong, or a finding is offered as none of its own."""
FEW, MANY = 40, 600
"""Diseases that bring a finding: up to here it is seldom described, from here on it says little."""
TELLING = 200
"""A finding that no more diseases bring can tell one from another."""
NARROW = 60
"""A stem needs a finding that no more diseases bring."""
USABLE = 10
"""Findings of a disease that stems draw from: those that fewest diseases bring."""
YEARS = 4
"""Years between two times of onset that cannot be taken for each other."""
POOL = 9
"""Diseases, the most like the answer, from which the wrong options are drawn."""

_BAD_NAME = re.compile(
    r"susceptib|included|\bmodifier|protection|resistance to|NON RARE|obsolete|retardation|\?|;|\[|\{|suicid|overdos|"
    r"risk|predisposition|quantitative|variation|level of|to be|without|not otherwise|unspecified|, or\b|\bwith\b|"
    r"blood group|phenotype\b|lethal|fatal|still ?birth|, .*,|\band\b|neurodevelopmental disorder|intellectual|"
    r"infect|fever|virus|viral|bacter|poison|intoxic|toxic|injur|trauma|induced|acquired|secondary|drug|exposure|"
    r"tumou?r|carcinoma|sarcoma|lymphoma|leuk[ae]mia|adenoma|cancer|neoplas|blastoma|glioma|cytoma|melanoma|myeloma|"
    r"[oe]dema\b|shock|burn|bite|tubercul|abscess|embol|sporadic|altitude|locked-in|vasculit|granulomat|arteritis|"
    r"transplant|graft|syncope|stroke|h[ae]morrhag|covid|autoimmune|immune-mediated|pregnan|neonatal alloimmune|"
    r"respiratory distress|idiopathic|post-?|associated|sequence|non-syndromic|isolated|rare |other |leishmania|"
    r"malaria|am[oe]+bi|schistosom|toxoplasm|filari|borreli|rickett|typh|lepro|plague|cholera|mycosis|candid|aspergill|"
    r"cocci|syphilis|measles|rubella|mumps|rabies|tetan|diphther|pertuss|polio|herpes|hepatitis|influenza|sclerosing|"
    r"deficit in|arthritis|colitis|lupus|sclerosis$|diabetes|asthma|psoriasis|hypertension$|obesity|schizo|autism|"
    r"activity|alzheimer|migraine|common variable|undefined|graves|platelet disorder|creveld",
    re.I,
)
"""Names that a question cannot use, that are lists of findings, or that are of illnesses which are not inherited."""
_LONGEST = 60
_SERIES = re.compile(r"[\s,]*(?:type\s*)?(?:\b[IVXivx]+[a-c]?|\b\d+[a-z]?|\b[A-Z]\d?)$")
_SAID = re.compile(r"dominant|recessive|x-?linked|mitochondri|maternal", re.I)
_OPPOSITES = (
    ("hyper", "hypo"), ("macro", "micro"), ("tall", "short"), ("long", "short"), ("large", "small"), ("thick", "thin"),
    ("increased", "decreased"), ("increased", "reduced"), ("elevated", "decreased"), ("elevated", "reduced"),
    ("broad", "narrow"), ("wide", "narrow"), ("high", "low"), ("poly", "oligo"), ("full", "thin"), ("deep", "flat"),
    ("prominent", "depressed"), ("prognath", "retrognath"), ("upslanted", "downslanted"), ("advanced", "delayed"),
    ("premature", "delayed"), ("excess", "sparse"),
)  # fmt: skip
_EMERGENCIES = re.compile(
    r"arrest|shock|anaphyla|sepsis|septic|meningitis|h[ae]morrhag|rupture|dissection|thrombosis|embol|infarct|stroke|"
    r"coma\b|epilepticus|failure|acute|crisis|volvulus|peritonitis|fulminant|fibrillation|tachycardia|bradycardia|block|"
    r"stridor|torsion|nerve palsy|pustul|sedimentation|reactive protein|swelling|necrolysis|arthritis|"
    r"syncope|hyperammon|hypoglyc|ketoacidosis|acidosis|adrenal|apnea|arrhythm|perforat|obstruct|ileus|kernicterus",
    re.I,
)
"""Findings by which a patient is in danger now: a stem about a diagnosis years old would pass over that."""
_TIMES = frozenset(
    ("HP:0003577", "HP:0003593", "HP:0011463", "HP:0003621", "HP:0011462", "HP:0003596", "HP:0003584")
)  # fmt: skip
"""At birth, in infancy, childhood, adolescence, young adult life, middle age and later life."""
_OMIM = "OMIM:"
_TOLD = OFTEN | {DESCRIBED}
_EARLY_DEATH = frozenset(("HP:0003811", "HP:0003826", "HP:0005268", "HP:0001522", "HP:0034241"))
"""Neonatal death, stillbirth, miscarriage, death in infancy, prenatal death."""


@cache
def _vague() -> frozenset[str]:
    """Words of symptoms that many illnesses bring."""
    return frozenset(row["word"] for row in read_tsv(tables_folder() / "vague.tsv"))


@lru_cache(maxsize=50_000)
def nameable(name: str) -> bool:
    """Whether a disease goes by a name that a question can use, and that is of no illness which one catches."""
    letters = [letter for letter in name if letter.isalpha()]
    shouted = sum(map(str.isupper, letters)) > 0.4 * len(letters)
    return not _BAD_NAME.search(name) and not shouted and len(name) <= _LONGEST and len(letters) > 5


@lru_cache(maxsize=2)
def _misspelt(a: Annotations) -> frozenset[str]:
    """Long words that stand in one name alone and are one letter away from a word of several."""
    words = Counter(
        word for name in {*map(a.name, range(a.first, a.end))} for word in {*re.findall(r"[a-z]{8,}", name.lower())}
    )
    common = {word for word, times in words.items() if times > 1}
    found = set()
    for word, times in words.items():
        if times == 1:
            cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
            near = {left + right[1:] for left, right in cuts if right}
            near |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
            near |= {left + c + right for left, right in cuts for c in "abcdefghijklmnopqrstuvwxyz"}
            near |= {left + c + right[1:] for left, right in cuts if right for c in "aeiouy"}
            if near & common or (word.startswith("and") and word[3:] in common):
                found.add(word)
    return frozenset(found)


@lru_cache(maxsize=2)
def _capitals(a: Annotations) -> frozenset[str]:
    """Double names as they stand with both capitals: Niemann-Pick."""
    return frozenset(pair for d in range(a.first, a.end) for pair in re.findall(r"[A-Z][a-z]+-[A-Z][a-z]+", a.name(d)))


def _well_spelt(a: Annotations, name: str) -> bool:
    """Whether no word of a name is spelt otherwise in several others."""
    halves = (pair.split("-") for pair in re.findall(r"[A-Z][a-z]+-[a-z]+", name))
    small = any(f"{first}-{second.capitalize()}" in _capitals(a) for first, second in halves)
    return not small and not _misspelt(a) & {*re.findall(r"[a-z]{8,}", name.lower())}


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
    """The organ systems of a finding that the tables hold."""
    a = annotated(knowledge)
    rows = ((system, knowledge.tables.systems.get(a.ident(system))) for system in a.systems_of(term))
    return [(system, row) for system, row in rows if row is not None]


@lru_cache(maxsize=200_000)
def tellable(knowledge: Knowledge, term: int) -> bool:
    """Whether a stem can state a finding: it is worded, of an organ system, no emergency, and not of any illness."""
    a = annotated(knowledge)
    label = a.graph.name(term)
    if not a.text(term) or not english(label) or not system_rows(knowledge, term):
        return False
    return not _EMERGENCIES.search(label) and not _vague() & {*re.findall(r"[a-z]+", label.lower())}


def usable(knowledge: Knowledge, disease: int, term: int) -> bool:
    """Whether a finding may stand in a stem of a disease: a part of it, tellable, and not given away by its name.

    What Orphanet says of a disease counts only where OMIM describes a disease of that name, or of its series, with
    the finding: Orphanet's frequencies are estimates, and a reading found one in five rows that rest on them doubtful.
    """
    a = annotated(knowledge)
    return (
        a.typicality(disease, term) in _TOLD
        and tellable(knowledge, term)
        and not share_stem(a.graph.name(term), a.name(disease))
        and (
            a.ident(disease).startswith(_OMIM)
            or any(a.among(one, a.may_bring(term)) for one in _omim(knowledge, disease))
        )
    )


@lru_cache(maxsize=20_000)
def _omim(knowledge: Knowledge, disease: int) -> tuple[int, ...]:
    """OMIM's entries of a disease and of its series."""
    a = annotated(knowledge)
    return tuple(one for one in sorted(_kin(knowledge, disease)) if a.ident(one).startswith(_OMIM))


@lru_cache(maxsize=20_000)
def findings(knowledge: Knowledge, disease: int) -> tuple[int, ...]:
    """The findings that stems of a disease may state, those that fewest diseases bring first."""
    a = annotated(knowledge)
    found = [term for term in a.features(disease) if usable(knowledge, disease, term)]
    return tuple(sorted(found, key=lambda term: (len(a.bringing(term)), term)))


def speakable(knowledge: Knowledge, disease: int) -> bool:
    """Whether a row may name a disease: its name can be used, and patients live with it."""
    a = annotated(knowledge)
    name = a.name(disease)
    courses = {a.ident(term) for one in same(knowledge, disease) for term in a.values(one, "has_course")}
    return nameable(name) and not courses & _EARLY_DEATH and _well_spelt(a, name)


@lru_cache(maxsize=2)
def anchors(knowledge: Knowledge) -> Diseases:
    """The diseases, counted from 0, that rows may be about."""
    a = annotated(knowledge)
    return np.array([speakable(knowledge, disease) for disease in range(a.first, a.end)], np.bool_)


@lru_cache(maxsize=2)
def described(knowledge: Knowledge) -> Diseases:
    """The diseases, counted from 0, of which enough is described to say what is not."""
    a = annotated(knowledge)
    return np.array([len(a.features(disease)) >= KNOWN for disease in range(a.first, a.end)], np.bool_)


def sex(knowledge: Knowledge, terms: Sequence[int]) -> str:
    """'male' or 'female' if findings are of one sex alone, 'both' if they contradict each other, else ''."""
    a = annotated(knowledge)
    roots = [(name, a.graph.number("Phenotype", i)) for name, of in (("male", MALE), ("female", FEMALE)) for i in of]
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

    All are usable; two are found in most patients, or told without a frequency; two are telling, one of them narrows
    the field, and at most one says little; none says what another says, and no two contradict each other.
    """
    a = annotated(knowledge)
    if len(a.features(disease)) < RICH or not all(usable(knowledge, disease, term) for term in terms):
        return False
    sizes = sorted(len(a.bringing(term)) for term in terms)
    if (
        sum(strong(knowledge, disease, term) for term in terms) < min(2, len(terms))
        or sizes[0] > NARROW
        or sizes[1] > TELLING
        or sizes[-2] >= MANY
    ):
        return False
    whose = sex(knowledge, terms)
    own = mode(knowledge, disease) if whose == "female" else None
    if whose == "both" or (own is not None and own[1].name == "X-linked recessive"):
        return False
    return not any(alike(knowledge, *pair) for pair in combinations(terms, 2))


def strong(knowledge: Knowledge, disease: int, term: int) -> bool:
    """Whether a finding is one of most patients, or told of a disease without a frequency."""
    return annotated(knowledge).typicality(disease, term) in ALMOST_ALWAYS | {DESCRIBED}


def alike(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether two findings say the same or contradict each other."""
    a = annotated(knowledge)
    if a.text(one) == a.text(other) or a.related(one, other) or {*a.parents(one)} & {*a.parents(other)}:
        return True
    names = (a.graph.name(one), a.graph.name(other))
    return share_stem(*names) or opposed(*names)


def same(knowledge: Knowledge, disease: int) -> tuple[int, ...]:
    """Every entry of a disease: what is not described in it is described under none of them."""
    a = annotated(knowledge)
    return a.named(a.name(disease))


def seldom(knowledge: Knowledge, term: int) -> bool:
    """Whether few diseases are described with a finding, and not many with what it is a kind of."""
    a = annotated(knowledge)
    broader = (len(a.bringing(parent)) for parent in a.parents(term))
    return len(a.bringing(term)) <= FEW and all(number <= TELLING for number in broader)


def missing(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> list[int]:
    """The telling findings that a disease is not described with, not even in broader words."""
    a, entries = annotated(knowledge), same(knowledge, disease)
    return [
        term
        for term in terms
        if len(a.bringing(term)) <= TELLING and not any(a.among(one, a.may_bring(term)) for one in entries)
    ]


def untouched(knowledge: Knowledge, disease: int, term: int) -> bool:
    """Whether nothing is described in a disease of any organ system of a finding, nor of those beside it."""
    a = annotated(knowledge)
    return all(_far(knowledge, term)[one - a.first] for one in same(knowledge, disease))


def ruled_out(knowledge: Knowledge, rival: int, terms: Sequence[int]) -> bool:
    """Whether a disease is far enough from findings to be offered as wrong."""
    lacking = missing(knowledge, rival, terms)
    return len(lacking) >= MISSED and any(untouched(knowledge, rival, term) for term in lacking)


def contenders(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> list[int]:
    """Diseases that bring a finding of a stem often and are yet far from it, those most like the answer first.

    Raises:
        NoPlan: they are fewer than the wrong options of a row.
    """
    a = annotated(knowledge)
    shared = np.zeros(a.size)
    lacking = np.zeros(a.size, np.int64)
    far = np.zeros(a.size, np.bool_)
    for term in terms:
        shared[a.stated(term)] += _weight(a, term)
        if len(a.bringing(term)) <= TELLING:
            alone = _far(knowledge, term)
            alone[a.may_bring(term)] = False
            far |= alone
            lacking += 1
            lacking[a.may_bring(term)] -= 1
    fit = np.flatnonzero((shared > 0) & (lacking >= MISSED) & far & anchors(knowledge) & described(knowledge))
    likeness = shared[fit] + _likeness(knowledge, disease)[fit]
    name = a.name(disease)
    found: list[int] = []
    for place in fit[np.lexsort((fit, -likeness))]:
        rival = int(place) + a.first
        known = (name, *(a.name(taken) for taken in found))
        apart = not any(namesakes(a.name(rival), other) for other in known)
        if apart and ruled_out(knowledge, rival, terms) and any(usable(knowledge, rival, term) for term in terms):
            found.append(rival)
        if len(found) == POOL:
            break
    if len(found) < OFFERED:
        raise NoPlan("too few diseases to weigh against it")
    return found


def _weight(a: Annotations, term: int) -> float:
    """How much a finding says: the information content of its term (Resnik, J. Artif. Intell. Res. 1999;11:95)."""
    return float(np.log(a.size / max(1, len(a.bringing(term)))))


@lru_cache(maxsize=64)
def _likeness(knowledge: Knowledge, disease: int) -> NDArray[np.float64]:
    """How like a disease all others are: what they often bring of its features, by weight."""
    a = annotated(knowledge)
    found = np.zeros(a.size)
    for term, typicality in a.features(disease).items():
        if typicality in _TOLD:
            found[a.stated(term)] += _weight(a, term)
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


@lru_cache(maxsize=20_000)
def mode(knowledge: Knowledge, disease: int) -> tuple[int, Mode] | None:
    """The one mode of inheritance of a disease and of all that share its name, its series or a part of it."""
    a = annotated(knowledge)
    told = {term for one in _kin(knowledge, disease) for term in a.values(one, "has_inheritance")}
    found = [(term, knowledge.tables.modes.get(a.ident(term))) for term in told]
    if len(found) != 1 or found[0][1] is None or found[0][0] not in a.values(disease, "has_inheritance"):
        return None
    if not a.annotation(disease, found[0][0], "has_inheritance").typicality:
        return None  # one patient or two
    return found[0][0], found[0][1]


def _kin(knowledge: Knowledge, disease: int) -> set[int]:
    """The diseases whose names hold all telling words of a disease's, or the other way round."""
    a = annotated(knowledge)
    words = family(a.name(disease))
    by_word = _by_word(a)
    near = set().union(*(by_word.get(word, ()) for word in words))
    return {disease, *(one for one in near if (other := family(a.name(one))) <= words or words <= other)}


@lru_cache(maxsize=2)
def _by_word(a: Annotations) -> dict[str, list[int]]:
    index: dict[str, list[int]] = {}
    for disease in range(a.first, a.end):
        for word in family(a.name(disease)):
            index.setdefault(word, []).append(disease)
    return index


def says_mode(name: str) -> bool:
    """Whether a disease's name tells how it is inherited."""
    return bool(_SAID.search(name))


def ages_apart(one: Onset, other: Onset) -> bool:
    """Whether years lie between two times of onset."""
    return one.age_min >= other.age_max + YEARS or other.age_min >= one.age_max + YEARS


def other_onsets(knowledge: Knowledge, own: Onset) -> list[Onset]:
    """Times of life that do not overlap, each years apart from one."""
    rows = (row for term, row in knowledge.tables.onsets.items() if term in _TIMES)
    return [row for row in rows if ages_apart(row, own)]


def onset(knowledge: Knowledge, disease: int) -> tuple[int, Onset] | None:
    """The one time of onset of a disease; None if there is not exactly one, or if it is that of a patient or two."""
    a = annotated(knowledge)
    told = a.values(disease, "has_onset")
    row = knowledge.tables.onsets.get(a.ident(told[0])) if len(told) == 1 else None
    firm = row is not None and a.annotation(disease, told[0], "has_onset").typicality in _TOLD
    return (told[0], row) if row is not None and firm else None


def begins_apart(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether one disease is known to begin at another time of life than another, with years between."""
    mine, its = onset(knowledge, one), onset(knowledge, other)
    if mine is None or its is None:
        return False
    return ages_apart(mine[1], its[1])


def inherits_apart(knowledge: Knowledge, one: int, other: int) -> bool:
    """Whether one disease is known to be inherited in a way that cannot be taken for that of another.

    A dominant one is none: a single patient may be the ground on which it is called so.
    """
    mine, its = mode(knowledge, one), mode(knowledge, other)
    if mine is None or its is None or "autosomal dominant" in (mine[1].name, its[1].name):
        return False
    return mine[1].term in its[1].foils


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


def narrowed(knowledge: Knowledge, terms: Sequence[int]) -> list[tuple[int, ...]]:
    """The findings one after the other, the most common first, each with all before it, until one disease is left.

    Empty if more than one is left.
    """
    a = annotated(knowledge)
    order = sorted(terms, key=lambda term: (-len(a.bringing(term)), term))
    steps = [tuple(order[: count + 1]) for count in range(len(order))]
    alone = next((place for place, step in enumerate(steps) if a.count(step).number == 1), len(steps))
    return steps[: max(2, alone + 1)] if alone < len(steps) else []


def settled(knowledge: Knowledge, disease: int, terms: Sequence[int]) -> bool:
    """Whether findings settle how the disease behind them is inherited.

    Every disease that may bring all of them but one is inherited as this one is, as far as it is known.
    """
    a = annotated(knowledge)
    own = mode(knowledge, disease)
    if own is None:
        return False
    if not narrowed(knowledge, terms):
        return False
    brought = np.zeros(a.size, np.int64)
    for term in terms:
        brought[a.may_bring(term)] += 1
    near = (int(place) + a.first for place in np.flatnonzero(brought >= len(terms) - 1))
    return all({*a.values(one, "has_inheritance")} <= {own[0]} for one in near)


def pairs(knowledge: Knowledge, disease: int, draw: Callable[[str], float], most: int) -> Iterator[tuple[int, int]]:
    """Diseases that share three findings with one, each with a finding that tells the one from the other."""
    a = annotated(knowledge)
    pool = findings(knowledge, disease)
    shared = np.zeros(a.size, np.int64)
    for term in pool:
        shared[a.stated(term)] += 1
    firm = [term for term in pool if strong(knowledge, disease, term)]
    found = 0
    places = np.flatnonzero((shared >= OFFERED) & anchors(knowledge) & described(knowledge))
    order = sorted(places, key=lambda place: (-min(int(shared[place]), 5), draw(f"pair {place}")))
    for place in order[: 4 * most]:
        other = int(place) + a.first
        if other == disease or namesakes(a.name(disease), a.name(other)):
            continue
        telling = [term for term in firm if tells_apart(knowledge, term, other)]
        if telling and len(undecided(knowledge, disease, other, telling[0])) >= OFFERED:
            yield other, telling[0]
            found += 1
        if found == most:
            return


def tells_apart(knowledge: Knowledge, term: int, other: int) -> bool:
    """Whether a telling finding speaks against a disease: denied, or of an organ of which nothing is described."""
    a = annotated(knowledge)
    if len(a.bringing(term)) > NARROW:
        return False
    if all(a.denies(one, term) == term for one in same(knowledge, other)):
        return True
    return bool(missing(knowledge, other, [term])) and untouched(knowledge, other, term)


def undecided(knowledge: Knowledge, one: int, other: int, target: int) -> list[int]:
    """Findings that both diseases often bring, of which none says what another says."""
    found: list[int] = []
    for term in findings(knowledge, one):
        both = term != target and usable(knowledge, other, term)
        if both and not any(alike(knowledge, term, taken) for taken in (target, *found)):
            found.append(term)
    return found


def foils(knowledge: Knowledge, disease: int, target: int, given: Sequence[int]) -> list[tuple[int, int]]:
    """Findings that a disease is not described with, each with a disease like it that often brings it."""
    a = annotated(knowledge)
    if not described(knowledge)[disease - a.first]:
        return []
    likeness = _likeness(knowledge, disease)
    near = np.flatnonzero((likeness > 0) & anchors(knowledge))
    near = near[np.lexsort((near, -likeness[near]))][:40]
    found: list[tuple[int, int]] = []
    for place in near:
        rival = int(place) + a.first
        if namesakes(a.name(rival), a.name(disease)):
            continue
        for term in findings(knowledge, rival)[:USABLE]:
            if not tells_apart(knowledge, term, disease) or share_stem(a.graph.name(term), a.name(disease)):
                continue
            taken = (target, *given, *(other for other, _ in found))
            if strong(knowledge, rival, term) and not any(alike(knowledge, term, one) for one in taken):
                found.append((term, rival))
                break
        if len(found) == POOL:
            break
    return found
