"""When two texts name the same thing, or give each other away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[a-z0-9]+|[\u4e00-\u9fff]")
"""A word, or a Chinese character."""
_COMMON = frozenset(
    [
        "a",
        "acute",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "behind",
        "bite",
        "bitten",
        "bites",
        "bacteria",
        "bacterial",
        "bacterium",
        "blood",
        "body",
        "by",
        "cancer",
        "care",
        "chronic",
        "cell",
        "cells",
        "chest",
        "classic",
        "common",
        "contact",
        "contacts",
        "contaminated",
        "disease",
        "diseases",
        "disorder",
        "droplets",
        "due",
        "east",
        "eating",
        "eastern",
        "face",
        "fever",
        "finding",
        "food",
        "for",
        "form",
        "from",
        "fungus",
        "hand",
        "has",
        "hemorrhagic",
        "home",
        "human",
        "in",
        "infect",
        "infected",
        "infection",
        "infectious",
        "infections",
        "is",
        "it",
        "its",
        "late",
        "liver",
        "mountain",
        "mouth",
        "no",
        "north",
        "not",
        "of",
        "on",
        "or",
        "other",
        "pain",
        "person",
        "primary",
        "rash",
        "respiratory",
        "secondary",
        "severe",
        "sexual",
        "shared",
        "skin",
        "soil",
        "south",
        "spread",
        "swallowing",
        "syndrome",
        "the",
        "to",
        "tract",
        "type",
        "upper",
        "viral",
        "virus",
        "water",
        "west",
        "western",
        "with",
        "without",
    ]
)
_STEM = 5


@lru_cache(maxsize=100_000)
def normal(text: str) -> str:
    """A name for comparison: lower case, punctuation as spaces, plural s dropped.

    >>> normal("Crohn's Colitis") == normal("crohns colitis"), normal("Kidney-stones")
    (True, 'kidney stone')
    """
    words = _WORD.findall(text.casefold().replace("'", "").replace("\u2019", ""))
    return " ".join(_singular(word) for word in words)


@lru_cache(maxsize=50_000)
def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=50_000)
def stems(text: str) -> frozenset[str]:
    """The first five letters of every telling word of a name."""
    words = normal(text).split()
    return frozenset(word[:_STEM] for word in words if len(word) >= 4 and word not in _COMMON)


def share_stem(one: str, other: str) -> bool:
    """Whether two names share the beginning of a telling word, so that one gives the other away.

    >>> share_stem("leprosy", "Mycobacterium leprae"), share_stem("scrub typhus", "Orientia tsutsugamushi")
    (True, False)
    """
    return bool(stems(one) & stems(other)) or _near(one, other)


def _near(one: str, other: str) -> bool:
    """Catch stems that are spelled a little apart ('leprosy' and 'leprae' share four letters)."""
    left = {word[:4] for word in normal(one).split() if len(word) >= 5 and word not in _COMMON}
    right = {word[:4] for word in normal(other).split() if len(word) >= 5 and word not in _COMMON}
    return bool(left & right)


@lru_cache(maxsize=100_000)
def alike(one: str, other: str) -> bool:
    """Whether two reasons say much the same: two thirds of the longer words of the shorter one stand in the other.

    >>> alike("the virus settles in skin and nodes", "the virus settles in skin, nodes and joints, not in the brain")
    True
    >>> alike("the virus settles in skin and nodes", "the fever is mild and short")
    False
    """
    left, right = ({word for word in normal(text).split() if len(word) >= 4} for text in (one, other))
    shorter = min(len(left), len(right))
    return 3 * len(left & right) >= 2 * shorter if shorter else one == other


_GENERAL = frozenset(("with", "from", "that", "into", "over", "often", "many", "most", "usually", "which", "disease"))


def share_word(one: str, other: str) -> bool:
    """Whether two texts share a word that says something, however common it is.

    >>> share_word("fever", "an infection with sudden fever"), share_word("cough", "an infection of the joints")
    (True, False)
    """
    left, right = ({word for word in normal(text).split() if len(word) >= 4} for text in (one, other))
    return bool(left & right - _GENERAL)


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same but for case, punctuation and number."""
    return normal(one) == normal(other)


def named_in(text: str, names: Iterable[str]) -> str | None:
    """The first of `names` that stands in `text` as whole words, or None.

    >>> named_in("He has Crohn's colitis.", ["gout", "Crohn's colitis"])
    "Crohn's colitis"
    """
    padded = f" {normal(text)} "
    return next((name for name in names if normal(name) and f" {normal(name)} " in padded), None)
