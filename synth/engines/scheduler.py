"""The scheduler: every call is answered once, from the store or by a server, through every fault.

One event loop, no batches. Calls wait in the order of their seeds, so that those that share a
prefix go out together; a call that fails waits by itself and holds nobody up. A reply is in
the store before its slot is free again: what a killed process has to ask again is at most
what was in flight.

| what happened | what is done |
|---|---|
| 429 | that request waits (Retry-After, else backoff with jitter); fewer go out meanwhile |
| 5xx, dropped or cut connection, silence | again, with backoff and jitter, `tries` times |
| nobody listens, or nothing but faults | all wait and one looks; after `patience` the run stops |
| unusable content | asked again `re_asks` times, with the reply and what is wrong with it shown |
| other 4xx | the row fails; 401, 402, 403, an unknown model and nothing but refusals stop the run |

A row is given up only if its server answered someone else meanwhile, or answers a plain question:
a server that fails everything stops the run and fails no row.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NoReturn, Protocol, Self, TypeVar

import orjson

from synth.engines.calls import Call, Completion, Malformed, read_completion
from synth.engines.client import Away, Busy, Client, Endpoint, Refused, Trouble
from synth.engines.pace import Bucket, Pace, read_gauges
from synth.errors import EndpointError, StopWork, SynthError, Unanswered

CHAT = "/chat/completions"
NOT_STORED = "no_stored_reply"
_NONE = b"!"
"""Begins what is stored where no reply came: the reason, so that a replay can give it again."""
_BACKOFF, _LONGEST = 0.25, 30.0
_BUSIES = 30
"""Refusals for load after which a row is given up."""
_EXTENSIONS = 4
_BARREN = 20
"""Faults in a row, from one server, after which it is looked at instead of asked."""
_LOOK, _LONGEST_LOOK = 0.5, 5.0
"""Seconds between two looks, at first and at most."""
_LOOK_PATIENCE = 30.0
_DOUBLINGS = 16
_POLL = 1.0
_SAMPLE = 2000
T = TypeVar("T")


class Journal(Protocol):
    """Where replies are kept."""

    def reply(self, key: bytes) -> bytes | None:
        """The stored reply of this name."""
        ...

    def keep(self, key: bytes, model: str, tokens: tuple[int, int], reply: bytes) -> None:
        """Store a reply; it is durable on return."""
        ...


@dataclass(frozen=True)
class Limits:
    """How hard a server may be driven, and how long it is waited for. None of it changes a row."""

    in_flight: int = 256
    start: int | None = None
    """Requests in flight at the beginning; as many as are allowed if None."""
    timeout: float = 300.0
    """Seconds that an unstreamed reply may take, at least; ten times the run's p99 if that is more."""
    silence: float = 60.0
    """Seconds between two pieces of a streamed reply."""
    stream: bool = False
    tries: int = 5
    re_asks: int = 2
    patience: float = 300.0
    """Seconds that a server may be away before the run stops."""
    max_calls: int | None = None
    max_tokens: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    gauges: bool = False
    """Whether the servers are vLLM's, whose /metrics tell their load."""


@dataclass
class Spent:
    """What a run has cost so far, over all its attempts."""

    calls: int = 0
    """Requests sent, answered or not."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(eq=False)
class _Station:
    """One server as the scheduler sees it."""

    endpoint: Endpoint
    in_flight: int = 0
    faults: int = 0
    """In a row."""
    replied: float = 0.0
    """When it last answered."""
    looks: int = 0
    """How often it was looked at for its faults."""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    look: asyncio.Task[None] | None = None


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


class _Flight:
    """One request on its way."""

    __slots__ = ("deadline", "extended", "order", "scope", "sent")

    def __init__(self, order: int, sent: float, deadline: float, scope: asyncio.Timeout) -> None:
        self.order, self.sent, self.deadline, self.scope, self.extended = order, sent, deadline, scope, 0


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
    return min(_LONGEST, _BACKOFF * 2 ** min(tries - 1, _DOUBLINGS)) * random.uniform(0.5, 1.5)


class Scheduler:
    """Answers calls; use as an async context manager.

    Args:
        endpoints: the servers, or those of each model by its id; none means that only stored
            replies count.
        journal: where replies are kept.
        limits: see `Limits`.
        spent: what earlier attempts cost; counted on.
        ca: a file of certificates to trust.
        dress: makes the request body of a call, in the dialect of its server.
        single: models whose servers give one reply a request; several are then asked for one by one.
        on_away: called for a server that nobody listens at, before it is looked at; may revive it.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint] | Mapping[str, Sequence[Endpoint]],
        journal: Journal,
        limits: Limits | None = None,
        *,
        spent: Spent | None = None,
        ca: str | None = None,
        dress: Callable[[Call], Mapping[str, Any]] = plainly,
        single: Container[str] = (),
        on_away: Callable[[Endpoint], Awaitable[None]] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.journal = journal
        self.spent = spent or Spent()
        self.client = Client(ca=ca)
        self.counts: Counter[str] = Counter()
        """What happened, by kind: stored, replies, malformed, and every fault by its reason."""
        self.most_in_flight = 0
        self._named = endpoints if isinstance(endpoints, Mapping) else {"": endpoints}
        self._stations: dict[str, list[_Station]] = {}
        self._dress = dress
        self._single = single
        self._on_away = on_away
        self._queue: list[tuple[int, int, asyncio.Future[None], int]] = []
        self._tickets = count()
        self._flights: dict[int, _Flight] = {}
        self._last_answered = -1
        self._in_flight = 0
        self._reserved = 0
        self._halt: SynthError | None = None
        self._durations: deque[float] = deque(maxlen=_SAMPLE)
        self._p99 = 0.0
        self._timer: asyncio.TimerHandle | None = None
        rates = (self.limits.requests_per_minute, self.limits.tokens_per_minute)
        self._requests, self._tokens = (Bucket(rate) if rate else None for rate in rates)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._halted = asyncio.Event()
        made: dict[str, _Station] = {}
        for model, endpoints in self._named.items():
            self._stations[model] = [made.setdefault(e.url, _Station(e)) for e in endpoints]
        for station in made.values():
            station.up.set()
        most = self.limits.in_flight
        self.pace = Pace(most, self.limits.start or most)
        await self.client.__aenter__()
        self._tasks = [asyncio.create_task(self._watch())]
        if self.limits.gauges:
            self._tasks += [asyncio.create_task(self._observe(list(made.values())))]
        return self

    async def __aexit__(self, *_: object) -> None:
        looks = [s.look for stations in self._stations.values() for s in stations if s.look]
        for task in (*self._tasks, *looks):
            task.cancel()
        await asyncio.gather(*self._tasks, *looks, return_exceptions=True)
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
        stored = self.journal.reply(key)
        if stored is not None and not stored.startswith(_NONE):
            self.counts["stored"] += 1
            return read_completion(stored)
        if not self._servers(call.model):
            raise Unanswered(stored[len(_NONE) :].decode() if stored else NOT_STORED)
        try:
            return await self._fetch(call, key, rank)
        except Unanswered as error:
            self.journal.keep(key, call.model, (0, 0), _NONE + str(error).encode())
            raise

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
        return self._in_flight

    def halt(self, why: SynthError) -> None:
        """Send nothing more; what is in flight is waited for and stored."""
        if self._halt is None:
            self._halt = why
            self._halted.set()
            while self._queue:
                *_, future, _ = heapq.heappop(self._queue)
                if not future.done():
                    future.set_exception(type(why)(*why.args))

    def _go_on(self) -> None:
        """Raise what halted the run, if something did."""
        if self._halt is not None:
            raise type(self._halt)(*self._halt.args)

    async def _fetch(self, call: Call, key: bytes, rank: int) -> Completion:
        body = {name: value for name, value in self._dress(call).items() if name != "index"}
        if self.limits.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        payload = orjson.dumps(body)
        needs = len(payload) + int(call.body.get("max_tokens") or 0) * int(call.body.get("n") or 1)
        tally = _Tally(self._loop.time())
        while True:
            await self._turn(rank, needs)
            station = self._pick(call.model, rank)
            if station is None:
                self._release(needs, unused=True)
                await self._some_up(call.model)
                continue
            sent = True
            try:
                completion = await self._send(station, call, key, payload)
                station.faults, station.replied = 0, self._loop.time()
                self.pace.answered()
                return completion
            except Trouble as trouble:
                wait, sent = trouble.wait, not isinstance(trouble, Away)
                lost = self._failed(station, call.model, trouble, tally)
            except Refused as refused:
                self._refused(refused)
            finally:
                self._release(needs, unused=not sent)
            if not lost:
                await self._pause(wait, tally.all)

    def _failed(self, station: _Station, model: str, trouble: Trouble, tally: _Tally) -> bool:
        """Count a fault, and find out whose it is.

        Returns:
            Whether it is the server's, which is then left out until it answers.

        Raises:
            Unanswered: it is the call's.
        """
        self.counts[trouble.reason] += 1
        if isinstance(trouble, Away):
            self._lost(station, model)
            return True
        since, tally.since = tally.since, self._loop.time()
        if isinstance(trouble, Busy):
            tally.busies += 1
            self.pace.busy(tally.since, max(1.0, trouble.wait or 0.0, self._p99))
        else:
            station.faults += 1
            tally.faults += station.faults < _BARREN
        worn = tally.busies > _BUSIES or tally.faults >= self.limits.tries
        if worn and station.replied > since:
            raise Unanswered(f"no reply: {trouble.reason}") from None
        if worn or station.faults >= _BARREN:
            self._lost(station, model, trouble.reason)
            return True
        return False

    async def _send(self, station: _Station, call: Call, key: bytes, payload: bytes) -> Completion:
        order, sent = next(self._tickets), self._loop.time()
        station.in_flight += 1
        try:
            async with asyncio.timeout(None) as scope:
                flight = self._flights[order] = _Flight(order, sent, sent + self._allowed(), scope)
                heard = self._hearing(flight) if self.limits.stream else None
                reply = await self.client.post(station.endpoint, CHAT, payload, heard)
        except TimeoutError:
            raise Trouble("no reply in time") from None
        finally:
            station.in_flight -= 1
            self._flights.pop(order, None)
        try:
            completion = read_completion(reply)
        except ValueError as error:
            raise Trouble(str(error)) from None
        self._last_answered = max(self._last_answered, order)
        self._timed(self._loop.time() - sent)
        tokens = (completion.prompt_tokens, completion.completion_tokens)
        self.spent.prompt_tokens += tokens[0]
        self.spent.completion_tokens += tokens[1]
        self.counts["replies"] += 1
        self.journal.keep(key, call.model, tokens, reply)
        return completion

    def _hearing(self, flight: _Flight) -> Callable[[], None]:
        def heard() -> None:
            flight.deadline = self._loop.time() + self.limits.silence

        return heard

    def _allowed(self) -> float:
        """Seconds that a request may take before it is looked at."""
        if self.limits.stream:
            return self.limits.silence
        return max(self.limits.timeout, 10 * self._p99)

    def _timed(self, seconds: float) -> None:
        self._durations.append(seconds)
        if self.counts["replies"] % 200 == 0:
            ordered = sorted(self._durations)
            self._p99 = ordered[int(0.99 * (len(ordered) - 1))]

    async def _watch(self) -> None:
        """End requests that are overdue, but not for a standstill of our own or of the whole server."""
        tick = min(1.0, self.limits.timeout / 20, self.limits.silence / 20)
        while True:
            before = self._loop.time()
            await asyncio.sleep(tick)
            now = self._loop.time()
            stood_still = now - before - tick
            for flight in list(self._flights.values()):
                if stood_still > tick:
                    flight.deadline += stood_still
                if flight.deadline > now:
                    continue
                overtaken = self._last_answered > flight.order
                if not self.limits.stream and not overtaken and flight.extended < _EXTENSIONS:
                    flight.extended += 1
                    flight.deadline = now + self._allowed()
                else:
                    flight.scope.reschedule(now)

    async def _observe(self, stations: Sequence[_Station]) -> None:
        """Follow the gauges of the servers; those that tell nothing are left to AIMD."""
        while True:
            await asyncio.sleep(_POLL)
            for station in stations:
                try:
                    async with asyncio.timeout(10):
                        answer = await self.client.ask(station.endpoint, "GET", station.endpoint.root + "/metrics")
                except (Trouble, TimeoutError):
                    continue
                gauges = read_gauges(answer.body) if answer.status == 200 else None
                if gauges is not None:
                    share = max(1, len(stations))
                    whole = gauges._replace(running=gauges.running * share, waiting=gauges.waiting * share)
                    self.pace.observe(whole, self._in_flight)
                    self._dispatch()

    def _servers(self, model: str) -> Sequence[_Station]:
        return self._stations.get(model) or self._stations.get("") or ()

    def _pick(self, model: str, rank: int) -> _Station | None:
        """The server for a call: that of its seed, whose cache knows the prefix, unless it lags behind."""
        up = [station for station in self._servers(model) if station.up.is_set()]
        if len(up) < 2:
            return up[0] if up else None
        own, least = up[rank % len(up)], min(up, key=lambda station: station.in_flight)
        return own if own.in_flight <= 1.25 * least.in_flight + 4 else least

    async def _some_up(self, model: str) -> None:
        """Wait until one of a model's servers answers again, or the run ends."""
        waits = [asyncio.create_task(station.up.wait()) for station in self._servers(model)]
        waits.append(asyncio.create_task(self._halted.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._go_on()

    def _lost(self, station: _Station, model: str, fault: str = "") -> None:
        """A server does not answer: nobody asks it until it does."""
        if station.up.is_set() and self._halt is None:
            station.up.clear()
            station.look = asyncio.create_task(self._look(station, model, fault))

    async def _look(self, station: _Station, model: str, fault: str) -> None:
        """Wait for a server to come back; stop the run if it does not."""
        try:
            await self._until_well(station, model, fault)
        except SynthError as error:
            self.halt(error)
            return
        except Exception as error:  # nobody else would ever end the wait
            self.halt(EndpointError(f"{station.endpoint}: {type(error).__name__} while it was looked at"))
            raise
        station.faults, station.replied = 0, self._loop.time()
        station.up.set()

    async def _until_well(self, station: _Station, model: str, fault: str) -> None:
        """Look at a server until it answers: a plain question, if faults came from it.

        Raises:
            EndpointError: it does not, or answers nothing else.
        """
        endpoint, began = station.endpoint, self._loop.time()
        if station.looks and station.faults >= _BARREN and not self.counts["replies"]:
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
                if fault and not (tries or self.counts["replies"] or isinstance(trouble, Busy)):
                    raise EndpointError(f"{endpoint}: every request failed ({said})") from None
            if station.replied > began:
                return  # it only had no time for the question
            if self._loop.time() - began > self.limits.patience:
                raise EndpointError(f"{endpoint}: {said}; what was finished is kept, the same command goes on")

    async def _greeting(self, endpoint: Endpoint) -> None:
        """Find out whether a server is there."""
        answer = await self.client.ask(endpoint, "GET", endpoint.url + "/models")
        if answer.status >= 500:
            raise Trouble(f"HTTP {answer.status}")

    async def _question(self, endpoint: Endpoint, model: str) -> None:
        """Find out whether a server answers anything at all."""
        limits, spent = self.limits, self.spent
        call = Call(model, ({"role": "user", "content": "Say hello."},), {"max_tokens": 1})
        payload = orjson.dumps(plainly(call))
        over = limits.max_calls is not None and spent.calls >= limits.max_calls
        if over or (limits.max_tokens is not None and spent.tokens + self._reserved + len(payload) > limits.max_tokens):
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

    def _refused(self, refused: Refused) -> NoReturn:
        self.counts[f"HTTP {refused.status}"] += 1
        if refused.status in (401, 402, 403):
            error = EndpointError(f"the server refuses the credentials (HTTP {refused.status}): {refused}")
        elif refused.status == 404:
            error = EndpointError(f"the server does not have what was asked for: {refused}")
        elif not self.counts["replies"] and self.counts[f"HTTP {refused.status}"] >= _BARREN:
            error = EndpointError(f"the server refuses every request: {refused}")
        else:
            raise Unanswered(f"refused: HTTP {refused.status}") from refused
        self.halt(error)
        raise error from None

    async def _turn(self, rank: int, needs: int) -> None:
        """Wait for a slot; it has to be given back with `_release`."""
        self._go_on()
        if not self._queue and self._admits(needs):
            self._take(needs)
            return
        self._go_on()
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._queue, (rank, next(self._tickets), future, needs))
        self._dispatch()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._release(needs, unused=True)
            raise

    def _admits(self, needs: int) -> bool:
        limits, now = self.limits, self._loop.time()
        if self._in_flight >= int(self.pace.limit):
            return False
        waits = [bucket.wait(now) for bucket in (self._requests, self._tokens) if bucket is not None]
        if any(waits):
            if self._timer is None:
                self._timer = self._loop.call_later(max(waits), self._tick)
            return False
        if limits.max_calls is not None and self.spent.calls + 1 > limits.max_calls:
            self.halt(StopWork(f"--max-calls {limits.max_calls} is reached"))
            return False
        if limits.max_tokens is not None and self.spent.tokens + self._reserved + needs > limits.max_tokens:
            if self._in_flight == 0:
                self.halt(StopWork(f"--max-tokens {limits.max_tokens} would be passed by the next call"))
            return False
        return True

    def _tick(self) -> None:
        self._timer = None
        self._dispatch()

    def _take(self, needs: int) -> None:
        self._in_flight += 1
        self._reserved += needs
        self.spent.calls += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(needs)

    def _release(self, needs: int, *, unused: bool = False) -> None:
        self._in_flight -= 1
        self._reserved -= needs
        self.spent.calls -= unused
        self._dispatch()

    def _dispatch(self) -> None:
        while self._queue and self._halt is None:
            *_, future, needs = self._queue[0]
            if future.done():
                heapq.heappop(self._queue)
            elif self._admits(needs):
                heapq.heappop(self._queue)
                self._take(needs)
                future.set_result(None)
            else:
                return

    async def _pause(self, wait: float | None, tries: int) -> None:
        """Back off with jitter, or as long as the server asked; ends early if the run does."""
        seconds = backoff(tries) if wait is None else wait * random.uniform(1.0, 1.1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._halted.wait()
        self._go_on()
