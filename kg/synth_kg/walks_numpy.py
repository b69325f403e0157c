"""The walkers in numpy: all walks advance together. Slower than numba's by some times, and the same walks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth_kg.columns import Ints
from synth_kg.hops import Hop
from synth_kg.random_numpy import U64, halves, high, philox

_HALF = np.uint64(32)


def walk(hops: Sequence[Hop], starts: Ints, ids: Ints, *, seed: int, tries: int) -> Ints:
    """See `synth_kg.walks.Walker`; `tries` 0 allows repeats."""
    n = len(starts)
    out = np.full((n, len(hops) + 1), -1, np.int32)
    out[:, 0] = starts
    low, upper = halves(ids)
    lanes: tuple[U64, ...] = ()
    for step, hop in enumerate(hops):
        if not tries and not len(hop.sums):
            if step % 4 == 0 or not lanes:
                lanes = philox(seed, low, upper, step // 4, 0)
            _even(hop, out, step, lanes[step % 4])
        else:
            lanes = ()
            _drawn(hop, out, step, (seed, low, upper), max(1, tries), repeats=not tries)
    return out


def _spans(hop: Hop, at: Ints) -> tuple[Ints, Ints]:
    """Where the entries of nodes begin, and how many there are; none of those outside."""
    local = at.astype(np.int64) - hop.base
    inside = (at >= 0) & (local >= 0) & (local < len(hop.pointers) - 1)
    local = np.where(inside, local, 0)
    if len(hop.pointers) < 2:
        return np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    begins = hop.pointers[local].astype(np.int64)
    return begins, np.where(inside, hop.pointers[local + 1] - begins, 0)


def _even(hop: Hop, out: Ints, step: int, lane: U64) -> None:
    begins, sizes = _spans(hop, out[:, step])
    live = sizes > 0
    picked = begins[live] + (lane[live] * sizes[live].astype(np.uint64) >> _HALF).astype(np.int64)
    out[live, step + 1] = hop.targets[picked]


def _drawn(hop: Hop, out: Ints, step: int, counter: tuple[int, U64, U64], tries: int, *, repeats: bool) -> None:
    seed, low, upper = counter
    left = np.arange(len(out))
    for attempt in range(tries):
        begins, sizes = _spans(hop, out[left, step])
        left, begins, sizes = left[sizes > 0], begins[sizes > 0], sizes[sizes > 0]
        if not len(left):
            return
        lanes = philox(seed, low[left], upper[left], step, 1 + attempt // 2)
        number = lanes[2 * (attempt % 2)] << _HALF | lanes[2 * (attempt % 2) + 1]
        reached = hop.targets[_pick(hop, begins, sizes, number)]
        fresh = np.ones(len(left), bool) if repeats else ~(out[left, : step + 1] == reached[:, None]).any(axis=1)
        out[left[fresh], step + 1] = reached[fresh]
        left = left[~fresh]


def _pick(hop: Hop, begins: Ints, sizes: Ints, number: U64) -> Ints:
    """The entry that each random number stands for."""
    if not len(hop.sums):
        return begins + high(number, sizes.astype(np.uint64)).astype(np.int64)
    wanted = high(number, hop.sums[begins + sizes - 1])
    below, above = begins.copy(), begins + sizes - 1
    while True:
        open_ = below < above
        if not open_.any():
            return below
        middle = (below + above) // 2
        passed = hop.sums[middle] > wanted
        above = np.where(open_ & passed, middle, above)
        below = np.where(open_ & ~passed, middle + 1, below)


def start_at(choices: Ints, sums: Ints, ids: Ints, *, seed: int) -> Ints:
    """Draw where walks begin: one of `choices` each, evenly, or as `sums` (running, uint64) weighs them."""
    lanes = philox(seed, *halves(ids), 0xFFFFFFFF, 0)
    n = len(ids)
    number = lanes[0] << _HALF | lanes[1]
    if not len(sums):
        picked: Any = high(number, np.full(n, len(choices), np.uint64)).astype(np.int64)
    else:
        picked = np.searchsorted(sums, high(number, np.full(n, sums[-1], np.uint64)), side="right")
    found: Ints = choices[picked].astype(np.int32)
    return found
