"""The scheduler: every call is answered once, from the store or by a server, through every fault.

One event loop, no batches. Calls wait in the order of their seeds, so that those that share a
prefix go out together; a call that fails waits by itself and holds nobody up. A reply is in
the store before its slot is free again: what a killed process has to ask again is at most
what was in flight.

| what happened | what is done |
|---|---|
| 429 | that request waits (Retry-After and growing backoff with jitter); fewer go out meanwhile |
| 5xx, dropped or cut connection, silence | again, with backoff and jitter, `tries` times |
| nobody listens, or nothing but faults | all wait and one looks; after `patience` the run stops |
| unusable content | asked again `re_asks` times, with the reply and what is wrong with it shown |
| other 4xx | the row fails; 401, 402, 403, an unknown model and nothing but refusals stop the run |

A row is given up for faults only if its server answered someone else meanwhile, or answers a plain
question: a server that fails everything stops the run and fails no row. One that refuses
everything fails a few before that shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol, Self, TypeVar

import orjson

from synth.engines.calls import Call, Completion, Malformed, read_completion
from synth.engines.client import Away, Busy, Client, Endpoint, Refused, Trouble
from synth.engines.limits import Limits, Spent
from synth.engines.pace import Gauges, read_gauges
from synth.engines.slots import Slots
from synth.engines.stations import BARREN, Station, Stations
from synth.engines.watch import Watch
from synth.errors import EndpointError, NotStored, SynthError, Unanswered

CHAT = "/chat/completions"
NOT_STORED = "no_stored_reply"
_NONE = b"!"
"""Begins what is stored where no reply came: the reason, so that a replay can give it again."""
_BACKOFF, _LONGEST = 0.25, 30.0
_BUSIES = 100
"""Refusals for load after which a row is given up: with the backoff between them, three quarters of an hour."""
_LONGEST_WAIT = 600.0
"""Seconds that a server may have a call wait."""
_DOUBLINGS = 16
_BYTES_A_TOKEN = 2
"""Of a request's body, at least, for what it is reckoned at before its reply tells what it cost."""
_POLL = 1.0
T = TypeVar("T")


class Journal(Protocol):
    """Where replies are kept."""

    def reply(self, key: bytes) -> bytes | None:
        """The stored reply of this name."""
        ...

    def keep(self, key: bytes, model: str, tokens: tuple[int, int], reply: bytes) -> None:
        """Store a reply; it is durable on return."""
        ...


@dataclass
class _Tally:
    """What went wrong with one call so far."""

    since: float
    """When it was made, or last failed."""
    faults: int = 0
    busies: int = 0

    @property
    def all(self) -> int:
        """Requests that brought no reply."""
        return self.faults + self.busies


def plainly(call: Call) -> dict[str, Any]:
    """The request body of a call, in the dialect that most servers know."""
    body: dict[str, Any] = {"model": call.model, "messages": call.messages, **call.body}
    if call.schema is None:
        return body
    schema = {"name": "reply", "strict": True, "schema": call.schema}
    return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}


def complain(problem: Malformed) -> str:
    """What a model is told about an unusable reply, where nobody words it better."""
    return f"Your reply cannot be used: {problem}. Reply again, whole and in the form that was asked for."


def backoff(tries: int) -> float:
    """Seconds to wait after so many tries, with jitter."""
    return min(_LONGEST, _BACKOFF * 2.0 ** min(tries - 1, _DOUBLINGS)) * random.uniform(0.5, 1.5)


class Scheduler:
    """Answers calls; use as an async context manager.

    Args:
        endpoints: the servers, or those of each model by its id; none means that only stored
            replies count.
        journal: where replies are kept.
        limits: see `Limits`.
        spent: what earlier attempts cost; counted on.
        ca: a file of certificates to trust.
        dress: makes the request body of a call, in the dialect of a server.
        prices: US dollars per million tokens, prompt and completion, by model.
        single: models whose servers give one reply a request; several are then asked for one by one.
        on_away: called for a server that nobody listens at, before it is looked at; may revive it.
        say: is told when a server goes away, and when it is back.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint] | Mapping[str, Sequence[Endpoint]],
        journal: Journal,
        limits: Limits | None = None,
        *,
        spent: Spent | None = None,
        ca: str | None = None,
        dress: Callable[[Call, Endpoint], Mapping[str, Any]] = lambda call, _endpoint: plainly(call),
        prices: Mapping[str, tuple[float, float]] | None = None,
        single: Container[str] = (),
        on_away: Callable[[Endpoint], Awaitable[None]] | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.limits = limits or Limits()
        self.journal = journal
        self.spent = spent or Spent()
        self.client = Client(ca=ca)
        self.counts: Counter[str] = Counter()
        """What happened, by kind: stored, replies, malformed, and every fault by its reason."""
        self._named = endpoints if isinstance(endpoints, Mapping) else {"": endpoints}
        self._dress = dress
        self._prices = prices or {}
        self._single = single
        self._on_away = on_away
        self._say = say
        self._asked: dict[bytes, asyncio.Event] = {}
        """Calls that are being answered, by key."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.slots = Slots(self.limits, self.spent, max((max(both) for both in self._prices.values()), default=0.0))
        self.watch = Watch(self.limits)
        self.stations = Stations(
            self._named, self.client, self.slots, self.counts, self._question, self._on_away, self._say
        )
        await self.client.__aenter__()
        self._tasks = [asyncio.create_task(self.watch.keep())]
        if self.limits.gauges:
            self._tasks += [asyncio.create_task(self._observe())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stations.close()
        await self.client.__aexit__()

    async def ask(
        self,
        call: Call,
        *,
        rank: int,
        accept: Callable[[Completion], T],
        complain: Callable[[Malformed], str] = complain,
    ) -> T:
        """Answer a call, from the store or by a server.

        Args:
            call: what to ask.
            rank: lower ranks go out first: the index of the seed.
            accept: reads the reply; raises `Malformed` if it cannot be used, and then the model
                is shown what is wrong and asked again.
            complain: words for the model about an unusable reply.

        Returns:
            What `accept` returns.

        Raises:
            Unanswered: no usable reply came; the text says why, in words that can be counted.
            StopWork: the run is to end here.
            EndpointError: the servers are gone, or refuse us.
        """
        for left in range(self.limits.re_asks, -1, -1):
            completion = await self.complete(call, rank)
            try:
                return accept(completion)
            except Malformed as problem:
                self.counts["malformed"] += 1
                if not left:
                    raise Unanswered(f"unusable: {problem.reason}") from None
                said = completion.choices[0].text if completion.choices else ""
                call = call.again(said[:4000], complain(problem))
        raise AssertionError("unreachable")

    async def complete(self, call: Call, rank: int) -> Completion:
        """The reply to a call as it came, usable or not; raises as `ask`."""
        if call.model in self._single and int(call.body.get("n") or 1) > 1:
            return await self._one_by_one(call, rank)
        key = call.key
        while (twin := self._asked.get(key)) is not None:
            await twin.wait()  # whoever asks the same is answered from the store
        stored = self.journal.reply(key)
        if stored is not None and not stored.startswith(_NONE):
            self.counts["stored"] += 1
            return read_completion(stored)
        if not self.stations.of(call.model):
            if stored is None:
                raise NotStored(NOT_STORED)
            raise Unanswered(stored[len(_NONE) :].decode())
        self._asked[key] = asyncio.Event()
        try:
            return await self._fetch(call, key, rank)
        except Unanswered as error:
            self.journal.keep(key, call.model, (0, 0), _NONE + str(error).encode())
            raise
        finally:
            self._asked.pop(key).set()

    async def _one_by_one(self, call: Call, rank: int) -> Completion:
        """Several replies from a server that gives one a request; each is a call of its own."""
        body = {name: value for name, value in call.body.items() if name != "n"}
        seed = body.get("seed")
        calls = [
            call._replace(body={**body, "seed": seed + index} if seed is not None else {**body, "index": index})
            for index in range(int(call.body["n"]))
        ]
        gathered = await asyncio.gather(*(self.complete(one, rank) for one in calls), return_exceptions=True)
        got = [one for one in gathered if isinstance(one, Completion)]
        for one in gathered:
            if isinstance(one, BaseException):
                raise one
        return Completion(
            tuple(choice for one in got for choice in one.choices),
            sum(one.prompt_tokens for one in got),
            sum(one.completion_tokens for one in got),
            got[0].prompt_logprobs,
        )

    @property
    def in_flight(self) -> int:
        """Requests on their way now."""
        return self.slots.in_flight

    def halt(self, why: SynthError) -> None:
        """Send nothing more; what is in flight is waited for and stored."""
        self.slots.halt(why)

    async def _fetch(self, call: Call, key: bytes, rank: int) -> Completion:
        payloads: dict[Endpoint, bytes] = {}
        written = self._payload(call, self.stations.of(call.model)[0].endpoint, payloads)
        needs = len(written) // _BYTES_A_TOKEN + int(call.body.get("max_tokens") or 0) * int(call.body.get("n") or 1)
        tally = _Tally(self._loop.time())
        while True:
            await self.slots.take(rank, needs)
            station = self.stations.pick(call.model, rank)
            if station is None:
                self.slots.release(needs, unused=True)
                await self.stations.some_up(call.model)
                continue
            sent, used = True, 0
            try:
                payload = self._payload(call, station.endpoint, payloads)
                completion = await self._send(station, call, key, payload)
                station.faults, station.refusals, station.replied = 0, 0, self._loop.time()
                self.slots.pace.answered()
                used = completion.prompt_tokens + completion.completion_tokens
                return completion
            except Trouble as trouble:
                wait, sent = trouble.wait, not isinstance(trouble, Away | Busy)  # which cost nothing
                lost = self._failed(station, call.model, trouble, tally)
            except Refused as refused:
                self._refused(refused, station)
            finally:
                self.slots.release(needs, used=used, unused=not sent)
            if not lost:
                asked = min(wait or 0.0, _LONGEST_WAIT) * random.uniform(1.0, 1.1)
                await self.slots.pause(max(asked, backoff(tally.all)) if tally.busies > 1 or not wait else asked)

    def _payload(self, call: Call, endpoint: Endpoint, made: dict[Endpoint, bytes]) -> bytes:
        """The body of a request to a server; made once."""
        if endpoint not in made:
            body = {name: value for name, value in self._dress(call, endpoint).items() if name != "index"}
            if self.limits.stream:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            made[endpoint] = orjson.dumps(body)
        return made[endpoint]

    def _failed(self, station: Station, model: str, trouble: Trouble, tally: _Tally) -> bool:
        """Count a fault, and find out whose it is.

        Returns:
            Whether it is the server's, which is then left out until it answers.

        Raises:
            Unanswered: it is the call's.
        """
        self.counts[trouble.reason] += 1
        if isinstance(trouble, Away):
            self.stations.lost(station, model)
            return True
        since, tally.since = tally.since, self._loop.time()
        if isinstance(trouble, Busy):
            tally.busies += 1
            self.slots.pace.busy(tally.since, max(1.0, self.watch.p99))
        else:
            station.faults += 1
            tally.faults += station.faults < BARREN
        worn = tally.busies > _BUSIES or tally.faults >= self.limits.tries
        if worn and station.replied > since:
            raise Unanswered(f"no reply: {trouble.reason}") from None
        if worn or station.faults >= BARREN:
            self.stations.lost(station, model, trouble.reason)
            return True
        return False

    async def _send(self, station: Station, call: Call, key: bytes, payload: bytes) -> Completion:
        with self.watch.flight() as flight:
            station.flights.add(flight)
            try:
                heard = partial(self.watch.heard, flight) if self.limits.stream else None
                async with flight.scope:
                    reply = await self.client.post(station.endpoint, CHAT, payload, heard)
            except TimeoutError:
                raise Trouble("no reply in time") from None
            finally:
                station.flights.discard(flight)
        try:
            completion = read_completion(reply)
        except ValueError as error:
            raise Trouble(str(error)) from None
        self.watch.answered(flight)
        tokens = (completion.prompt_tokens, completion.completion_tokens)
        self.spent.prompt_tokens += tokens[0]
        self.spent.completion_tokens += tokens[1]
        prices = self._prices.get(call.model, (0.0, 0.0))
        self.spent.dollars += (tokens[0] * prices[0] + tokens[1] * prices[1]) / 1e6
        self.counts["replies"] += 1
        self.journal.keep(key, call.model, tokens, reply)
        return completion

    def abandon(self, endpoint: Endpoint) -> None:
        """Wait no more for what a server was asked: it is gone. The calls are asked again as after any broken one."""
        for station in self.stations.all:
            if station.endpoint is endpoint:
                for flight in station.flights:
                    with contextlib.suppress(RuntimeError):  # it is ending already
                        flight.scope.reschedule(self._loop.time())

    async def _observe(self) -> None:
        """Follow the gauges of the servers; those that tell nothing are left to AIMD."""
        while True:
            await asyncio.sleep(_POLL)
            seen: list[Gauges] = []
            for station in self.stations.all:
                try:
                    async with asyncio.timeout(10):
                        answer = await self.client.ask(station.endpoint, "GET", station.endpoint.root + "/metrics")
                except (Trouble, TimeoutError):
                    continue
                gauges = read_gauges(answer.body) if answer.status == 200 else None
                if gauges is not None:
                    seen.append(gauges)
            if seen:
                share = len(self.stations.all) / len(seen)
                running, waiting = (share * sum(getattr(one, name) for one in seen) for name in ("running", "waiting"))
                self.slots.pace.observe(Gauges(running, waiting, max(one.cache for one in seen)), self.slots.in_flight)
                self.slots.dispatch()

    async def _question(self, endpoint: Endpoint, model: str) -> None:
        """Find out whether a server answers anything at all."""
        spent = self.spent
        call = Call(model, ({"role": "user", "content": "Say hello."},), {"max_tokens": 1})
        payload = orjson.dumps(plainly(call))
        if not self.slots.affords(len(payload)):
            return  # the next call finds out, and ends the run
        spent.calls += 1
        try:
            completion = read_completion(await self.client.post(endpoint, CHAT, payload))
        except Refused:
            return
        except ValueError as error:
            raise Trouble(str(error)) from None
        spent.prompt_tokens += completion.prompt_tokens
        spent.completion_tokens += completion.completion_tokens

    def _refused(self, refused: Refused, station: Station) -> NoReturn:
        self.counts[f"HTTP {refused.status}"] += 1
        station.refusals += 1
        if refused.status in (401, 402, 403):
            error = EndpointError(f"the server refuses the credentials (HTTP {refused.status}): {refused}")
        elif refused.status == 404:
            error = EndpointError(f"the server does not have what was asked for: {refused}")
        elif station.refusals >= BARREN:
            error = EndpointError(f"the server refuses every request: {refused}")
        else:
            raise Unanswered(f"refused: HTTP {refused.status}") from refused
        self.halt(error)
        raise error from None
