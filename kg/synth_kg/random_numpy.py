"""Philox 4x32-10, the random numbers of every sampler here, for arrays.

Counter-based (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the
numbers of a walk are a function of (random seed, walk id, purpose), so neither batches nor workers nor
the backend change them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
"""Multipliers and key steps of Philox 4x32, as published."""
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
U64 = NDArray[np.uint64]


def philox(seed: int, c0: U64, c1: U64, c2: int, c3: int) -> tuple[U64, U64, U64, U64]:
    """Four random 32-bit numbers for each counter, each in 64 bits.

    >>> [hex(int(lane[0])) for lane in philox(0, np.zeros(1, np.uint64), np.zeros(1, np.uint64), 0, 0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    d2, d3 = (np.full(len(c0), c, np.uint64) for c in (c2, c3))
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(M0), d2 * np.uint64(M1)
        c0, c1, d2, d3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ d3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = k0 + W0 & 0xFFFFFFFF, k1 + W1 & 0xFFFFFFFF
    return c0, c1, d2, d3


def high(a: U64, b: U64) -> U64:
    """The upper 64 of the 128 bits of a product: a number below b, evenly, for an even 64-bit a.

    >>> int(high(np.array([2**63], np.uint64), np.array([10], np.uint64))[0])
    5
    """
    a1, a0, b1, b0 = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    low, x, y = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> _HALF) + (x & _LOW) + (y & _LOW)
    found: U64 = a1 * b1 + (x >> _HALF) + (y >> _HALF) + (middle >> _HALF)
    return found


def halves(ids: NDArray[Any]) -> tuple[U64, U64]:
    """The lower and upper 32 bits of ids."""
    walks = ids.astype(np.uint64)
    return walks & _LOW, walks >> _HALF
