"""Real vLLM, with a tiny model that writes nonsense: whole runs, the wire, and servers that are killed.

The model obeys what a server makes it obey, seeds and schemas, and nothing else: no row of it may be accepted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import synth
from synth.cli import main
from synth.config import Config, load_config
from synth.engines import served
from synth.engines.calls import Call, Completion, Malformed
from synth.engines.client import Answer, Client, Endpoint
from synth.engines.limits import Limits
from synth.engines.opening import revision_of
from synth.engines.pace import Gauges
from synth.engines.parse import read_json, read_sections
from synth.engines.probe import Capabilities, probe
from synth.engines.scheduler import Scheduler
from synth.engines.served import CRITIQUE, QUESTION
from synth.errors import EndpointError, Unanswered
from synth.profiles import load_profile
from tests.served.scribe import adds_up, content, rows, stored
from tests.served.test_server import eventually, gone, running

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vllm")]
FLAGS = ("--kv-cache-memory-bytes", "134217728", "--max-num-seqs", "16")
SEQUENCES = 16
FEW, MANY, EACH, WIDTH = 12, 24, 3, 6
"""Seeds of a run, and of one whose server is killed; calls for a seed that never gets anything usable; in flight."""
FORMED = r"## Reasoning\n1\. [a-z ]{80,300} \[e1\]\.\n2\. [a-z ]{80,300} \[e1\]\.\n## Answer\nA\. [a-z ]{10,60}\."
SHORT = ("--set", "sampling.max_tokens=1024")
"""A model that does not know how to end takes all the tokens that it may."""
_WORDS = {"type": "string", "maxLength": 40}
_POINT = {"step": {"type": "integer", "minimum": 1, "maximum": 9}, "problem": _WORDS, "mend": _WORDS}
_ITEM = CRITIQUE["properties"]["points"]["items"] | {"properties": _POINT}  # type: ignore[index]
NESTED = CRITIQUE | {"properties": {"points": {"type": "array", "minItems": 2, "maxItems": 6, "items": _ITEM}}}
"""As a critique, but bounded: a model that wants to say nothing says nothing, or runs on."""


# -- a server to ask


@pytest.fixture(scope="module")
def url(tiny_model: Path, one_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `synth serve`."""
    errors = tmp_path_factory.mktemp("serve") / "stderr"
    command = [sys.executable, "-m", "synth", "serve", "--model", str(tiny_model), "--", *FLAGS]
    with (
        errors.open("w") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line, errors.read_text()
            yield line
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def found(url: str, tiny_model: Path) -> Capabilities:
    return probed(url, tiny_model.name)


@pytest.fixture
def ask(url: str, found: Capabilities) -> Callable[..., list[Any]]:
    """Asks calls all at once, each with its own journal entry; an unanswered one gives its error."""

    def dress(call: Call, _endpoint: Endpoint) -> dict[str, Any]:
        return found.dress(call)

    def asked(*calls: Call, **limits: Any) -> list[Any]:
        async def all_of_them() -> list[Any]:
            async with Scheduler(
                [Endpoint(url)], Memory(), Limits(**limits), dress=lambda call, _: found.dress(call)
            ) as scheduler:
                work = (scheduler.complete(call, rank) for rank, call in enumerate(calls))
                return await asyncio.gather(*work, return_exceptions=True)

        return asyncio.run(all_of_them())

    return asked


class Memory(dict[bytes, bytes]):
    """A journal that is gone with its process."""

    def reply(self, key: bytes) -> bytes | None:
        return self.get(key)

    def keep(self, key: bytes, _model: str, _tokens: tuple[int, int], reply: bytes) -> None:
        self[key] = reply


def probed(url: str, model: str) -> Capabilities:
    async def asked() -> Capabilities:
        async with Client() as client:
            return await probe(client, Endpoint(url), model, load_profile("plain"))

    return asyncio.run(asked())


def call(text: str = "Fever?", schema: Any = None, **body: Any) -> Call:
    turns = ({"role": "user", "content": text},)
    return Call("tiny-model", turns, {"max_tokens": 24, "temperature": 1.0, "seed": 1, **body}, schema)


def metric(url: str, name: str) -> float:
    async def asked() -> Answer:
        async with Client() as client:
            endpoint = Endpoint(url)
            return await client.ask(endpoint, "GET", f"{endpoint.root}/metrics")

    text = asyncio.run(asked()).body.decode()
    return sum(float(value) for value in re.findall(rf"^vllm:{name}(?:{{.*}})? (\S+)$", text, re.M))


def test_the_probe_finds_what_it_can_do(found: Capabilities) -> None:
    assert re.fullmatch(r"0\.\d+\.\d+\S*", found.vllm or "")
    assert found == Capabilities(
        structured="json_schema", n=True, logprobs=True, prompt_logprobs=True, reasoning="text", pooling="none",
        context=8192, vllm=found.vllm, gauges=True, revision=found.revision,
    )  # fmt: skip
    assert found.revision.startswith(f"vllm-{found.vllm}")


def test_a_model_that_it_does_not_have_is_told(url: str, ask: Callable[..., list[Any]]) -> None:
    with pytest.raises(EndpointError, match="refuses other: HTTP 404: The model `other` does not exist"):
        probed(url, "other")
    (error,) = ask(call()._replace(model="other"))
    assert isinstance(error, EndpointError)


@pytest.mark.parametrize("schema", [QUESTION, NESTED], ids=["question", "nested"])
def test_small_replies_are_of_their_schema(ask: Callable[..., list[Any]], schema: dict[str, Any]) -> None:
    replies = ask(*(call(schema=schema, seed=seed, max_tokens=4096) for seed in range(12)))
    texts = {json.dumps(read_json(reply.first, schema)) for reply in replies}
    assert len(texts) > 1


def test_every_token_has_its_log_probability(ask: Callable[..., list[Any]]) -> None:
    (reply,) = ask(call(logprobs=True, top_logprobs=1, prompt_logprobs=0))
    assert len(reply.first.logprobs) == reply.completion_tokens == 24
    first, *rest = reply.prompt_logprobs
    assert first is None
    assert len(rest) == reply.prompt_tokens - 1
    assert all(value < 0 for value in (*rest, *reply.first.logprobs))


def test_one_request_brings_several_replies(ask: Callable[..., list[Any]]) -> None:
    (reply,) = ask(call(n=3))
    assert len({choice.text for choice in reply.choices}) == len(reply.choices) == 3


def test_a_seed_gives_its_text_again(ask: Callable[..., list[Any]]) -> None:
    (first,), (again,), (other,) = ask(call()), ask(call()), ask(call(seed=2))
    assert first == again
    assert first.first.text != other.first.text


def test_a_reply_ends_before_what_it_is_told_to_stop_at(ask: Callable[..., list[Any]]) -> None:
    (whole,) = ask(call())
    text = whole.first.text
    stop = text[len(text) // 2 :][:4]
    (cut,) = ask(call(stop=[stop]))
    assert cut.first.finish == "stop"
    assert cut.first.text == text[: text.index(stop)].strip()


def test_a_reply_that_is_cut_off_says_so(ask: Callable[..., list[Any]]) -> None:
    (reply,) = ask(call(max_tokens=8))
    assert reply.first.cut
    assert reply.completion_tokens == 8
    with pytest.raises(Malformed, match="cut off before its end"):
        read_sections(reply.first)


def test_a_prompt_over_the_context_is_refused_and_holds_up_no_other(ask: Callable[..., list[Any]]) -> None:
    long, short = ask(call("fever " * 20_000), call())
    assert isinstance(long, Unanswered)
    assert str(long) == "refused: HTTP 400"
    assert isinstance(short, Completion)


def test_a_wish_over_the_context_is_clamped_to_it(ask: Callable[..., list[Any]], url: str) -> None:
    wish = call(max_tokens=100_000, stop=["a"])

    async def undressed() -> None:
        async with Scheduler([Endpoint(url)], Memory()) as scheduler:
            await scheduler.complete(wish, 0)

    with pytest.raises(Unanswered, match="refused: HTTP 400"):
        asyncio.run(undressed())
    (reply,) = ask(wish)
    assert reply.first.finish == "stop"


@pytest.mark.parametrize(
    "wanted", [call(n=3, logprobs=True), call(schema=QUESTION, max_tokens=2048)], ids=["choices", "json"]
)
def test_a_streamed_reply_is_the_same(ask: Callable[..., list[Any]], wanted: Call) -> None:
    (whole,), (streamed,) = ask(wanted), ask(wanted, stream=True)
    assert whole == streamed


def test_prompts_that_share_their_beginning_are_read_once(ask: Callable[..., list[Any]], url: str) -> None:
    beginning = "A patient with fever, cough and chills. " * 100
    ask(call(f"{beginning} One?"))
    before = metric(url, "prefix_cache_hits_total")
    (reply,) = ask(call(f"{beginning} Two?"))
    assert metric(url, "prefix_cache_hits_total") - before > 0.8 * reply.prompt_tokens > 500


class Watched(NamedTuple):
    """What one look at the gauges did to the limit."""

    gauges: Gauges
    before: float
    after: float
    replies: int


def watched(url: str, found: Capabilities, calls: list[Call], start: int) -> tuple[list[Completion], list[Watched]]:
    """Ask with an eye on the gauges."""
    looks: list[Watched] = []

    async def asked() -> list[Completion]:
        limits = Limits(in_flight=64, start=start, gauges=True)
        async with Scheduler([Endpoint(url)], Memory(), limits, dress=lambda call, _: found.dress(call)) as scheduler:
            observe = scheduler.slots.pace.observe

            def look(gauges: Gauges, in_flight: int) -> None:
                before = scheduler.slots.pace.limit
                observe(gauges, in_flight)
                looks.append(Watched(gauges, before, scheduler.slots.pace.limit, scheduler.counts["replies"]))

            scheduler.slots.pace.observe = look  # type: ignore[method-assign]
            return await asyncio.gather(*(scheduler.complete(one, rank) for rank, one in enumerate(calls)))

    return asyncio.run(asked()), looks


def long_first(long: int, tokens: int, short: int) -> list[Call]:
    """Some calls that take their time, and then small ones."""
    slow = [call(f"{n}?", max_tokens=tokens, ignore_eos=True) for n in range(long)]
    return [*slow, *(call(f"{n}?", max_tokens=4) for n in range(long, long + short))]


def test_the_limit_grows_while_the_gauges_tell_of_room(
    url: str, found: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Scheduler.__module__}._POLL", 0.05)  # however quickly the server answers
    replies, looks = watched(url, found, long_first(8, 1200, 192), 8)
    assert len(replies) == 200
    told = [look for look in looks if not look.replies]
    assert any(look.after > look.before == 8 for look in told), told
    assert all(look.gauges.waiting == 0 for look in told if look.after > look.before), told


def test_the_limit_sinks_to_what_the_gauges_tell(url: str, found: Capabilities) -> None:
    replies, looks = watched(url, found, long_first(64, 300, 0), 64)
    assert len(replies) == 64
    full = [look for look in looks if look.gauges.waiting > SEQUENCES]
    assert full[0].before == 64
    assert full[0].after == full[0].gauges.running + 8 <= SEQUENCES + 8
    assert all(look.after == min(look.before, look.gauges.running + 8) for look in full)


# -- garbage, gate by gate


class Fed(NamedTuple):
    """A run against the server."""

    folder: Path
    code: int
    hits: float
    queries: float


@pytest.fixture(scope="module")
def fed(url: str, tmp_path_factory: pytest.TempPathFactory) -> Fed:
    folder = tmp_path_factory.mktemp("openai") / "r"
    names = ("prefix_cache_hits_total", "prefix_cache_queries_total")
    before = [metric(url, name) for name in names]
    asked = ["generate", "--seed", "kg", "--engine", "openai", "--base-url", url, "-n", str(FEW), *SHORT]
    code = main([*asked, "--out", str(folder)])
    hits, queries = (metric(url, name) - was for name, was in zip(names, before, strict=True))
    return Fed(folder, code, hits, queries)


def turned_away(folder: Path, asked: int) -> Counter[str]:
    """Hold a folder to it that nothing was accepted, each row with its reason; the reasons."""
    adds_up(folder, asked)
    assert rows(folder) == []
    found = rows(folder, "rejected.jsonl")
    assert len(found) == asked
    return Counter(row["verdict"]["reason"] for row in found)


def test_the_openai_engine_accepts_nothing_of_it(fed: Fed) -> None:
    assert fed.code == 1
    assert all(reason.startswith("unusable: ") for reason in turned_away(fed.folder, FEW))


def test_the_prompts_of_a_run_share_their_beginning(fed: Fed) -> None:
    assert fed.hits > 0.4 * fed.queries > 0


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions stay as the templates word them, so that a model comes to reason about them."""

    async def question(asked: Any, _former: Any) -> str:
        text: str = asked.engine.templates.question(asked.plan, Random(asked.task.chance))
        return text

    monkeypatch.setattr(served._Asked, "question", question)


def reasoned(url: str, folder: Path, body: dict[str, Any]) -> Counter[str]:
    """A run of one try for each seed, whose requests have something more to them; the reasons."""
    profile = folder.with_suffix(".yaml")
    profile.write_text(json.dumps({"name": "made", "title": "Made", "reasoning": "prompted", "body": body}))
    config = load_config(flags={
        "engine": "openai", "serving.base_url": (url,), "profile": str(profile), "served.re_asks": 0,
        "run.rounds": 0, "checks.min_reasoning_words": 0,
    })  # fmt: skip
    assert synth.generate(config, n=20, out=folder).starved
    return turned_away(folder, 20)


@pytest.mark.usefixtures("drafted")
def test_reasoning_of_no_form_is_not_read(url: str, tmp_path: Path) -> None:
    assert reasoned(url, tmp_path / "r", {"stop": [" a"]}) == {"unusable: it has no reasoning section": 20}


@pytest.mark.usefixtures("drafted")
def test_nonsense_in_the_right_form_is_rejected_by_the_checks(url: str, tmp_path: Path) -> None:
    reasons = reasoned(url, tmp_path / "r", {"structured_outputs": {"regex": FORMED}})
    assert not [reason for reason in reasons if reason.startswith("unusable")], "it did not come as far as the checks"
    for row in rows(tmp_path / "r", "rejected.jsonl"):
        assert {"citations", "claimed"} & {finding["check"] for finding in row["verdict"]["findings"]}


# -- a server of the run's own


class Ended(NamedTuple):
    """An attempt that came to its end."""

    code: int
    errors: str
    sessions: tuple[int, ...]
    """Of the servers that it had: all processes of one share it."""
    folder: Path
    """As it was then."""

    @property
    def log(self) -> str:
        """What the attempt wrote down of itself."""
        last = max((self.folder / "logs").glob("attempt-*.log"), key=lambda path: path.stat().st_mtime)
        return last.read_text()

    @property
    def sent(self) -> int:
        """Requests of all attempts so far."""
        return int(values(self.folder)["spent"]["calls"])


class Attempt:
    """`synth generate --engine vllm` as a process; use as a context manager."""

    def __init__(self, model: Path, folder: Path, n: int, *more: str) -> None:
        self.folder = folder
        self.said = folder.with_name("stderr")
        self.before = stored(folder)
        self._sessions: dict[int, None] = {}
        flags = json.dumps(["--kv-cache-memory-bytes", "134217728"])
        asked = ["generate", "--seed", "kg", "--engine", "vllm", "--model", str(model), "-n", str(n)]
        command = [sys.executable, "-m", "synth", *asked, "--out", str(folder), "--set", f"serving.flags={flags}"]
        with self.said.open("w") as file:
            self.process = subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=file)

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def server(self) -> int | None:
        """The session of the server that runs now: its guard, the only child of the process."""
        found = running(1, self.process.pid)
        self._sessions |= dict.fromkeys(found)
        return found[-1] if found else None

    def until(self, holds: Callable[[], Any]) -> Any:
        found = eventually(lambda: (self.server(), self.process.poll() is not None or holds())[1], 300)
        assert found and self.process.poll() is None, self.said.read_text()
        return found

    def until_answered(self, many: int) -> None:
        self.until(lambda: stored(self.folder) >= self.before + many)

    def kill_server(self, words: str = " serve ") -> None:
        """Kill one process of the server: the one that listens, or one of these words."""
        session = self.server()
        assert session is not None
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running(3, session) if pid != session}
        pid = next(pid for pid, line in lines.items() if words.encode() in line.replace(b"\0", b" "))
        os.kill(pid, signal.SIGKILL)

    def end(self) -> Ended:
        assert eventually(lambda: (self.server(), self.process.poll() is not None)[1], 300), self.said.read_text()
        then = self.folder.with_name(f"then-{time.monotonic_ns()}")
        shutil.copytree(self.folder, then)
        return Ended(self.process.returncode, self.said.read_text(), tuple(self._sessions), then)


def values(folder: Path) -> dict[str, Any]:
    """What a run keeps about itself."""
    with closing(sqlite3.connect(folder / "run.db")) as db:
        return {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM run")}


@pytest.fixture(scope="module")
def whole(tiny_model: Path, one_server: None, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run from its start to its end."""
    with Attempt(tiny_model, tmp_path_factory.mktemp("whole") / "r", FEW, *SHORT) as attempt:
        return attempt.end()


def test_the_vllm_engine_accepts_nothing_of_it(whole: Ended) -> None:
    assert whole.code == 1, whole.errors
    assert "rejected.jsonl says why" in whole.errors.splitlines()[-1]
    assert all(reason.startswith("unusable: ") for reason in turned_away(whole.folder, FEW))


def test_the_server_ends_with_its_run_and_its_log_stays(whole: Ended) -> None:
    (session,) = whole.sessions
    assert gone(session)
    assert "Application startup complete" in (whole.folder / "logs/vllm-1.log").read_text()


def test_what_the_server_can_do_is_kept(whole: Ended, tiny_model: Path) -> None:
    kept = Capabilities(**values(whole.folder)["capabilities"][tiny_model.name])
    assert (kept.structured, kept.context, kept.gauges) == ("json_schema", 8192, True)


def test_rows_name_the_model_and_no_path(whole: Ended, tiny_model: Path) -> None:
    for row in rows(whole.folder, "rejected.jsonl"):
        assert row["generator"]["model"] == tiny_model.name
        assert row["generator"]["revision"] == revision_of(str(tiny_model))
    for name in ("accepted.jsonl", "rejected.jsonl", "funnel.json", "report.html"):
        assert str(tiny_model.parent) not in (whole.folder / name).read_text()


def test_the_revision_tells_one_folder_from_another(tiny_model: Path, tmp_path: Path) -> None:
    same, other = (shutil.copytree(tiny_model, tmp_path / name) for name in ("same", "other"))
    (other / "config.json").write_text((other / "config.json").read_text().replace("bfloat16", "float32"))
    assert revision_of(str(same)) == revision_of(str(tiny_model)) != revision_of(str(other))


@pytest.mark.parametrize("flags", [("--revision", "abc"), ("--seed", "1", "--revision=abc")])
def test_the_revision_of_a_model_of_the_hub_is_that_of_its_flags(flags: tuple[str, ...]) -> None:
    assert revision_of("some/model", flags) == "abc"
    assert revision_of("some/model") == "not stated"


def test_the_same_command_does_nothing_again(whole: Ended, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(whole.folder, folder)
    with Attempt(tiny_model, folder, FEW, *SHORT) as attempt:
        again = attempt.end()
    assert again.code == 1
    assert again.sessions == ()
    assert "starting vLLM" not in again.log
    assert content(folder) == content(whole.folder)


def test_a_replay_needs_neither_vllm_nor_the_model(
    whole: Ended, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", str(tmp_path / "none"))
    folder = shutil.copytree(whole.folder, tmp_path / "r")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(str(tiny_model), "/elsewhere/gone"))
    synth.generate(Config(engine="replay"), out=folder)
    assert content(folder)[:3] == content(whole.folder)[:3]  # the fourth is the configuration


# -- servers that are killed, and runs that are interrupted: five attempts at one run, each going on from the last


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed") / "r"


def going_on(model: Path, folder: Path) -> Attempt:
    return Attempt(model, folder, MANY, "--concurrency", str(WIDTH), "--set", "sampling.max_tokens=256")


@pytest.fixture(scope="module")
def unstarted(tiny_model: Path, one_server: None, place: Path) -> Ended:
    """Interrupted while the server starts."""
    with going_on(tiny_model, place) as attempt:
        attempt.until(lambda: "importing vLLM" in attempt.said.read_text())
        attempt.process.send_signal(signal.SIGINT)
        return attempt.end()


@pytest.fixture(scope="module")
def twice(unstarted: Ended, tiny_model: Path, place: Path) -> Ended:
    """Its server killed, and the next one as well."""
    with going_on(tiny_model, place) as attempt:
        attempt.until_answered(WIDTH)
        attempt.kill_server()
        attempt.until_answered(3 * WIDTH)
        attempt.kill_server("VLLM::Worker")
        return attempt.end()


@pytest.fixture(scope="module")
def halfway(twice: Ended, tiny_model: Path, place: Path) -> Ended:
    """Interrupted in the middle."""
    with going_on(tiny_model, place) as attempt:
        attempt.until_answered(2 * WIDTH)
        attempt.process.send_signal(signal.SIGINT)
        return attempt.end()


@pytest.fixture(scope="module")
def once(halfway: Ended, tiny_model: Path, place: Path) -> Ended:
    """Its server killed, and then left alone."""
    with going_on(tiny_model, place) as attempt:
        attempt.until_answered(WIDTH)
        attempt.kill_server()
        return attempt.end()


def test_a_signal_ends_the_start_of_a_server(unstarted: Ended) -> None:
    assert unstarted.code == 130, unstarted.errors
    assert "the same command goes on" in unstarted.errors.splitlines()[-1]
    assert "vLLM is ready" not in unstarted.errors


def test_a_server_that_is_killed_twice_ends_the_run_in_one_line(twice: Ended, place: Path) -> None:
    assert twice.code == 3
    assert "Traceback" not in twice.errors
    last = twice.errors.splitlines()[-1]
    assert re.match(r"synth: the vLLM server ended twice: Worker.* died unexpectedly", last)
    assert last.endswith(f"; its log is {place / 'logs/vllm-1.log'}")
    assert len(twice.sessions) == 2


def test_what_was_answered_before_it_is_kept(twice: Ended) -> None:
    adds_up(twice.folder, MANY)
    assert stored(twice.folder) >= 3 * WIDTH


def test_a_server_is_probed_once_for_a_run(twice: Ended, halfway: Ended, tiny_model: Path) -> None:
    assert f"{tiny_model.name}: vLLM " in twice.log
    assert f"{tiny_model.name}: vLLM " not in halfway.log


def test_a_signal_in_the_middle_waits_for_what_is_in_flight_and_no_more(halfway: Ended, twice: Ended) -> None:
    assert halfway.code == 130
    assert "the same command goes on" in halfway.errors.splitlines()[-1]
    adds_up(halfway.folder, MANY)
    assert halfway.sent - twice.sent == stored(halfway.folder) - stored(twice.folder)
    assert stored(twice.folder) < stored(halfway.folder) < EACH * MANY


def test_a_run_whose_server_is_killed_goes_on_with_another(once: Ended) -> None:
    assert once.code == 1, once.errors
    assert once.log.count("starting it once more") == 1
    assert len(once.sessions) == 2
    turned_away(once.folder, MANY)


def test_only_what_was_in_flight_is_asked_again(once: Ended, halfway: Ended) -> None:
    """A request may break more than once: what was killed takes connections until all of it is gone."""
    assert stored(once.folder) == EACH * MANY
    counts = {what: int(n) for n, what in re.findall(r"(\d+) ([\w ]+)", once.log.rpartition("this attempt: ")[2])}
    assert counts["replies"] == EACH * MANY - stored(halfway.folder)
    assert once.sent - halfway.sent == counts["replies"] + counts["the connection broke"]
    assert counts["the connection broke"] > 0


@pytest.mark.parametrize("name", ["unstarted", "twice", "halfway", "once"])
def test_no_process_is_left(name: str, request: pytest.FixtureRequest) -> None:
    ended: Ended = request.getfixturevalue(name)
    assert ended.sessions
    assert all(gone(session) for session in ended.sessions)
