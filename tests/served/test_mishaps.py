"""What befalls a run: servers that differ, die or lie, replies that are damaged, replays and signals cut short."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import synth
from synth.cli import main
from synth.config import Config
from synth.engines import opening
from synth.engines.server import OwnedServer
from synth.errors import EndpointError, UsageError
from synth.run import Run
from synth.store import Store
from tests.served.scribe import SCRIPT, adds_up, command, content, rows, settings, stored
from tests.served.scripted import Scripted
from tests.served.test_server import eventually, fake, model, named, running, session_of

__all__ = ["fake", "model"]  # fixtures
N = 30
BARE = ("json_schema", "structured_outputs", "guided_json")


def script(name: str) -> str:
    return SCRIPT.replace("answer", name)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted(latency="fixed:20", script=SCRIPT) as scripted:
        yield scripted


@pytest.fixture(scope="module")
def reference(server: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "r"
    synth.generate(settings(server.url), n=N, out=folder)
    return folder


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    return shutil.copytree(reference, tmp_path / "copy")


def failures(folder: Path) -> Counter[str]:
    found = rows(folder, "rejected.jsonl")
    return Counter(row["verdict"]["reason"] for row in found if row["verdict"]["status"] == "failed")


# -- servers that differ, are away, die


@pytest.mark.parametrize("first", ["whole", "bare"])
def test_each_server_is_asked_in_its_own_dialect(server: Scripted, reference: Path, tmp_path: Path, first: str) -> None:
    with Scripted(script=SCRIPT, lacks=BARE) as bare:
        urls = (server.url, bare.url) if first == "whole" else (bare.url, server.url)
        synth.generate(settings(serving__base_url=urls), n=N, out=tmp_path / "r")
        assert bare.stats()["requests"] > N
    assert content(tmp_path / "r")[:3] == content(reference)[:3]


def test_a_server_that_is_away_at_the_start_is_left_out(server: Scripted, reference: Path, tmp_path: Path) -> None:
    said: list[str] = []
    urls = ("http://127.0.0.1:9/v1", server.url)
    synth.generate(settings(serving__base_url=urls), n=N, out=tmp_path / "r", say=said.append)
    assert any(line.startswith("left out: http://127.0.0.1:9/v1") for line in said)
    assert content(tmp_path / "r")[:3] == content(reference)[:3]


def test_one_of_two_servers_may_die_for_good(server: Scripted, reference: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with Scripted(script=SCRIPT, latency="fixed:30") as other:

        def stop(status: Any) -> None:
            if status.calls > 40 and other.process.poll() is None:
                other.process.kill()

        config = settings(serving__base_url=(other.url, server.url), serving__patience=0, serving__concurrency=8)
        synth.generate(config, n=N, out=tmp_path / "r", say=said.append, progress=stop)
        assert other.process.poll() is not None
    assert any("nobody answers there; asked no more until it is back" in line for line in said)
    assert content(tmp_path / "r")[:3] == content(reference)[:3]


def test_what_is_in_flight_when_a_server_refuses_the_key_is_stored(tmp_path: Path) -> None:
    """One request is refused; those beside it are answered a moment later, and paid for."""
    with Scripted(script=f"{Path(__file__)}:refuses", latency="fixed:300") as refusing:
        with pytest.raises(EndpointError, match="credentials"):
            synth.generate(settings(refusing.url, serving__concurrency=20), n=N, out=tmp_path / "r")
        sent = refusing.stats()["requests"]
    assert stored(tmp_path / "r") > 10
    assert sent - stored(tmp_path / "r") < 12, "what was in flight was thrown away"
    adds_up(tmp_path / "r", N)


def refuses(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any] | None:
    """Whatever speaks of narcolepsy is refused at once."""
    prompt = json.dumps(request.get("messages", ""))
    return {"status": 401, "delay": 0.01, "error": "bad key"} if "narcolepsy" in prompt.casefold() else None


def test_a_server_that_answers_as_another_model_is_refused(server: Scripted, tmp_path: Path) -> None:
    with (
        Scripted(script=f"{Path(__file__)}:masked", model="the-real-one") as masked_server,
        pytest.raises(EndpointError, match="answers as the-real-one when asked for mock-model; name that with --model"),
    ):
        synth.generate(settings(masked_server.url), n=5, out=tmp_path / "r")


def masked(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any] | None:
    """Whatever it is asked for, it answers as the model that it has."""
    message = {"role": "assistant", "content": "hello"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return {"body": {"model": "the-real-one", "choices": [choice], "usage": usage}} if request else None


def test_a_server_that_shuts_down_is_seen_to_have_ended(fake: Path, model: str, tmp_path: Path) -> None:
    async def watched() -> int:
        server = OwnedServer(model, [], log=tmp_path / "log", python=fake)
        ended: list[float] = []
        await server.start(lambda _: None)
        watch = asyncio.create_task(server.watch(lambda: ended.append(time.monotonic())))
        try:
            await asyncio.sleep(1.5)
            assert not ended
            for pid in named(session_of(server), "--port"):
                if pid != session_of(server):
                    subprocess.run(["kill", "-TERM", str(pid)], check=True)
            until = time.monotonic() + 20
            while not ended and time.monotonic() < until:
                await asyncio.sleep(0.1)
        finally:
            watch.cancel()
            await server.stop()
        assert eventually(lambda: not running(3, session_of(server)) if server._guard else True)
        return len(ended)

    assert asyncio.run(watched()) == 1


# -- rows and replies


def test_a_critic_that_cannot_be_used_loses_no_row(tmp_path: Path) -> None:
    """Its row stays as it was, rejected for what the checks found."""
    with Scripted(script=script("chatty")) as chatty:
        synth.generate(settings(chatty.url), n=N, out=tmp_path / "r")
    assert not failures(tmp_path / "r")
    found = [row for row in rows(tmp_path / "r", "rejected.jsonl") if row["attempts"]]
    assert len(found) > 3
    for row in found:
        assert row["question"] and row["steps"]
        assert {attempt["why"] for attempt in row["attempts"]} <= {"no revision: unusable: it is not valid JSON"}
    before = content(tmp_path / "r")
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before


def damage(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "run.db")) as db, db:
        (last,) = db.execute("SELECT max(number) FROM calls").fetchone()
        db.execute("UPDATE calls SET reply = x'00112233' WHERE number = ?", (last,))


def test_a_damaged_reply_counts_as_missing(server: Scripted, copy: Path, reference: Path) -> None:
    damage(copy)
    synth.generate(Config(engine="replay"), out=copy)
    assert failures(copy) == {"no_stored_reply": 1}


def test_a_damaged_reply_is_asked_for_again(server: Scripted, tmp_path: Path, reference: Path) -> None:
    synth.generate(settings(server.url, serving__max_calls=60), n=N, out=tmp_path / "r")
    damage(tmp_path / "r")
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r")[:3] == content(reference)[:3]


def test_a_batch_that_is_committed_twice_stands_once(copy: Path) -> None:
    with closing(Store(copy)) as store:
        batch = list(enumerate(store.samples()))[:5]
        before = stored(copy, "samples")
        store.add(batch, store.start()[0])
        assert stored(copy, "samples") == before


# -- replays and cleaning


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A signal after some rows."""
    take = synth.api.Driver._commit
    seen: list[int] = []

    def commit(self: Any, batch: Any) -> None:
        take(self, batch)
        seen.append(len(batch))
        if sum(seen) >= after:
            raise KeyboardInterrupt

    monkeypatch.setattr("synth.driver._BATCH", 5)
    monkeypatch.setattr(synth.api.Driver, "_commit", commit)


def test_a_replay_that_is_cut_short_leaves_the_run_as_it_was(
    copy: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupted(patched, 10)
        with pytest.raises(KeyboardInterrupt):
            synth.generate(Config(engine="replay"), out=copy)
    assert content(copy) == content(reference)
    assert stored(copy, "samples") == N
    synth.generate(Config(engine="replay"), out=copy)
    assert content(copy) == content(reference)


def test_a_replay_that_was_killed_leaves_the_rows_too(copy: Path, reference: Path) -> None:
    with closing(Store(copy)) as store:
        assert store.begin_again() == N  # and no more
    assert stored(copy, "samples") == 0
    assert main(["clean", str(copy)]) == 0
    assert stored(copy, "samples") == N
    assert content(copy) == content(reference)


def test_an_unfinished_run_is_not_cleaned_unasked(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synth.generate(settings(server.url, serving__max_calls=60), n=N, out=tmp_path / "r")
    many = stored(tmp_path / "r")
    assert main(["clean", str(tmp_path / "r")]) == 2
    assert "samples are not made yet" in capsys.readouterr().err
    assert stored(tmp_path / "r") == many
    assert main(["clean", str(tmp_path / "r"), "--yes"]) == 0
    assert stored(tmp_path / "r") == 0


def test_a_replay_needs_no_source(server: Scripted, shared: Path, tmp_path: Path) -> None:
    source = shutil.copy(shared / "ontology/doid-2026-NCIthesaurus-slim.obo", tmp_path / "doid.obo")
    config = settings(server.url, source=(str(source),))
    synth.generate(config, n=10, out=tmp_path / "r")
    before = content(tmp_path / "r")
    Path(source).unlink()
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before
    assert main(["verify", str(tmp_path / "r")]) == 0


def test_a_kill_before_the_database_is_there_does_no_harm(server: Scripted, shared: Path, tmp_path: Path) -> None:
    config = settings(server.url, source=(str(shared / "ontology/doid-2026-NCIthesaurus-slim.obo"),))
    synth.generate(config, n=5, out=tmp_path / "whole")
    (tmp_path / "r").mkdir()
    shutil.copytree(tmp_path / "whole/graph", tmp_path / "r/graph")
    synth.generate(config, n=5, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(tmp_path / "whole")


def test_a_run_that_accepted_nothing_is_no_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted() as nonsense:
        assert main([*command(nonsense.url, tmp_path / "r", 5)[3:]]) == 1
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "r")]) == 2
    assert "no rows; rejected.jsonl" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "r"), "--format", "messages", "--out", str(tmp_path / "x.jsonl")]) == 1
    assert "no row to export" in capsys.readouterr().err


# -- money, files, GPUs, licences

MINE = """
name: mine
title: Mine
license: Mine-NC-1.0
commercial: false
obligations: You must show NC INSIDE.
reasoning: prompted
prices: {prompt: 1000.0, completion: 2000.0}
"""


def test_what_a_users_own_licence_asks_is_on_the_card(server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    synth.generate(settings(server.url, profile=str(tmp_path / "mine.yaml")), n=10, out=tmp_path / "r")
    (tmp_path / "mine.yaml").unlink()
    out = tmp_path / "x.jsonl"
    assert main(["export", str(tmp_path / "r"), "--format", "messages", "--out", str(out)]) == 0
    assert "You must show NC INSIDE." in (tmp_path / "x.card.md").read_text()


def test_a_run_costs_no_more_than_it_may(server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    config = settings(server.url, profile=str(tmp_path / "mine.yaml"), serving__max_cost=150, sampling__max_tokens=2000)
    run = synth.generate(config, n=N, out=tmp_path / "r")
    assert "serving.max_cost 150.0 might be passed" in run.limited
    with closing(Store(tmp_path / "r")) as store:
        spent = store.spent
    assert spent.dollars == pytest.approx((1000 * spent.prompt_tokens + 2000 * spent.completion_tokens) / 1e6)
    assert 50 < spent.dollars <= 150
    assert Run(tmp_path / "r").funnel["steps"][0]["pending"] > 0


@pytest.mark.parametrize(
    ("limits", "asked", "becomes", "told"),
    [((1024, 4096), 256, 1024, False), ((256, 4096), 1000, 1128, False), ((256, 512), 1000, 512, True)],
)
def test_files_are_allowed_as_far_as_the_system_lets_us(
    limits: tuple[int, int], asked: int, becomes: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: now.append(both))
    said: list[str] = []
    opening.allow_files(asked, said.append)
    assert now[-1] == (becomes, limits[1])
    assert bool(said) is told
    assert not told or "--concurrency 384" in said[0]


@pytest.mark.parametrize(
    ("models", "gpus", "shared_out"),
    [(1, None, [(None,)]), (1, 2, [(0, 1)]), (2, 2, [(0,), (1,)]), (2, 5, [(0, 2, 4), (1, 3)])],
)
def test_models_share_no_gpu(
    models: int, gpus: int | None, shared_out: list[tuple[int | None, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "has_gpu", lambda: False)
    config = settings(engine="vllm", model=tuple("abc"[:models]), serving__gpus=gpus)
    assert opening.shared_gpus(config) == shared_out


def test_too_few_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "has_gpu", lambda: True)
    for gpus in (1, None):
        with pytest.raises(UsageError, match="at least one each"):
            opening.shared_gpus(settings(engine="vllm", model=("a", "b"), serving__gpus=gpus))


# -- words that go nowhere


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--model", ""], "an empty name"), (["--gpus", "2"], "only the vllm engine starts servers")],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*command("http://127.0.0.1:9/v1", tmp_path / "r", 5)[3:], *options]
    assert main(line) == 2
    assert words in capsys.readouterr().err


def test_a_template_that_nothing_uses_is_told(server: Scripted, tmp_path: Path) -> None:
    folder = tmp_path / "prompts/en/served"
    folder.mkdir(parents=True)
    (folder / "sistem.j2").write_text("You are terse.")
    with pytest.raises(UsageError, match=r"sistem\.j2: nothing uses a template of this name"):
        synth.generate(settings(server.url), n=5, prompts=tmp_path / "prompts", out=tmp_path / "r")


def test_a_replay_says_what_it_leaves_aside(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--engine", "replay", "--out", str(copy), "--random-seed", "4"]) == 0
    assert "--random-seed left aside" in capsys.readouterr().err
