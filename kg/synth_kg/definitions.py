"""Typed facts from Disease Ontology definitions.

A Disease Ontology definition is English prose that names its relations with fixed
phrases ("has_symptom fever", "transmitted_by Aedes mosquito bite"), with or without the
underscore. This module finds those phrases and returns what each one governs, with the
character span of the sentence it stands in. It knows no medicine: whether a phrase is a
finding, and how to word it, is the business of the reviewed tables.

>>> facts = parse_definition("An infection that has_symptom fever, and has_symptom sore throat.")
>>> [(fact.relation, fact.phrase) for fact in facts]
[('has_symptom', 'fever'), ('has_symptom', 'sore throat')]
"""

from __future__ import annotations

import re
from typing import NamedTuple

RELATIONS = ("has_symptom", "characterized_by", "has_material_basis_in", "transmitted_by", "located_in")


class Fact(NamedTuple):
    """One relation stated by a definition."""

    relation: str
    """One of `RELATIONS`."""
    phrase: str
    """What the relation governs, as the definition words it."""
    start: int
    """Offset of the sentence in the definition, in characters."""
    end: int
    """Offset just past the sentence."""


_MARKERS = re.compile(
    r"""
    (?P<has_symptom>\bhas[ _]+symptoms?\b | \b(?:the\ )?symptoms\ (?:may\ )?include\b)
  | (?P<characterized_by>\b(?:characterized|accompanied)[ _]by\b)
  | (?P<has_material_basis_in>\bhas[ _]material[ _]basis[ _]in\b | \bcaused\ by\b | \binfection\ (?:by|with\ the\ bacterium)\b)
  | (?P<transmitted_by>\b(?:is|are|be)?\ ?(?:primarily\ )?transmitted[ _]by\b | \btransmitted\ through\b)
  | (?P<located_in>(?<!\bare\ )\blocated[ _]in\b)
  | (?P<other>\b(?:results?|derives|dervies|derive|develops|arises|composed|diagnosed)[ _](?:in_formation_of|in\ formation\ of|in|from|of|by|as)\b
        | \bresults?\ in\b | \bhas-agent\b | \bhas_material_basis_insufficient\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ABBREVIATIONS = ("St.", "sp.", "spp.", "subsp.", "var.", "e.g.", "i.e.", "cf.", "vs.")
_INITIAL = re.compile(r"(?:^|\s|\()[A-Z]\.$")
_CLAUSE = re.compile(
    r"""
    [;:]
  | ,?\s+(?:which|that|who|where|when|while|after|although|but)\b
  | ,?\s+(?:and|or)?\s*(?:is|are|was|were|has|have|can|could|may|possibly|often|occurs?)\b
  | \s+resulting\ (?:in|from)\b
  | ,\s+(?:leading|resulting|followed|primarily|especially|usually|typically|sometimes|including|limited|effected)\b
    """,
    re.VERBOSE,
)
_LEADING = re.compile(
    r"^(?:[\s,;]|and/or\b|and\b|or\b|either\b|also\b|of\b|often\b|possibly\b|usually\b|the\s+following\b)+", re.I
)
_TRAILING = re.compile(
    r"(?:[\s,;.]|\b(?:and/or|and|or|which|that|is|are|by|in|with|possibly|often|also|primarily|being)\b)+$",
    re.I,
)
_LIST = re.compile(r"\s*,\s*(?:and/or|and|or)\s+|\s*,\s*|\s+(?:and|or)\s+|\s*;\s*")
_SHARED = re.compile(
    r"(\S*(?:al|ic|ous|ful|ed|ar|ary|ive|-)|red|early|greasy|nontender|liver)\s+(and|or)\s+(?=[a-z])", re.I
)
""""Adjective and adjective noun": one noun, which both share."""
_LISTED = {"has_symptom", "characterized_by"}
"""Relations whose argument may be a list."""
_NEGATED = re.compile(r"\b(?:no|not|without|never)\W+(?:\w+\W+){0,3}$", re.I)


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) spans of the sentences of `text`, abbreviations respected."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        head = text[start : match.start()]
        if head.endswith(_ABBREVIATIONS) or _INITIAL.search(head):
            continue
        spans.append((start, match.start()))
        start = match.end()
    if text[start:].strip():
        spans.append((start, len(text)))
    return spans


def parse_definition(text: str) -> list[Fact]:
    """Return the facts that a definition states, in the order of the text, without repeats.

    A list after a single marker ("has_symptom fever, fatigue and nausea") gives one fact
    an item; where the definition repeats the marker for each item, its commas belong to
    the item ("has_symptom pain, in the upper abdomen initially and later in ...").
    """
    markers = list(_MARKERS.finditer(text))
    spans = sentences(text)
    counts = {name: sum(1 for m in markers if m.lastgroup == name) for name in RELATIONS}
    facts: dict[tuple[str, str], Fact] = {}
    for here, marker in enumerate(markers):
        relation = marker.lastgroup
        if relation not in RELATIONS:
            continue
        start, end = next((s, e) for s, e in spans if s <= marker.start() < e)
        if _NEGATED.search(text[start : marker.start()]):
            continue
        stop = markers[here + 1].start() if here + 1 < len(markers) else end
        argument = text[marker.end() : min(stop, end)]
        single = counts[relation] == 1
        listed = single or "include" in marker.group()
        for phrase in _items(argument, split=listed and relation in _LISTED):
            facts.setdefault((relation, phrase.casefold()), Fact(relation, phrase, start, end))
    return list(facts.values())


def _items(argument: str, *, split: bool) -> list[str]:
    """Cut one marker's argument down to its phrase, or to its items where it is a list."""
    masked, kept = _mask_parentheses(argument)
    clause = _CLAUSE.search(masked)
    body = masked[: clause.start()] if clause and masked[: clause.start()].strip(" ,") else masked
    parts = _LIST.split(_SHARED.sub("\\1\x01\\2\x01", body)) if split else [body]
    phrases = (_unmask(part, kept).replace("\x01", " ") for part in parts)
    cleaned = (_TRAILING.sub("", _LEADING.sub("", phrase)).strip() for phrase in phrases)
    return [phrase for phrase in cleaned if phrase]


def _mask_parentheses(text: str) -> tuple[str, list[str]]:
    """Replace each parenthesis by a placeholder, so that its commas split nothing."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(0))
        return f"\x00{len(kept) - 1}\x00"

    return re.sub(r"\([^()]*\)", keep, text), kept


def _unmask(text: str, kept: list[str]) -> str:
    """Put the parentheses back."""
    return re.sub(r"\x00(\d+)\x00", lambda m: kept[int(m.group(1))], text)
