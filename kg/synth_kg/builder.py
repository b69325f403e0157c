"""Building a typed graph: sources in, in any order, one graph out.

Readers hand over nodes and statements as they come across them; what belongs together is put together
at the end, so neither the order of files nor that of lines changes anything:

- a node is its (type, id); every source may name it, and may add synonyms;
- ids that were merged or replaced lead to those that stand (`alias`);
- a node that statements alone speak of has its id for a name; what readers leave out is counted with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from synth_kg.columns import SMALL, Arc, Columns, Ints, Relation, Statements, assemble
from synth_kg.graph import Key

_EXAMPLES = 5
"""Examples kept of each reason for which something was dropped."""


class Origin(NamedTuple):
    """A source, as edges name it."""

    name: str
    version: str
    license: str


class About(NamedTuple):
    """What a person says of a source, in place of what it says of itself."""

    name: str = ""
    version: str = ""
    license: str = ""


NOT_TOLD = About()


class Dropped(NamedTuple):
    """What was left out of a source, and why."""

    source: str
    reason: str
    times: int
    examples: tuple[str, ...]


class NodeRow(NamedTuple):
    """What is known of a node."""

    type: str
    id: str
    name: str
    synonyms: tuple[str, ...]
    source: int
    """Index of the source that names it; -1 if none does, and statements alone speak of it."""


class Built(NamedTuple):
    """A graph in memory."""

    columns: Columns
    nodes: Sequence[NodeRow]
    """By number."""
    origins: tuple[Origin, ...]
    attributes: Sequence[tuple[int, dict[str, Any]]]
    """(position of the entry, what is said beside the statement), in order."""
    dropped: tuple[Dropped, ...]


class Builder:
    """Takes what readers find."""

    def __init__(self) -> None:
        self._origins: dict[Origin, int] = {}
        self._relations: dict[Relation, int] = {}
        self._types: dict[str, int] = {}
        self._numbers: list[dict[str, int]] = []
        """Of each type: id -> provisional number."""
        self._keys: list[tuple[int, str]] = []
        self._named: dict[int, tuple[int, str]] = {}
        """Provisional number -> (source, name)."""
        self._synonyms: dict[int, dict[str, None]] = {}
        self._aliases: dict[int, set[int]] = {}
        self._batches: list[tuple[Ints, Ints, Ints, Ints]] = []
        self._single: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        self._said: list[tuple[tuple[int, int, int, int], dict[str, Any]]] = []
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[str]] = {}

    # -- what readers call

    def origin(self, name: str, version: str, license: str) -> int:
        """The number of a source."""
        return self._origins.setdefault(Origin(name, version, license), len(self._origins))

    def told(self, about: About, name: str, version: str = "", license: str = "") -> int:
        """The number of a source by what a person says of it, or else by what it says of itself."""
        return self.origin(
            about.name or name, about.version or version or "undated", about.license or license or "not stated"
        )

    def relation(self, name: str, *, directed: bool = True, negated: bool = False) -> int:
        """The number of a relation."""
        return self._relations.setdefault(Relation(name, directed, negated), len(self._relations))

    def number(self, kind: str, ident: str) -> int:
        """The provisional number of a node, whether or not anything is known of it."""
        code = self._types.setdefault(kind, len(self._types))
        if code == len(self._numbers):
            self._numbers.append({})
        numbers = self._numbers[code]
        found = numbers.get(ident)
        if found is None:
            found = numbers[ident] = len(self._keys)
            self._keys.append((code, ident))
        return found

    def numbers(self, kind: str, idents: Sequence[str]) -> Ints:
        """The provisional numbers of many nodes of a type: (len(idents),)."""
        code = self._types.setdefault(kind, len(self._types))
        if code == len(self._numbers):
            self._numbers.append({})
        known = self._numbers[code]
        fresh = dict.fromkeys(ident for ident in idents if ident not in known)
        known.update(zip(fresh, range(len(self._keys), len(self._keys) + len(fresh)), strict=True))
        self._keys.extend(zip(repeat(code), fresh))
        width = np.int32 if len(self._keys) < SMALL else np.int64
        return np.fromiter(map(known.__getitem__, idents), width, len(idents))

    def node(self, origin: int, kind: str, ident: str, name: str, synonyms: Iterable[str] = ()) -> int:
        """Declare a node; the provisional number."""
        number = self.number(kind, ident)
        known, here = self._named.get(number), (origin, name)
        if known is None or self._better(here, known):
            here, known = known or (origin, ""), here
            self._named[number] = known
        if here[1] and here[1] != known[1]:
            self._also(number, (here[1],))
        self._also(number, synonyms)
        return number

    def also(self, number: int, names: Iterable[str]) -> None:
        """Other names of a node."""
        self._also(number, names)

    def _also(self, number: int, names: Iterable[str]) -> None:
        for name in names:
            if name:
                self._synonyms.setdefault(number, {})[name] = None

    def _better(self, one: tuple[int, str], other: tuple[int, str]) -> bool:
        """Whether a name of a source goes before another's: one that is there, then by source, in whatever order."""
        origins = list(self._origins)
        return (not one[1], origins[one[0]], one[1]) < (not other[1], origins[other[0]], other[1])

    def alias(self, old: Key, new: Key) -> None:
        """Statements about `old` are about `new`; of several that it is said to be, the first by (type, id)."""
        self._aliases.setdefault(self.number(*old), set()).add(self.number(*new))

    def edge(self, origin: int, head: int, relation: int, tail: int, /, **said: Any) -> None:
        """State something of two nodes, with what is said beside it (a frequency, a reference)."""
        for column, value in zip(self._single, (head, relation, tail, origin), strict=True):
            column.append(value)
        if said:
            told = {key.lstrip("#") or "said": value for key, value in said.items()}
            self._said.append(((head, relation, tail, origin), told))

    def edges(self, origin: int, heads: Ints, relations: Ints, tails: Ints) -> None:
        """State many things at a time."""
        self._batches.append((heads, relations, tails, np.full(1, origin, np.int32)))

    @property
    def stated(self) -> int:
        """How many statements were handed over so far."""
        return len(self._single[0]) + sum(len(batch[0]) for batch in self._batches)

    def drop(self, source: str, reason: str, example: str = "", count: int = 1) -> None:
        """Count something that was left out."""
        self._dropped[source, reason] += count
        examples = self._examples.setdefault((source, reason), [])
        if example and len(examples) < _EXAMPLES:
            examples.append(example)

    # -- the end

    def finish(self) -> Built:
        """Put the graph together; the builder is used up."""
        rank, rows, offsets, types = self._ordered()
        origins = sorted(self._origins)
        place = {origin: number for number, origin in enumerate(origins)}
        sources = np.array(
            [place[origin] for origin in self._origins] or [0], np.uint8 if len(place) < 256 else np.int32
        )
        stated = self._stated(rank, sources)
        relations = list(self._relations)
        loops = stated.heads == stated.tails
        raw = np.bincount(stated.sources, minlength=len(origins))
        looped = np.bincount(stated.sources[loops], minlength=len(origins))
        columns = assemble(types, offsets, relations, stated)
        del stated, loops
        kept = (
            np.bincount(columns.sources, minlength=len(origins)) // 2
            if len(columns.sources)
            else np.bincount([0], [columns.entries // 2], len(origins))
        )
        for number, origin in enumerate(origins):
            twice = int(raw[number] - looped[number] - kept[number])
            self._count(origin.name, "relates a node to itself", int(looped[number]))
            self._count(origin.name, "states again what it stated", twice)
        said = [((int(rank[h]), r, int(rank[t]), int(sources[s])), told) for (h, r, t, s), told in self._said]
        rows = [row._replace(source=int(sources[row.source]) if row.source >= 0 else -1) for row in rows]
        return Built(
            columns, rows, tuple(origins), placed(columns, relations, said),
            tuple(
                Dropped(source, reason, count, tuple(self._examples.get((source, reason), ())))
                for (source, reason), count in sorted(self._dropped.items())
            ),
        )  # fmt: skip

    def _count(self, source: str, reason: str, count: int) -> None:
        if count:
            self._dropped[source, reason] += count

    def _ordered(self) -> tuple[Ints, list[NodeRow], Ints, list[str]]:
        """The final number of each provisional one; the nodes in order; first number of each type; types."""
        names = list(self._types)
        leads = np.arange(len(self._keys), dtype=np.int64)
        for several in self._aliases.values():
            self._count("ids", "an id that is said to be several others", len(several) > 1)
        for old in self._aliases:
            leads[old] = self._led(old)
        standing = np.flatnonzero(leads == np.arange(len(leads)))
        order = sorted(standing.tolist(), key=lambda number: (names[self._keys[number][0]], self._keys[number][1]))
        final = np.zeros(len(leads), np.int32 if len(leads) < 2**31 else np.int64)
        final[np.array(order, np.int64)] = np.arange(len(order))
        rank = final[leads]
        for old in self._aliases:
            new = int(leads[old])
            self._also(new, (self._keys[old][1],))
            self._also(new, (*(self._named[old][1:] if old in self._named else ()), *self._synonyms.get(old, ())))
        rows = [self._row(number, names) for number in order]
        kinds = sorted({row.type for row in rows})
        counts = Counter(row.type for row in rows)
        return rank, rows, np.cumsum([0, *(counts[kind] for kind in kinds)]), kinds

    def _led(self, old: int) -> int:
        """Where an id leads in the end; of those in a circle the first by (type, id) stands."""
        names = list(self._types)

        def key(number: int) -> tuple[str, str]:
            code, ident = self._keys[number]
            return names[code], ident

        seen = [old]
        while found := self._aliases.get(seen[-1]):
            new = min(found, key=key)
            if new in seen:
                return min(seen[seen.index(new) :], key=key)
            seen.append(new)
        return seen[-1]

    def _row(self, number: int, names: Sequence[str]) -> NodeRow:
        code, ident = self._keys[number]
        source, name = self._named.get(number, (-1, ""))
        synonyms = tuple(sorted(text for text in self._synonyms.get(number, ()) if text != name))
        return NodeRow(names[code], ident, name, synonyms, source)

    def _stated(self, rank: Ints, sources: Ints) -> Statements:
        """Every statement, in final numbers; what was handed over is let go of."""
        singles = [np.array(column, np.int64) for column in self._single]
        self._single = ([], [], [], [])
        total = len(singles[0]) + sum(len(batch[0]) for batch in self._batches)
        heads, tails = np.empty(total, rank.dtype), np.empty(total, rank.dtype)
        relations = np.empty(total, np.uint8 if len(self._relations) < 256 else np.int32)
        stating = np.empty(total, sources.dtype)
        end = len(singles[0])
        heads[:end], relations[:end], tails[:end] = rank[singles[0]], singles[1], rank[singles[2]]
        stating[:end] = sources[singles[3]]
        for batch in reversed(self._batches):
            begin, end = end, end + len(batch[0])
            heads[begin:end], relations[begin:end], tails[begin:end] = rank[batch[0]], batch[1], rank[batch[2]]
            stating[begin:end] = sources[batch[3][0]]
        self._batches = []
        return Statements(heads, relations, tails, stating)


def placed(
    columns: Columns, relations: Sequence[Relation], said: Sequence[tuple[tuple[int, int, int, int], dict[str, Any]]]
) -> list[tuple[int, dict[str, Any]]]:
    """Where statements with something beside them stand.

    Args:
        columns: the graph.
        relations: what the statements count in.
        said: (head, relation, tail, source) in final numbers, and what is said.

    Returns:
        (position of the entry along the relation, what is said), in order.
    """
    if not said:
        return []
    arcs = {arc: code for code, arc in enumerate(columns.arcs)}
    ways = [Arc(r.name, "out" if r.directed else "both", r.negated) for r in relations]
    code_of = np.array([arcs.get(way, -1) for way in ways])
    undirected = np.array([not relation.directed for relation in relations], bool)
    heads, relation, tails, sources = np.array([key for key, _ in said], np.int64).T
    turn = undirected[relation] & (heads > tails)
    heads, tails = np.where(turn, tails, heads), np.where(turn, heads, tails)
    table = np.full((len(columns.types), len(columns.arcs) + 1), -1, np.int64)
    table[columns.pairs[:, 0], columns.pairs[:, 1]] = np.arange(len(columns.pairs))
    kinds = table[columns.node_types[tails], code_of[relation]]
    at = columns.find(heads, kinds, tails, sources)
    found = [(int(place), told) for place, (_, told) in zip(at, said, strict=True) if place >= 0]
    return sorted(found, key=lambda one: (one[0], sorted((key, str(value)) for key, value in one[1].items())))
