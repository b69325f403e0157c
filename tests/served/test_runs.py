"""Whole runs against a scripted server: resumable, deterministic, replayable, limited, and true about themselves.

What the scripted models say proves the plumbing, never the quality of a row.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import synth
from synth.cli import main
from synth.config import Config, load_config
from synth.errors import ConflictError, EndpointError, UsageError
from synth.pilot import Pilot, wilson
from synth.run import Run
from synth.sample import content_id
from tests.served.scribe import PROBE, SCRIPT, adds_up, command, content, rows, settings, stored
from tests.served.scripted import ROOT, Scripted

N = 48
FEW = 40
Json = dict[str, Any]


def script(name: str) -> str:
    return SCRIPT.replace("answer", name)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    """Answers at scattered times, so that replies come in another order than they were asked in."""
    with Scripted(latency="lognormal:4:0.8", script=SCRIPT) as scripted:
        yield scripted


@pytest.fixture(scope="module")
def reference(server: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "r"
    synth.generate(settings(server.url), n=N, out=folder)
    return folder


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    return shutil.copytree(reference, tmp_path / "copy")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Json]]:
    """Where a server with the script `logged` writes its requests; call it to read them."""
    path = tmp_path / "requests.jsonl"
    path.touch()
    monkeypatch.setenv("SCRIBE_LOG", str(path))
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked(requests: list[Json], tag: str) -> list[str]:
    """The prompts of one kind, told by a tag that only it has; a call asked again counts once."""
    prompts = [
        next(turn["content"] for turn in one["messages"] if turn["role"] == "user")
        for one in requests
        if "messages" in one
    ]
    return [prompt for prompt in prompts if f"<{tag}>\n" in prompt]


def values(folder: Path) -> Json:
    with closing(sqlite3.connect(folder / "run.db")) as db:
        return {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM run")}


def reasons(folder: Path, status: str) -> Counter[str]:
    return Counter(
        row["verdict"]["reason"] for row in rows(folder, "rejected.jsonl") if row["verdict"]["status"] == status
    )


# -- determinism


def test_the_reference_has_rows_of_every_fate(reference: Path) -> None:
    adds_up(reference, N)
    funnel = Run(reference).funnel
    assert funnel["accepted"] > 25
    ends = {step["step"]: sum(step["rejected"].values()) for step in funnel["steps"]}
    assert ends["check"] > 10
    assert ends["admit"] > 0


@pytest.mark.parametrize("concurrency", [1, 200])
def test_how_many_are_in_flight_changes_no_byte(
    server: Scripted, reference: Path, tmp_path: Path, concurrency: int
) -> None:
    synth.generate(settings(server.url, serving__concurrency=concurrency), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_another_random_seed_gives_other_rows(server: Scripted, reference: Path, tmp_path: Path) -> None:
    synth.generate(settings(server.url, random_seed=1), n=FEW, out=tmp_path / "r")
    assert not {row["id"] for row in rows(tmp_path / "r")} & {row["id"] for row in rows(reference)}


def test_a_streamed_run_gives_the_same_bytes(server: Scripted, reference: Path, tmp_path: Path) -> None:
    synth.generate(settings(server.url, serving__stream=True), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_two_servers_give_the_same_bytes_as_one(server: Scripted, reference: Path, tmp_path: Path) -> None:
    with Scripted(script=SCRIPT) as other:
        config = settings(serving__base_url=(server.url, other.url))
        synth.generate(config, n=N, out=tmp_path / "r")
        assert other.stats()["requests"] > N
    assert content(tmp_path / "r") == content(reference)


def test_a_larger_n_gives_the_bytes_of_one_go_and_asks_only_what_is_new(
    server: Scripted, reference: Path, tmp_path: Path
) -> None:
    synth.generate(settings(server.url), n=FEW, out=tmp_path / "r")
    adds_up(tmp_path / "r", FEW)
    before = stored(tmp_path / "r")
    server.reset()
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    stats = server.stats()
    assert stats["requests"] == stored(tmp_path / "r") - before > 0
    assert set(stats["paths"]) <= {"/v1/chat/completions", "/metrics"}, "it was probed again"
    assert content(tmp_path / "r") == content(reference)


def test_a_finished_run_asks_nothing(server: Scripted, copy: Path, reference: Path) -> None:
    server.reset()
    synth.generate(settings(server.url), n=N, out=copy)
    assert server.stats()["paths"] == {}
    assert content(copy) == content(reference)


# -- replay


@pytest.mark.usefixtures("offline")
def test_a_replay_gives_the_run_again_with_no_server(copy: Path, reference: Path) -> None:
    for name in ("accepted.jsonl", "rejected.jsonl", "funnel.json"):
        (copy / name).unlink()
    synth.generate(Config(engine="replay"), out=copy)
    assert content(copy) == content(reference)


def test_a_replay_gives_failed_rows_again_with_their_reasons(tmp_path: Path) -> None:
    with Scripted(script=script("stubborn")) as stubborn:
        synth.generate(settings(stubborn.url, serving__tries=1), n=FEW, out=tmp_path / "r")
    before = content(tmp_path / "r")
    assert len(reasons(tmp_path / "r", "failed")) == 3
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before


def test_a_missing_reply_fails_its_row_and_no_other(copy: Path, reference: Path) -> None:
    with closing(sqlite3.connect(copy / "run.db")) as db, db:
        (last,) = db.execute("SELECT max(number) FROM calls").fetchone()
        db.execute("DELETE FROM calls WHERE number = ?", (last,))
    synth.generate(Config(engine="replay"), out=copy)
    adds_up(copy, N)
    assert reasons(copy, "failed") == {"no_stored_reply": 1}
    before, now = ([*rows(folder), *rows(folder, "rejected.jsonl")] for folder in (reference, copy))
    same = {row["id"] for row in before} & {row["id"] for row in now}
    assert len(same) == N - 1


@pytest.mark.slow
def test_a_replay_that_was_killed_is_done_again_in_full(copy: Path, reference: Path) -> None:
    again = [*command("http://127.0.0.1:9/v1", copy, 1)[:4], "--engine", "replay", "--out", str(copy)]
    process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and stored(copy, "samples"):
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert stored(copy, "samples") < N
    synth.generate(Config(engine="replay"), out=copy)
    assert content(copy) == content(reference)


def test_a_replay_of_a_run_of_several_models_is_the_same(tmp_path: Path) -> None:
    with Scripted(script=script("alike")) as both:
        synth.generate(settings(both.url, model=("a", "b"), served__models_per_seed=2), n=20, out=tmp_path / "r")
    before = content(tmp_path / "r")
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before


def test_a_replay_needs_no_profile_of_the_user(server: Scripted, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine\ntitle: Mine\nlicense: Mine-1.0\nreasoning: prompted\nlacks: [seed]\n")
    synth.generate(settings(server.url, profile=str(profile)), n=10, out=tmp_path / "r")
    before = content(tmp_path / "r")
    assert rows(tmp_path / "r")[0]["generator"]["license"] == "Mine-1.0"
    profile.unlink()
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before
    assert main(["verify", str(tmp_path / "r")]) == 0
    with pytest.raises(UsageError, match="no such profile file"):
        synth.generate(settings(server.url, profile=str(profile)), n=10, out=tmp_path / "r")


def test_a_replay_of_what_was_stopped_leaves_the_rest_pending(server: Scripted, tmp_path: Path) -> None:
    synth.generate(settings(server.url, serving__max_calls=100), n=FEW, out=tmp_path / "r")
    before = content(tmp_path / "r")
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r")[:2] == before[:2]
    synth.generate(settings(server.url), n=FEW, out=tmp_path / "r")
    adds_up(tmp_path / "r", FEW)


@pytest.mark.parametrize("out", [None, "none"])
def test_a_replay_of_nothing_is_refused(tmp_path: Path, out: str | None) -> None:
    with pytest.raises(UsageError, match="name a finished run"):
        synth.generate(Config(engine="replay"), out=tmp_path / out if out else None)


# -- faults


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_of_the_wire_cost_a_request_each_and_change_no_byte(
    server: Scripted, reference: Path, tmp_path: Path, seed: int
) -> None:
    faults = ("drop=0.01", "cutbody=0.01", "429=0.01", "500=0.01", "503=0.01")
    with Scripted(script=SCRIPT, seed=seed, faults=faults, retry_after=0.05) as faulty:
        synth.generate(settings(faulty.url), n=N, out=tmp_path / "r")
        stats = faulty.stats()
    assert sum(stats["faults"].values()) > 5
    assert content(tmp_path / "r") == content(reference)
    injected = sum(stats["faults"].values())
    assert stats["paths"]["/v1/chat/completions"] == stored(tmp_path / "r") + PROBE + injected


@pytest.mark.parametrize("stream", [False, True])
def test_no_row_is_lost_to_mixed_faults(tmp_path: Path, stream: bool) -> None:
    kinds = ("429", "500", "drop", "cutbody", "streamerror", "empty", "truncate", "length", "prose", "schema")
    with Scripted(script=SCRIPT, seed=5, faults=tuple(f"{kind}=0.01" for kind in kinds), retry_after=0.05) as faulty:
        synth.generate(settings(faulty.url, serving__stream=stream), n=N, out=tmp_path / "r")
        assert sum(faulty.stats()["faults"].values()) > 5
    adds_up(tmp_path / "r", N)
    assert reasons(tmp_path / "r", "failed") == {}


@pytest.mark.slow
def test_hanging_requests_gate_no_other(tmp_path: Path) -> None:
    with Scripted(script=SCRIPT, seed=1, faults=("hang=0.02", "stall=0.02"), max_faults=1) as hanging:
        config = settings(hanging.url, serving__timeout=1.5, serving__concurrency=12)
        synth.generate(config, n=FEW, out=tmp_path / "r")
        arrivals = hanging.stats(keys=True)["arrivals"]
    adds_up(tmp_path / "r", FEW)
    assert reasons(tmp_path / "r", "failed") == {}
    first, again = min(times for times in arrivals.values() if len(times) == 2)
    assert sum(first < time < again for times in arrivals.values() for time in times) > 12, "all waited for one"


def test_what_never_succeeds_fails_with_its_reason(tmp_path: Path) -> None:
    with Scripted(script=script("stubborn")) as stubborn:
        synth.generate(settings(stubborn.url, serving__tries=2), n=FEW, out=tmp_path / "r")
    adds_up(tmp_path / "r", FEW)
    assert set(reasons(tmp_path / "r", "failed")) == {
        "unusable: it is not valid JSON", "refused: HTTP 400", "no reply: HTTP 500",
    }  # fmt: skip


def test_failed_rows_stay_failed_and_are_not_asked_again(tmp_path: Path) -> None:
    with Scripted(script=script("stubborn")) as stubborn:
        synth.generate(settings(stubborn.url, serving__tries=1), n=FEW, out=tmp_path / "r")
        before = content(tmp_path / "r")
        stubborn.reset()
        synth.generate(settings(stubborn.url, serving__tries=1), n=FEW, out=tmp_path / "r")
        assert stubborn.stats()["requests"] == 0
    assert content(tmp_path / "r") == before


def test_garbage_is_turned_away_to_the_last_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted() as babbling:
        code = main(command(babbling.url, tmp_path / "r", 30)[3:])
    assert code == 1
    assert "rejected.jsonl says why" in capsys.readouterr().err
    adds_up(tmp_path / "r", 30)
    assert rows(tmp_path / "r") == []
    assert all(row["verdict"]["reason"] for row in rows(tmp_path / "r", "rejected.jsonl"))


def test_a_server_that_is_not_there_is_one_line_and_leaves_the_run_resumable(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted() as gone:
        url = gone.url
    assert main(command(url, tmp_path / "r", 5)[3:]) == 3
    assert re.fullmatch(
        r"(profile .*\n)?synth: \S+: cannot connect .*is a server running there\?\n", capsys.readouterr().err
    )
    synth.generate(settings(server.url), n=5, out=tmp_path / "r")
    adds_up(tmp_path / "r", 5)


def test_a_server_that_goes_away_stops_the_run_and_another_finishes_it(
    server: Scripted, reference: Path, tmp_path: Path
) -> None:
    with Scripted(script=SCRIPT, latency="fixed:30") as leaving:

        def leave(_funnel: object) -> None:
            leaving.stop()

        config = settings(leaving.url, serving__patience=0.5, serving__concurrency=4)
        with pytest.raises(EndpointError, match=r"nobody listens|cannot connect"):
            synth.generate(config, n=N, out=tmp_path / "r", progress=leave)
    adds_up(tmp_path / "r", N)
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


# -- signals, kills, limits


def started(server: Scripted, folder: Path, *more: str) -> subprocess.Popen[str]:
    """A run in a process of its own, after it has stored some replies."""
    line = command(server.url, folder, N, *more)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while process.poll() is None and stored(folder) < 20:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_is_in_flight_come_in(reference: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "r"
    with Scripted(script=SCRIPT, latency="fixed:200") as slow:
        with started(slow, folder, "--concurrency", "16") as process:
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "interrupted; the same command goes on from here" in errors
        stats = slow.stats()
        assert stats["aborted_by_client"] == 0
        assert stats["paths"]["/v1/chat/completions"] == stored(folder) + PROBE
        adds_up(folder, N)
        assert Run(folder).funnel["steps"][0]["pending"] > 0
        slow.reset()
        synth.generate(settings(slow.url), n=N, out=folder)
        assert slow.stats()["paths"]["/v1/chat/completions"] == stored(folder) - stats["requests"] + PROBE + 1
        assert content(folder) == content(reference)


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_the_run_stays_whole(
    server: Scripted, reference: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "r"
    with Scripted(script=script("unhurried")) as slow, started(slow, folder) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it does not wait for what is in flight"
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert time.monotonic() - start < 3
    assert "Traceback" not in errors
    adds_up(folder, N)
    kept = stored(folder)
    server.reset()
    synth.generate(settings(server.url), n=N, out=folder)
    sent = server.stats()["paths"]["/v1/chat/completions"]
    assert sent == stored(folder) - kept + PROBE, "only what was not stored, and the probe of another server"
    assert content(folder) == content(reference)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    with Scripted(script=SCRIPT, latency="fixed:60") as slow:
        for goal in (20, 60, 110):
            line = command(slow.url, folder, N, "--concurrency", "16")
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
            while process.poll() is None and stored(folder) < goal:
                time.sleep(0.005)
            assert process.poll() is None
            process.kill()
            process.wait()
        synth.generate(settings(slow.url), n=N, out=folder)
        stats = slow.stats()
    assert content(folder) == content(reference)
    with closing(sqlite3.connect(folder / "run.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again = stats["paths"]["/v1/chat/completions"] - PROBE - stored(folder)
    assert again <= 3 * 16, "more than what was in flight was asked again"


@pytest.mark.slow
def test_max_calls_is_kept_over_several_attempts_and_a_larger_one_goes_on(
    server: Scripted, reference: Path, tmp_path: Path
) -> None:
    for limit in (30, 30, 60, 130):
        server.reset()
        run = synth.generate(settings(server.url, serving__max_calls=limit), n=N, out=tmp_path / "r")
        assert run.limited == f"--max-calls {limit} is reached"
        assert stored(tmp_path / "r") == values(tmp_path / "r")["spent"]["calls"] == limit
        adds_up(tmp_path / "r", N)
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_max_calls_counts_what_failed_too(tmp_path: Path) -> None:
    with Scripted(script=SCRIPT, faults=("503=0.2",), retry_after=0) as faulty:
        for _ in range(3):
            run = synth.generate(settings(faulty.url, serving__max_calls=60), n=N, out=tmp_path / "r")
        stats = faulty.stats()
    assert run.limited
    assert stored(tmp_path / "r") < 60
    assert stats["requests"] <= 60 + 2 * PROBE + 3, "the probe aside, which is faulted too, more was sent than allowed"


@pytest.mark.slow
def test_max_tokens_is_kept_over_several_attempts(server: Scripted, reference: Path, tmp_path: Path) -> None:
    for limit in (60_000, 60_000, 200_000):
        run = synth.generate(settings(server.url, serving__max_tokens=limit), n=N, out=tmp_path / "r")
        assert f"--max-tokens {limit} might be passed" in run.limited
        spent = values(tmp_path / "r")["spent"]
        assert limit / 3 < spent["prompt_tokens"] + spent["completion_tokens"] <= limit
        adds_up(tmp_path / "r", N)
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_a_limit_is_no_fault_and_is_said(server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(server.url, tmp_path / "r", N)[3:], "--max-calls", "80"]) == 0
    errors = capsys.readouterr().err
    assert "stopped: --max-calls 80 is reached; the same command with a larger limit goes on" in errors
    assert "the knowledge gives no more" not in errors


def test_requests_a_minute_are_kept(server: Scripted, tmp_path: Path) -> None:
    start = time.monotonic()
    config = settings(server.url, serving__requests_per_minute=1200, serving__max_calls=50)
    synth.generate(config, n=N, out=tmp_path / "r")
    assert time.monotonic() - start > 1.4


@pytest.mark.slow
def test_accept_gives_as_many_rows_and_can_be_raised(server: Scripted, tmp_path: Path) -> None:
    run = synth.generate(settings(server.url), accept=10, out=tmp_path / "r")
    assert run.funnel["accepted"] == len(rows(tmp_path / "r")) == 10
    assert run.funnel["steps"][0]["pending"] == 0
    adds_up(tmp_path / "r", run.funnel["seeds"])
    synth.generate(settings(server.url), accept=25, out=tmp_path / "r")
    synth.generate(settings(server.url, serving__concurrency=3), accept=25, out=tmp_path / "once")
    assert content(tmp_path / "r") == content(tmp_path / "once")


@pytest.mark.slow
def test_a_second_process_is_refused_and_the_owner_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted(script=script("unhurried")) as slow, started(slow, tmp_path / "r") as process:
        assert main(command(slow.url, tmp_path / "r", N)[3:]) == 2
        assert f"another process is working in this folder (process {process.pid} since" in capsys.readouterr().err
        process.kill()


# -- pilot


def test_a_pilot_for_accepted_rows_tells_how_many_seeds_they_take(server: Scripted, tmp_path: Path) -> None:
    told: list[Pilot] = []
    config = settings(server.url)
    run = synth.generate(
        config, accept=100, pilot=20, confirm=lambda pilot: bool(told.append(pilot)), out=tmp_path / "r"
    )
    accepted = run.funnel["accepted"]
    assert told[0].left == -(-(100 - accepted) * 20 // accepted) < 480


PRICED = """
name: priced
title: A model with a price
license: Apache-2.0
commercial: true
reasoning: prompted
prices: {prompt: 2.0, completion: 10.0}
"""


def test_a_pilot_that_is_declined_stops_there_and_asks_again(server: Scripted, tmp_path: Path) -> None:
    told: list[Pilot] = []

    def decline(pilot: Pilot) -> bool:
        told.append(pilot)
        return False

    for _ in range(2):
        run = synth.generate(settings(server.url), n=N, pilot=10, confirm=decline, out=tmp_path / "r")
        assert run.funnel["seeds"] == 10
        adds_up(tmp_path / "r", N)
    assert len(told) == 2


def test_a_pilot_that_is_confirmed_goes_on_to_the_same_bytes(server: Scripted, reference: Path, tmp_path: Path) -> None:
    synth.generate(settings(server.url), n=N, pilot=10, confirm=lambda _: True, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_the_numbers_of_a_pilot_are_those_of_the_run(server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "priced.yaml").write_text(PRICED)
    told: list[Pilot] = []
    config = settings(server.url, profile=str(tmp_path / "priced.yaml"))
    start = time.monotonic()
    synth.generate(config, n=N, pilot=20, confirm=lambda pilot: bool(told.append(pilot)), out=tmp_path / "r")
    (pilot,) = told
    spent, funnel = values(tmp_path / "r")["spent"], Run(tmp_path / "r").funnel
    assert (pilot.samples, pilot.each, pilot.left) == (20, 1, N - 20)
    assert pilot.accepted == funnel["accepted"] > 0
    assert pilot.interval == wilson(funnel["accepted"], 20)
    assert pilot.tokens == (spent["prompt_tokens"] + spent["completion_tokens"]) / 20
    assert pilot.dollars == pytest.approx((2 * spent["prompt_tokens"] + 10 * spent["completion_tokens"]) / 1e6 / 20)
    least, most = pilot.seconds
    assert 0 < least <= most < (time.monotonic() - start) / 20
    size = sum(len(data) for data in content(tmp_path / "r")[:2])
    assert size / 20 < pilot.bytes < 10 * size / 20
    assert f"US$ {pilot.dollars * (N - 20):,.2f}" in pilot.told()


def test_a_pilot_of_several_models_counts_seeds(tmp_path: Path) -> None:
    told: list[Pilot] = []
    with Scripted(script=script("alike")) as both:
        config = settings(both.url, model=("a", "b"), served__models_per_seed=2)
        synth.generate(config, n=20, pilot=5, confirm=lambda pilot: bool(told.append(pilot)), out=tmp_path / "r")
    funnel = Run(tmp_path / "r").funnel
    assert (funnel["seeds"], funnel["samples"]) == (5, 10)
    assert (told[0].samples, told[0].each, told[0].left) == (10, 2, 30)
    assert "of 10 samples of 5 seeds accepted" in told[0].told()
    assert "for 15 more seeds" in told[0].told()


@pytest.mark.parametrize("yes", [False, True])
def test_without_a_terminal_a_pilot_goes_on_only_with_yes(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str], yes: bool
) -> None:
    line = [*command(server.url, tmp_path / "r", 30)[3:], "--pilot", "8", *(["--yes"] if yes else [])]
    assert main(line) == 0
    errors = capsys.readouterr().err
    assert "of 8 seeds accepted" in errors
    assert ("nobody to ask" in errors) is not yes
    assert Run(tmp_path / "r").funnel["seeds"] == (30 if yes else 8)
    assert "the knowledge gives no more" not in errors


# -- models, profiles, servers


def test_several_models_write_on_each_seed_and_rows_name_theirs(tmp_path: Path) -> None:
    with Scripted(script=script("alike")) as both:
        config = settings(both.url, model=("a", "b"), served__models_per_seed=2)
        synth.generate(config, n=20, out=tmp_path / "r")
    adds_up(tmp_path / "r", 40)
    written: dict[int, list[Json]] = defaultdict(list)
    for row in (*rows(tmp_path / "r"), *rows(tmp_path / "r", "rejected.jsonl")):
        written[json.loads(row["generator"]["sampling"])["seed"] // 2].append(row)
    assert len(written) == 20
    for pair in written.values():
        assert sorted(row["generator"]["model"] for row in pair) == ["a", "b"]
        assert len({(row["seed"]["group"], row["answer"]["text"], str(row["options"])) for row in pair}) == 1
    assert {row["generator"]["model"] for row in rows(tmp_path / "r")} == {"a", "b"}


def test_models_take_turns_where_one_writes_on_each_seed(tmp_path: Path) -> None:
    with Scripted(script=script("alike")) as both:
        synth.generate(settings(both.url, model=("a", "b")), n=10, out=tmp_path / "r")
    found = [*rows(tmp_path / "r"), *rows(tmp_path / "r", "rejected.jsonl")]
    assert Counter(row["generator"]["model"] for row in found) == {"a": 5, "b": 5}


def test_a_licence_is_stated_before_the_first_request_and_stamped_on_rows(server: Scripted, tmp_path: Path) -> None:
    server.reset()
    said: list[tuple[str, Json]] = []
    config = settings(server.url, model=("Baichuan-M1-14B-Instruct",))
    synth.generate(config, n=10, out=tmp_path / "r", say=lambda line: said.append((line, server.stats()["paths"])))
    line, requests = said[0]
    assert "NOT FOR COMMERCIAL USE" in line
    assert "a model trained on synthetic data" in line
    assert requests == {}
    for row in rows(tmp_path / "r"):
        assert row["generator"]["license"] == "Baichuan-M1-14B community licence"
        assert "Baichuan-M1-14B community licence" in row["license"]


def test_a_small_local_server_is_asked_only_what_it_has(tmp_path: Path, log: Callable[[], list[Json]]) -> None:
    lacks = (
        "n", "logprobs", "prompt_logprobs", "usage", "structured_outputs", "guided_json",
        "models", "metrics", "version", "pooling", "embeddings",
    )  # fmt: skip
    with Scripted(script=script("logged"), lacks=lacks) as small:
        synth.generate(settings(small.url, profile="local"), n=20, out=tmp_path / "r")
        paths = small.stats()["paths"]
    adds_up(tmp_path / "r", 20)
    assert rows(tmp_path / "r")
    assert not {"/pooling", "/classify"} & set(paths)
    assert not any({"n", "logprobs", "prompt_logprobs"} & set(request) for request in log())
    assert values(tmp_path / "r")["spent"]["completion_tokens"] > 0, "tokens are estimated where none are told"


@pytest.mark.parametrize(
    "lacks", [("json_schema",), ("json_schema", "structured_outputs", "guided_json", "json_object")]
)
def test_a_server_without_structured_output_gives_the_same_rows(
    reference: Path, tmp_path: Path, lacks: tuple[str, ...]
) -> None:
    with Scripted(script=SCRIPT, lacks=lacks) as poorer:
        synth.generate(settings(poorer.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r")[:2] == content(reference)[:2]


def test_the_address_may_come_from_the_environment(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    line = ["generate", "--engine", "openai", "--model", "mock-model", "-n", "5", "--out", str(tmp_path / "r")]
    assert main(line) == 0
    adds_up(tmp_path / "r", 5)


def test_without_an_address_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    line = ["generate", "--engine", "openai", "--model", "mock-model", "-n", "5", "--out", str(tmp_path / "r")]
    assert main(line) == 2
    assert "name a server with --base-url (or OPENAI_BASE_URL)" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_the_only_model_of_a_server_is_taken_and_kept(server: Scripted, tmp_path: Path) -> None:
    synth.generate(settings(server.url, model=()), n=5, out=tmp_path / "r")
    assert {row["generator"]["model"] for row in rows(tmp_path / "r")} == {"scripted"}
    assert load_config(tmp_path / "r" / "config.yaml").model == ("scripted",)
    with Scripted(script=SCRIPT, model="another") as other:
        synth.generate(settings(other.url, model=()), n=10, out=tmp_path / "r")
    adds_up(tmp_path / "r", 10)


def test_a_server_that_lists_no_model_has_to_be_told_one(tmp_path: Path) -> None:
    with Scripted(lacks=("models",)) as silent, pytest.raises(UsageError, match="name a model with --model"):
        synth.generate(settings(silent.url, model=()), n=5, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_another_model_in_the_same_folder_is_refused(server: Scripted, copy: Path) -> None:
    with pytest.raises(ConflictError, match="model was"):
        synth.generate(settings(server.url, model=("other",)), n=N, out=copy)


def test_what_is_published_names_no_server_and_no_path(server: Scripted, reference: Path) -> None:
    names = ("accepted.jsonl", "rejected.jsonl", "funnel.json", "config.yaml", "report.html")
    for text in ((reference / name).read_text(encoding="utf-8") for name in names):
        assert f":{server.port}" not in text
        assert "127.0.0.1" not in text
        assert str(reference) not in text
    assert "base_url" not in (reference / "config.yaml").read_text(encoding="utf-8")


# -- what a model is shown


@pytest.mark.slow
def test_conditioning_is_recorded_as_the_writer_was_shown(tmp_path: Path, log: Callable[[], list[Json]]) -> None:
    marks = {"none": set(), "evidence": {"knowledge"}, "answer": {"knowledge", "answer"}}
    for conditioning, expected in marks.items():
        before = len(log())
        with Scripted(script=script("logged")) as server:
            config = settings(server.url, served__conditioning=conditioning)
            synth.generate(config, n=20, out=tmp_path / conditioning)
        prompts = [p for p in asked(log()[before:], "question") if "# The task" in p and "<former>" not in p]
        assert len(prompts) >= 20
        for prompt in prompts:
            found = {
                name
                for name, mark in (("knowledge", "\n<knowledge>\n"), ("answer", "right answer is"))
                if mark in prompt
            }
            assert found == expected
        made = [*rows(tmp_path / conditioning), *rows(tmp_path / conditioning, "rejected.jsonl")]
        assert {row["conditioning"] for row in made} == {conditioning}


def test_a_template_that_shows_no_statement_makes_rows_conditioned_on_nothing(server: Scripted, tmp_path: Path) -> None:
    folder = tmp_path / "prompts" / "en" / "served"
    folder.mkdir(parents=True)
    bare = "<question>\n{{ question }}\n</question>\n<options>\n</options>\n"
    (folder / "reasoning.j2").write_text(bare)
    synth.generate(settings(server.url), n=5, prompts=tmp_path / "prompts", out=tmp_path / "r")
    made = [*rows(tmp_path / "r"), *rows(tmp_path / "r", "rejected.jsonl")]
    kept = [any(attempt["kept"] for attempt in row["attempts"]) for row in made]
    seen = ["evidence" if revised else "none" for revised in kept]  # the reviser's template shows them
    assert [row["conditioning"] for row in made] == seen
    assert "none" in seen or not all(kept)


def test_statements_that_an_included_template_leaves_out_were_not_seen(server: Scripted, tmp_path: Path) -> None:
    folder = tmp_path / "prompts" / "en" / "served"
    folder.mkdir(parents=True)
    (folder / "knowledge.j2").write_text("{# nothing #}")
    synth.generate(settings(server.url), n=5, prompts=tmp_path / "prompts", out=tmp_path / "r")
    made = [*rows(tmp_path / "r"), *rows(tmp_path / "r", "rejected.jsonl")]
    assert {row["conditioning"] for row in made} == {"none"}


def test_rows_written_with_the_answer_in_sight_are_flagged_and_left_out(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synth.generate(settings(server.url, served__conditioning="answer"), n=20, out=tmp_path / "r")
    made = rows(tmp_path / "r")
    assert made
    assert all("answer_conditioned" in row["flags"] for row in made)
    line = ["export", str(tmp_path / "r"), "--format", "messages", "--out", str(tmp_path / "x.jsonl")]
    assert main(line) == 1
    assert main([*line, "--include-flagged"]) == 1
    assert f"{len(made)} written with the answer in sight" in capsys.readouterr().err


def test_rows_written_from_evidence_are_exported(reference: Path, tmp_path: Path) -> None:
    line = ["export", str(reference), "--format", "messages", "--out", str(tmp_path / "x.jsonl")]
    assert main(line) == 0
    unflagged = [row["id"] for row in rows(reference) if not row["flags"]]
    assert [row["id"] for row in rows(tmp_path, "x.jsonl")] == unflagged
    assert len(unflagged) > 5


SHOWN = ("question", "options", "knowledge", "reasoning", "answer", "former", "draft")


def test_critics_and_revisers_never_see_which_answer_is_right(tmp_path: Path, log: Callable[[], list[Json]]) -> None:
    """Beside the question, its options, the statements and the model's own words, no prompt holds the gold answer."""
    with Scripted(script=script("logged")) as server:
        synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    gold = {row["question"]: row for row in (*rows(tmp_path / "r"), *rows(tmp_path / "r", "rejected.jsonl"))}
    requests = log()
    critics = [p for p in asked(requests, "reasoning")]
    revisers = [p for p in asked(requests, "former")]
    assert min(len(critics), len(revisers)) > 20
    wrong = 0
    for prompt in critics + revisers:
        parts = {tag: re.findall(rf"\n<{tag}>\n(.*?)\n</{tag}>", prompt, re.S) for tag in SHOWN}
        row = gold[parts["question"][0]]
        if row["options"]:
            assert parts["options"] == ["\n".join(f"{letter}. {text}" for letter, text in row["options"].items())]
        rest = prompt
        for tag in SHOWN:
            rest = re.sub(rf"\n<{tag}>\n.*?\n</{tag}>", "", rest, flags=re.S)
        assert row["answer"]["text"].casefold() not in rest.casefold()
        assert "right answer is" not in prompt
        said = (parts["answer"] or parts["former"])[0].rsplit("## Answer\n", 1)[-1]
        wrong += row["answer"]["text"].casefold() not in said.casefold()
    assert wrong > 10, "too few rows in which the model did not know the answer"


def test_a_dose_that_nothing_supports_is_turned_away(tmp_path: Path) -> None:
    with Scripted(script=script("dosing")) as dosing:
        synth.generate(settings(dosing.url), n=20, out=tmp_path / "r")
    made = rows(tmp_path / "r", "rejected.jsonl")
    assert len(made) == 20
    sound = [row for row in made if row["genre"] != "calculation"]
    for row in sound:
        assert "uncited_clinical_quantity" in {finding["check"] for finding in row["verdict"]["findings"]}
    assert sum(row["verdict"]["reason"].startswith("uncited_clinical_quantity: a dose") for row in sound) > 5


def test_one_template_of_ones_own_is_used_kept_and_fingerprinted(
    reference: Path, tmp_path: Path, log: Callable[[], list[Json]]
) -> None:
    folder = tmp_path / "prompts" / "en" / "served"
    folder.mkdir(parents=True)
    (folder / "system.j2").write_text("You are terse.")
    with Scripted(script=script("logged")) as server:
        synth.generate(settings(server.url), n=10, prompts=tmp_path / "prompts", out=tmp_path / "r")
    served = [request for request in log() if "seed" in request]
    assert {request["messages"][0]["content"] for request in served} == {"You are terse."}
    mine, bundled = (folder / "config.yaml" for folder in (tmp_path / "r", reference))
    assert mine.read_text().splitlines()[0] != bundled.read_text().splitlines()[0]
    before = content(tmp_path / "r")
    shutil.rmtree(tmp_path / "prompts")
    synth.generate(Config(engine="replay"), out=tmp_path / "r")
    assert content(tmp_path / "r") == before
    assert main(["verify", str(tmp_path / "r")]) == 0


def test_chinese_runs_end_to_end(tmp_path: Path, log: Callable[[], list[Json]]) -> None:
    with Scripted(script=script("logged")) as server:
        synth.generate(settings(server.url, lang="zh"), n=20, out=tmp_path / "r")
    adds_up(tmp_path / "r", 20)
    assert reasons(tmp_path / "r", "rejected") == {"language: not in the language of the row": 20}
    assert {row["language"] for row in rows(tmp_path / "r", "rejected.jsonl")} == {"zh"}
    served = [request for request in log() if "seed" in request]
    assert all(re.search(r"[\u4e00-\u9fff]{4}", request["messages"][0]["content"]) for request in served)


def test_abstracts_and_dialogues_are_written(server: Scripted, tmp_path: Path) -> None:
    others = dict.fromkeys(
        ("vignette", "multihop", "choice", "open", "reverse", "compare", "calculation", "explainer"), 0
    )
    synth.generate(
        settings(server.url, mixture={**others, "abstract": 1, "dialogue": 1}, mixture__vignette=0),
        n=20,
        out=tmp_path / "r",
    )
    adds_up(tmp_path / "r", 20)
    genres = Counter(row["genre"] for row in rows(tmp_path / "r"))
    assert min(genres["abstract"], genres["dialogue"]) > 0


# -- verify and clean


def test_a_sound_run_verifies(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(reference)]) == 0
    told = capsys.readouterr().out
    many = len(rows(reference))
    assert f"{many} rows: {many} replayed, 0 with a proof that does not hold" in told
    assert f"the wording of {many} was made again from stored replies" in told


def question(row: Json) -> None:
    row["question"] = row["question"].replace(" ", "  ", 1).replace("  ", " then ", 1)


def reasoning_word(row: Json) -> None:
    row["steps"][0]["text"] = row["steps"][0]["text"].replace("What is told", "What was told")
    row["reasoning"] = " ".join(step["text"] for step in row["steps"])


def response(row: Json) -> None:
    row["response"] = row["response"].replace("the findings add up to", "the signs add up to")


def option(row: Json) -> None:
    letter = next(letter for letter in row["options"] if letter != row["answer"]["option"])
    row["options"][letter] += "s"


def answer_text(row: Json) -> None:
    other = next(letter for letter in row["options"] if letter != row["answer"]["option"])
    row["answer"]["text"], row["answer"]["option"] = row["options"][other], other


def alias(row: Json) -> None:
    row["answer"]["aliases"] = [*row["answer"]["aliases"], "another name"]


def evidence_byte(row: Json) -> None:
    item = next(item for item in row["seed"]["evidence"] if item["type"] == "record")
    item["text"] = item["text"][:-1] + ("x" if item["text"][-1] != "x" else "y")


def generator(row: Json) -> None:
    row["generator"]["model"] = "a-better-model"


def conditioned(row: Json) -> None:
    row["conditioning"] = "none"


@pytest.mark.parametrize(
    "alter",
    [question, reasoning_word, response, option, answer_text, alias, evidence_byte, generator, conditioned],
    ids=lambda alter: alter.__name__,
)
def test_an_altered_row_is_found(copy: Path, alter: Callable[[Json], None]) -> None:
    made = rows(copy)
    row = next(row for row in made if row["genre"] == "vignette")
    before = json.dumps(row)
    alter(row)
    assert json.dumps(row) != before
    row["id"] = content_id(row)
    outcome = synth.verify(made, run=copy)
    assert [fault.row for fault in outcome.faults] == [row["id"]]


def test_clean_drops_replies_and_keeps_rows(copy: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (copy / "run.db").stat().st_size
    many = stored(copy)
    assert main(["clean", str(copy)]) == 0
    assert f"{many} replies dropped" in capsys.readouterr().out
    assert (copy / "run.db").stat().st_size < before
    assert content(copy) == content(reference)
    assert main(["verify", str(copy)]) == 0
    assert "the wording of 0 was made again" in capsys.readouterr().out
    assert main(["generate", "--engine", "replay", "--out", str(copy)]) == 2
    assert "`synth clean` dropped replies of its rows" in capsys.readouterr().err
    assert content(copy) == content(reference)


def test_a_cleaned_run_can_be_extended(server: Scripted, reference: Path, tmp_path: Path) -> None:
    synth.generate(settings(server.url), n=FEW, out=tmp_path / "r")
    spent = values(tmp_path / "r")["spent"]
    assert main(["clean", str(tmp_path / "r")]) == 0
    synth.generate(settings(server.url), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)
    assert values(tmp_path / "r")["spent"]["calls"] > spent["calls"], "what was spent is forgotten"
