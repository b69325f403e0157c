"""Subgraphs of a given shape round an anchor: a path, a star, a fork, a triangle, any small connected pattern.

    sampler = ShapeSampler(columns, {SHAPES["path4"]: 3, SHAPES["triangle"]: 1}, seed=7)
    found = sampler.draw(1000)               # 750 paths and 250 triangles, and how often each was found

An attempt draws an anchor for the first node of the pattern and then one node after the other from the
neighbours of those that are there; it fails where an edge does not close. So what is found is right, but
not every instance is as likely: those round nodes of low degree are likelier. An attempt is a function
of (graph, shape, anchors, random seed, number of the attempt), and of each shape the first attempts that succeed are
taken, so neither the number asked for nor the other shapes change them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from synth_kg.adjacency import turned
from synth_kg.columns import Columns, Ints
from synth_kg.hops import HopPattern, allowed
from synth_kg.random_numpy import U64, high, philox

PURPOSE = 0x73 << 24
"""What tells these random numbers from those of walks; the lower bits count what is drawn in an attempt."""
PATIENCE = 100_000
"""Attempts in a row that find nothing, after which a shape is given up."""
_BATCH = 1 << 14
_LEAST = 256
_HALF = np.uint64(32)


class ShapeEdge(NamedTuple):
    """An edge of a shape."""

    head: int
    tail: int
    """Positions in `Shape.nodes`."""
    arcs: frozenset[str] = frozenset()
    """Names as `str(arc)`, from head to tail; none stands for all that are not negated."""


class Shape(NamedTuple):
    """A connected pattern."""

    name: str
    nodes: tuple[frozenset[str], ...]
    """Types of each node; none stands for all. The first is the anchor."""
    edges: tuple[ShapeEdge, ...]
    induced: bool = False
    """Whether nodes that it does not join must not be joined, by any arc that is not negated."""


def shape(name: str, edges: Iterable[tuple[int, int]], *, induced: bool = False) -> Shape:
    """A shape whose nodes and edges may be of any kind.

    >>> len(shape("triangle", [(0, 1), (1, 2), (2, 0)]).nodes)
    3
    """
    joined = tuple(ShapeEdge(head, tail) for head, tail in edges)
    return Shape(name, (frozenset(),) * (1 + max(max(edge.head, edge.tail) for edge in joined)), joined, induced)


_TREES = {
    "path3": [(0, 1), (1, 2)],
    "path4": [(0, 1), (1, 2), (2, 3)],
    "path5": [(0, 1), (1, 2), (2, 3), (3, 4)],
    "star3": [(0, 1), (0, 2), (0, 3)],
    "star4": [(0, 1), (0, 2), (0, 3), (0, 4)],
    "fork": [(0, 1), (1, 2), (2, 3), (2, 4)],
    "triangle": [(0, 1), (1, 2), (0, 2)],
}
_GRAPHLETS = {
    "cycle4": [(0, 1), (1, 2), (2, 3), (0, 3)],
    "diamond": [(0, 1), (1, 2), (2, 3), (0, 3), (0, 2)],
    "tailed_triangle": [(0, 1), (1, 2), (2, 3), (1, 3)],
    "clique4": [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
    "cycle5": [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)],
    "bull": [(0, 1), (1, 2), (2, 3), (3, 4), (1, 3)],
    "butterfly": [(0, 1), (1, 2), (0, 2), (0, 3), (3, 4), (0, 4)],
    "house": [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 4)],
    "clique5": [(a, b) for a in range(5) for b in range(a + 1, 5)],
}
SHAPES: Mapping[str, Shape] = {
    **{name: shape(name, edges) for name, edges in _TREES.items()},
    **{name: shape(name, edges, induced=True) for name, edges in _GRAPHLETS.items()},
}
"""Shapes by name. Those that are told by what they lack, as a 4-cycle from a diamond, are induced."""


class Rate(NamedTuple):
    """How often a shape was found."""

    attempts: int
    found: int
    """Of these attempts."""
    given_up: bool = False
    """Whether it was found too seldom, so that others stand in for the rest of it."""


class Found(NamedTuple):
    """Subgraphs, ordered by shape."""

    shapes: Ints
    """(n,) index of the shape of each, in the order of the mixture."""
    nodes: Ints
    """(n, nodes) node for each of the shape's, int32; -1 beyond the last."""
    entries: Ints
    """(n, edges) for each of the shape's edges a statement, as position in `Columns.neighbours`, int64; -1 beyond."""
    rates: dict[str, Rate]


class ShapeSampler:
    """Draws subgraphs.

    Args:
        columns: the graph.
        mixture: shapes, and how much of each.
        anchors: nodes to draw the first node of a shape from; None: all.
        seed: random seed, 64 bits.

    Raises:
        ValueError: a shape that is not connected, has a loop or an unknown type or arc, or two of one name; weights
            that are not above 0.
    """

    def __init__(
        self, columns: Columns, mixture: Mapping[Shape, float], *, anchors: Ints | None = None, seed: int = 0
    ) -> None:
        if not mixture or min(mixture.values()) <= 0:
            raise ValueError("a mixture has shapes, and each a weight above 0")
        if len({shape.name for shape in mixture}) < len(mixture):
            raise ValueError("two shapes of one name")
        made: dict[bytes, Ints] = {}
        self._plans = [_Plan(columns, shape, anchors, seed & 0xFFFFFFFFFFFFFFFF, made) for shape in mixture]
        self._weights = [float(weight) for weight in mixture.values()]

    def draw(self, n: int) -> Found:
        """Draw `n` subgraphs, of each shape its part.

        Each shape is tried as often as its rate asks for. One that is not found in `PATIENCE` attempts in a row is
        given up: what is missing of it is shared by the others, and if none is left fewer than `n` are returned.
        """
        drawn = [_Drawn(plan) for plan in self._plans]
        while True:
            living = [i for i, one in enumerate(drawn) if not one.given_up]
            left = n - sum(one.found for one in drawn if one.given_up)
            for i, quota in zip(living, parts(left, [self._weights[i] for i in living]), strict=True):
                drawn[i].fill(quota)
            if not any(drawn[i].given_up for i in living):
                break
        width = max(len(plan.shape.nodes) for plan in self._plans), max(len(plan.shape.edges) for plan in self._plans)
        total = sum(one.found for one in drawn)
        found = Found(
            np.repeat(np.arange(len(drawn)), [one.found for one in drawn]),
            np.full((total, width[0]), -1, np.int32), np.full((total, width[1]), -1, np.int64),
            {one.plan.shape.name: one.rate for one in drawn},
        )  # fmt: skip
        begin = 0
        for one in drawn:
            nodes, entries = one.result()
            found.nodes[begin : begin + len(nodes), : nodes.shape[1]] = nodes
            found.entries[begin : begin + len(nodes), : entries.shape[1]] = entries
            begin += len(nodes)
        return found


def parts(n: int, weights: list[float]) -> list[int]:
    """Share out a number by weights: each rounded down, and the rest to those that lost most by it.

    >>> parts(10, [3, 1])
    [8, 2]
    """
    if not weights:
        return []
    shares = [n * weight / sum(weights) for weight in weights]
    found = [int(share) for share in shares]
    order = sorted(range(len(weights)), key=lambda i: (found[i] - shares[i], i))
    for i in order[: n - sum(found)]:
        found[i] += 1
    return found


class _Drawn:
    """What has been found of a shape."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.tried = self.found = 0
        self.given_up = False
        self._last = 0
        """Attempts up to and with the last that was taken."""
        self._ids: Ints = np.zeros(0, np.int64)
        """Attempts that succeeded, of those tried."""
        self._nodes: list[Ints] = []

    def fill(self, quota: int) -> None:
        """Try until so many are found, or too many attempts fail in a row."""
        while True:
            runs = np.diff(self._ids, prepend=-1, append=self.tried)
            long = np.flatnonzero(runs[:quota] > PATIENCE)
            if len(long):
                self.given_up = True
                self.found = int(long[0])
                self._last = int(self._ids[self.found - 1] + 1 if self.found else 0) + PATIENCE
                return
            if len(self._ids) >= quota:
                self.found = quota
                self._last = int(self._ids[quota - 1]) + 1 if quota else 0
                return
            rate = (len(self._ids) + 1) / (self.tried + 1)
            size = int(min(_BATCH, max(_LEAST, 1.2 * (quota - len(self._ids)) / rate)))
            nodes, good = self.plan.attempts(self.tried, size)
            self._ids = np.concatenate([self._ids, self.tried + np.flatnonzero(good)])
            self._nodes.append(nodes[good])
            self.tried += size

    @property
    def rate(self) -> Rate:
        return Rate(self._last, self.found, self.given_up)

    def result(self) -> tuple[Ints, Ints]:
        """Nodes and entries of those that were taken."""
        none = np.zeros((0, len(self.plan.shape.nodes)), np.int64)
        nodes = np.concatenate([none, *self._nodes])[: self.found]
        return nodes, self.plan.entries(nodes, self._ids[: self.found])


class _Plan:
    """How a shape is drawn; `made` holds the running numbers of entries that other shapes needed too."""

    def __init__(
        self, columns: Columns, shape: Shape, anchors: Ints | None, seed: int, made: dict[bytes, Ints]
    ) -> None:
        _check(shape)
        self.columns, self.shape, self.seed = columns, shape, seed
        told = [shape.name, *(sorted(types) for types in shape.nodes), *((a, b, sorted(c)) for a, b, c in shape.edges)]
        self.tag = int.from_bytes(hashlib.blake2b(repr(told).encode(), digest_size=4).digest(), "big")
        """What tells the attempts of this shape from those of others."""
        self.ways: dict[tuple[int, int, int], Ints] = {}
        """(node, node, edge) -> (pairs,) whether the edge may go along each of `columns.pairs`, from the one."""
        for number, (head, tail, arcs) in enumerate(shape.edges):
            wanted = allowed(columns, HopPattern(arcs))
            self.ways[head, tail, number] = wanted & self._reaching(tail)
            self.ways[tail, head, number] = turned(columns, wanted) & self._reaching(head)
        self.any = allowed(columns, HopPattern())
        for wanted in self.ways.values():
            if wanted.tobytes() not in made:
                made[wanted.tobytes()] = self._running(wanted)
        self.sums = {key: made[wanted.tobytes()] for key, wanted in self.ways.items()}
        if anchors is not None and len(anchors) and (min(anchors) < 0 or max(anchors) >= columns.nodes):
            raise ValueError(f"anchors that are no nodes: there are {columns.nodes}")
        may = np.zeros(columns.nodes, bool)
        may[slice(None) if anchors is None else anchors] = True
        if shape.nodes[0]:
            may &= np.isin(columns.node_types, [columns.types.index(name) for name in shape.nodes[0]])
        for (node, _, _), sums in self.sums.items():
            if node == 0:
                may &= np.diff(sums[columns.first]) > 0
        self.anchors = np.flatnonzero(may)
        self.order = _order(shape)

    def _reaching(self, node: int) -> Ints:
        return allowed(
            self.columns, HopPattern(frozenset(str(arc) for arc in self.columns.arcs), self.shape.nodes[node])
        )

    def _running(self, wanted: Ints) -> Ints:
        """(groups + 1) running number of entries in groups that are wanted."""
        sizes = np.where(wanted[self.columns.kinds], np.diff(self.columns.starts), 0)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])

    def _random(self, attempts: Ints, purpose: int) -> U64:
        ids = attempts.astype(np.uint64)
        c1 = np.full(len(ids), PURPOSE | purpose, np.uint64) ^ (ids >> _HALF)
        lanes = philox(self.seed, ids & np.uint64(0xFFFFFFFF), c1, self.tag, 0)
        return lanes[0] << _HALF | lanes[1]

    def attempts(self, first: int, n: int) -> tuple[Ints, Ints]:
        """Try `n` times: nodes (n, nodes), and (n,) whether each is an instance of the shape."""
        nodes = np.full((n, len(self.shape.nodes)), -1, np.int64)
        if not len(self.anchors):
            return nodes, np.zeros(n, bool)
        ids = np.arange(first, first + n)
        nodes[:, 0] = self.anchors[
            high(self._random(ids, 0), np.full(n, len(self.anchors), np.uint64)).astype(np.int64)
        ]
        live = np.arange(n)
        for step, new in enumerate(self.order[1:], 1):
            known = self.order[:step]
            joined = [key for key in self.ways if key[0] in known and key[1] == new]
            drawn, good = self._next(nodes[live], joined, self._random(ids[live], step))
            good &= (nodes[live] != drawn[:, None]).all(axis=1)
            live, drawn = live[good], drawn[good]
            for node, _, number in joined:
                good = self._count(nodes[live, node], drawn, self.ways[node, new, number]) > 0
                live, drawn = live[good], drawn[good]
            if self.shape.induced:
                for node in set(known) - {key[0] for key in joined}:
                    apart = self._count(nodes[live, node], drawn, self.any) == 0
                    live, drawn = live[apart], drawn[apart]
            nodes[live, new] = drawn
        whole = np.zeros(n, bool)
        whole[live] = True
        return nodes, whole

    def _next(self, nodes: Ints, joined: list[tuple[int, int, int]], random: U64) -> tuple[Ints, Ints]:
        """Draw a neighbour of the node that has fewest, of those that it is joined to, and whether there is any."""
        columns = self.columns
        lows = np.stack([self.sums[key][columns.first[nodes[:, key[0]]]] for key in joined])
        sizes = np.stack([self.sums[key][columns.first[nodes[:, key[0]] + 1]] for key in joined]) - lows
        fewest = sizes.argmin(axis=0)
        all_ = np.arange(len(nodes))
        wanted = lows[fewest, all_] + high(random, sizes[fewest, all_].astype(np.uint64)).astype(np.int64)
        good = sizes[fewest, all_] > 0
        drawn = np.full(len(nodes), -1, np.int64)
        for i, key in enumerate(joined):
            here = good & (fewest == i)
            groups = np.searchsorted(self.sums[key], wanted[here], side="right") - 1
            drawn[here] = columns.neighbours[columns.starts[groups] + wanted[here] - self.sums[key][groups]]
        return drawn, good

    def _count(self, nodes: Ints, targets: Ints, wanted: Ints) -> Ints:
        """(n,) how many entries of those wanted join nodes to targets."""
        found = np.zeros(len(nodes), np.int64)
        for low, end, at in self._spans(nodes, targets, wanted):
            found[at] += end - low
        return found

    def _spans(self, nodes: Ints, targets: Ints, wanted: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
        """The entries from nodes to targets: wanted pair by pair, first entry, end, and for which of the nodes."""
        columns = self.columns
        types = columns.node_types[targets]
        for kind in np.flatnonzero(wanted).tolist():
            at = np.flatnonzero(types == columns.pairs[kind, 0])
            if not len(at):
                continue
            groups = _lower(columns.kinds, columns.first[nodes[at]], columns.first[nodes[at] + 1], kind)
            here = groups < columns.first[nodes[at] + 1]
            here[here] = columns.kinds[groups[here]] == kind
            at, groups = at[here], groups[here]
            begins, ends = columns.starts[groups], columns.starts[groups + 1]
            low = _lower(columns.neighbours, begins, ends, targets[at])
            end = _lower(columns.neighbours, low, ends, targets[at] + 1)
            there = low < end
            yield low[there], end[there], at[there]

    def entries(self, nodes: Ints, attempts: Ints) -> Ints:
        """(n, edges) a statement for each edge, drawn evenly of those that are parallel."""
        found = np.full((len(nodes), len(self.shape.edges)), -1, np.int64)
        for number, (head, tail, _) in enumerate(self.shape.edges):
            ends = nodes[:, head], nodes[:, tail]
            wanted = self.ways[head, tail, number]
            many = self._count(*ends, wanted)
            random = self._random(attempts, len(self.shape.nodes) + number)
            left = high(random, many.astype(np.uint64)).astype(np.int64)
            for low, end, at in self._spans(*ends, wanted):
                here = (left[at] >= 0) & (left[at] < end - low)
                found[at[here], number] = (low + left[at])[here]
                left[at] -= end - low
        return found


def _lower(row: Ints, low: Ints, high: Ints, wanted: Ints | int) -> Ints:
    """For each range of `row`, which is in order there, the first place that is not below a number, or its end."""
    low, high = low.astype(np.int64), high.astype(np.int64)
    wanted = np.broadcast_to(np.asarray(wanted), low.shape)
    while (open_ := low < high).any():
        middle = (low + high) // 2
        below = open_.copy()
        below[open_] = row[middle[open_]] < wanted[open_]
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return low


def _check(shape: Shape) -> None:
    """Raises ValueError: it is not a connected pattern."""
    for head, tail, _ in shape.edges:
        if head == tail or not (0 <= head < len(shape.nodes) and 0 <= tail < len(shape.nodes)):
            raise ValueError(f"shape '{shape.name}': no edge from {head} to {tail}")
    if len(shape.nodes) < 2 or len(_order(shape)) < len(shape.nodes):
        raise ValueError(f"shape '{shape.name}' is not connected")


def _order(shape: Shape) -> list[int]:
    """The nodes of a shape, from the anchor on, each joined to one before, and to as many as can be."""
    found = [0]
    while True:
        joined = [b if a in found else a for a, b, _ in shape.edges if (a in found) != (b in found)]
        if not joined:
            return found
        found.append(max(sorted(set(joined)), key=joined.count))
