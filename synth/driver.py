"""One attempt at a run: picks up what is stored and goes on from there.

The driver draws seeds, has the executor take them through the pipeline, commits what comes
out in batches together with where the run stands, and ends when what was asked for is there, a
limit is reached, a signal comes, or so little is accepted that going on would be a waste.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth.claims import Claims
from synth.config import Config
from synth.engines.opening import Opened
from synth.errors import StopWork, UsageError
from synth.executors.local import execute
from synth.funnel import Funnel
from synth.pipeline import Pipeline
from synth.plan import Spot
from synth.process import Drain
from synth.sample import Sample
from synth.seeds.kg import Draws, Seeds
from synth.store import Store
from synth_kg.knowledge import Knowledge

MOST = 10**9
"""More than anyone can want: a wrong number is told before it is tried."""
PER_ACCEPTED = 5
"""Seeds attempted for each row wanted, at most."""
_BATCH = 100
"""Samples committed together: what a killed process has to make again, at most."""
_MARK_EVERY = 1000
"""Seeds between two marks from which drawing can go on."""
_STARVING = 200
"""Finished samples after which a yield of nothing stops a run."""

_TELL = 2.0
"""Seconds between two tellings of progress while nothing finishes."""

log = logging.getLogger("synth")


class Status(NamedTuple):
    """How far a run is."""

    funnel: Funnel
    made: int = 0
    """Samples, those included that wait for earlier ones before they are judged and counted."""
    calls: int = 0
    """Requests sent so far, by all attempts."""
    tokens: int = 0
    in_flight: int = 0


Progress = Callable[[Status], None]


class Wanted(NamedTuple):
    """How much is asked for."""

    seeds: int
    accepted: int | None
    pilot: int | None = None
    """Seeds after which the run asks whether to go on."""
    samples: int | None = None
    """Samples instead of seeds, where those that were there are made again."""


def wanted_of(n: int | None, accept: int | None, pilot: int | None = None) -> Wanted:
    """What the options ask for; 100 seeds if they say nothing.

    Raises:
        UsageError: they contradict each other, or are no sensible numbers.
    """
    if n is not None and accept is not None:
        raise UsageError("give -n (seeds to attempt) or --accept (rows to accept), not both")
    for name, value in (("-n", n), ("--accept", accept), ("--pilot", pilot)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: must be at least 1")
        if value is not None and value > MOST:
            raise UsageError(f"{name} {value}: must be at most {MOST}")
    if accept is not None:
        return Wanted(accept * PER_ACCEPTED, accept, pilot)
    return Wanted(n if n is not None else 100, None, pilot)


@dataclass
class Work:
    """What a driver works with."""

    config: Config
    knowledge: Knowledge
    seeds: Seeds
    store: Store
    drain: Drain
    wanted: Wanted
    progress: Progress


class Driver:
    """Drives one attempt."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.config, self.store, self.wanted = work.config, work.store, work.wanted
        self.funnel, self._mark = work.store.start()
        self.each = work.config.served.models_per_seed if work.config.engine != "grounded" else 1
        self.funnel.each = self.each
        self.most = self.wanted.seeds * self.each if self.wanted.samples is None else self.wanted.samples
        """Samples to make, at most."""
        self.funnel.asked = self.most if self.wanted.accepted is None else 0
        self.spent = False
        """Whether the knowledge admits no further seed."""
        self.limited = ""
        """The limit that ended this attempt, if one did."""
        self._marks: dict[int, Any] = {}
        self._full = 0.0
        """Seconds of a request times requests of a sample over slots."""
        self._goal = self.most
        pace: tuple[int, float] = work.store.value("pace") or (0, 0.0)
        self.made, self.seconds = pace
        """Samples finished by this attempt and by earlier ones that ended in order, and the time that they took."""

    @property
    def finished(self) -> bool:
        """Whether what was asked for is there."""
        enough = self.wanted.accepted is not None and self.funnel.accepted >= self.wanted.accepted
        return enough or self.funnel.done >= self.most or self.spent

    @property
    def starved(self) -> bool:
        """Whether so many samples gave so little that asking for more is a waste."""
        least = self.config.run.min_yield
        enough = self.funnel.done >= _STARVING or (self.funnel.done > 0 and self.finished)
        return least > self.funnel.accepted and enough

    @property
    def seconds_each(self) -> tuple[float, float]:
        """Seconds that a further sample takes: at least and at most.

        At most as those that were made. At least as its requests take with all slots full and answered no slower,
        which a few seeds do not show.
        """
        measured = self.seconds / max(1, self.made)
        return min(measured, self._full or measured), measured

    @property
    def _over(self) -> bool:
        return self.work.drain.asked or self.finished or self.starved or self.funnel.done >= self._goal

    async def drive(self, opened: Opened, claims: Claims, confirm: Callable[[Driver], bool]) -> None:
        """Attempt the seeds that are left, committing batch by batch.

        Args:
            opened: the engine.
            claims: what evidence lets a row say.
            confirm: asked after the pilot whether to go on.
        """
        if self.finished:
            return
        log.info("attempt starts at sample %d of %d", self.funnel.done, self.most)
        pipeline = Pipeline(self.work.knowledge, self.config, claims, opened.engine)
        pilot = self.wanted.pilot
        if pilot is not None and self.funnel.done <= pilot * self.each:
            self._goal = min(pilot * self.each, self.most)
            await self._stretch(opened, pipeline)
            if self.work.drain.asked or self.finished or self.starved or self.limited or not confirm(self):
                return
        self._goal = self.most
        await self._stretch(opened, pipeline)
        if self.spent:
            log.warning("the knowledge is spent after %d samples", self.funnel.done)
        log.info("%d samples, %d accepted", self.funnel.done, self.funnel.accepted)

    async def _stretch(self, opened: Opened, pipeline: Pipeline) -> None:
        """Attempt seeds up to the goal."""
        scheduler = opened.scheduler
        if scheduler is not None:
            loop = asyncio.get_running_loop()

            def wish() -> None:
                loop.call_soon_threadsafe(scheduler.halt, StopWork("interrupted"))

            self.work.drain.wish = wish

        def tell() -> None:
            self.work.progress(_status(self.funnel, before + pipeline.flowed, opened))

        before = self.funnel.done - pipeline.flowed
        batch: list[tuple[int, Sample]] = []
        start = time.monotonic()
        ticker = asyncio.create_task(_every(_TELL, tell)) if scheduler is not None else None
        flow = execute(
            pipeline, self._spots(), self.store.memory, lambda: self.funnel.accepted, self.store,
            width=opened.width, over=lambda: self._over,
        )  # fmt: skip
        try:
            async with aclosing(flow) as results:
                async for index, sample in results:
                    batch.append((index, sample))
                    self.funnel.take(sample)
                    self.made += 1
                    tell()
                    if scheduler is not None and (self.finished or self.starved):
                        scheduler.halt(StopWork("done"))  # calls that were not sent yet need not be
                    if len(batch) >= _BATCH:
                        self._commit(batch)
                        batch = []
        except StopWork as stop:
            self.limited = "" if self.work.drain.asked or self.finished or self.starved else str(stop)
        finally:
            if ticker is not None:
                ticker.cancel()
            self.work.drain.wish = None
            self.seconds += time.monotonic() - start
            if scheduler is not None and self.funnel.done:
                asked = self.store.spent.calls / self.funnel.done
                self._full = scheduler.watch.mean * asked / scheduler.limits.in_flight
            self._commit(batch)
            self.store.keep_value("pace", (self.made, self.seconds))
        if self.funnel.done < self._goal and not self.limited and not self._over:
            self.spent = True

    def _commit(self, batch: list[tuple[int, Sample]]) -> None:
        due = {place: state for place, state in self._marks.items() if place * self.each <= self.funnel.done}
        self.store.add(batch, self.funnel, due)
        for place in due:
            del self._marks[place]

    def _spots(self) -> Iterator[Spot]:
        """The seeds from where the run stands, one for each model that writes on it."""
        draws = Draws(self.work.seeds, self._mark)
        models = max(1, len(self.config.model))
        while True:
            if draws.index % _MARK_EVERY == 0:
                index, state = draws.mark()
                self._marks[index] = state
                self._mark = (index, state)
            spot = next(draws, None)
            if spot is None:
                return
            for which in range(self.each):
                place = spot.place * self.each + which
                if place >= self._goal:
                    return
                if place >= self.funnel.done:
                    yield spot._replace(place=place, writer=place % models)


def _status(funnel: Funnel, made: int, opened: Opened) -> Status:
    scheduler = opened.scheduler
    if scheduler is None:
        return Status(funnel, funnel.done)
    return Status(funnel, made, scheduler.spent.calls, scheduler.spent.tokens, scheduler.in_flight)


async def _every(seconds: float, tell: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        tell()
