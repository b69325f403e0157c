"""Who is next to whom, each neighbour once however many statements join the two: what paths run over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synth_kg.columns import Arc, Columns, Ints
from synth_kg.hops import ranges

_HALF = 32


class Adjacency(NamedTuple):
    """Neighbours of each node."""

    pointers: Ints
    """(n + 1) where the neighbours of each node begin."""
    targets: Ints
    """Neighbours, each once for a node, in the order of its entries."""

    @property
    def degrees(self) -> Ints:
        """(n,) how many neighbours each node has."""
        return np.diff(self.pointers)


def adjacency(columns: Columns, wanted: Ints) -> Adjacency:
    """The neighbours of every node.

    Args:
        columns: the graph.
        wanted: (pairs,) whether to go along each of `columns.pairs`.
    """
    chosen = np.asarray(wanted)[columns.kinds]
    at_groups = np.repeat(np.arange(columns.nodes, dtype=np.int64), np.diff(columns.first))[chosen]
    begins, sizes = np.asarray(columns.starts)[:-1][chosen], np.diff(columns.starts)[chosen]
    neighbours = np.asarray(columns.neighbours)
    targets = neighbours if chosen.all() else neighbours[ranges(begins, sizes)]
    nodes = np.repeat(at_groups.astype(np.int32 if columns.nodes < 2**31 else np.int64), sizes)
    fresh = np.ones(len(targets), bool)
    fresh[1:] = (targets[1:] != targets[:-1]) | (nodes[1:] != nodes[:-1])
    # neighbours of one type that are reached by several arcs may be the same
    kinds = at_groups * len(columns.types) + columns.pairs[np.asarray(columns.kinds)[chosen], 0]
    along = kinds[1:] == kinds[:-1]
    shared = np.zeros(len(kinds), bool)
    shared[1:] |= along
    shared[:-1] |= along
    several = np.flatnonzero(np.repeat(shared, sizes))
    _, first = np.unique(nodes[several].astype(np.int64) << _HALF | targets[several], return_index=True)
    once = np.zeros(len(several), bool)
    once[first] = True
    fresh[several] &= once
    return _of(nodes, targets, fresh, columns.nodes)


def without(found: Adjacency, closed: Ints) -> Adjacency:
    """The same, less the neighbours that are `closed` (n,)."""
    nodes = np.repeat(np.arange(len(closed)), found.degrees)
    return _of(nodes, found.targets, ~closed[found.targets], len(closed))


def _of(nodes: Ints, targets: Ints, kept: Ints, n: int) -> Adjacency:
    pointers = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(nodes[kept], minlength=n), out=pointers[1:])
    width = np.int32 if pointers[-1] < 2**31 else np.int64
    return Adjacency(pointers.astype(width), targets if kept.all() else targets[kept])


def turned(columns: Columns, wanted: Ints) -> Ints:
    """(pairs,) the arcs that go back along those of the pairs `wanted` (pairs,), whatever the type that they reach."""
    backs = [columns.arcs.index(inverse(columns.arcs[code])) for code in np.unique(columns.pairs[wanted, 1])]
    found: Ints = np.isin(columns.pairs[:, 1], backs)
    return found


def inverse(arc: Arc) -> Arc:
    """The arc that goes back along the same statements."""
    return arc if arc.way == "both" else arc._replace(way="in" if arc.way == "out" else "out")
