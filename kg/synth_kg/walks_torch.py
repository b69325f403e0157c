"""The walkers in torch, for a GPU: the same walks again.

torch has no unsigned 64-bit arithmetic, so numbers of 32 bits are held in signed 64, and products
are put together from parts that fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from synth_kg.columns import Ints
from synth_kg.hops import Hop
from synth_kg.random_numpy import M0, M1, ROUNDS, W0, W1

_LOW = 0xFFFFFFFF
_CHUNK = 1 << 24
"""Walks at a time: what they need besides the graph stays under some GB."""


class DeviceHop(NamedTuple):
    """A `synth_kg.hops.Hop` on a device."""

    base: int
    pointers: Tensor
    targets: Tensor
    sums: Tensor
    """Signed: totals stay below 2^62."""


def on_device(hops: Sequence[Hop], device: str | None = None) -> list[DeviceHop]:
    """Bring hops to a device (default: a GPU if there is one); arrays that hops share are brought once."""
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kept: dict[int, Tensor] = {}

    def brought(array: Ints) -> Tensor:
        if id(array) not in kept:
            copied = array.astype("int64") if array.dtype == "uint64" else array.copy()
            kept[id(array)] = torch.from_numpy(copied).to(place)
        return kept[id(array)]

    return [DeviceHop(hop.base, brought(hop.pointers), brought(hop.targets), brought(hop.sums)) for hop in hops]


def walk(hops: Sequence[DeviceHop], starts: Ints, ids: Ints, *, seed: int, tries: int) -> Ints:
    """See `synth_kg.walks.Walker`; `tries` 0 allows repeats."""
    device = hops[0].targets.device
    parts = []
    for begin in range(0, len(starts), _CHUNK):
        at, walks = (torch.from_numpy(a[begin : begin + _CHUNK].copy()).to(device) for a in (starts, ids))
        parts.append(_walk(hops, at, walks, seed, tries).cpu())
    found: Ints = torch.cat(parts).numpy()
    return found


def _walk(hops: Sequence[DeviceHop], starts: Tensor, ids: Tensor, seed: int, tries: int) -> Tensor:
    low, upper = ids & _LOW, ids >> 32
    out = torch.full((len(hops) + 1, len(starts)), -1, dtype=torch.int32, device=starts.device)
    out[0] = starts
    lanes: tuple[Tensor, ...] = ()
    for step, hop in enumerate(hops):
        if not tries and not len(hop.sums):
            if step % 4 == 0 or not lanes:
                lanes = _philox(seed, low, upper, step // 4, 0)
            begins, sizes = _spans(hop, out[step])
            picked = begins + (lanes[step % 4] * sizes >> 32)
            reached = hop.targets[picked.clamp(max=max(0, len(hop.targets) - 1))]
            out[step + 1] = torch.where(sizes > 0, reached, -1)
        else:
            lanes = ()
            _drawn(hop, out, step, (seed, low, upper), tries)
    return out.T.contiguous()


def _drawn(hop: DeviceHop, out: Tensor, step: int, counter: tuple[int, Tensor, Tensor], tries: int) -> None:
    seed, low, upper = counter
    left = torch.arange(out.shape[1], device=out.device)
    for attempt in range(max(1, tries)):
        begins, sizes = _spans(hop, out[step][left])
        there = sizes > 0
        left, begins, sizes = left[there], begins[there], sizes[there]
        if not len(left):
            return
        lanes = _philox(seed, low[left], upper[left], step, 1 + attempt // 2)
        r1, r0 = lanes[2 * (attempt % 2)], lanes[2 * (attempt % 2) + 1]
        reached = hop.targets[_pick(hop, begins, sizes, r1, r0)]
        fresh = torch.ones(len(left), dtype=torch.bool, device=out.device)
        if tries:
            fresh = ~(out[: step + 1, left] == reached).any(dim=0)
        out[step + 1, left[fresh]] = reached[fresh]
        left = left[~fresh]


def _spans(hop: DeviceHop, at: Tensor) -> tuple[Tensor, Tensor]:
    local = at.long() - hop.base
    inside = (at >= 0) & (local >= 0) & (local < len(hop.pointers) - 1)
    if len(hop.pointers) < 2:
        return torch.zeros_like(local), torch.zeros_like(local)
    local = torch.where(inside, local, 0)
    begins = hop.pointers[local].long()
    return begins, torch.where(inside, hop.pointers[local + 1].long() - begins, 0)


def _pick(hop: DeviceHop, begins: Tensor, sizes: Tensor, r1: Tensor, r0: Tensor) -> Tensor:
    if not len(hop.sums):
        return begins + _high(r1, r0, sizes)
    wanted = _high(r1, r0, hop.sums[begins + sizes - 1])
    below, above = begins, begins + sizes - 1
    while bool((below < above).any()):
        middle = (below + above) // 2
        passed = hop.sums[middle] > wanted
        narrowed = below < above
        above = torch.where(narrowed & passed, middle, above)
        below = torch.where(narrowed & ~passed, middle + 1, below)
    return below


def _philox(seed: int, c0: Tensor, c1: Tensor, c2: int, c3: int) -> tuple[Tensor, ...]:
    k0, k1 = seed & _LOW, seed >> 32 & _LOW
    d2, d3 = torch.full_like(c0, c2), torch.full_like(c0, c3)
    for _ in range(ROUNDS):
        high0, low0 = _product(c0, M0)
        high1, low1 = _product(d2, M1)
        c0, c1, d2, d3 = high1 ^ c1 ^ k0, low1, high0 ^ d3 ^ k1, low0
        k0, k1 = k0 + W0 & _LOW, k1 + W1 & _LOW
    return c0, c1, d2, d3


def _product(a: Tensor, b: Any) -> tuple[Tensor, Tensor]:
    """The upper and lower half of products of 32-bit numbers."""
    low, high = a * (b & 0xFFFF), a * (b >> 16)
    whole = (high << 16) + low  # wraps, which leaves the lower half right
    return (high + (low >> 16)) >> 16, whole & _LOW


def _high(r1: Tensor, r0: Tensor, total: Tensor) -> Tensor:
    """floor(r total / 2^64) for r = r1 2^32 + r0 and a total below 2^62."""
    t1, t0 = total >> 32, total & _LOW
    x1, x0 = _product(r1, t0)
    y1, y0 = _product(r0, t1)
    z1, _ = _product(r0, t0)
    return r1 * t1 + x1 + y1 + (x0 + y0 + z1 >> 32)
