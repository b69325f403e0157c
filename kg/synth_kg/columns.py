"""The topology of a typed graph as columns: what walks, paths and neighbourhoods run over.

Nodes are numbered by (type, id), so that the nodes of a type are a range. Every statement is
listed at both its ends, as an *entry*: the neighbour, and the *arc* by which it is reached
(relation, direction, negation). Entries are ordered by (node, type of the neighbour, arc,
neighbour, source), and those of one node that share type and arc are a *group*; only groups that
are there are listed, so the table grows with the edges and never with nodes x relations.

    first        n + 1   first group of each node
    kinds        g       (type of the neighbour, arc) of each group, as an index into `Columns.pairs`
    starts       g + 1   first entry of each group
    neighbours   m       node at the other end of each entry
    sources      m       which source states it; empty where there is only one

The order depends on what is stated alone, not on the order of files or lines, so the same
statements give the same columns, and the same walks, everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
"""An array of integers of any width."""
SMALL = 2**31
"""Counts below this are held in 32 bits."""
_BITS = 63


class Relation(NamedTuple):
    """What a source calls a relation."""

    name: str
    directed: bool = True
    """Whether it means something else the other way round; if not, head and tail are put in order."""
    negated: bool = False
    """Whether it states that the relation does not hold."""


class Arc(NamedTuple):
    """A way to go along a relation."""

    relation: str
    way: Literal["out", "in", "both"] = "out"
    """From head to tail, from tail to head, or along one that has neither."""
    negated: bool = False

    def __str__(self) -> str:
        """As `is_a`, `is_a^-1` or `not has_symptom`.

        >>> str(Arc("is_a", "in"))
        'is_a^-1'
        """
        return f"{'not ' if self.negated else ''}{self.relation}{'^-1' if self.way == 'in' else ''}"


class Statements(NamedTuple):
    """Edges as they were read: parallel arrays over nodes numbered by (type, id)."""

    heads: Ints
    relations: Ints
    """Index into a list of `Relation`."""
    tails: Ints
    sources: Ints


@dataclass(frozen=True)
class Columns:
    """See the module's text."""

    types: tuple[str, ...]
    """In order; the nodes of `types[t]` are `offsets[t]` to `offsets[t + 1]`."""
    arcs: tuple[Arc, ...]
    pairs: Ints
    """(number of pairs, 2): type code and arc code."""
    offsets: Ints
    first: Ints
    kinds: Ints
    starts: Ints
    neighbours: Ints
    sources: Ints

    ARRAYS = ("pairs", "offsets", "first", "kinds", "starts", "neighbours", "sources")

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.first) - 1

    @property
    def entries(self) -> int:
        """How many entries there are: every statement counts at both its ends."""
        return len(self.neighbours)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, name).nbytes for name in self.ARRAYS)

    @cached_property
    def pointers(self) -> Ints:
        """First entry of each node, and the end: (n + 1)."""
        found: Ints = np.asarray(self.starts)[np.asarray(self.first)]
        return found

    @cached_property
    def degrees(self) -> Ints:
        """Entries of each node: (n,)."""
        return np.diff(self.pointers)

    def type_of(self, node: int) -> int:
        """The type code of a node."""
        return int(np.searchsorted(self.offsets, node, side="right")) - 1

    @cached_property
    def node_types(self) -> Ints:
        """The type code of every node: (n,)."""
        return np.repeat(np.arange(len(self.types), dtype=_width(len(self.types))), np.diff(self.offsets))

    def groups_of(self, node: int) -> Iterable[tuple[int, Arc, slice]]:
        """The groups of a node: type code of the neighbours, arc, and where the entries are."""
        for group in range(int(self.first[node]), int(self.first[node + 1])):
            kind, arc = self.pairs[self.kinds[group]]
            yield int(kind), self.arcs[arc], slice(int(self.starts[group]), int(self.starts[group + 1]))

    def find(self, nodes: Ints, kinds: Ints, neighbours: Ints, sources: Ints) -> Ints:
        """Positions of entries by node, index into `pairs`, neighbour and source; -1 where there is none."""
        if not self.entries:
            return np.full(len(nodes), -1, np.int64)
        sizes = (self.nodes, len(self.pairs), self.nodes, int(max(self.sources.max(initial=0), sources.max())) + 1)
        known: Ints = np.empty(self.entries, np.int64)
        stating = self.sources if len(self.sources) else np.zeros(1, np.uint8)
        at = np.repeat(np.arange(self.nodes), self.degrees)
        _pack(known, (at, np.repeat(np.asarray(self.kinds), np.diff(self.starts)), self.neighbours, stating), sizes)
        wanted: Ints = np.empty(len(nodes), np.int64)
        _pack(wanted, (nodes, np.maximum(kinds, 0), neighbours, sources), sizes)
        place = np.minimum(np.searchsorted(known, wanted), max(0, self.entries - 1))
        return np.where((known[place] == wanted) & (kinds >= 0), place, -1)

    @cached_property
    def counts(self) -> dict[tuple[str, Arc, str], int]:
        """Statements by (type of the head, arc, type of the tail); an undirected one counts once."""
        found: Counter[tuple[str, Arc, str]] = Counter()
        sizes = np.diff(self.starts)
        group_types = np.repeat(self.node_types, np.diff(self.first))
        table = np.zeros((len(self.types), len(self.pairs)), np.int64)
        np.add.at(table, (group_types, self.kinds), sizes)
        for head, row in enumerate(table):
            for (tail, code), count in zip(self.pairs, row, strict=True):
                arc = self.arcs[code]
                if count and arc.way != "in":
                    ends = (self.types[head], self.types[tail])
                    found[(min(ends), arc, max(ends)) if arc.way == "both" else (ends[0], arc, ends[1])] += int(count)
        return {kind: n // 2 if kind[1].way == "both" else n for kind, n in found.items()}

    @property
    def statements(self) -> int:
        """How many statements there are."""
        return sum(self.counts.values())


def _width(most: int) -> type[np.signedinteger[Any]] | type[np.unsignedinteger[Any]]:
    """The narrowest type for the numbers 0 to `most`, of those that kernels are made for."""
    return np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.int32 if most < SMALL else np.int64


def assemble(types: Sequence[str], offsets: Ints, relations: Sequence[Relation], stated: Statements) -> Columns:
    """Put statements in order, each once, and list them at both their ends.

    Args:
        types: names of the node types, in order.
        offsets: (types + 1) first node of each type, and the number of nodes.
        relations: what `stated.relations` counts in.
        stated: heads, relations, tails and sources, of equal length; an undirected relation may be
            listed either way or both.

    Returns:
        The columns; what a source states twice counts once, and what relates a node to itself not at all.

    Raises:
        ValueError: there are more nodes, relations and sources than a key of 63 bits holds.
    """
    offsets = np.asarray(offsets, np.int64)
    n, sources = int(offsets[-1]), int(stated.sources.max(initial=0)) + 1
    heads, codes, tails, stating = _unpacked(_once(n, relations, stated, sources), (n, len(relations), n, sources))
    arcs, along, against = _arcs(relations)
    node_types = np.repeat(np.arange(len(types), dtype=np.int32) * len(arcs), np.diff(offsets))
    ways = node_types[tails] + along[codes], node_types[heads] + against[codes]
    present = np.zeros(
        max(1, len(types) * len(arcs)), bool
    )  # of all pairs few are there, and a key has not room for all
    for way in ways:
        present[way] = True
    number = np.cumsum(present, dtype=np.int32) - 1
    sizes = (n, max(1, int(present.sum())), n, sources)
    key = np.empty(2 * len(heads), np.int64)
    _pack(key[: len(heads)], (heads, number[ways[0]], tails, stating), sizes)
    _pack(key[len(heads) :], (tails, number[ways[1]], heads, stating), sizes)
    del heads, codes, tails, stating, ways
    key.sort()
    pairs = np.stack(np.divmod(np.flatnonzero(present), max(1, len(arcs))), axis=1).astype(np.int32)
    return _columns(tuple(types), arcs, pairs, offsets, key, sizes)


def _once(n: int, relations: Sequence[Relation], stated: Statements, sources: int) -> Ints:
    """Statements packed and in order, each once."""
    undirected = np.array([not relation.directed for relation in relations], bool)
    heads, tails = stated.heads, stated.tails
    if undirected.any():
        turn = undirected[stated.relations] & (heads > tails)
        heads, tails = np.where(turn, tails, heads), np.where(turn, heads, tails)
    key: Ints = np.empty(len(heads), np.int64)
    _pack(key, (heads, stated.relations, tails, stated.sources), (n, len(relations), n, sources))
    key = key[heads != tails]
    key.sort()
    fresh = np.ones(len(key), bool)
    np.not_equal(key[1:], key[:-1], out=fresh[1:])
    return key if fresh.all() else key[fresh]


def _arcs(relations: Sequence[Relation]) -> tuple[tuple[Arc, ...], Ints, Ints]:
    """The arcs in order, and for each relation that along it and that against it."""
    ways = [
        (Arc(r.name, "out", r.negated), Arc(r.name, "in", r.negated))
        if r.directed
        else (Arc(r.name, "both", r.negated),) * 2
        for r in relations
    ]
    arcs = tuple(sorted({arc for pair in ways for arc in pair}))
    number = {arc: code for code, arc in enumerate(arcs)}
    along, against = (np.array([number[pair[end]] for pair in ways], _width(len(arcs))) for end in (0, 1))
    return arcs, along, against


def _bits(sizes: Sequence[int]) -> list[int]:
    """Bits for numbers below each size.

    Raises:
        ValueError: they are more than a key has.
    """
    bits = [max(1, (size - 1).bit_length()) for size in sizes]
    if sum(bits) > _BITS:
        raise ValueError(f"too large a graph: a statement takes {sum(bits)} bits, and a key has {_BITS}")
    return bits


def _pack(key: Ints, columns: Sequence[Ints], sizes: Sequence[int]) -> None:
    """Write several columns as one of 64 bits that sorts as they do."""
    bits = _bits(sizes)
    key[:] = columns[0]
    for column, width in zip(columns[1:], bits[1:], strict=True):
        key <<= width
        key |= column


def _unpacked(key: Ints, sizes: Sequence[int]) -> list[Ints]:
    """The columns that `_pack` made one of; `key` is used up."""
    found = []
    for size, width in zip(reversed(sizes), reversed(_bits(sizes)), strict=True):
        found.append((key & (1 << width) - 1).astype(_width(size)))
        key >>= width
    return found[::-1]


def _columns(
    types: tuple[str, ...], arcs: tuple[Arc, ...], pairs: Ints, offsets: Ints, key: Ints, sizes: Sequence[int]
) -> Columns:
    """The columns of packed entries in order; `key` is used up."""
    n, _, _, sources = sizes
    _, pair_bits, neighbour_bits, source_bits = _bits(sizes)
    stating = (key & (1 << source_bits) - 1).astype(_width(sources)) if sources > 1 else np.zeros(0, np.uint8)
    key >>= source_bits
    neighbours = (key & (1 << neighbour_bits) - 1).astype(np.int32 if n < SMALL else np.int64)
    key >>= neighbour_bits
    fresh = np.ones(len(key), bool)
    np.not_equal(key[1:], key[:-1], out=fresh[1:])
    begins = np.flatnonzero(fresh)
    grouped = key[begins]
    kinds = grouped & (1 << pair_bits) - 1
    first = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(grouped >> pair_bits, minlength=n), out=first[1:])
    return Columns(
        types, arcs, pairs, offsets,
        first.astype(np.int32 if len(begins) < SMALL else np.int64), kinds.astype(_width(len(pairs))),
        np.append(begins, len(key)).astype(np.int32 if len(key) < SMALL else np.int64), neighbours, stating,
    )  # fmt: skip
