"""Hops: the steps of a walk, ready to be drawn from.

A hop is the adjacency of one step alone: of the nodes that a walk may be at, the entries that it
may take, and how likely each is. Whatever a walk is asked for comes down to this before the first
one is drawn: types and relations choose the entries, pruning drops those from which the walk could not be ended,
weights decide between them. So all walkers are one loop.

Weights are whole numbers, so that every backend draws the same entry: of a total T, the entry at
which the running sum passes floor(r T / 2^64), for a 64-bit random r.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from synth_kg.columns import Columns, Ints

MOST = 2**62
"""Totals of weights stay below it."""
_SCALE = 2**32
_TOO_MANY = "too many instances of this metapath to be counted in 62 bits: make it shorter or narrower"


class HopPattern(NamedTuple):
    """One step of a metapath."""

    arcs: frozenset[str] = frozenset()
    """Names as `str(arc)`: `treats`, `treats^-1`, `not has_symptom`; none stands for all that are not negated."""
    types: frozenset[str] = frozenset()
    """Types of the node that is reached; none stands for all."""


class Hop(NamedTuple):
    """What may be taken in one step."""

    base: int
    """The first node that `pointers` counts."""
    pointers: Ints
    """(nodes + 1) where the entries of each node begin."""
    targets: Ints
    """(entries) the node at the other end."""
    sums: Ints
    """(entries) running sums of the weights within each node, uint64; empty where all weigh the same."""


def entries_of(columns: Columns, pattern: HopPattern, sources: Ints) -> tuple[Ints, Ints | slice]:
    """The entries of a step.

    Args:
        columns: the graph.
        pattern: which arcs and types.
        sources: (n,) whether a walk may be at each node.

    Returns:
        (nodes + 1) pointers, and the positions of the entries in `columns.neighbours`.
    """
    wanted = allowed(columns, pattern)
    if wanted.all() and sources.all():
        return columns.pointers, slice(None)
    chosen = wanted[columns.kinds]
    nodes = np.repeat(np.arange(columns.nodes), np.diff(columns.first))
    chosen &= sources[nodes]
    begins = np.asarray(columns.starts)[:-1][chosen]
    sizes = np.diff(columns.starts)[chosen]
    counts = np.bincount(nodes[chosen], weights=sizes, minlength=columns.nodes).astype(np.int64)
    return _summed(counts), ranges(begins, sizes)


def allowed(columns: Columns, pattern: HopPattern) -> Ints:
    """(pairs,) whether a step may go along each pair of type and arc.

    Raises:
        ValueError: the graph has no such type, or no such arc.
    """
    names = [str(arc) for arc in columns.arcs]
    for name in pattern.arcs:
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is a relation of this graph and the denial of another: it cannot be asked for")
    for what, asked, known in (("relation", pattern.arcs, names), ("node type", pattern.types, columns.types)):
        if strange := sorted(asked - set(known)):
            raise ValueError(f"no {what} '{strange[0]}' in this graph; it has {', '.join(sorted(known))}")
    types = np.array([not pattern.types or name in pattern.types for name in columns.types], bool)
    ways = np.array(
        [str(arc) in pattern.arcs if pattern.arcs else not arc.negated for arc in columns.arcs], bool
    )  # fmt: skip
    found: Ints = types[columns.pairs[:, 0]] & ways[columns.pairs[:, 1]]
    return found


def ranges(begins: Ints, sizes: Ints) -> Ints:
    """The numbers of many ranges, one after the other.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    found = np.arange(total, dtype=np.int64)
    found += np.repeat(np.asarray(begins, np.int64) - (ends - sizes), sizes)
    return found


def plan(
    columns: Columns,
    patterns: Sequence[HopPattern],
    starts: Ints,
    *,
    weights: Ints | None = None,
    exact: bool = False,
    prune: bool = True,
) -> tuple[list[Hop], Ints]:
    """The hops of a metapath.

    Args:
        columns: the graph.
        patterns: one for each step.
        starts: (n,) whether a walk may begin at each node.
        weights: (n,) weight of each node as a target, whole numbers of at least 1; None: all alike.
        exact: weigh each entry by the number of ways to end the walk from it instead, so that with starts drawn
            by `ways` every instance of the metapath is as likely as any other.
        prune: leave out entries from which the walk cannot be ended, so that none dies.

    Returns:
        The hops, and (n,) in how many ways a walk can be ended from each start: counted if `exact`, else 0 or 1.

    Raises:
        ValueError: an unknown relation or type, or counts beyond 2^62.
    """
    reached = [np.asarray(starts, bool)]
    found: list[tuple[Ints, Ints]] = []
    for pattern in patterns:
        pointers, at = entries_of(columns, pattern, reached[-1])
        whole = isinstance(at, slice)
        found.append((pointers, columns.neighbours if whole else np.asarray(columns.neighbours)[at]))
        here = np.zeros(columns.nodes, bool)
        here[found[-1][1]] = True
        reached.append(here)
    ways: Ints = np.ones(columns.nodes, np.int64)
    hops: list[Hop] = []
    made: dict[tuple[int, int], Hop] = {}
    """Steps whose adjacency is the same array, and whose weights are the nodes' own."""
    for pointers, targets in reversed(found):
        if (prune or exact) and not ways.all():
            pointers, targets = _kept(pointers, targets, ways[targets] > 0)  # noqa: PLW2901
        told = ways if exact else weights
        same = (id(pointers), id(targets))
        hops.append(_hop(pointers, targets, told) if exact or same not in made else made[same])
        made[same] = hops[-1]
        ways = _counted(pointers, ways[targets]) if exact else (np.diff(pointers) > 0).astype(np.int64)
    ways[~reached[0]] = 0
    return hops[::-1], ways


def _kept(pointers: Ints, targets: Ints, good: Ints) -> tuple[Ints, Ints]:
    if good.all():
        return pointers, targets
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(good, dtype=np.int64)])
    return before[pointers], targets[good]


def _counted(pointers: Ints, ways: Ints) -> Ints:
    """The sum of the ways of each node's entries.

    Raises:
        ValueError: it would not fit.
    """
    rough = np.concatenate([np.zeros(1), np.cumsum(ways, dtype=np.float64)])
    if np.diff(rough[pointers]).max(initial=0.0) >= MOST / 2 or rough[-1] >= 2.0**63:
        raise ValueError(_TOO_MANY)
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(ways, dtype=np.int64)])
    return np.diff(sums[pointers])


def _hop(pointers: Ints, targets: Ints, weights: Ints | None) -> Hop:
    """A hop over the nodes that have entries."""
    there = np.flatnonzero(np.diff(pointers))
    base, end = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)
    pointers = pointers[base : end + 1]
    width = np.int32 if pointers[-1] < 2**31 else np.int64
    if weights is None:
        return Hop(base, pointers.astype(width), targets, np.zeros(0, np.uint64))
    weighed = weights[targets].astype(np.int64)
    if weighed.sum(dtype=np.float64) >= MOST:
        raise ValueError(_TOO_MANY)
    running = np.cumsum(weighed)
    sizes = np.diff(pointers)
    before = np.repeat((running - weighed)[pointers[:-1][sizes > 0]], sizes[sizes > 0])
    return Hop(base, pointers.astype(width), targets, (running - before).astype(np.uint64))


def _summed(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def long_tail(degrees: Ints, exponent: float = 1.0) -> Ints:
    """Weights that favour nodes of which little is said: 2^32 / degree^exponent, rounded, at least 1."""
    weighed = np.round(_SCALE / np.maximum(degrees, 1).astype(np.float64) ** exponent)
    return np.maximum(weighed, 1).astype(np.int64)


def hub_damped(degrees: Ints, most: int) -> Ints:
    """Weights that are even up to a degree and fall off beyond it: 2^32 x min(1, most / degree), at least 1."""
    found: Ints = np.maximum(_SCALE * most // np.maximum(degrees.astype(np.int64), most), 1)
    return found
