"""The run folder: resumable, deterministic, adding up, and refusing what it must."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synth
from synth.config import Config
from synth.errors import ConflictError, NoSpaceError, UsageError
from synth.process import Drain, sole_driver
from synth.run import Run, make_folder, write_whole

FILES = ("accepted.jsonl", "rejected.jsonl", "funnel.json", "config.yaml")
N = 240


def content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "r"
    synth.generate(Config(random_seed=3), n=N, out=folder)
    return folder


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(reference: Path, tmp_path: Path) -> None:
    synth.generate(Config(random_seed=3), n=N, out=tmp_path / "same")
    assert content(tmp_path / "same") == content(reference)
    synth.generate(Config(random_seed=4), n=N, out=tmp_path / "other")
    assert content(tmp_path / "other")[0] != content(reference)[0]


def test_a_larger_n_extends_the_folder(reference: Path, tmp_path: Path) -> None:
    synth.generate(Config(random_seed=3), n=100, out=tmp_path / "r")
    synth.generate(Config(random_seed=3), n=N, out=tmp_path / "r")
    assert content(tmp_path / "r") == content(reference)


def test_a_second_run_does_nothing_again(reference: Path) -> None:
    before = content(reference)
    synth.generate(Config(random_seed=3), n=N, out=reference)
    assert content(reference) == before
    assert len(list((reference / "logs").glob("attempt-*.log"))) >= 2


@pytest.mark.slow
def test_kill_and_the_same_command_give_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    command = [sys.executable, "-m", "synth", "generate", "--seed", "kg", "-n", str(N), "--random-seed", "3", "--out"]
    kills = 0
    for _ in range(20):
        process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if stored(folder) >= 100 * (kills + 1):
                process.kill()
                kills += 1
            time.sleep(0.01)
        if process.returncode == 0:
            break
    assert kills, "the process was never caught in the middle"
    assert content(folder) == content(reference)


def stored(folder: Path) -> int:
    if not (folder / "run.db").is_file():
        return 0
    with sqlite3.connect(folder / "run.db", timeout=5) as db:
        try:
            (count,) = db.execute("SELECT count(*) FROM samples").fetchone()
        except sqlite3.OperationalError:
            return 0  # not created yet
    return int(count)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_same_command_goes_on(reference: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "r"
    command = [sys.executable, "-m", "synth", "generate", "--seed", "kg", "-n", str(N), "--random-seed", "3", "--out"]
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and stored(folder) < 100:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command goes on" in errors
    funnel = json.loads((folder / "funnel.json").read_text())
    assert funnel["steps"][0]["pending"] == N - funnel["seeds"] > 0
    adds_up(funnel)
    assert subprocess.run([*command, str(folder)], capture_output=True, check=False).returncode == 0
    assert content(folder) == content(reference)


def adds_up(funnel: dict) -> None:
    entering = funnel["steps"][0]["in"]
    for step in funnel["steps"]:
        assert step["in"] == entering
        out = sum(step["rejected"].values()) + sum(step["failed"].values())
        assert step["in"] == step["passed"] + out + step["pending"]
        entering = step["passed"]
    assert entering == funnel["accepted"]


def test_the_funnel_adds_up_and_agrees_with_the_files(run: Run) -> None:
    funnel = run.funnel
    adds_up(funnel)
    accepted, rejected = list(run.accepted()), list(run.rejected())
    assert funnel["accepted"] == len(accepted)
    assert funnel["seeds"] == len(accepted) + len(rejected) == 300
    assert sum(n for counts in funnel["genres"].values() for n in counts.values()) == 300
    assert sum(funnel["departments"].values()) == sum(funnel["shapes"].values()) == len(accepted)
    assert funnel["uniqueness"].keys() == {"proved", "source_relative"}


def test_the_files_hold_no_time_host_or_path(run: Run) -> None:
    text = b"".join(content(run.folder)).decode()
    assert str(run.folder) not in text
    assert os.uname().nodename not in text
    assert str(Path.home()) not in text


def test_accept_stops_when_it_has_enough(tmp_path: Path) -> None:
    run = synth.generate(Config(), accept=25, out=tmp_path / "r")
    assert run.funnel["accepted"] == 25
    assert run.funnel["steps"][0]["pending"] == 0
    adds_up(run.funnel)
    again = synth.generate(Config(), accept=30, out=tmp_path / "r")
    assert again.funnel["accepted"] == 30


def test_another_configuration_is_refused_with_what_differs(tmp_path: Path) -> None:
    synth.generate(Config(), n=3, out=tmp_path / "r")
    before = content(tmp_path / "r")
    with pytest.raises(ConflictError, match="random_seed was 0, is 9"):
        synth.generate(Config(random_seed=9), n=3, out=tmp_path / "r")
    assert content(tmp_path / "r") == before


def test_two_drivers_in_one_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "r")
    with sole_driver(tmp_path / "r"), pytest.raises(ConflictError, match="another process"):
        synth.generate(Config(), n=3, out=tmp_path / "r")


def test_the_default_folder_is_named_by_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = synth.generate(Config(), n=2)
    assert run.folder.parent.name == "runs"
    assert run.folder.name.startswith("kg-")
    config = (run.folder / "config.yaml").read_text()
    assert f"fingerprint: {run.folder.name[3:]}" in config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "-n 0"),
        ({"accept": 0}, "--accept 0"),
        ({"n": 1, "accept": 1}, "not both"),
        ({"pilot": 0}, "--pilot 0"),
    ],
)
def test_impossible_amounts(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        synth.generate(Config(), out=tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="neither empty nor a run folder"):
        synth.generate(Config(), n=1, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_made_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="labels in that language"):
        synth.generate(Config(lang="zh"), n=1, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_knowledge_that_is_spent_ends_the_run(tmp_path: Path) -> None:
    few = dict.fromkeys(("vignette", "multihop", "choice", "open", "compare", "calculation", "explainer"), 0)
    run = synth.generate(Config.model_validate({"mixture": {**few, "reverse": 1}}), n=500, out=tmp_path / "r")
    assert run.funnel["steps"][0]["pending"] > 0
    assert run.funnel["accepted"] > 20


def test_a_row_on_which_something_breaks_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth.steps import draft

    compose = draft.compose

    def breaking(knowledge, spot, *rest):
        if spot.place == 3:
            raise RuntimeError("broken")
        return compose(knowledge, spot, *rest)

    monkeypatch.setattr(draft, "compose", breaking)
    run = synth.generate(Config(), n=10, out=tmp_path / "r")
    assert run.funnel["steps"][0]["failed"] == {"RuntimeError: broken": 1}
    assert run.funnel["accepted"] == 9


def test_a_yield_of_nothing_stops_and_keeps_everything(tmp_path: Path) -> None:
    config = Config.model_validate({"checks": {"max_reasoning_words": 1}})
    run = synth.generate(config, n=400, out=tmp_path / "r")
    assert run.starved
    assert run.funnel["seeds"] == 200
    assert run.funnel["accepted"] == 0
    assert len(list(run.rejected())) == 200
    small = synth.generate(config, n=50, out=tmp_path / "small")
    assert small.starved
    assert small.funnel["seeds"] == 50
    patient = Config.model_validate({"checks": {"max_reasoning_words": 1}, "run": {"min_yield": 0}})
    assert synth.generate(patient, n=220, out=tmp_path / "r2").funnel["seeds"] == 220


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(UsageError, match="in the way"):
        synth.generate(Config(), n=1, out=tmp_path / "file" / "r")
    with pytest.raises(UsageError, match="in the way"):
        synth.generate(Config(), n=1, out=tmp_path / "file")
    with pytest.raises(UsageError, match="is a folder"):
        write_whole(tmp_path, [b"x"])
    with pytest.raises(UsageError, match="does not exist"):
        write_whole(tmp_path / "none" / "x", [b"x"])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def chunks():
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(NoSpaceError, match="disk is full"):
        write_whole(path, chunks())
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [60_000, 900_000])
def test_a_full_disk_is_one_clear_line_and_what_was_finished_is_kept(tmp_path: Path, limit: int) -> None:
    """A limit on file size stands in for a full disk: writes beyond it fail."""
    folder = tmp_path / "r"
    command = [sys.executable, "-m", "synth", "generate", "--seed", "kg", "-n", "200", "--out", str(folder)]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert found.returncode == 2, found.stderr
    last = found.stderr.strip().splitlines()
    assert len([line for line in last if line.startswith("synth:")]) == 1, found.stderr
    assert "free some space" in last[-1]
    assert "Traceback" not in found.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "r")
    (tmp_path / "r" / "run.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match=r"run\.db is damaged"):
        synth.generate(Config(), n=1, out=tmp_path / "r")


def test_drain_outside_the_main_thread_asks_nothing() -> None:
    async def inside() -> bool:
        def look() -> bool:
            with Drain() as drain:
                return drain.asked

        return await asyncio.to_thread(look)

    assert asyncio.run(inside()) is False
