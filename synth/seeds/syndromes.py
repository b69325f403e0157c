"""Evidence sets of diseases that are known by their annotations: one disease after the other, made as they are drawn.

There are thousands of such diseases, and what makes a fair row of one takes milliseconds to find. So nothing is listed
beforehand: the diseases are put in an order by chance, and each in its turn gives its next evidence set, until none has
another. Which is the n-th depends on the random seed and the knowledge alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from synth import syndromes
from synth.plan import Unit, annotated
from synth.sample import WORDED
from synth_kg.knowledge import Knowledge

STARS = 8
"""Stems of one disease, at most."""
PAIRS = 3
"""Diseases that one is compared with, at most."""
ASKED = 2
"""Findings of one disease that are asked for, at most."""
HOPS = 20
"""Of a hundred stems whose findings settle the inheritance, how many ask for it; the others ask for the disease."""

Draw = Callable[[str, str], float]


class Rounds:
    """Units of many diseases, taken in turn.

    Args:
        diseases: in the order in which they take their turns.
        units_of: the units of one.
    """

    def __init__(self, diseases: Sequence[int], units_of: Callable[[int], Iterator[Unit]]) -> None:
        self._made: list[Unit] = []
        self._rest = self._turns(list(diseases), units_of)

    @staticmethod
    def _turns(diseases: list[int], units_of: Callable[[int], Iterator[Unit]]) -> Iterator[Unit]:
        waiting = {disease: units_of(disease) for disease in diseases}
        while waiting:
            for disease in list(waiting):
                unit = next(waiting[disease], None)
                if unit is None:
                    del waiting[disease]
                else:
                    yield unit

    def reaches(self, place: int) -> bool:
        """Whether there is a unit at a place, counted from 0."""
        while len(self._made) <= place:
            unit = next(self._rest, None)
            if unit is None:
                return False
            self._made.append(unit)
        return True

    def __getitem__(self, place: int) -> Unit:
        if not self.reaches(place):
            raise IndexError(place)
        return self._made[place]

    def __bool__(self) -> bool:
        return self.reaches(0)

    def __len__(self) -> int:
        """How many there are; takes the time to make them all."""
        self._made.extend(self._rest)
        return len(self._made)

    def __iter__(self) -> Iterator[Unit]:
        place = 0
        while self.reaches(place):
            yield self._made[place]
            place += 1


def units(knowledge: Knowledge, random_seed: int) -> dict[str, Rounds]:
    """The evidence sets of annotated diseases, by kind of row; none where a graph holds no annotations."""
    if knowledge.annotations is None:
        return {}
    a = knowledge.annotations
    diseases = [int(place) + a.first for place in np.flatnonzero(syndromes.anchors(knowledge))]
    kinds: dict[str, Callable[[Knowledge, int], Iterator[Unit]]] = {
        "syndrome": partial(_stems, genre="vignette"),
        "syndrome hop": partial(_stems, genre="multihop"),
        "inheritance": _modes,
        "onset": _onsets,
        "feature": _features,
        "syndromes": _pairs,
    }
    return {
        name: Rounds(
            sorted(diseases, key=lambda disease, name=name: uniform(random_seed, name, a.ident(disease))),  # type: ignore[misc]
            partial(of, knowledge),
        )
        for name, of in kinds.items()
    }


def uniform(seed: int, purpose: str, name: str) -> float:
    """A number in (0, 1) that depends on its arguments alone."""
    data = hashlib.blake2b(f"{seed}|{purpose}|{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(data, "big") + 0.5) / 2**64


def _stems(knowledge: Knowledge, disease: int, genre: str) -> Iterator[Unit]:
    """Stems of a disease; each is used for one genre alone."""
    a = annotated(knowledge)
    anchor = a.ident(disease)
    if genre == "multihop" and syndromes.mode(knowledge, disease) is None:
        return
    for terms in syndromes.stars(knowledge, disease, partial(uniform, 0, anchor), STARS):
        picks = tuple(a.ident(term) for term in terms)
        drawn = uniform(0, "hop", "|".join((anchor, *picks))) * 100 < HOPS
        asked = drawn and not syndromes.says_mode(a.name(disease)) and syndromes.settled(knowledge, disease, terms)
        if asked == (genre == "multihop"):
            yield Unit(genre, "inheritance" if asked else "syndrome", anchor, picks)


def _modes(knowledge: Knowledge, disease: int) -> Iterator[Unit]:
    a = annotated(knowledge)
    told = syndromes.findings(knowledge, disease)[:2]
    if (
        (told or a.language == WORDED)
        and syndromes.mode(knowledge, disease)
        and not syndromes.says_mode(a.name(disease))
    ):
        yield Unit("choice", "inheritance", a.ident(disease), tuple(a.ident(term) for term in told))


def _onsets(knowledge: Knowledge, disease: int) -> Iterator[Unit]:
    a = annotated(knowledge)
    told = syndromes.findings(knowledge, disease)[:2]
    began = syndromes.onset(knowledge, disease)
    if told and began and len(syndromes.other_onsets(knowledge, began[1])) >= syndromes.OFFERED:
        yield Unit("choice", "onset", a.ident(disease), tuple(a.ident(term) for term in told))


def _features(knowledge: Knowledge, disease: int) -> Iterator[Unit]:
    a = annotated(knowledge)
    pool = syndromes.findings(knowledge, disease)
    found = 0
    for target in pool:
        if not syndromes.strong(knowledge, disease, target):
            continue
        if len(a.bringing(target)) > syndromes.TELLING:
            continue
        given = [term for term in pool if term != target and not syndromes.alike(knowledge, term, target)][:2]
        enough = len(given) == 2 and not syndromes.alike(knowledge, *given)
        if enough and len(syndromes.foils(knowledge, disease, target, given)) >= syndromes.OFFERED:
            yield Unit("choice", "feature", a.ident(disease), tuple(a.ident(term) for term in (target, *given)))
            found += 1
        if found == ASKED:
            return


def _pairs(knowledge: Knowledge, disease: int) -> Iterator[Unit]:
    a = annotated(knowledge)
    anchor = a.ident(disease)
    for other, target in syndromes.pairs(knowledge, disease, partial(uniform, 0, anchor), PAIRS):
        yield Unit("compare", "feature", anchor, (a.ident(other), a.ident(target)))
