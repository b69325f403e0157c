"""Shortest paths in numpy: level by level, a pair at a time. Slower than numba's by far, and the same paths.

Both ends search, the one with less before it first; a node belongs to the end that came to it. A shortest
path has one step from the last level of the one end to the last level of the other, a *crossing*, so the
number of paths is, over the crossings, the sum of (ways from the source) x (ways to the target), and each
path has a number: crossings in the order in which they are come across, then the way from the end that
crosses, then that to the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synth_kg.columns import Ints
from synth_kg.hops import MOST, ranges
from synth_kg.random_numpy import U64, high, philox

PURPOSE = 0x70617468
"""What tells these random numbers from those of walks."""
LONGEST = 10_000
"""Steps that the marks of both ends have room for."""
_HALF = np.uint64(32)


class TooManyPaths(ValueError):
    """More shortest paths than are counted."""


class Net(NamedTuple):
    """What is searched."""

    ahead: Ints
    """(n + 1) pointers."""
    ahead_targets: Ints
    """Nodes that can be reached in one step and may be within a path."""
    behind: Ints
    """(n + 1) pointers."""
    behind_targets: Ints
    """Nodes from which it is one step, and which may be within a path."""
    closed: Ints
    """(n,) whether a node is never within a path; it may be an end."""

    def rows(self, side: int) -> tuple[Ints, Ints]:
        """Pointers and neighbours as the source (0) or the target (1) goes along them."""
        return (self.ahead, self.ahead_targets) if side == 0 else (self.behind, self.behind_targets)


class _Side:
    """What an end has come to."""

    def __init__(self, end: int, pointers: Ints) -> None:
        self.end = end
        self.levels = [np.array([end], np.int64)]
        self.work = int(pointers[end + 1] - pointers[end])


class _Search:
    """Two ends that search towards each other.

    Args:
        net: what is searched.
        ends: source and target.
        longest: steps of the longest path.
        counted: whether paths are counted, else it ends at the first crossing.
    """

    def __init__(self, net: Net, ends: tuple[int, int], longest: int, *, counted: bool) -> None:
        self.net = net
        self.depth = np.zeros(len(net.closed), np.int32)
        """Level + 1 of the nodes of the source, the negative of it for those of the target."""
        self.counts = np.zeros(len(net.closed), np.int64)
        self.sides = tuple(_Side(end, net.rows(side)[0]) for side, end in enumerate(ends))
        for end, mark in zip(ends, (1, -1), strict=True):
            self.depth[end], self.counts[end] = mark, 1
        self.side = 0
        """The one that crossed."""
        self.crossings: Ints = np.zeros((0, 2), np.int64)
        while sum(len(side.levels) - 1 for side in self.sides) < longest and all(
            len(side.levels[-1]) for side in self.sides
        ):
            self._step(counted)
            if len(self.crossings):
                return

    def _step(self, counted: bool) -> None:
        net, (source, target) = self.net, self.sides
        if len(target.levels) == 1 and net.closed[target.end]:
            self.side = 1
        elif len(source.levels) == 1 and net.closed[source.end]:
            self.side = 0
        else:
            self.side = 0 if source.work <= target.work else 1
        here, other = self.sides[self.side], self.sides[1 - self.side]
        pointers, targets = net.rows(self.side)
        nodes = here.levels[-1]
        begins = pointers[nodes].astype(np.int64)
        sizes = pointers[nodes + 1] - begins
        froms = np.repeat(nodes, sizes)
        reached = targets[ranges(begins, sizes)].astype(np.int64)
        sign = 1 - 2 * self.side
        meets = self.depth[reached] == -sign * len(other.levels)
        if meets.any():
            self.crossings = np.stack([froms[meets], reached[meets]], axis=1)
            return
        fresh = self.depth[reached] == 0
        froms, reached = froms[fresh], reached[fresh]
        level, first, back = np.unique(reached, return_index=True, return_inverse=True)
        if counted:
            _add(self.counts, level, back, self.counts[froms])
        level = level[np.argsort(first)]
        self.depth[level] = sign * (len(here.levels) + 1)
        here.levels.append(level)
        here.work = int((pointers[level + 1] - pointers[level]).sum())

    @property
    def distance(self) -> int:
        """Steps of a path, given that there are crossings."""
        return sum(len(side.levels) - 1 for side in self.sides) + 1

    def parents(self, side: int, node: int, level: int) -> Ints:
        """The nodes of a level from which an end came to a node of the next."""
        if level == 0:
            return np.array([self.sides[side].end])
        pointers, targets = self.net.rows(1 - side)
        row = targets[int(pointers[node]) : int(pointers[node + 1])].astype(np.int64)
        found: Ints = row[self.depth[row] == (1 - 2 * side) * (level + 1)]
        return found

    def joined(self, ways: tuple[list[int], list[int]]) -> list[int]:
        """The path of the ways from the crossing back to each end."""
        return [*ways[0][::-1], *ways[1]]


def _add(counts: Ints, level: Ints, back: Ints, ways: Ints) -> None:
    """Count the ways to the nodes of a level.

    Raises:
        TooManyPaths: they are more than are counted.
    """
    rough = np.bincount(back, weights=ways, minlength=len(level))
    summed = np.zeros(len(level), np.int64)
    np.add.at(summed, back, ways)
    if (rough >= 1.5 * MOST).any() or (summed >= MOST).any():
        raise TooManyPaths
    counts[level] = summed


def one(net: Net, sources: Ints, targets: Ints, beside: Ints, longest: int, distances: Ints, paths: Ints) -> None:
    """Fill `distances` (n,) and `paths` (n, longest + 1); `beside` (n,): both ends are closed, and neighbours."""
    for i, ends in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        path = _short(ends, bool(beside[i]), longest)
        if path is None:
            search = _Search(net, ends, longest, counted=False)
            path = _first(search) if len(search.crossings) else []
        distances[i] = len(path) - 1
        paths[i, : len(path)] = path


def _short(ends: tuple[int, int], beside: bool, longest: int) -> list[int] | None:
    """The only shortest path, where no search is needed."""
    if ends[0] == ends[1]:
        return [ends[0]]
    return list(ends) if beside and longest else None


def _first(search: _Search) -> list[int]:
    """The path that the search came across first: over the first crossing, back by whence each node was reached."""
    ways: tuple[list[int], list[int]] = ([], [])
    for side, node in zip((search.side, 1 - search.side), search.crossings[0].tolist(), strict=True):
        levels = search.sides[side].levels
        ways[side].append(node)
        for level in range(len(levels) - 2, -1, -1):
            candidates = search.parents(side, ways[side][-1], level)
            ways[side].append(int(levels[level][np.isin(levels[level], candidates)][0]))
    return search.joined(ways)


def draw(
    net: Net, sources: Ints, targets: Ints, beside: Ints, longest: int, ids: Ints, seed: int,
    distances: Ints, ways: Ints, paths: Ints,
) -> int:  # fmt: skip
    """Fill `distances` (n,), `ways` (n,) and `paths` (n, k, longest + 1).

    Returns:
        Position of a pair with too many paths to be counted, at which it stopped; -1 if there is none.
    """
    for i, ends in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        only = _short(ends, bool(beside[i]), longest)
        if only is not None:
            distances[i], ways[i] = len(only) - 1, 1
            paths[i, :, : len(only)] = only
            continue
        try:
            search = _Search(net, ends, longest, counted=True)
            sums = _summed(search)
        except TooManyPaths:
            return i
        if not len(sums):
            continue
        distances[i], ways[i] = search.distance, sums[-1]
        for j, number in enumerate(numbers(paths.shape[1], int(sums[-1]), int(ids[i]), seed).tolist()):
            paths[i, j, : search.distance + 1] = _path(search, sums, number)
    return -1


def numbers(k: int, ways: int, pair: int, seed: int) -> U64:
    """(k,) the numbers of the paths that are drawn for a pair."""
    draws = np.arange(k, dtype=np.uint64)
    lanes = philox(seed, draws, np.full(k, PURPOSE, np.uint64), pair & 0xFFFFFFFF, pair >> 32 & 0xFFFFFFFF)
    return high(lanes[0] << _HALF | lanes[1], np.full(k, ways, np.uint64))


def _summed(search: _Search) -> Ints:
    """Running number of paths over the crossings.

    Raises:
        TooManyPaths: they are more than are counted.
    """
    near, far = search.counts[search.crossings].T
    if (near.astype(np.float64) * far).sum() >= MOST:
        raise TooManyPaths
    return np.cumsum(near * far)


def _path(search: _Search, sums: Ints, number: int) -> list[int]:
    """The path of a number, of those over one node before the crossing the ways to it first."""
    near = search.crossings[:, 0]
    node = near[int(np.searchsorted(sums, number, side="right"))]
    group = np.flatnonzero(near == node)
    number -= int(sums[group[0] - 1]) if group[0] else 0
    far = search.crossings[group, 1]
    beyond, rank = divmod(number, int(search.counts[node]))
    passed = np.cumsum(search.counts[far])
    at = int(np.searchsorted(passed, beyond, side="right"))
    beyond -= int(passed[at - 1]) if at else 0
    ways: tuple[list[int], list[int]] = ([], [])
    for side, end, left in ((search.side, int(node), rank), (1 - search.side, int(far[at]), beyond)):
        ways[side].append(end)
        for level in range(len(search.sides[side].levels) - 2, -1, -1):
            candidates = search.parents(side, ways[side][-1], level)
            passed = np.cumsum(search.counts[candidates])
            at = int(np.searchsorted(passed, left, side="right"))
            left -= int(passed[at - 1]) if at else 0  # noqa: PLW2901
            ways[side].append(int(candidates[at]))
    return search.joined(ways)
