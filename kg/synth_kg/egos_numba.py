"""Egos in numba: the same, step by step, as in `synth_kg.egos`."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from synth_kg.columns import Ints
from synth_kg.egos import PURPOSE, Found, Part
from synth_kg.walks_numba import _philox

_jit: Callable[..., Any] = numba.njit(nogil=True, cache=True)
_U32, _U64 = np.uint32, np.uint64
_LOW, _HALF = _U64(0xFFFFFFFF), _U64(32)
_PURPOSE = _U64(PURPOSE)


@_jit
def _place(sums, low, high, wanted):
    """The last of `sums[low:high]` that is not above a number."""
    while high - low > 1:
        middle = (low + high) // 2
        if sums[middle] <= wanted:
            low = middle
        else:
            high = middle
    return low


@_jit
def _find(row, low, high, wanted):
    """The first of `row[low:high]` that is not below a number, or the end."""
    while low < high:
        middle = (low + high) // 2
        if row[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@_jit
def _egos(
    first, starts, kinds, neighbours, types, wanted, back, sums, seeds, ids, seed, hops, fan, heads, entries, sizes
):  # fmt: skip
    cap = heads.shape[1]
    k0, k1 = _U32(seed & _LOW), _U32(seed >> _HALF)
    places = np.full(len(first) - 1, -1, np.int32)
    queue = np.empty(cap + 1, np.int32)
    moved = np.empty((max(16, 2 * fan), 2), np.int64)
    lanes = np.zeros(4, np.uint32)
    for i in range(len(seeds)):
        w = _U64(ids[i])
        queue[0] = seeds[i]
        places[seeds[i]] = 0
        begin, end, listed = 0, 1, 0
        full = False
        for _ in range(hops):
            tail = end
            for place in range(begin, end):
                node = np.int64(queue[place])
                left, right = np.int64(first[node]), np.int64(first[node + 1])
                low = sums[left]
                size = sums[right] - low
                reached, at, known_moves = 0, np.int64(0), 0
                while at < size and reached < fan:
                    lane = at & 3
                    if lane == 0:
                        lanes[0], lanes[1], lanes[2], lanes[3] = _philox(
                            _U32(_PURPOSE | _U64(at >> 2)), _U32(node), _U32(w & _LOW), _U32(w >> _HALF), k0, k1
                        )
                    other = at + np.int64((_U64(lanes[lane]) * _U64(size - at)) >> _HALF)
                    # a shuffle of which only the places that were touched are held
                    picked, replaced, found = other, at, -1
                    for z in range(known_moves):
                        if moved[z, 0] == other:
                            picked, found = moved[z, 1], z
                        if moved[z, 0] == at:
                            replaced = moved[z, 1]
                    if found < 0:
                        if known_moves == len(moved):
                            grown = np.empty((2 * known_moves, 2), np.int64)
                            grown[:known_moves] = moved
                            moved = grown
                        found = known_moves
                        known_moves += 1
                    moved[found, 0], moved[found, 1] = other, replaced
                    at += 1
                    group = _place(sums, left, right, low + picked)
                    entry = np.int64(starts[group]) + low + picked - sums[group]
                    target = neighbours[entry]
                    # the groups of one type lie together: those that may hold parallel statements
                    kind = types[kinds[group]]
                    from_group = group
                    while from_group > left and types[kinds[from_group - 1]] == kind:
                        from_group -= 1
                    earlier = entry > starts[group] and neighbours[entry - 1] == target
                    for z in range(from_group, group):
                        if wanted[kinds[z]] and not earlier:
                            spot = _find(neighbours, starts[z], starts[z + 1], target)
                            earlier = spot < starts[z + 1] and neighbours[spot] == target
                    if earlier:
                        continue
                    reached += 1
                    known = False
                    if 0 <= places[target] < place:
                        for z in range(listed):
                            known |= heads[i, z] == target and neighbours[entries[i, z]] == node
                    z = group
                    while z < right and types[kinds[z]] == kind:
                        if wanted[kinds[z]] and not (known and back[kinds[z]]):
                            spot = _find(neighbours, starts[z], starts[z + 1], target)
                            while spot < starts[z + 1] and neighbours[spot] == target:
                                if listed == cap:
                                    full = True
                                    break
                                heads[i, listed], entries[i, listed] = node, spot
                                listed += 1
                                spot += 1
                        if full:
                            break
                        z += 1
                    if full:
                        break
                    if places[target] < 0:
                        places[target] = tail
                        queue[tail] = target
                        tail += 1
                if full:
                    break
            if full:
                break
            begin, end = end, tail
        sizes[i] = listed
        # those that the cap cut off were never given a place
        for z in range(max(tail, end)):
            places[queue[z]] = -1


def draw(part: Part, seeds: Ints, ids: Ints, seed: int, hops: int, fan: int, found: Found) -> None:
    """Fill `found`: see `synth_kg.egos.Egos.draw`."""
    _egos(*part, seeds, ids, _U64(seed), hops, fan, *found)
