"""Slots: which call goes out next, and when, within every limit of a run.

Calls wait in a heap by rank. A slot is free while fewer requests are in flight than the pace
allows, the rates a minute have something left, and the spend limits are not reached; when one of
these is, everything that waits is told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from itertools import count

from synth.engines.limits import Limits, Spent
from synth.engines.pace import Bucket, Pace
from synth.errors import StopWork, SynthError


class Slots:
    """The slots of a run; made inside the event loop.

    Args:
        limits: see `Limits`.
        spent: what the run has cost; a slot that is taken counts as a call.
        price: US dollars that a million tokens cost at most.
    """

    def __init__(self, limits: Limits, spent: Spent, price: float = 0.0) -> None:
        self.limits, self.spent, self.price = limits, spent, price
        self.pace = Pace(limits.in_flight, limits.start or limits.in_flight)
        self.in_flight = 0
        self.most = 0
        """The most that were in flight at once."""
        self.reserved = 0
        """Tokens that what is in flight may cost."""
        self.halted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[int, int, asyncio.Future[None], int]] = []
        self._tickets = count()
        self._why: SynthError | None = None
        self._timer: asyncio.TimerHandle | None = None
        rates = (limits.requests_per_minute, limits.tokens_per_minute)
        self._requests, self._tokens = (Bucket(rate) if rate else None for rate in rates)

    def halt(self, why: SynthError) -> None:
        """Give no slot any more, and tell whoever waits why."""
        if self._why is None:
            self._why = why
            self.halted.set()
            while self._queue:
                *_, future, _ = heapq.heappop(self._queue)
                if not future.done():
                    future.set_exception(type(why)(*why.args))

    def go_on(self) -> None:
        """Raise what halted the run, if something did."""
        if self._why is not None:
            raise type(self._why)(*self._why.args)

    async def take(self, rank: int, needs: int) -> None:
        """Wait for a slot; it has to be given back with `release`.

        Args:
            rank: lower ranks go first.
            needs: tokens that the request may cost.

        Raises:
            SynthError: the run is to end.
        """
        self.go_on()
        if not self._queue and self._admits(needs):
            self._book(needs)
            return
        self.go_on()
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._queue, (rank, next(self._tickets), future, needs))
        self.dispatch()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(needs, unused=True)
            raise

    def release(self, needs: int, *, used: int = 0, unused: bool = False) -> None:
        """Give a slot back, and what it did not use of the tokens; an unused one cost no call."""
        self.in_flight -= 1
        self.reserved -= needs
        self.spent.calls -= unused
        if self._tokens is not None:
            self._tokens.take(used - needs)
        self.dispatch()

    def dispatch(self) -> None:
        """Give out what slots there are."""
        while self._queue and self._why is None:
            *_, future, needs = self._queue[0]
            if future.done():
                heapq.heappop(self._queue)
            elif self._admits(needs):
                heapq.heappop(self._queue)
                self._book(needs)
                future.set_result(None)
            else:
                return

    async def pause(self, seconds: float) -> None:
        """Wait outside any slot; ends early, and raises, if the run ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.halted.wait()
        self.go_on()

    def affords(self, tokens: int) -> bool:
        """Whether one more call of so many tokens stays within the spend limits."""
        limits, spent = self.limits, self.spent
        if limits.max_calls is not None and spent.calls >= limits.max_calls:
            return False
        if (
            limits.max_cost is not None
            and spent.dollars + (self.reserved + tokens) * self.price / 1e6 > limits.max_cost
        ):
            return False
        return limits.max_tokens is None or spent.tokens + self.reserved + tokens <= limits.max_tokens

    def _admits(self, needs: int) -> bool:
        limits, now = self.limits, self._loop.time()
        if self.in_flight >= int(self.pace.limit):
            return False
        waits = [bucket.wait(now) for bucket in (self._requests, self._tokens) if bucket is not None]
        if any(waits):
            if self._timer is None:
                self._timer = self._loop.call_later(max(waits), self._tick)
            return False
        if self.affords(needs):
            return True
        if limits.max_calls is not None and self.spent.calls >= limits.max_calls:
            self.halt(StopWork(f"--max-calls {limits.max_calls} is reached"))
        elif self.in_flight == 0:
            over = limits.max_tokens is not None and self.spent.tokens + needs > limits.max_tokens
            named = f"--max-tokens {limits.max_tokens}" if over else f"serving.max_cost {limits.max_cost}"
            self.halt(StopWork(f"{named} might be passed by the next call, which may take {needs} tokens"))
        return False

    def _tick(self) -> None:
        self._timer = None
        self.dispatch()

    def _book(self, needs: int) -> None:
        self.in_flight += 1
        self.reserved += needs
        self.spent.calls += 1
        self.most = max(self.most, self.in_flight)
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(needs)
