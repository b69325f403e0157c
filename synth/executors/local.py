"""This machine: seeds flow side by side, each at its own pace, and come out in their order.

A seed that has to wait for a model holds nobody up: later ones go on, and what they gave is laid
aside, on disk beyond a few, until its turn comes. The gate that looks at earlier rows sees them in
order, so the outcome does not depend on who was faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import count
from typing import Protocol, TypeVar

from synth.errors import EndpointError, StopWork
from synth.pipeline import Pipeline
from synth.plan import Spot
from synth.sample import Sample
from synth.store import Memory

T = TypeVar("T")
_AT_HAND = 1000
"""Finished samples kept in memory until their turn."""
_GRACE = 60.0
"""Seconds for what is in flight, and paid for, once a server has failed the run."""
_AT_ONCE = 8
"""Seeds launched before the requests of those before them may go out."""


class Shelf(Protocol):
    """Where samples wait for earlier seeds."""

    def put_ahead(self, index: int, sample: Sample) -> None:
        """Lay a sample aside."""
        ...

    def take_ahead(self, index: int) -> Sample:
        """Take it back."""
        ...


def _laid(sample: Sample, place: int, pipeline: Pipeline, shelf: Shelf, ready: int) -> Sample | None:
    """A sample that is kept in memory until its turn; None if it was laid aside.

    A shelf keeps rows, not the plans by which the gate rewords them where no model has to be waited for.
    """
    if not pipeline.draft.engine.waits or ready < _AT_HAND:
        return sample
    shelf.put_ahead(place, sample)
    return None


async def _next(queue: asyncio.Queue[T], until: float | None) -> T | None:
    """The next of a queue; None if nothing comes until then."""
    try:
        async with asyncio.timeout_at(until):
            return await queue.get()
    except TimeoutError:
        return None


async def execute(
    pipeline: Pipeline,
    spots: Iterable[Spot],
    memory: Memory,
    accepted: Callable[[], int],
    shelf: Shelf,
    width: int = 1,
    over: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[tuple[int, Sample], None]:
    """Yield (seed index, finished sample) in the order of the seeds.

    Args:
        pipeline: what a seed goes through.
        spots: the seeds, with consecutive places.
        memory: what the gate has let in.
        accepted: tells how many rows were accepted so far.
        shelf: where samples wait that are too many to keep in memory.
        width: seeds on their way at once.
        over: whether the run is to end: no further seed starts, what is on its way is waited for,
            since its replies are paid for, and comes out at the next attempt.

    Raises:
        StopWork: a limit ended the run, and everything that was on its way has come in.
        EndpointError: so did a server; what was on its way was given some time to come in.
    """
    done: asyncio.Queue[tuple[int, asyncio.Task[Sample]]] = asyncio.Queue()
    flying: set[asyncio.Task[Sample]] = set()
    ready: dict[int, Sample | None] = {}
    waiting = iter(spots)
    turn: int | None = None
    stopped: StopWork | EndpointError | None = None
    until: float | None = None

    async def launch() -> None:
        nonlocal turn
        for number in count(1):
            full = stopped is not None or over() or len(flying) >= width
            if full or (spot := next(waiting, None)) is None:
                return
            turn = spot.place if turn is None else turn
            task = asyncio.create_task(pipeline.flow(spot))
            flying.add(task)
            task.add_done_callback(lambda task, place=spot.place: done.put_nowait((place, task)))  # type: ignore[misc]
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    try:
        await launch()
        while flying:
            if (came := await _next(done, until)) is None:
                break
            place, task = came
            flying.discard(task)
            try:
                sample = task.result()
            except (StopWork, EndpointError) as stop:
                stopped = stopped or stop
                if until is None and isinstance(stop, EndpointError):
                    until = asyncio.get_running_loop().time() + _GRACE
                continue
            ready[place] = sample if place == turn else _laid(sample, place, pipeline, shelf, len(ready))
            await launch()
            while turn in ready and not over():
                sample = ready.pop(turn) or shelf.take_ahead(turn)
                yield turn, await pipeline.admit(sample, memory, accepted())
                turn += 1
        if stopped is not None:
            raise stopped
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
