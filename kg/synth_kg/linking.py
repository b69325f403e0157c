"""Finding what a graph speaks of in a text.

A `Lexicon` holds every name of every node; a `Matcher` finds them in a text, the leftmost and longest first, with
offsets into the text as it was written, and says of each whether the text asserts it (see `linking_cues`).

    matcher = Matcher(Lexicon.of(graph))
    for mention in matcher.find(note):
        if mention.asserted: ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from synth_kg.linking_cues import EMPTY_LINE, Span, judge, leftmost
from synth_kg.linking_names import (
    KINDS,
    SALT,
    SALT_WORDS,
    Kind,
    is_function_word,
    is_identifier,
    spellings,
    why_not,
)
from synth_kg.linking_text import Canonical, Patterns, as_written, canonical, keys, originals
from synth_kg.typed import TypedGraph

DRUG_TYPES = frozenset(
    ("drug", "compound", "chemical", "medication", "chemicalentity", "smallmolecule", "药物", "药品")
)
"""Types whose nodes may be named with a salt: those of PrimeKG, Hetionet, KGX and the bundled graph, case ignored."""


class Named(NamedTuple):
    """A node under one of its names."""

    node: int
    kind: Kind
    cased: str
    """The name as it has to be written, if its capitals matter ('ALL' is not 'all'); else empty."""


class Mention(NamedTuple):
    """A place of a text that names nodes."""

    start: int
    """Offset in characters."""
    end: int
    """Offset just past the last character."""
    text: str
    nodes: tuple[int, ...]
    """All that it may name: those whose name it is first, then by the kinds of name in their order, then by number."""
    kinds: tuple[Kind, ...]
    """The kind of name for each of `nodes`."""
    negated: bool = False
    """It is said not to be there."""
    family: bool = False
    """It is said of a relative, or of someone else."""
    historical: bool = False
    """It was there before, or has gone."""
    hypothetical: bool = False
    """It is asked, feared, looked for or warned of, and neither stated nor denied."""

    @property
    def kind(self) -> Kind:
        """The kind of name that it is for the first of its nodes."""
        return self.kinds[0]

    @property
    def asserted(self) -> bool:
        """Whether the text states it of the patient, for now."""
        return not (self.negated or self.family or self.historical or self.hypothetical)


class Lexicon:
    """The names of nodes, as they are looked for in texts.

    Args:
        named: (node, its names); the first is its name, the others are synonyms. Identifiers are left out.
        drugs: nodes that may be named with a salt after their name.

    Attributes:
        entries: canonical key (see `linking_text.keys`) -> what it names, in the order of `Mention.nodes`.
        left_out: why names are not looked for -> how many.
    """

    def __init__(self, named: Iterable[tuple[int, Sequence[str]]], drugs: Container[int] = frozenset()) -> None:
        self.drugs = drugs
        self.left_out: Counter[str] = Counter()
        texts: list[str] = []
        ways: list[Named] = []
        for node, names in named:
            for place, name in enumerate(names):
                if is_identifier(name):
                    self.left_out["an identifier"] += 1
                    continue
                for one in spellings(name, "synonym" if place else "name"):
                    texts.append(one.text)
                    ways.append(Named(node, one.kind, one.cased))
        self.entries: Mapping[str, tuple[Named, ...]] = self._indexed(keys(texts), ways)

    @classmethod
    def of(cls, graph: TypedGraph) -> Lexicon:
        """The names of a graph's nodes; those of a type in `DRUG_TYPES` may come with a salt."""
        columns = graph.columns
        drugs: set[int] = set()
        for code, kind in enumerate(columns.types):
            if kind.casefold() in DRUG_TYPES:
                drugs.update(range(int(columns.offsets[code]), int(columns.offsets[code + 1])))
        named = (
            (node, [name for name in (name, *others) if name])
            for node, (name, others) in enumerate(zip(graph.names, graph.synonyms, strict=True))
        )
        return cls(named, drugs)

    def _indexed(self, found: Sequence[str], ways: Sequence[Named]) -> dict[str, tuple[Named, ...]]:
        best: dict[str, dict[tuple[int, str], Kind]] = {}
        for key, way in zip(found, ways, strict=True):
            reason = why_not(key, way.cased)
            if reason:
                self.left_out[reason] += 1
                continue
            kinds = best.setdefault(key, {})
            at = (way.node, way.cased)
            if at not in kinds or KINDS.index(way.kind) < KINDS.index(kinds[at]):
                kinds[at] = way.kind
        return {
            key: tuple(sorted((Named(node, kind, cased) for (node, cased), kind in kinds.items()), key=_order))
            for key, kinds in best.items()
        }


def _order(one: Named) -> tuple[int, int]:
    return KINDS.index(one.kind), one.node


class Matcher:
    """Finds the names of a lexicon in texts.

    Raises:
        ModuleNotFoundError: ahocorasick-rs is not installed (the extra `kg`).
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._patterns = Patterns(lexicon.entries)
        self._entries = list(lexicon.entries.values())
        self._plain = [not any(one.cased or one.node in lexicon.drugs for one in several) for several in self._entries]
        """Whether a name needs no second look."""

    def find(self, text: str) -> list[Mention]:
        """The mentions in a text, in order, none within another.

        Where names overlap, the one that begins first counts, and of those the longest. A name does not go over an
        empty line.
        """
        canon = canonical(text)
        places = self._places(text, canon)
        if not places:
            return []
        where = originals(text, canon.at, [start for start, _, _ in places], [end for _, end, _ in places])
        judged = judge(text, canon, [(start, end) for start, end, _ in places])
        return [
            Mention(
                start, end, text[start:end], tuple(one.node for one in several), tuple(one.kind for one in several),
                *(flag in flags for flag in ("negated", "family", "historical", "hypothetical")),
            )
            for (start, end), (_, _, several), flags in zip(where, places, judged, strict=True)
        ]  # fmt: skip

    def _places(self, text: str, canon: Canonical) -> list[tuple[int, int, tuple[Named, ...]]]:
        """Where names stand in the canonical text, and what they name there."""
        found = self._patterns.find(canon.text)
        if not found:
            return []
        where = originals(text, canon.at, [start for start, _, _ in found], [end for _, end, _ in found])
        named: list[tuple[Named, ...]] = []
        spans: list[tuple[int, int, int]] = []
        salts: list[tuple[int, int, tuple[Named, ...]]] = []
        for (start, end, which), span in zip(found, where, strict=True):
            several = self._entries[which]
            if not self._plain[which]:
                several = self._meant(several, text, canon.text[start:end], span)
                if several and (salt := self._salt(several, canon.text, (start, end))):
                    salts.append((start, *salt))
            if several and not EMPTY_LINE.search(text, *span):
                spans.append((start, end, len(named)))
                named.append(several)
        for start, end, several in salts:  # last, so that a name of the same words goes before
            spans.append((start, end, len(named)))
            named.append(several)
        return [(start, end, named[which]) for start, end, which in leftmost(spans)]

    def _meant(self, several: tuple[Named, ...], text: str, name: str, span: Span) -> tuple[Named, ...]:
        """What a name stands for as it is written at a place; each node once, under the best of its names."""
        written = as_written(text[span[0] : span[1]])
        shouted = is_function_word(name) and _among_capitals(text, span)
        seen: dict[int, Named] = {}
        for one in several:
            if not one.cased or (one.cased == written and not shouted):
                seen.setdefault(one.node, one)
        return tuple(seen.values())

    def _salt(self, several: tuple[Named, ...], canon: str, place: Span) -> tuple[int, tuple[Named, ...]] | None:
        """Where the salt of a drug found at a place ends, and the drugs."""
        drugs = tuple(one._replace(kind="salt") for one in several if one.node in self.lexicon.drugs)
        salt = SALT.match(canon, place[1]) if drugs and canon[place[0] : place[1]] not in SALT_WORDS else None
        return (salt.end(), drugs) if salt else None


def _among_capitals(text: str, span: Span) -> bool:
    """Whether the word before or after is written in capitals too, so that capitals tell nothing."""
    before = text[max(0, span[0] - 40) : span[0]].split(" ")
    after = text[span[1] : span[1] + 40].split(" ")
    beside = [words[at] for words, at in ((before, -2), (after, 1)) if len(words) > 1]
    return any(len(word) > 1 and word.isalpha() and word.isupper() for word in beside)
