"""The watch over requests on their way: none outlives its time, and none is ended for others' slowness."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from synth.engines.limits import Limits

_EXTENSIONS = 4
_SAMPLE = 2000
_EVERY = 200
"""Replies between two looks at how long they take."""


class Flight:
    """One request on its way."""

    __slots__ = ("deadline", "extended", "order", "scope", "sent")

    def __init__(self, order: int, sent: float, deadline: float) -> None:
        self.order, self.sent, self.deadline, self.extended = order, sent, deadline, 0
        self.scope = asyncio.timeout(None)
        """To be entered; ends when the request is overdue."""


class Watch:
    """Deadlines of requests, by how long replies take.

    A streamed request is overdue after some silence. An unstreamed one is after `timeout`, or ten
    times the 99th percentile of this run's replies, if one that was sent later has been answered;
    else the server as a whole is slow, and the request gets as long again, up to four times.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.p99 = 0.0
        """Of the durations of replies, in seconds."""
        self.flights: dict[int, Flight] = {}
        self._loop = asyncio.get_running_loop()
        self._orders = count()
        self._last_answered = -1
        self._durations: deque[float] = deque(maxlen=_SAMPLE)
        self._answers = 0

    @contextmanager
    def flight(self) -> Iterator[Flight]:
        """Watch over a request as long as the context lasts."""
        now = self._loop.time()
        flight = Flight(next(self._orders), now, now + self.allowed())
        self.flights[flight.order] = flight
        try:
            yield flight
        finally:
            del self.flights[flight.order]

    def heard(self, flight: Flight) -> None:
        """A piece of a streamed reply came."""
        flight.deadline = self._loop.time() + self.limits.silence

    def answered(self, flight: Flight) -> None:
        """A reply came."""
        self._last_answered = max(self._last_answered, flight.order)
        self.timed(self._loop.time() - flight.sent)

    def timed(self, seconds: float) -> None:
        """Count how long a reply took."""
        self._durations.append(seconds)
        self._answers += 1
        if self._answers % _EVERY == 0:
            ordered = sorted(self._durations)
            self.p99 = ordered[int(0.99 * (len(ordered) - 1))]

    @property
    def mean(self) -> float:
        """Of the durations of the latest replies, in seconds."""
        return sum(self._durations) / len(self._durations) if self._durations else 0.0

    def allowed(self) -> float:
        """Seconds that a request may take before it is looked at."""
        if self.limits.stream:
            return self.limits.silence
        return max(self.limits.timeout, 10 * self.p99)

    async def keep(self) -> None:
        """End requests that are overdue, but not for a standstill of our own or of the whole server."""
        tick = min(1.0, self.limits.timeout / 20, self.limits.silence / 20)
        while True:
            before = self._loop.time()
            await asyncio.sleep(tick)
            now = self._loop.time()
            stood_still = now - before - tick
            for flight in list(self.flights.values()):
                if stood_still > tick:
                    flight.deadline += stood_still
                if flight.deadline > now:
                    continue
                overtaken = self._last_answered > flight.order
                if not self.limits.stream and not overtaken and flight.extended < _EXTENSIONS:
                    flight.extended += 1
                    flight.deadline = now + self.allowed()
                else:
                    flight.deadline = math.inf  # once: its end may take longer than a tick
                    flight.scope.reschedule(now)
