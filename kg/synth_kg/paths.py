"""Shortest paths between two nodes: how many there are, some of them drawn evenly, or just one.

    finder = PathFinder(columns, most_degree=2000, seed=7)
    found = finder.draw(diseases, drugs, 50)         # distances, numbers of paths, 50 paths of each pair
    found = finder.one(diseases, drugs)              # distances and a path of each pair

A path is a sequence of nodes, and counts once however many statements join two of them. Both ends
search towards each other, and the number of ways to reach each node is counted on the way, so a path
is drawn by its number: none is listed that is not asked for. A draw is a function of (graph, what is
asked for, random seed, pair id, number of the draw): neither batches, nor workers, nor the backend
change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np

from synth_kg import paths_numpy
from synth_kg.adjacency import Adjacency, adjacency, turned, without
from synth_kg.columns import Columns, Ints
from synth_kg.hops import HopPattern, allowed
from synth_kg.paths_numpy import LONGEST, Net, TooManyPaths

__all__ = ["Between", "Found", "PathFinder", "TooManyPaths"]
_BATCH = 1 << 12


class Found(NamedTuple):
    """Shortest paths of many pairs."""

    distances: Ints
    """(n,) steps from one end to the other; -1 where there is no path, or none so short."""
    ways: Ints
    """(n,) how many shortest paths there are, int64; 0 where there is none. Empty where they were not counted."""
    paths: Ints
    """(n, k, longest + 1) nodes from source to target, int32, -1 after the target."""


class Between(NamedTuple):
    """Shortest paths of one pair."""

    distance: int
    """-1 if there is no path, or none so short."""
    ways: int
    paths: list[list[int]]
    """Those drawn, as nodes from source to target."""


class PathFinder:
    """Finds shortest paths.

    Args:
        columns: the graph.
        arcs: names as `str(arc)` of the arcs to go along, from source to target; none: all that are not negated.
        types: of the nodes between the ends; none: all.
        most_degree: a node with more neighbours than this is no node between the ends; None: all may be.
        seed: random seed, 64 bits.
        backend: 'numba' where it is installed, else 'numpy'.

    Raises:
        ValueError: an unknown arc or type.
    """

    def __init__(
        self,
        columns: Columns,
        arcs: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        most_degree: int | None = None,
        seed: int = 0,
        backend: Literal["numba", "numpy"] | None = None,
    ) -> None:
        self.seed = seed & 0xFFFFFFFFFFFFFFFF
        self.backend = backend or ("numba" if find_spec("numba") else "numpy")
        named = frozenset(types or ())
        wanted = allowed(columns, HopPattern(frozenset(arcs or ())))
        allowed(columns, HopPattern(types=named))  # it says which type is unknown
        closed = np.array([bool(named) and name not in named for name in columns.types], bool)[columns.node_types]
        back = turned(columns, wanted)
        ahead = adjacency(columns, wanted)
        behind = ahead if (back == wanted).all() else adjacency(columns, back)
        if most_degree is not None:
            closed |= np.maximum(ahead.degrees, behind.degrees) > most_degree
        self._direct = _beside(ahead, closed)
        if closed.any():
            same = behind is ahead
            ahead = without(ahead, closed)
            behind = ahead if same else without(behind, closed)
        self.net = Net(*ahead, *behind, closed)
        self._spare: list[Any] = []

    def draw(
        self, sources: Ints, targets: Ints, k: int, *, longest: int = 4, first: int = 0, workers: int = 1
    ) -> Found:
        """Count the shortest paths of pairs, and draw some, evenly and each anew.

        Args:
            sources: (n,) nodes.
            targets: (n,) nodes.
            k: paths to draw of each pair.
            longest: steps of the longest path.
            first: id of the first pair; the others follow.
            workers: threads.

        Raises:
            TooManyPaths: a pair has 2^62 shortest paths or more, on the way at least.
            ValueError: a number that is no node, arrays of different length, or a length beyond what is held.
        """
        sources, targets = np.asarray(sources, np.int64), np.asarray(targets, np.int64)
        found = self._empty(sources, targets, k, longest)
        ids = np.arange(first, first + len(sources), dtype=np.int64)

        def fill(part: slice, scratch: Any, beside: Ints) -> None:
            given = (self.net, sources[part], targets[part], beside, longest)
            args = (found.distances[part], found.ways[part], found.paths[part])
            if self.backend == "numba":
                from synth_kg import paths_numba  # noqa: PLC0415  (its import compiles)

                bad = paths_numba.draw(*given, ids[part], self.seed, scratch, *args)
            else:
                bad = paths_numpy.draw(*given, ids[part], self.seed, *args)
            if bad >= 0:
                ends = int(sources[part][bad]), int(targets[part][bad])
                raise TooManyPaths(f"more shortest paths from {ends[0]} to {ends[1]} than 62 bits count")

        self._run(sources, targets, workers, fill)
        return found

    def one(self, sources: Ints, targets: Ints, *, longest: int = 4, workers: int = 1) -> Found:
        """Find one shortest path of each pair, always the same and none in particular: no path is counted.

        Arguments and errors are those of `draw`.
        """
        sources, targets = np.asarray(sources, np.int64), np.asarray(targets, np.int64)
        found = self._empty(sources, targets, 1, longest)

        def fill(part: slice, scratch: Any, beside: Ints) -> None:
            given = (self.net, sources[part], targets[part], beside, longest)
            args = (found.distances[part], found.paths[part, 0])
            if self.backend == "numba":
                from synth_kg import paths_numba  # noqa: PLC0415

                paths_numba.one(*given, scratch, *args)
            else:
                paths_numpy.one(*given, *args)

        self._run(sources, targets, workers, fill)
        return found._replace(ways=found.ways[:0])

    def between(self, source: int, target: int, k: int = 1, *, longest: int = 4, pair: int = 0) -> Between:
        """As `draw`, of one pair whose id is `pair`."""
        found = self.draw(np.array([source]), np.array([target]), k, longest=longest, first=pair)
        distance = int(found.distances[0])
        drawn = found.paths[0, :, : distance + 1].tolist() if distance >= 0 else []
        return Between(distance, int(found.ways[0]), drawn)

    def path(self, source: int, target: int, *, longest: int = 4) -> list[int] | None:
        """As `one`, of one pair; None if there is no path."""
        found = self.one(np.array([source]), np.array([target]), longest=longest)
        distance = int(found.distances[0])
        nodes: list[int] = found.paths[0, 0, : distance + 1].tolist()
        return nodes if distance >= 0 else None

    def _empty(self, sources: Ints, targets: Ints, k: int, longest: int) -> Found:
        n, nodes = len(sources), len(self.net.closed)
        if n != len(targets):
            raise ValueError(f"{n} sources and {len(targets)} targets")
        if not 0 <= longest <= LONGEST:
            raise ValueError(f"longest is {longest}: it is from 0 to {LONGEST}")
        for ends in (sources, targets):
            if n and (ends.min() < 0 or ends.max() >= nodes):
                raise ValueError(f"node {int(ends.min() if ends.min() < 0 else ends.max())}: there are {nodes} nodes")
        paths = np.full((n, k, longest + 1), -1, np.int32 if nodes < 2**31 else np.int64)
        return Found(np.full(n, -1, np.int64), np.zeros(n, np.int64), paths)

    def _run(self, sources: Ints, targets: Ints, workers: int, fill: Callable[[slice, Any, Ints], None]) -> None:
        """Call `fill` on parts of the pairs, each with room to work in."""
        beside = np.zeros(len(sources), bool)
        if len(self._direct):
            asked = sources * len(self.net.closed) + targets
            beside = self._direct[np.minimum(np.searchsorted(self._direct, asked), len(self._direct) - 1)] == asked
        size = _BATCH if workers == 1 else max(1, min(_BATCH, -(-len(sources) // workers)))

        def work(at: int) -> None:
            scratch = self._scratch()
            part = slice(at, at + size)
            fill(part, scratch, beside[part])
            self._spare.append(scratch)  # one that an error left half used is not kept

        starts = range(0, len(sources), size)
        if workers == 1 or len(starts) == 1:
            for at in starts:
                work(at)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, starts))

    def _scratch(self) -> Any:
        if self.backend != "numba":
            return None
        from synth_kg.paths_numba import Scratch  # noqa: PLC0415

        try:
            return self._spare.pop()
        except IndexError:
            return Scratch.of(len(self.net.closed))


def _beside(found: Adjacency, closed: Ints) -> Ints:
    """Neighbours both of which are closed, in order, each pair as source x n + target."""
    if not closed.any():
        return np.zeros(0, np.int64)
    nodes = np.repeat(np.arange(len(closed), dtype=np.int64), found.degrees)
    both = closed[nodes] & closed[found.targets]
    return np.sort(nodes[both] * len(closed) + found.targets[both])
