"""Capped neighbourhoods of many nodes: a few neighbours of each node, drawn evenly, hop by hop.

    found = Egos(columns, hops=2, fan=8, cap=64, seed=7).draw(nodes)

On a graph with hubs two hops reach half of it, so what is kept is drawn: of each node up to `fan` neighbours,
each of which counts once however many statements join the two, and all statements to those that are drawn.
An ego is a function of (graph, what is asked for, random seed, ego id).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Literal, NamedTuple

import numpy as np

from synth_kg.adjacency import turned
from synth_kg.columns import Columns, Ints
from synth_kg.hops import HopPattern, allowed
from synth_kg.random_numpy import philox

PURPOSE = 0x65 << 24
"""What tells these random numbers from those of walks; the lower bits count the draws of a node, by four."""
_BATCH = 1 << 14


class Found(NamedTuple):
    """Egos."""

    heads: Ints
    """(n, cap) the node from which each entry goes, int32; -1 after the last."""
    entries: Ints
    """(n, cap) entries as positions in `Columns.neighbours`, int64; -1 after the last."""
    sizes: Ints
    """(n,) how many entries each ego has."""


class Part(NamedTuple):
    """What of a graph egos are drawn from."""

    first: Ints
    starts: Ints
    kinds: Ints
    neighbours: Ints
    """As in `Columns`."""
    types: Ints
    """(pairs,) type code of each of `Columns.pairs`."""
    wanted: Ints
    """(pairs,) whether to go along it."""
    back: Ints
    """(pairs,) whether its statements may also be come across from the other end."""
    sums: Ints
    """(groups + 1) running number of entries in groups that are wanted."""


class Egos:
    """Draws egos.

    Args:
        columns: the graph.
        arcs: names as `str(arc)` of the arcs to go along; none: all that are not negated.
        types: of the nodes that are reached; none: all.
        hops: steps from the seed node.
        fan: neighbours drawn of each node, without replacement.
        cap: entries of an ego, after which it ends.
        seed: random seed, 64 bits.
        backend: 'numba' where it is installed, else 'python'.

    Raises:
        ValueError: an unknown arc or type, or a number below 1.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        arcs: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        hops: int = 2,
        fan: int = 8,
        cap: int = 64,
        seed: int = 0,
        backend: Literal["numba", "python"] | None = None,
    ) -> None:
        if min(hops, fan, cap) < 1:
            raise ValueError(f"hops {hops}, fan {fan}, cap {cap}: each is at least 1")
        self.hops, self.fan, self.cap, self.seed = hops, fan, cap, seed & 0xFFFFFFFFFFFFFFFF
        self.backend = backend or ("numba" if find_spec("numba") else "python")
        named = frozenset(arcs or ())
        wanted = allowed(columns, HopPattern(named, frozenset(types or ())))
        back = turned(columns, allowed(columns, HopPattern(named)))
        sizes = np.diff(columns.starts).astype(np.int64)
        sizes[~wanted[columns.kinds]] = 0
        self.part = Part(
            np.asarray(columns.first), np.asarray(columns.starts), np.asarray(columns.kinds),
            np.asarray(columns.neighbours), np.ascontiguousarray(columns.pairs[:, 0]), wanted, back,
            np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]),
        )  # fmt: skip

    def draw(self, seeds: Ints, *, first: int = 0, workers: int = 1) -> Found:
        """Draw the egos of nodes.

        Args:
            seeds: (n,) nodes.
            first: id of the first ego; the others follow.
            workers: threads.

        Returns:
            Entries in the order in which they were come across; a statement that is come across from both its
            ends is listed once. Where `cap` is reached, the ego ends there, even between parallel statements.

        Raises:
            ValueError: a number that is no node.
        """
        seeds = np.asarray(seeds, np.int64)
        n, nodes = len(seeds), len(self.part.first) - 1
        if n and (seeds.min() < 0 or seeds.max() >= nodes):
            raise ValueError(f"node {int(seeds.min() if seeds.min() < 0 else seeds.max())}: there are {nodes} nodes")
        found = Found(np.full((n, self.cap), -1, np.int32), np.full((n, self.cap), -1, np.int64), np.zeros(n, np.int64))
        ids = np.arange(first, first + n, dtype=np.int64)
        size = _BATCH if workers == 1 else max(1, min(_BATCH, -(-n // workers)))
        parts = [slice(at, at + size) for at in range(0, n, size)]

        def fill(part: slice) -> None:
            self._fill(seeds[part], ids[part], Found(*(array[part] for array in found)))

        if workers == 1 or len(parts) == 1:
            for part in parts:
                fill(part)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(fill, parts))
        return found

    def _fill(self, seeds: Ints, ids: Ints, found: Found) -> None:
        if self.backend == "numba":
            from synth_kg import egos_numba  # noqa: PLC0415  (its import compiles)

            egos_numba.draw(self.part, seeds, ids, self.seed, self.hops, self.fan, found)
            return
        for i, (node, ident) in enumerate(zip(seeds.tolist(), ids.tolist(), strict=True)):
            listed = self._ego(node, ident)
            found.sizes[i] = len(listed)
            if listed:
                found.heads[i, : len(listed)], found.entries[i, : len(listed)] = zip(*listed, strict=True)

    def _ego(self, seed: int, ident: int) -> list[tuple[int, int]]:
        """One ego, as (node, entry)."""
        places, queue = {seed: 0}, [seed]
        drawn: list[set[int]] = []
        listed: list[tuple[int, int]] = []
        begin = 0
        for _ in range(self.hops):
            end = len(queue)
            for place in range(begin, end):
                node = queue[place]
                reached: dict[int, None] = {}
                drawn.append(set())
                for entry in self._evenly(node, ident):
                    if len(reached) == self.fan:
                        break
                    target = int(self.part.neighbours[entry])
                    parallel = list(_parallel(self.part, node, target))
                    if parallel[0] != entry:
                        continue
                    reached[target] = None
                    known = target in places and places[target] < place and node in drawn[places[target]]
                    for other in parallel:
                        if known and self.part.back[self.part.kinds[_group(self.part, other)]]:
                            continue
                        if len(listed) == self.cap:
                            return listed
                        listed.append((node, other))
                    drawn[place].add(target)
                    if target not in places:
                        places[target] = len(queue)
                        queue.append(target)
            begin = end
        return listed

    def _evenly(self, node: int, ident: int) -> Iterator[int]:
        """The entries of a node, in an order that is drawn evenly: a shuffle, as far as it is asked for."""
        sums, first = self.part.sums, self.part.first
        low = int(sums[first[node]])
        size = int(sums[first[node + 1]]) - low
        moved: dict[int, int] = {}
        for at in range(size):
            if at % 4 == 0:
                counter = np.array([PURPOSE | at >> 2], np.uint64), np.array([node], np.uint64)
                lanes = philox(self.seed, *counter, ident & 0xFFFFFFFF, ident >> 32 & 0xFFFFFFFF)
            other = at + (int(lanes[at % 4][0]) * (size - at) >> 32)
            picked = moved.get(other, other)
            moved[other] = moved.get(at, at)
            group = int(np.searchsorted(sums, low + picked, side="right")) - 1
            yield int(self.part.starts[group]) + low + picked - int(sums[group])


def _group(part: Part, entry: int) -> int:
    return int(np.searchsorted(part.starts, entry, side="right")) - 1


def _parallel(part: Part, node: int, target: int) -> Iterator[int]:
    """The entries, of those wanted, from a node to another."""
    for group in range(int(part.first[node]), int(part.first[node + 1])):
        if part.wanted[part.kinds[group]]:
            row = part.neighbours[int(part.starts[group]) : int(part.starts[group + 1])]
            low, high = (int(np.searchsorted(row, target, side=side)) for side in ("left", "right"))
            yield from range(int(part.starts[group]) + low, int(part.starts[group]) + high)
