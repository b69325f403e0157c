"""The servers of a run: which of them takes a call, and what becomes of one that fails.

A server that nobody listens at, or that brings nothing but faults, is left out; one task looks
at it until it answers again. If no other server of one of its models is left, the run stops after
`patience`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from synth.engines.client import Away, Busy, Client, Endpoint, Trouble
from synth.engines.slots import Slots
from synth.engines.watch import Flight
from synth.errors import EndpointError, SynthError

BARREN = 20
"""Faults in a row, from one server, after which it is looked at instead of asked."""
_LOOK, _LONGEST_LOOK = 0.5, 5.0
"""Seconds between two looks, at first and at most."""
_LOOK_PATIENCE = 30.0
_DOUBLINGS = 16


@dataclass(eq=False)
class Station:
    """One server as a run sees it."""

    endpoint: Endpoint
    flights: set[Flight] = field(default_factory=set)
    """Requests on their way to it."""
    faults: int = 0
    """In a row."""
    refusals: int = 0
    """In a row."""
    replied: float = 0.0
    """When it last answered."""
    looks: int = 0
    """How often it was looked at for its faults."""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    look: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """How many requests are on their way to it."""
        return len(self.flights)


class Stations:
    """The servers, by model; made inside the event loop.

    Args:
        endpoints: those of each model by its id; under "" those of every other.
        client: speaks to them.
        slots: halted if a server is lost for good.
        counts: of what happened; faults with no reply at all end the run.
        question: asks a server of a model something plain; raises `Trouble` if it cannot answer.
        on_away: called for a server that nobody listens at; may revive it.
        say: is told when a server is left out, and when it is back.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Sequence[Endpoint]],
        client: Client,
        slots: Slots,
        counts: Counter[str],
        question: Callable[[Endpoint, str], Awaitable[None]],
        on_away: Callable[[Endpoint], Awaitable[None]] | None,
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._client, self._slots, self._counts = client, slots, counts
        self._question, self._on_away = question, on_away
        self._loop = asyncio.get_running_loop()
        made: dict[str, Station] = {}
        self._of = {model: [made.setdefault(e.url, Station(e)) for e in found] for model, found in endpoints.items()}
        self.all = list(made.values())
        for station in self.all:
            station.up.set()

    def of(self, model: str) -> Sequence[Station]:
        """The servers of a model."""
        return self._of.get(model) or self._of.get("") or ()

    def pick(self, model: str, rank: int) -> Station | None:
        """The server for a call: that of its seed, whose cache knows the prefix, unless it lags behind."""
        up = [station for station in self.of(model) if station.up.is_set()]
        if len(up) < 2:
            return up[0] if up else None
        own, least = up[rank % len(up)], min(up, key=lambda station: station.in_flight)
        return own if own.in_flight <= 1.25 * least.in_flight + 4 else least

    async def some_up(self, model: str) -> None:
        """Wait until one of a model's servers answers again, or the run ends."""
        waits = [asyncio.create_task(station.up.wait()) for station in self.of(model)]
        waits.append(asyncio.create_task(self._slots.halted.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._slots.go_on()

    def lost(self, station: Station, model: str, fault: str = "") -> None:
        """A server does not answer: nobody asks it until it does."""
        if station.up.is_set() and not self._slots.halted.is_set():
            station.up.clear()
            station.look = asyncio.create_task(self._look(station, model, fault))

    async def _look(self, station: Station, model: str, fault: str) -> None:
        """Wait for a server to come back; stop the run if it does not."""
        what = f"nothing but faults ({fault})" if fault else "nobody answers there"
        self._say(f"{station.endpoint}: {what}; asked no more until it is back")
        try:
            await self._until_well(station, model, fault)
        except SynthError as error:
            if self._needed(station):
                self._slots.halt(error)
            else:
                self._say(f"{station.endpoint}: left out for good: {error}")
            return
        except Exception as error:  # nobody else would ever end the wait
            self._slots.halt(EndpointError(f"{station.endpoint}: {type(error).__name__} while it was looked at"))
            raise
        station.faults, station.replied = 0, self._loop.time()
        station.up.set()
        self._say(f"{station.endpoint}: it is back")

    def _needed(self, station: Station) -> bool:
        """Whether a model would be left without a server."""
        mine = [stations for stations in self._of.values() if station in stations]
        return any(not any(other.up.is_set() for other in stations) for stations in mine)

    async def _until_well(self, station: Station, model: str, fault: str) -> None:
        """Look at a server until it answers: a plain question, if faults came from it.

        Raises:
            EndpointError: it does not, or answers nothing else.
        """
        endpoint, began = station.endpoint, self._loop.time()
        if station.looks and station.faults >= BARREN and not self._counts["replies"] and self._needed(station):
            raise EndpointError(f"{endpoint}: every request failed ({fault})")
        station.looks += bool(fault)
        revive, pause = self._on_away, _LOOK if fault else 0.0
        for tries in count():
            await asyncio.sleep(pause)
            pause = min(_LONGEST_LOOK, _LOOK * 2 ** min(tries, _DOUBLINGS))
            try:
                async with asyncio.timeout(_LOOK_PATIENCE):
                    await (self._question(endpoint, model) if fault else self._greeting(endpoint))
                return
            except Away as away:
                said = str(away)
                if revive is not None:
                    await revive(endpoint)
                    revive, pause = None, 0.0
            except (Trouble, TimeoutError) as trouble:
                said = str(trouble) or "no answer"
                pause = max(pause, getattr(trouble, "wait", None) or 0.0)
                if (
                    fault
                    and self._needed(station)
                    and not (tries or self._counts["replies"] or isinstance(trouble, Busy))
                ):
                    raise EndpointError(f"{endpoint}: every request failed ({said})") from None
            if station.replied > began:
                return  # it only had no time for the question
            if self._loop.time() - began > self._slots.limits.patience and self._needed(station):
                raise EndpointError(f"{endpoint}: {said}; what was finished is kept, the same command goes on")

    async def _greeting(self, endpoint: Endpoint) -> None:
        """Find out whether a server is there."""
        answer = await self._client.ask(endpoint, "GET", endpoint.url + "/models")
        if answer.status >= 500:
            raise Trouble(f"HTTP {answer.status}")

    async def close(self) -> None:
        """Look at nobody any more."""
        looks = [station.look for station in self.all if station.look]
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
