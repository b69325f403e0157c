"""Shortest paths in numba: see `synth_kg.paths_numpy` for the method, which is the same step by step."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

from synth_kg.columns import Ints
from synth_kg.hops import MOST as _MOST
from synth_kg.paths_numpy import PURPOSE, Net
from synth_kg.walks_numba import _high, _philox

_jit: Callable[..., Any] = numba.njit(nogil=True, cache=True)
_inline: Callable[..., Any] = numba.njit(inline="always")
_U32, _U64 = np.uint32, np.uint64
_LOW, _HALF = _U64(0xFFFFFFFF), _U64(32)
_PURPOSE = _U32(PURPOSE)


class Scratch(NamedTuple):
    """Room to work in, for one thread at a time; `marks` are left as they were found."""

    marks: Ints
    """(n,) 0; level + 1 of the nodes of the source, the negative of it for those of the target."""
    counts: Ints
    """(n,) ways from the end that came to a node."""
    stacks: Ints
    """(2, n) the nodes of each end, level by level."""
    whence: Ints
    """(2, n) where in its stack the node stands from which each was first reached."""
    sums: Ints
    """(n,) running number of paths over the nodes of the level that crossed."""

    @classmethod
    def of(cls, n: int) -> Scratch:
        """Room for so many nodes."""
        return cls(
            np.zeros(n, np.int16), np.empty(n, np.int64), np.empty((2, n), np.int32), np.empty((2, n), np.int32),
            np.empty(n, np.int64),
        )  # fmt: skip


@_inline
def _side(closed, source, target, depths, works):
    """The end that goes on: one that is closed first, then the one with less before it."""
    if depths[1] == 0 and closed[target]:
        return 1
    if depths[0] == 0 and closed[source]:
        return 0
    return 0 if works[0] <= works[1] else 1


@_jit
def _work(pointers, stack, low, high):
    """Neighbours of the nodes of a level."""
    found = np.int64(0)
    for at in range(low, high):
        node = stack[at]
        found += np.int64(pointers[node + 1]) - np.int64(pointers[node])
    return found


@_jit
def _reach(pointers, targets, marks, mark, stack, whence, low, high):
    """Go on by a level: end of the new one, and a crossing as place in the stack and node, which ends it."""
    end = high
    for at in range(low, high):
        node = stack[at]
        for entry in range(pointers[node], pointers[node + 1]):
            reached = targets[entry]
            known = marks[reached]
            if known == 0:
                marks[reached] = mark
                stack[end] = reached
                whence[end] = at
                end += 1
            elif (known > 0) != (mark > 0):
                return end, at, reached
    return end, -1, -1


@_jit
def _count(pointers, targets, marks, mark, facing, counts, stack, sums, low, high):
    """Go on by a level and count: end of the new one, number of paths (-1: too many), whether there are any."""
    end = high
    total, rough = np.int64(0), 0.0
    met, over = False, False
    for at in range(low, high):
        node = stack[at]
        ways = counts[node]
        beyond, far = np.int64(0), 0.0
        for entry in range(pointers[node], pointers[node + 1]):
            reached = targets[entry]
            known = marks[reached]
            if known == facing:
                met = True
                beyond += counts[reached]
                far += counts[reached]
            elif met:
                continue
            elif known == 0:
                marks[reached] = mark
                counts[reached] = ways
                stack[end] = reached
                end += 1
            elif known == mark:
                more = counts[reached] + ways
                if more >= _MOST:
                    over = True
                    more = _MOST
                counts[reached] = more
        rough += ways * far
        if rough < _MOST:
            total += ways * beyond
        sums[at - low] = total
    if (over and not met) or rough >= _MOST:
        total = np.int64(-1)
    return end, total, met


@_jit
def _trace(pointers, targets, marks, counts, end, node, left, out, place, step):
    """Write the way of a number from a node to the end that came to it, beginning at `out[place]`."""
    level = abs(np.int64(marks[node])) - 1
    sign = 1 if marks[node] > 0 else -1
    out[place] = node
    while level > 0:
        level -= 1
        place += step
        if level == 0:
            node = end
        else:
            wanted = sign * (level + 1)
            for entry in range(pointers[node], pointers[node + 1]):
                parent = targets[entry]
                if marks[parent] == wanted:
                    if left < counts[parent]:
                        node = parent
                        break
                    left -= counts[parent]
        out[place] = node


@_jit
def _one(
    ahead, ahead_targets, behind, behind_targets, closed, sources, targets, beside, longest,
    marks, stacks, whence, distances, paths,
):  # fmt: skip
    lows, highs = np.zeros(2, np.int64), np.zeros(2, np.int64)
    depths, works = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for i in range(len(sources)):
        source, target = sources[i], targets[i]
        if source == target:
            distances[i] = 0
            paths[i, 0] = source
            continue
        if beside[i] and longest > 0:
            distances[i] = 1
            paths[i, 0], paths[i, 1] = source, target
            continue
        marks[source], marks[target] = 1, -1
        stacks[0, 0], stacks[1, 0] = source, target
        lows[:], highs[:], depths[:] = 0, 1, 0
        works[0] = np.int64(ahead[source + 1]) - np.int64(ahead[source])
        works[1] = np.int64(behind[target + 1]) - np.int64(behind[target])
        side, at, reached = 0, np.int64(-1), np.int64(-1)
        while depths[0] + depths[1] < longest and lows[0] < highs[0] and lows[1] < highs[1]:
            side = _side(closed, source, target, depths, works)
            low, high = lows[side], highs[side]
            mark = (depths[side] + 2) * (1 - 2 * side)
            if side == 0:
                end, at, reached = _reach(ahead, ahead_targets, marks, mark, stacks[0], whence[0], low, high)
            else:
                end, at, reached = _reach(behind, behind_targets, marks, mark, stacks[1], whence[1], low, high)
            lows[side], highs[side] = high, end
            if at >= 0:
                break
            depths[side] += 1
            works[side] = _work(ahead if side == 0 else behind, stacks[side], high, end)
        if at >= 0:
            distances[i] = depths[0] + depths[1] + 1
            other = 1 - side
            there = lows[other]
            while stacks[other, there] != reached:
                there += 1
            for end_side in range(2):
                place = depths[0] if end_side == 0 else depths[0] + 1
                at_stack = at if end_side == side else there
                for _ in range(depths[end_side]):
                    paths[i, place] = stacks[end_side, at_stack]
                    at_stack = np.int64(whence[end_side, at_stack])
                    place += 1 if end_side == 1 else -1
                paths[i, place] = stacks[end_side, at_stack]
        for end_side in range(2):
            for z in range(highs[end_side]):
                marks[stacks[end_side, z]] = 0


@_jit
def _draw(
    ahead, ahead_targets, behind, behind_targets, closed, sources, targets, beside, longest, ids, seed,
    marks, counts, stacks, sums, distances, ways, paths,
):  # fmt: skip
    lows, highs = np.zeros(2, np.int64), np.zeros(2, np.int64)
    depths, works = np.zeros(2, np.int64), np.zeros(2, np.int64)
    k0, k1 = _U32(seed & _LOW), _U32(seed >> _HALF)
    for i in range(len(sources)):
        source, target = sources[i], targets[i]
        if source == target or (beside[i] and longest > 0):
            distances[i] = 0 if source == target else 1
            ways[i] = 1
            for j in range(paths.shape[1]):
                paths[i, j, 0], paths[i, j, distances[i]] = source, target
            continue
        marks[source], marks[target] = 1, -1
        counts[source], counts[target] = 1, 1
        stacks[0, 0], stacks[1, 0] = source, target
        lows[:], highs[:], depths[:] = 0, 1, 0
        works[0] = np.int64(ahead[source + 1]) - np.int64(ahead[source])
        works[1] = np.int64(behind[target + 1]) - np.int64(behind[target])
        side, total, met = 0, np.int64(0), False
        low, high = np.int64(0), np.int64(0)
        while depths[0] + depths[1] < longest and lows[0] < highs[0] and lows[1] < highs[1]:
            side = _side(closed, source, target, depths, works)
            low, high = lows[side], highs[side]
            sign = 1 - 2 * side
            mark, facing = (depths[side] + 2) * sign, -(depths[1 - side] + 1) * sign
            if side == 0:
                end, total, met = _count(
                    ahead, ahead_targets, marks, mark, facing, counts, stacks[0], sums, low, high
                )  # fmt: skip
            else:
                end, total, met = _count(
                    behind, behind_targets, marks, mark, facing, counts, stacks[1], sums, low, high
                )  # fmt: skip
            lows[side], highs[side] = high, end
            if met or total < 0:
                break
            depths[side] += 1
            works[side] = _work(ahead if side == 0 else behind, stacks[side], high, end)
        if met and total > 0:
            distances[i], ways[i] = depths[0] + depths[1] + 1, total
            w = _U64(ids[i])
            facing = -(depths[1 - side] + 1) * (1 - 2 * side)
            for j in range(paths.shape[1]):
                q = _philox(_U32(j), _PURPOSE, _U32(w & _LOW), _U32(w >> _HALF), k0, k1)
                number = np.int64(_high((_U64(q[0]) << _HALF) | _U64(q[1]), _U64(total)))
                at = np.searchsorted(sums[: high - low], number, side="right")
                if at > 0:
                    number -= sums[at - 1]
                node = np.int64(stacks[side, low + at])
                beyond, rank = number // counts[node], number % counts[node]
                reached = node
                pointers, row = (ahead, ahead_targets) if side == 0 else (behind, behind_targets)
                for entry in range(pointers[node], pointers[node + 1]):
                    reached = np.int64(row[entry])
                    if marks[reached] == facing:
                        if beyond < counts[reached]:
                            break
                        beyond -= counts[reached]
                head, tail, head_rank, tail_rank = (
                    (node, reached, rank, beyond) if side == 0 else (reached, node, beyond, rank)
                )  # fmt: skip
                _trace(behind, behind_targets, marks, counts, source, head, head_rank, paths[i, j], depths[0], -1)
                _trace(ahead, ahead_targets, marks, counts, target, tail, tail_rank, paths[i, j], depths[0] + 1, 1)
        for end_side in range(2):
            for z in range(highs[end_side]):
                marks[stacks[end_side, z]] = 0
        if total < 0:
            return i
    return -1


def one(
    net: Net, sources: Ints, targets: Ints, beside: Ints, longest: int, scratch: Scratch, distances: Ints, paths: Ints
) -> None:
    """See `synth_kg.paths_numpy.one`."""
    _one(
        *net, sources, targets, beside, longest, scratch.marks, scratch.stacks, scratch.whence, distances, paths
    )  # fmt: skip


def draw(
    net: Net, sources: Ints, targets: Ints, beside: Ints, longest: int, ids: Ints, seed: int,
    scratch: Scratch, distances: Ints, ways: Ints, paths: Ints,
) -> int:  # fmt: skip
    """See `synth_kg.paths_numpy.draw`."""
    room = scratch.marks, scratch.counts, scratch.stacks, scratch.sums
    return int(_draw(*net, sources, targets, beside, longest, ids, _U64(seed), *room, distances, ways, paths))
