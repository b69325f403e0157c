"""Every call is answered once, by the fewest requests, through every fault; limits hold, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from synth.engines import scheduler as module
from synth.engines import stations
from synth.engines.calls import Call, Completion
from synth.engines.client import Busy, Endpoint, Trouble
from synth.engines.limits import Limits, Spent
from synth.engines.pace import Gauges, Pace
from synth.engines.parse import read_json
from synth.engines.scheduler import NOT_STORED, Scheduler
from synth.errors import EndpointError, NoSpaceError, NotStored, StopWork, Unanswered
from synth.store import DATABASE, Store
from tests.served.scripted import Scripted
from tests.served.scripted_options import FAULTS

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}
LONG = 60.0
"""Seconds after which a test has hung."""


def scenes(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """What a row's name asks for, as in `hang-3` or `is400`; rows without such a name are left to the server."""
    scene = key[1:].partition("-")[0]
    if scene.startswith("is"):
        return {"status": int(scene[2:]), "error": "no such thing", "retry_after": 0.01}
    always: dict[str, dict[str, Any]] = {
        "deaf": {"fault": "hang"},
        "late": {"delay": 1.0},
        "echo": {"content": {"text": json.dumps(request)}},
        "learns": {"content": {"text": json.dumps(request["messages"])} if attempt == 2 else f"nonsense {attempt}"},
    }
    once: dict[str, dict[str, Any]] = {
        "waits": {"status": 429, "retry_after": 0.7},
        "dated": {"status": 429, "retry_after": "Wed, 21 Oct 2099 07:28:00 GMT"},
        "untold": {"status": 429, "retry_after": -1},
        **{kind: {"fault": kind} for kind in (*FAULTS, "429", "500", "503")},
    }
    return always.get(scene) or (once.get(scene) if attempt == 0 else None)


class Kept:
    """A journal in memory."""

    def __init__(self) -> None:
        self.replies: dict[bytes, bytes] = {}

    def reply(self, key: bytes) -> bytes | None:
        return self.replies.get(key)

    def keep(self, key: bytes, model: str, tokens: tuple[int, int], reply: bytes) -> None:
        self.replies[key] = reply


class Sent(NamedTuple):
    """A request that waits for its reply."""

    url: str
    body: dict[str, Any]
    heard: Callable[[], None] | None
    future: asyncio.Future[bytes]

    @property
    def row(self) -> str:
        row: str = self.body["messages"][0]["content"].removeprefix("id=k")
        return row

    def answer(self, text: str = "") -> None:
        self.future.set_result(completed(text or json.dumps({"text": f"<<k{self.row}>>"})))

    def fail(self, error: Exception) -> None:
        self.future.set_exception(error)


class Wire:
    """Takes the place of the client: holds every request until the test answers it."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.aborted = 0
        self.lingers = 0.0
        """Seconds that the end of a request takes."""
        self._came = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def post(
        self, endpoint: Endpoint, _path: str, payload: bytes, heard: Callable[[], None] | None = None
    ) -> bytes:
        future = asyncio.get_running_loop().create_future()
        self.sent.append(Sent(endpoint.url, json.loads(payload), heard, future))
        self._came.set()
        try:
            return await future
        except asyncio.CancelledError:
            self.aborted += 1
            await asyncio.sleep(self.lingers)
            raise

    async def until(self, number: int) -> list[Sent]:
        """Wait until so many requests were sent; none more may be."""
        while len(self.sent) < number:
            self._came.clear()
            await self._came.wait()
        await settle()
        assert len(self.sent) == number
        return self.sent

    @property
    def rows(self) -> list[str]:
        return [sent.row for sent in self.sent]


def completed(*texts: str, tokens: tuple[int, int] = (3, 5)) -> bytes:
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return json.dumps({"choices": choices, "usage": usage}).encode()


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(30):
        await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(LONG):
            return await main

    return asyncio.run(bounded())


def call(row: int | str, *, model: str = "m", **body: Any) -> Call:
    return Call(model, ({"role": "user", "content": f"id=k{row}"},), body, SCHEMA)


def text_of(completion: Completion) -> str:
    text: str = read_json(completion.first, SCHEMA)["text"]
    return text


def ask(scheduler: Scheduler, row: int | str, **body: Any) -> Coroutine[Any, Any, str]:
    return scheduler.ask(call(row, **body), rank=row if isinstance(row, int) else 0, accept=text_of)


def start(scheduler: Scheduler, row: int | str, **body: Any) -> asyncio.Task[str]:
    return asyncio.create_task(ask(scheduler, row, **body))


async def answers(
    server: Scripted | Sequence[str],
    rows: int | Sequence[int | str],
    *,
    journal: Any = None,
    body: dict[str, Any] | None = None,
    made: list[Scheduler] | None = None,
    limits: dict[str, Any] | None = None,
    **options: Any,
) -> list[Any]:
    """What comes for so many rows: an answer or an exception each."""
    urls = [server.url] if isinstance(server, Scripted) else server
    limited = Limits(**{"tries": 5, "patience": 20.0, "timeout": 20.0, "silence": 20.0, **(limits or {})})
    endpoints = [Endpoint(url) for url in urls]
    async with Scheduler(endpoints, Kept() if journal is None else journal, limited, **options) as scheduler:
        if made is not None:
            made.append(scheduler)
        places = range(rows) if isinstance(rows, int) else rows
        return await asyncio.gather(*(ask(scheduler, row, **(body or {})) for row in places), return_exceptions=True)


def right(got: Sequence[Any], rows: int | Sequence[int | str]) -> None:
    """Every row has its own answer."""
    places = range(rows) if isinstance(rows, int) else rows
    assert len(got) == len(places)
    for row, text in zip(places, got, strict=True):
        assert isinstance(text, str) and f"<<k{row}>>" in text, (row, text)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of the scheduler's own choosing are short here."""
    monkeypatch.setattr(module, "_BACKOFF", 0.01)
    monkeypatch.setattr(stations, "_LOOK", 0.02)
    monkeypatch.setattr(stations, "_LONGEST_LOOK", 0.05)


@pytest.fixture(scope="module")
def stage() -> Iterator[Scripted]:
    with Scripted(script=scenes, retry_after=0.05) as server:
        yield server


@pytest.fixture
def server(stage: Scripted) -> Scripted:
    """One for all tests that only name their rows; it remembers nothing of the test before."""
    stage.reset()
    return stage


def wired(**limits: Any) -> tuple[Scheduler, Wire]:
    """A scheduler whose requests the test answers."""
    scheduler = Scheduler([Endpoint("http://one/v1")], Kept(), Limits(**limits))
    wire = Wire()
    scheduler.client = wire  # type: ignore[assignment]
    return scheduler, wire


# -- every fault ends in the right answer, by the fewest requests

ROWS = 6
UNSTREAMED = ("429", "500", "503", "drop", "cutbody", "truncate", "length", "empty", "schema", "prose", "streamerror")
STREAMED = ("429", "500", "drop", "cutstream", "streamerror", "truncate", "length", "empty", "schema")


@pytest.mark.parametrize(("kind", "stream"), [*((k, False) for k in UNSTREAMED), *((k, True) for k in STREAMED)])
def test_a_fault_costs_one_request_more(server: Scripted, kind: str, stream: bool) -> None:
    rows = [f"{kind}-{row}" for row in range(ROWS)]
    right(run(answers(server, rows, limits={"stream": stream})), rows)
    assert server.stats()["requests"] == 2 * ROWS


@pytest.mark.parametrize("stream", [False, True])
def test_mixed_faults_lose_nothing_and_cost_one_request_each(stream: bool) -> None:
    kinds = ["429", "500", "503", "drop", "truncate", "length", "empty", "schema", "prose"]
    kinds += ["cutstream", "streamerror"] if stream else ["cutbody"]
    faults = tuple(f"{kind}=0.025" for kind in kinds)
    with Scripted(faults=faults, retry_after=0.05, latency="fixed:5", max_num_seqs=64) as server:
        made: list[Scheduler] = []
        right(run(answers(server, 250, made=made, limits={"stream": stream, "in_flight": 64, "re_asks": 2})), 250)
        stats = server.stats()
        assert len(stats["faults"]) > 7
        assert stats["requests"] == 250 + sum(stats["faults"].values())
        assert made[0].spent.calls == stats["requests"] - stats["faults"]["429"]  # which cost nothing
        assert made[0].in_flight == 0


def test_a_hung_request_holds_nobody_up(server: Scripted) -> None:
    rows = ["hang-0", *(f"{row}" for row in range(9))]
    right(run(answers(server, rows, limits={"timeout": 1.0, "in_flight": 2})), rows)
    stats = server.stats(keys=True)
    assert stats["order"][-1] == "khang-0" and len(stats["order"]) == 11
    first, again = stats["arrivals"]["khang-0"]
    assert again - first >= 1.0


def test_a_stream_that_falls_silent_is_asked_for_again(server: Scripted) -> None:
    right(run(answers(server, ["stall-0"], limits={"silence": 0.3, "stream": True})), ["stall-0"])
    assert server.stats()["requests"] == 2


def test_a_slow_but_steady_stream_is_waited_for() -> None:
    with Scripted(chunks=12, chunk_ms=80) as server:
        right(run(answers(server, 2, limits={"silence": 0.4, "stream": True})), 2)
        assert server.stats()["requests"] == 2 and server.stats()["span_s"] > 0.8


# -- refusals for load


def test_retry_after_is_honoured_by_that_request_alone(server: Scripted) -> None:
    rows = ["waits-0", *(f"{row}" for row in range(9))]
    right(run(answers(server, rows, limits={"in_flight": 2})), rows)
    stats = server.stats(keys=True)
    assert stats["order"][-1] == "kwaits-0" and len(stats["order"]) == 11
    first, again = stats["arrivals"]["kwaits-0"]
    assert again - first >= 0.7


@pytest.mark.parametrize("scene", ["untold", "dated"])
def test_without_seconds_to_wait_it_backs_off(server: Scripted, scene: str) -> None:
    rows = [f"{scene}-{row}" for row in range(ROWS)]
    right(run(answers(server, rows)), rows)
    arrivals = server.stats(keys=True)["arrivals"].values()
    assert all(0.005 <= again - first < 10 for first, again in arrivals)


@pytest.mark.parametrize(("tries", "middle"), [(1, 0.25), (2, 0.5), (5, 4.0), (8, 30.0), (5000, 30.0)])
def test_backing_off_doubles_with_jitter_up_to_half_a_minute(
    tries: int, middle: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BACKOFF", 0.25)
    waits = [module.backoff(tries) for _ in range(50)]
    assert 0.5 * middle <= min(waits) < max(waits) <= 1.5 * middle and len(set(waits)) == 50


def test_a_burst_of_refusals_cuts_what_is_in_flight_once() -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=40)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(40)]
            for sent in (await wire.until(40))[:20]:
                sent.fail(Busy("HTTP 429", wait=1000.0))
            await settle()
            assert int(scheduler.slots.pace.limit) == 30 and len(wire.sent) == 40
            scheduler.halt(StopWork("enough"))
            for sent in wire.sent[20:]:
                sent.answer()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_a_row_that_is_always_refused_is_given_up_alone(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSIES", 3)
    rows = ["is429", *(f"late-{row}" for row in range(4)), *(f"{row}" for row in range(60))]
    got = run(answers(server, rows, limits={"in_flight": 8}))
    assert isinstance(got[0], Unanswered) and str(got[0]) == "no reply: HTTP 429"
    right(got[1:], rows[1:])


def test_a_server_that_refuses_everything_for_load_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSIES", 3)
    with Scripted(faults=("429=1",), max_faults=10**6, retry_after=0.01) as server:
        got = run(answers(server, 100, limits={"patience": 0.4}))
    assert {type(one) for one in got} == {EndpointError}
    assert "HTTP 429" in str(got[0])


def test_the_gauges_of_vllm_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.03)
    seen: list[tuple[Gauges, float]] = []
    observe = Pace.observe

    def watched(pace: Pace, gauges: Gauges, in_flight: int) -> None:
        observe(pace, gauges, in_flight)
        seen.append((gauges, pace.limit))

    monkeypatch.setattr(Pace, "observe", watched)
    with Scripted(latency="fixed:60", max_num_seqs=4) as server:
        right(run(answers(server, 60, limits={"in_flight": 50, "gauges": True})), 60)
    assert max(gauges.waiting for gauges, _ in seen) > 16
    assert min(limit for _, limit in seen) == 12  # what runs and a short queue
    assert all(limit >= gauges.running for gauges, limit in seen)


# -- unusable content


def test_a_model_is_shown_its_reply_and_what_is_wrong_with_it(server: Scripted) -> None:
    (got,) = run(answers(server, ["learns-7"]))
    turns = json.loads(got)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [turns[place]["content"] for place in (0, 1, 3)] == ["id=klearns-7", "nonsense 0", "nonsense 1"]
    assert all("it is not valid JSON" in turns[place]["content"] for place in (2, 4))


def test_the_caller_may_word_the_complaint(server: Scripted) -> None:
    async def main() -> str:
        async with Scheduler([Endpoint(server.url)], Kept()) as scheduler:
            asked = call("learns-1")
            said = await scheduler.ask(asked, rank=0, accept=text_of, complain=lambda problem: f"No: {problem}!")
            assert scheduler.counts["malformed"] == 2
            return said

    assert json.loads(run(main()))[2]["content"] == "No: it is not valid JSON!"


@pytest.mark.parametrize("re_asks", [0, 1, 2])
def test_asking_again_is_bounded_and_the_row_then_fails_with_a_reason(re_asks: int) -> None:
    with Scripted(poison=1.0) as poisoned:
        got = run(answers(poisoned, 3, limits={"re_asks": re_asks}))
        assert [(type(one), str(one)) for one in got] == [(Unanswered, "unusable: the reply lacks 'text'")] * 3
        assert poisoned.stats()["requests"] == 3 * (1 + re_asks)


def test_a_long_reply_is_shown_cut() -> None:
    async def main() -> None:
        scheduler, wire = wired()
        async with scheduler:
            task = start(scheduler, 1)
            (await wire.until(1))[0].answer("x" * 50_000)
            (await wire.until(2))[1].answer()
            await task
            assert len(wire.sent[1].body["messages"][1]["content"]) == 4000

    run(main())


def test_a_reply_without_choices_is_asked_for_again() -> None:
    async def main() -> None:
        scheduler, wire = wired()
        async with scheduler:
            task = start(scheduler, 1)
            (await wire.until(1))[0].future.set_result(completed())
            (await wire.until(2))[1].answer()
            assert await task == "<<k1>>"

    run(main())


def test_unusable_replies_are_stored_and_not_asked_for_again() -> None:
    journal = Kept()
    with Scripted(poison=0.3) as server:
        first = run(answers(server, 20, journal=journal))
        server.reset()
        again = run(answers(server, 20, journal=journal))
        assert server.stats()["requests"] == 0
    assert [str(one) for one in first] == [str(one) for one in again]
    assert 0 < sum(isinstance(one, Unanswered) for one in first) < 20


# -- what is not asked again


def test_a_request_that_is_refused_fails_its_row_and_no_other(server: Scripted) -> None:
    rows = ["0", "is400", "is422", "is413", "1"]
    got = run(answers(server, rows))
    assert [str(one) for one in got[1:4]] == [f"refused: HTTP {status}" for status in (400, 422, 413)]
    assert all(isinstance(one, Unanswered) for one in got[1:4])
    right([got[0], got[4]], ["0", "1"])
    assert server.stats()["requests"] == 5


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_server_that_will_have_none_of_it_stops_the_run(server: Scripted, status: int) -> None:
    rows = [f"is{status}", *(f"late-{row}" for row in range(3)), *(f"{row}" for row in range(50))]
    got = run(answers(server, rows, limits={"in_flight": 4}))
    assert isinstance(got[0], EndpointError) and "no such thing" in str(got[0])
    assert got[0].exit_code == 3
    right(got[1:4], rows[1:4])  # what was in flight is not lost
    assert {type(one) for one in got[4:]} == {EndpointError}
    assert server.stats()["requests"] == 4


def test_a_server_that_refuses_every_request_stops_the_run(server: Scripted) -> None:
    got = run(answers(server, [f"is400-{row}" for row in range(300)], limits={"in_flight": 8}))
    assert sum(isinstance(one, Unanswered) for one in got) < 20
    assert isinstance(got[-1], EndpointError) and "no such thing" in str(got[-1])
    assert server.stats()["requests"] < 30


# -- servers that are away


def test_a_server_that_fails_everything_stops_the_run_and_fails_no_row() -> None:
    with Scripted(faults=("500=1",), max_faults=10**6) as server:
        got = run(answers(server, 300, limits={"in_flight": 32}))
        assert {type(one) for one in got} == {EndpointError}
        assert "every request failed (HTTP 500)" in str(got[0])
        assert server.stats()["requests"] < 100


def broken(_request: dict[str, Any], key: str, _attempt: int) -> dict[str, Any] | None:
    """Answers rows below 20 only."""
    return None if key in {f"k{row}" for row in range(20)} else {"status": 500}


@pytest.mark.parametrize("in_flight", [16, 2])
def test_a_server_that_begins_to_fail_everything_stops_the_run_and_fails_no_row(in_flight: int) -> None:
    with Scripted(script=broken) as server:
        got = run(answers(server, 320, limits={"in_flight": in_flight, "tries": 3, "patience": 0.5}))
        right(got[:20], 20)
        assert {type(one) for one in got[20:]} == {EndpointError}
        assert "HTTP 500; what was finished is kept" in str(got[20])
        assert server.stats()["requests"] < 150


def test_a_row_that_always_fails_is_given_up_alone() -> None:
    async def main() -> None:
        scheduler, wire = wired(tries=3)
        async with scheduler:
            bad = start(scheduler, 0)
            for row in range(1, 4):
                good = start(scheduler, row)
                failing, other = sorted((await wire.until(2 * row))[-2:], key=lambda sent: sent.row)
                other.answer()
                right([await good], [row])
                failing.fail(Trouble("HTTP 500"))
            with pytest.raises(Unanswered, match="no reply: HTTP 500"):
                await bad
            assert wire.rows.count("0") == 3 and len(wire.sent) == 6

    run(main())


def test_a_server_that_answers_nothing_but_a_plain_question_stops_the_run(server: Scripted) -> None:
    got = run(answers(server, [f"is500-{row}" for row in range(200)], limits={"in_flight": 8}))
    assert isinstance(got[-1], EndpointError) and "every request failed (HTTP 500)" in str(got[-1])
    assert sum(isinstance(one, Unanswered) for one in got) < 20


def test_a_server_that_answers_others_needs_no_time_for_a_plain_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stations, "_LOOK_PATIENCE", 0.05)

    async def main() -> None:
        scheduler, wire = wired(tries=1, patience=0.0)
        async with scheduler:
            bad, good = start(scheduler, 0), start(scheduler, 1)
            (await wire.until(2))[0].fail(Trouble("HTTP 500"))
            await wire.until(3)  # the question, which waits in a long queue
            wire.sent[1].answer()
            right([await good], [1])
            (await wire.until(4))[3].fail(Trouble("HTTP 500"))
            with pytest.raises(Unanswered, match="no reply: HTTP 500"):
                await bad

    run(main())


def test_a_plain_question_is_a_call_and_within_the_limits() -> None:
    async def main(most: int) -> None:
        scheduler, wire = wired(tries=1, max_calls=most)
        async with scheduler:
            task = start(scheduler, 0)
            (await wire.until(1))[0].fail(Trouble("HTTP 500"))
            if most > 1:
                (await wire.until(2))[1].answer("hello")
            with pytest.raises(StopWork):
                await task
            assert len(wire.sent) == most == scheduler.spent.calls

    run(main(1))
    run(main(2))


def test_a_crash_counts_against_no_row_of_many() -> None:
    async def main() -> None:
        scheduler, wire = wired(tries=2)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(30)]
            for sent in await wire.until(30):
                sent.fail(Trouble("the connection broke"))
            (await wire.until(31))[30].answer("hello")  # to the plain question
            sent = sorted((await wire.until(61))[31:], key=lambda one: int(one.row))
            for one in sent[:20]:
                one.answer()
            await settle()
            for one in sent[20:]:
                one.fail(Trouble("the connection broke"))
            for one in (await wire.until(71))[61:]:
                one.answer()
            right(await asyncio.gather(*tasks), 30)

    run(main())


def test_the_last_rows_fail_too_if_the_server_answers_a_plain_question(server: Scripted) -> None:
    got = run(answers(server, ["0", "is500-1", "is500-2"], limits={"tries": 3, "patience": 30.0}))
    assert [str(one) for one in got[1:]] == ["no reply: HTTP 500"] * 2
    assert server.stats(keys=True)["keys_attempts"]["kis500-1"] <= 4


def test_a_call_that_never_came_back_in_time_is_given_up(server: Scripted) -> None:
    (got,) = run(answers(server, ["deaf-0"], limits={"timeout": 0.05, "tries": 2}))
    assert str(got) == "no reply: no reply in time"


def test_nobody_listens_until_somebody_does() -> None:
    with Scripted() as first:
        pass

    async def main() -> Scripted:
        async with Scheduler([Endpoint(first.url)], Kept(), Limits(patience=LONG)) as scheduler:
            tasks = [start(scheduler, row) for row in range(5)]
            while not scheduler.counts:
                await asyncio.sleep(0.01)
            server = await asyncio.to_thread(Scripted, port=first.port)
            with server:
                right(await asyncio.gather(*tasks), 5)
                assert server.stats()["requests"] == 5 == scheduler.spent.calls
            return server

    run(main())


def test_nobody_listens_for_too_long() -> None:
    with Scripted() as server:
        pass
    made: list[Scheduler] = []
    got = run(answers(server, 50, made=made, limits={"patience": 0.2}))
    assert {type(one) for one in got} == {EndpointError}
    assert "cannot connect" in str(got[0]) and server.url in str(got[0])
    assert made[0].spent.calls == 0 and not made[0].journal.replies  # type: ignore[attr-defined]


def slow(_request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    return {"delay": 30.0}


def test_a_server_that_dies_with_all_in_flight_is_revived_once_and_only_they_are_asked_again() -> None:
    revived: list[Scripted] = []

    async def revive(endpoint: Endpoint) -> None:
        assert endpoint.url == dying.url
        revived.append(await asyncio.to_thread(Scripted, port=dying.port))

    async def main() -> None:
        endpoints = [Endpoint(dying.url)]
        async with Scheduler(endpoints, Kept(), Limits(in_flight=40), on_away=revive) as scheduler:
            tasks = [start(scheduler, row) for row in range(60)]
            while dying.stats()["in_flight"] < 40:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(dying.stop)
            right(await asyncio.gather(*tasks), 60)

    dying = Scripted(script=slow)
    run(main())
    with revived[0] as server:
        assert len(revived) == 1
        assert server.stats()["unique_ok"] - 60 <= 1 and server.stats()["duplicates"] == 0  # and a plain question


@pytest.mark.parametrize("error", [EndpointError("it ended twice"), OSError("no such file")])
def test_a_server_that_cannot_be_revived_stops_the_run(error: Exception) -> None:
    async def revive(_: Endpoint) -> None:
        raise error

    with Scripted() as server:
        pass
    got = run(answers(server, 5, on_away=revive))
    assert {type(one) for one in got} == {EndpointError}
    assert str(error) in str(got[0]) or "OSError" in str(got[0])


def test_reviving_a_server_is_tried_once() -> None:
    tried: list[Endpoint] = []

    async def revive(endpoint: Endpoint) -> None:
        tried.append(endpoint)

    with Scripted() as server:
        pass
    got = run(answers(server, 5, limits={"patience": 0.3}, on_away=revive))
    assert {type(one) for one in got} == {EndpointError} and len(tried) == 1


def test_a_dead_server_of_two_is_left_out_and_comes_back() -> None:
    with Scripted() as dead, Scripted() as alive:
        dead.stop()

        async def main() -> None:
            async with Scheduler([Endpoint(dead.url), Endpoint(alive.url)], Kept(), Limits(patience=LONG)) as scheduler:
                right(await asyncio.gather(*(ask(scheduler, row) for row in range(20))), 20)
                assert alive.stats()["requests"] == 20
                with await asyncio.to_thread(Scripted, port=dead.port) as back:
                    row = 20
                    while not back.stats()["requests"]:
                        right([await ask(scheduler, row)], [row])
                        row += 1

        run(main())


def test_a_server_of_two_that_fails_everything_is_left_out() -> None:
    with Scripted(faults=("500=1",), max_faults=10**6) as bad, Scripted(latency="fixed:5") as good:
        right(run(answers([bad.url, good.url], 200, limits={"in_flight": 16, "patience": LONG})), 200)
        assert good.stats()["unique_ok"] == 200


def test_what_was_asked_of_a_server_that_is_gone_is_asked_again_at_once() -> None:
    async def main() -> None:
        scheduler, wire = wired(timeout=LONG)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(3)]
            await wire.until(3)
            wire.sent[1].answer()
            right([await tasks[1]], [1])
            scheduler.abandon(scheduler.stations.all[0].endpoint)
            scheduler.abandon(scheduler.stations.all[0].endpoint)  # and nothing worse happens
            while len(wire.sent) < 5:
                await asyncio.sleep(0.01)
            assert sorted(wire.rows[3:]) == ["0", "2"]
            for sent in wire.sent[3:]:
                sent.answer()
            right([await tasks[0], await tasks[2]], [0, 2])

    run(main())


# -- time limits


def test_a_server_that_stands_still_for_longer_than_the_time_limit_loses_nothing(server: Scripted) -> None:
    made: list[Scheduler] = []
    rows = [f"late-{row}" for row in range(8)]
    right(run(answers(server, rows, made=made, limits={"timeout": 0.3})), rows)
    assert server.stats()["requests"] == 8 and set(made[0].counts) == {"replies"}


def only(scheduler: Scheduler) -> Any:
    """The flight of the only request on its way."""
    (flight,) = scheduler.watch.flights.values()
    return flight


def test_a_lone_request_is_extended_four_times() -> None:
    async def main() -> None:
        scheduler, wire = wired(timeout=0.1)
        async with scheduler:
            task = start(scheduler, 0)
            await wire.until(1)
            flight, began = only(scheduler), time.monotonic()
            await wire.until(2)
            assert flight.extended == 4 and time.monotonic() - began >= 5 * 0.1
            wire.sent[1].answer()
            assert await task == "<<k0>>" and wire.aborted == 1

    run(main())


def test_a_request_is_not_extended_once_a_later_one_was_answered() -> None:
    async def main() -> None:
        scheduler, wire = wired(timeout=0.2)
        async with scheduler:
            task = start(scheduler, 0)
            await wire.until(1)
            flight, other = only(scheduler), start(scheduler, 1)
            (await wire.until(2))[1].answer()
            await other
            await wire.until(3)
            assert flight.extended == 0 and wire.aborted == 1
            wire.sent[2].answer()
            assert await task == "<<k0>>"

    run(main())


def test_silence_of_a_stream_is_not_extended() -> None:
    async def main() -> None:
        scheduler, wire = wired(silence=0.1, stream=True)
        async with scheduler:
            task = start(scheduler, 0)
            await wire.until(1)
            flight = only(scheduler)
            await wire.until(2)
            assert flight.extended == 0 and scheduler.counts == {"no reply in time": 1}
            wire.sent[1].answer()
            await task

    run(main())


def test_an_end_that_takes_a_while_does_not_end_the_watch() -> None:
    async def main() -> None:
        scheduler, wire = wired(timeout=0.05)
        wire.lingers = 0.2
        async with scheduler:
            task = start(scheduler, 0)
            for number in range(1, 3):
                await wire.until(number)  # each by the end of the one before
            (await wire.until(3))[2].answer()
            assert await task == "<<k0>>" and wire.aborted == 2

    run(main())


def test_an_earlier_one_that_was_answered_extends_nothing_away() -> None:
    async def main() -> int:
        scheduler, wire = wired(timeout=0.2)
        async with scheduler:
            earlier, hung = start(scheduler, 0), start(scheduler, 1)
            (await wire.until(2))[0].answer()
            await earlier
            flight = only(scheduler)
            while flight.extended < 2:
                await asyncio.sleep(0.01)
            wire.sent[1].answer()
            await hung
            return len(wire.sent)

    assert run(main()) == 2


def test_a_standstill_of_our_own_is_no_fault_of_the_server() -> None:
    async def main() -> None:
        scheduler, wire = wired(timeout=0.6)
        async with scheduler:
            waiting, other = start(scheduler, 0), start(scheduler, 1)
            (await wire.until(2))[1].answer()
            await other  # so that the first one is not extended
            await asyncio.sleep(0.1)
            time.sleep(1.2)
            await asyncio.sleep(0.2)
            wire.sent[0].answer()
            assert await waiting == "<<k0>>" and len(wire.sent) == 2

    run(main())


def test_a_stream_is_heard_through_a_standstill_of_our_own() -> None:
    async def main() -> None:
        scheduler, wire = wired(silence=0.6, stream=True)
        async with scheduler:
            waiting = start(scheduler, 0)
            sent = (await wire.until(1))[0]
            assert sent.heard is not None and sent.body["stream"] is True
            time.sleep(1.2)
            await asyncio.sleep(0.2)
            sent.heard()
            sent.answer()
            assert await waiting == "<<k0>>" and len(wire.sent) == 1

    run(main())


def test_the_time_limit_grows_with_what_the_run_has_seen() -> None:
    async def main() -> None:
        scheduler, _ = wired(timeout=3.0)
        async with scheduler:
            assert scheduler.watch.allowed() == 3.0
            for number in range(1, 201):
                scheduler.counts["replies"] += 1
                scheduler.watch.timed(0.1 if number % 20 else 2.0)
            assert scheduler.watch.allowed() == 20.0

    run(main())


# -- limits


def test_no_more_are_in_flight_than_allowed() -> None:
    with Scripted(latency="fixed:15") as server:
        made: list[Scheduler] = []
        right(run(answers(server, 50, made=made, limits={"in_flight": 7})), 50)
        assert server.stats()["max_in_flight"] == 7 == made[0].slots.most


def test_it_starts_with_as_many_as_told() -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=20, start=3)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(9)]
            (await wire.until(3))[0].answer()
            await wire.until(5)  # the slot that is free, and one more
            scheduler.halt(StopWork("enough"))
            for sent in wire.sent[1:]:
                sent.answer()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


@pytest.mark.parametrize("before", [0, 7])
def test_no_more_calls_than_allowed_over_all_attempts(before: int) -> None:
    journal = Kept()
    with Scripted(latency="fixed:5") as server:
        got = run(answers(server, 30, journal=journal, limits={"max_calls": 10, "in_flight": 4}, spent=Spent(before)))
        assert server.stats()["requests"] == 10 - before == len(journal.replies)
    right(got[: 10 - before], 10 - before)
    assert {(type(one), str(one)) for one in got[10 - before :]} == {(StopWork, "--max-calls 10 is reached")}


def test_faults_are_counted_as_calls() -> None:
    with Scripted(faults=("500=1",), max_faults=1) as server:
        spent = Spent()
        got = run(answers(server, 30, limits={"max_calls": 11, "in_flight": 3}, spent=spent))
        assert server.stats()["requests"] == 11 == spent.calls
        assert isinstance(got[-1], StopWork)


@pytest.mark.parametrize("before", [0, 600])
def test_no_more_tokens_than_allowed_over_all_attempts(before: int) -> None:
    most, spent = 2000, Spent(3, before, 0)
    with Scripted(latency="fixed:2") as server:
        got = run(
            answers(server, 60, body={"max_tokens": 60}, limits={"max_tokens": most, "in_flight": 8}, spent=spent)
        )
        stats = server.stats()
    told = stats["prompt_tokens"] + stats["completion_tokens"]
    assert spent.tokens == before + told <= most
    assert stats["requests"] > 5
    assert {type(one) for one in got} == {str, StopWork}
    assert spent.tokens > most - 700  # and not far fewer


def test_what_is_in_flight_is_reckoned_at_its_most() -> None:
    async def main() -> None:
        scheduler, wire = wired(max_tokens=1100)
        async with scheduler:
            tasks = [start(scheduler, row, max_tokens=500) for row in range(3)]
            for number in range(3):
                (await wire.until(number + 1))[number].answer()  # two at once might pass the limit
            right(await asyncio.gather(*tasks), 3)

    run(main())


def test_a_call_that_is_larger_than_the_limit_ends_the_run() -> None:
    got = run(answers(["http://127.0.0.1:1/v1"], 3, body={"max_tokens": 500}, limits={"max_tokens": 400}))
    assert {type(one) for one in got} == {StopWork}


def test_requests_a_minute(server: Scripted) -> None:
    start = time.monotonic()
    right(run(answers(server, 17, limits={"requests_per_minute": 600})), 17)
    assert time.monotonic() - start >= 0.69  # ten a second, and what one second brings at once


def test_tokens_a_minute(server: Scripted) -> None:
    async def cost() -> int:
        async with Scheduler([Endpoint(server.url)], Kept()) as scheduler:
            await ask(scheduler, 1, max_tokens=900)
            return scheduler.spent.tokens

    each = run(cost())
    assert each < 450  # so that most of what a call reserves is given back
    start = time.monotonic()
    right(run(answers(server, 17, body={"max_tokens": 900}, limits={"tokens_per_minute": each * 600})), 17)
    assert 0.5 <= time.monotonic() - start < 6  # ten at once, then ten a second; by what was reserved it would be 7 s


# -- the end of a run


async def ended(tasks: Sequence[asyncio.Task[str]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_a_halt_sends_nothing_more_and_stores_what_is_in_flight() -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=3)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(8)]
            await wire.until(3)
            scheduler.halt(StopWork("interrupted"))
            scheduler.halt(EndpointError("later"))
            await settle()
            assert [task.done() for task in tasks] == [False] * 3 + [True] * 5
            for sent in wire.sent:
                sent.answer()
            got = await ended([*tasks, start(scheduler, 9)])
            right(got[:3], 3)
            assert {(type(one), str(one)) for one in got[3:]} == {(StopWork, "interrupted")}
            assert len(scheduler.journal.replies) == 3 == len(wire.sent)  # type: ignore[attr-defined]
            assert await start(scheduler, 1) == "<<k1>>"  # what is stored is still given

    run(main())


def test_a_halt_ends_every_wait() -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=1)
        async with scheduler:
            resting, waiting = start(scheduler, 0), start(scheduler, 1)
            (await wire.until(1))[0].fail(Busy("HTTP 429", wait=1000.0))
            await wire.until(2)
            queued = start(scheduler, 2)
            await settle()
            scheduler.halt(StopWork("interrupted"))
            assert {type(one) for one in await ended([resting, queued])} == {StopWork}
            wire.sent[1].answer()
            assert await waiting == "<<k1>>"

    run(main())


def test_a_halt_ends_the_wait_for_a_server_that_is_away() -> None:
    with Scripted() as server:
        pass

    async def main() -> None:
        async with Scheduler([Endpoint(server.url)], Kept(), Limits(patience=1000.0)) as scheduler:
            tasks = [start(scheduler, row) for row in range(3)]
            while not scheduler.counts:
                await asyncio.sleep(0.01)
            scheduler.halt(StopWork("interrupted"))
            assert {type(one) for one in await ended(tasks)} == {StopWork}

    run(main())


def test_unusable_content_is_not_asked_for_again_after_a_halt() -> None:
    async def main() -> None:
        scheduler, wire = wired()
        async with scheduler:
            task = start(scheduler, 0)
            await wire.until(1)
            scheduler.halt(StopWork("interrupted"))
            wire.sent[0].answer("nonsense")
            assert isinstance((await ended([task]))[0], StopWork)
            assert len(scheduler.journal.replies) == 1 == len(wire.sent)  # type: ignore[attr-defined]

    run(main())


# -- order


def test_lower_ranks_go_first_and_equal_ones_as_they_came() -> None:
    async def main() -> list[str]:
        scheduler, wire = wired(in_flight=1)
        async with scheduler:
            ranks = [0, 5, 3, 9, 3, 1]
            tasks = [
                asyncio.create_task(scheduler.ask(call(number), rank=rank, accept=text_of))
                for number, rank in enumerate(ranks)
            ]
            for number in range(len(ranks)):
                (await wire.until(number + 1))[number].answer()
            await asyncio.gather(*tasks)
            return wire.rows

    assert run(main()) == ["0", "5", "2", "4", "1", "3"]


def test_a_call_that_is_asked_again_goes_before_later_seeds() -> None:
    async def main() -> list[str]:
        scheduler, wire = wired(in_flight=1)
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(4)]
            (await wire.until(1))[0].answer("nonsense")
            for number in range(1, 5):
                (await wire.until(number + 1))[number].answer()
            await asyncio.gather(*tasks)
            return wire.rows

    assert run(main()) == ["0", "1", "0", "2", "3"]  # 1 had its slot when the reply was read


def two(**limits: Any) -> tuple[Scheduler, Wire]:
    scheduler, wire = wired(**limits)
    scheduler._named = {"": [Endpoint("http://one/v1"), Endpoint("http://two/v1")]}
    return scheduler, wire


def test_requests_of_a_seed_go_to_the_same_server() -> None:
    async def main() -> None:
        scheduler, wire = two()
        async with scheduler:
            calls = [(row, part) for part in range(3) for row in range(4)]
            tasks = [start(scheduler, row, seed=part) for row, part in calls]
            places: dict[str, set[str]] = {}
            for sent in await wire.until(12):
                places.setdefault(sent.row, set()).add(sent.url)
                sent.answer()
            await asyncio.gather(*tasks)
            assert all(len(urls) == 1 for urls in places.values())
            assert set().union(*places.values()) == {"http://one/v1", "http://two/v1"}

    run(main())


def test_a_server_that_lags_gets_no_more() -> None:
    async def main() -> None:
        scheduler, wire = two()
        async with scheduler:
            tasks = [start(scheduler, row) for row in range(0, 40, 2)]
            sent = await wire.until(20)
            own = [one.url for one in sent].count("http://one/v1")
            assert [one.url for one in sent[:5]] == ["http://one/v1"] * 5
            assert 10 <= own <= 14
            for one in sent:
                one.answer()
            await asyncio.gather(*tasks)
            for number in range(20, 30):
                later = start(scheduler, 2 * number)
                one = (await wire.until(number + 1))[number]
                assert one.url == "http://one/v1"  # nothing lags any more
                one.answer()
                await later

    run(main())


def test_every_model_has_its_own_servers() -> None:
    async def main() -> None:
        scheduler, wire = wired()
        scheduler._named = {"a": [Endpoint("http://one/v1")], "b": [Endpoint("http://two/v1")]}
        async with scheduler:
            asked = [scheduler.ask(call(row, model=name), rank=row, accept=text_of) for row, name in enumerate("abba")]
            tasks = [asyncio.create_task(one) for one in asked]
            for sent in await wire.until(4):
                assert sent.url == {"a": "http://one/v1", "b": "http://two/v1"}[sent.body["model"]]
                sent.answer()
            right(await asyncio.gather(*tasks), 4)
            with pytest.raises(Unanswered, match=NOT_STORED):
                await scheduler.complete(call(9, model="c"), 0)

    run(main())


# -- several replies


def several(server: Scripted, **body: Any) -> tuple[Completion, Kept]:
    async def main() -> tuple[Completion, Kept]:
        journal = Kept()
        async with Scheduler([Endpoint(server.url)], journal, single={"m"}) as scheduler:
            return await scheduler.complete(call("echo-1", **body), 0), journal

    found: tuple[Completion, Kept] = run(main())
    return found


@pytest.mark.parametrize("body", [{"seed": 7}, {}])
def test_several_replies_are_asked_for_one_by_one_where_they_have_to_be(server: Scripted, body: dict[str, Any]) -> None:
    completion, journal = several(server, n=3, temperature=1, **body)
    assert server.stats()["requests"] == 3 == len(journal.replies)
    sent = [json.loads(json.loads(choice.text)["text"]) for choice in completion.choices]
    assert [one.get("seed") for one in sent] == ([7, 8, 9] if body else [None] * 3)
    assert all({"n", "index"}.isdisjoint(one) and one["temperature"] == 1 for one in sent)
    assert completion.completion_tokens == server.stats()["completion_tokens"]


def test_one_reply_is_one_request_there_too(server: Scripted) -> None:
    assert len(several(server, n=1)[0].choices) == 1 == server.stats()["requests"]


def test_several_replies_are_one_request_where_they_may_be(server: Scripted) -> None:
    async def main() -> Completion:
        async with Scheduler([Endpoint(server.url)], Kept()) as scheduler:
            return await scheduler.complete(call(1, n=3), 0)

    assert len(run(main()).choices) == 3 and server.stats()["requests"] == 1


def test_a_halt_between_several_replies_stores_those_in_flight() -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=2)
        scheduler._single = {"m"}
        async with scheduler:
            task = start(scheduler, 1, n=3)
            await wire.until(2)
            scheduler.halt(StopWork("interrupted"))
            await settle()
            assert not task.done()
            for sent in wire.sent:
                sent.answer()
            assert isinstance((await ended([task]))[0], StopWork)
            assert len(scheduler.journal.replies) == 2  # type: ignore[attr-defined]

    run(main())


# -- the store


def test_what_is_stored_is_not_asked_for(server: Scripted) -> None:
    journal = Kept()
    first = run(answers(server, 5, journal=journal))
    server.reset()
    made: list[Scheduler] = []
    assert run(answers(server, 5, journal=journal, made=made)) == first
    assert server.stats()["requests"] == 0 == made[0].spent.calls and made[0].counts == {"stored": 5}


def test_what_is_being_asked_is_not_asked_twice() -> None:
    async def twins() -> None:
        scheduler, wire = wired()
        async with scheduler:
            first, second, other = start(scheduler, 0), start(scheduler, 0), start(scheduler, 1)
            sent = await wire.until(2)
            assert wire.rows == ["0", "1"]
            for one in sent:
                one.answer()
            right([await first, await second, await other], [0, 0, 1])
        assert scheduler.counts == {"replies": 2, "stored": 1}

    run(twins())


def test_who_waits_for_another_asks_by_itself_if_that_comes_to_nothing() -> None:
    async def twins() -> None:
        scheduler, wire = wired()
        async with scheduler:
            first, second = start(scheduler, 0), start(scheduler, 0)
            await wire.until(1)
            first.cancel()
            (*_, again) = await wire.until(2)
            again.answer()
            assert "<<k0>>" in await second

    run(twins())


def test_offline_only_stored_replies_count(server: Scripted) -> None:
    journal = Kept()
    run(answers(server, 3, journal=journal))
    got = run(answers([], 5, journal=journal))
    right(got[:3], 3)
    assert [(type(one), str(one)) for one in got[3:]] == [(NotStored, NOT_STORED)] * 2
    assert len(journal.replies) == 3  # that nothing was stored is not stored


def test_a_stored_reason_is_given_again_offline_and_asked_anew_online(server: Scripted) -> None:
    journal = Kept()
    (first,) = run(answers(server, ["is400"], journal=journal))
    assert str(first) == "refused: HTTP 400" and list(journal.replies.values()) == [b"!refused: HTTP 400"]
    (again,) = run(answers([], ["is400"], journal=journal))
    assert isinstance(again, Unanswered) and str(again) == str(first)
    with Scripted() as mended:
        right(run(answers(mended, ["is400"], journal=journal)), ["is400"])
    right(run(answers([], ["is400"], journal=journal)), ["is400"])


def stored(folder: Path) -> int:
    """Replies that another process would find."""
    with closing(sqlite3.connect(f"{(folder / DATABASE).as_uri()}?mode=ro", uri=True)) as db:
        (number,) = db.execute("SELECT count(*) FROM calls").fetchone()
    return int(number)


def test_a_reply_is_durable_before_it_counts_and_before_its_slot_is_free(tmp_path: Path) -> None:
    found: list[int] = []

    async def main() -> None:
        scheduler, wire = wired(in_flight=1)
        with closing(Store(tmp_path)) as store:
            scheduler.journal = store
            async with scheduler:

                def accept(completion: Completion) -> str:
                    found.append(stored(tmp_path))
                    return text_of(completion)

                tasks = [asyncio.create_task(scheduler.ask(call(n), rank=n, accept=accept)) for n in range(3)]
                for number in range(3):
                    sent = await wire.until(number + 1)
                    assert stored(tmp_path) == number  # the next went out with all before it stored
                    sent[number].answer()
                await asyncio.gather(*tasks)

    run(main())
    assert found == [1, 2, 3]


def test_what_a_reply_cost_is_known_to_the_next_attempt(tmp_path: Path, server: Scripted) -> None:
    with closing(Store(tmp_path)) as store:
        run(answers(server, 4, journal=store, spent=store.spent))
        spent = store.spent
    assert spent.calls == 4 and spent.tokens > 0
    with closing(Store(tmp_path)) as store:
        assert store.spent == spent


class Full(Kept):
    """A journal on a disk that is full."""

    def keep(self, key: bytes, model: str, tokens: tuple[int, int], reply: bytes) -> None:
        raise NoSpaceError("full")


def test_a_full_disk_ends_the_run_and_frees_the_slot(server: Scripted) -> None:
    made: list[Scheduler] = []
    got = run(answers(server, 6, journal=Full(), made=made, limits={"in_flight": 2}))
    assert {type(one) for one in got} == {NoSpaceError} and made[0].in_flight == 0


# -- cancelling


@pytest.mark.parametrize("when", ["queued", "given a slot", "in flight"])
def test_a_call_that_is_cancelled_gives_its_slot_back(when: str) -> None:
    async def main() -> None:
        scheduler, wire = wired(in_flight=1)
        async with scheduler:
            first, second, third = (start(scheduler, row) for row in range(3))
            await wire.until(1)
            gone, left = (first, [second, third]) if when == "in flight" else (second, [first, third])
            if when == "given a slot":
                dispatch = scheduler.slots.dispatch

                def overtaken() -> None:
                    dispatch()
                    second.cancel()

                scheduler.slots.dispatch = overtaken  # type: ignore[method-assign]
            else:
                gone.cancel()
            if gone is not first:
                wire.sent[0].answer()
            while not all(task.done() for task in left):
                await settle()
                for sent in wire.sent:
                    if not sent.future.done():
                        sent.answer()
            assert gone.cancelled()
            right([await task for task in left], [1, 2] if gone is first else [0, 2])
            assert scheduler.in_flight == 0 and scheduler.slots.reserved == 0 and not scheduler.slots._queue
            assert scheduler.spent.calls == len(wire.sent) == (3 if gone is first else 2)

    run(main())
