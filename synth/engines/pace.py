"""How many requests may be in flight, and how many a minute.

AIMD (Chiu and Jain, Computer Networks and ISDN Systems 1989;17:1): a refusal for load takes
a quarter of the limit away, once a round trip; answers give it back, quickly up to where it
last broke and one at a time beyond. vLLM tells more than its refusals do: its gauges say how
many requests run and how many wait, so the limit follows what the server can hold, with a
short queue so that it never waits on us.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CUT = 0.75
_NEAR = 0.9
"""Share of the last breaking point up to which each answer gives one request back."""
_SLOW = 25
"""Answers that give one request back beyond it."""
_QUEUE = 8
_QUEUE_SHARE = 0.1
_LONG_QUEUE = 0.5
_FULL = 0.97
"""Use of the key-value cache beyond which waiting requests would only evict running ones."""


class Gauges(NamedTuple):
    """What vLLM's /metrics says of its load."""

    running: float
    waiting: float
    cache: float
    """Use of the key-value cache, 0 to 1."""


_GAUGES = {
    "running": re.compile(rb"^vllm:num_requests_running(?:\{[^}]*\})? ([\d.eE+-]+)", re.M),
    "waiting": re.compile(rb"^vllm:num_requests_waiting(?:\{[^}]*\})? ([\d.eE+-]+)", re.M),
    "cache": re.compile(rb"^vllm:(?:kv|gpu)_cache_usage_perc(?:\{[^}]*\})? ([\d.eE+-]+)", re.M),
}


def read_gauges(metrics: bytes) -> Gauges | None:
    """The gauges in a Prometheus text; summed over engines, the fullest cache; None if it has none."""
    found = {name: [float(value) for value in pattern.findall(metrics)] for name, pattern in _GAUGES.items()}
    if not found["running"] or not found["waiting"]:
        return None
    return Gauges(sum(found["running"]), sum(found["waiting"]), max(found["cache"], default=0.0))


class Pace:
    """The number of requests that may be in flight now.

    Args:
        most: never more than this.
        start: at the beginning.
    """

    def __init__(self, most: int, start: int) -> None:
        self.most = most
        self.limit = float(min(start, most))
        self._broke = float("inf")
        """Limit at which the server last refused for load."""
        self._cut_until = 0.0

    def busy(self, now: float, round_trip: float) -> None:
        """The server refused for load."""
        if now < self._cut_until:
            return  # the same burst
        self._cut_until = now + round_trip
        self._broke = self.limit
        self.limit = max(1.0, self.limit * _CUT)

    def answered(self) -> None:
        """A reply came."""
        step = 1.0 if self.limit < _NEAR * self._broke else 1.0 / _SLOW
        self.limit = min(float(self.most), self.limit + step)

    def observe(self, gauges: Gauges, in_flight: int) -> None:
        """The server told its load: hold what runs and a short queue."""
        spare = max(_QUEUE, _QUEUE_SHARE * gauges.running)
        long_queue = gauges.waiting > max(2 * _QUEUE, _LONG_QUEUE * gauges.running)
        if gauges.waiting > 0 and (gauges.cache > _FULL or long_queue):
            self.limit = max(1.0, min(self.limit, gauges.running + spare))
            self._broke = self.limit
        elif gauges.waiting == 0 and in_flight >= self.limit - 1:
            self._broke = float("inf")
            self.limit = min(float(self.most), 1.25 * self.limit + spare)


class Bucket:
    """A rate a minute: refills evenly, holds one second's worth at most, so that there are no bursts."""

    def __init__(self, per_minute: float) -> None:
        self.rate = per_minute / 60.0
        self.size = max(1.0, self.rate)
        self.level = self.size
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until something may be taken; 0 if it may be now."""
        if self._at:
            self.level = min(self.size, self.level + (now - self._at) * self.rate)
        self._at = now
        return 0.0 if self.level >= 1.0 else (1.0 - self.level) / self.rate

    def take(self, amount: float) -> None:
        """Take; a large amount leaves a debt that is waited off."""
        self.level -= amount
