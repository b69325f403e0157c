"""The store of a run: its schema and those before it, a full disk, damage, what waits, what the gate knows."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import synth
from synth.cli import main
from synth.config import Config
from synth.errors import ConflictError, NoSpaceError, UsageError
from synth.funnel import Funnel
from synth.report import write_report
from synth.run import Run, publish
from synth.sample import Sample, opening
from synth.seeds.kg import Draws, Seeds
from synth.store import DATABASE, VERSION, Store, disk, question_name
from synth_kg.knowledge import Knowledge
from tests.served.scribe import SCRIPT, adds_up, command, content, settings, stored
from tests.served.scripted import ROOT, Scripted

OLD = ROOT / "tests" / "synth" / "fixtures" / "run-v1"
N = 40


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted(script=SCRIPT) as scripted:
        yield scripted


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(OLD, tmp_path / "old")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path)) as opened:
        yield opened


def pragma(folder: Path, name: str) -> object:
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        return db.execute(f"PRAGMA {name}").fetchone()[0]


# -- schema


def test_a_new_store_states_its_schema_and_is_a_write_ahead_log(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert pragma(tmp_path, "user_version") == VERSION
    assert pragma(tmp_path, "journal_mode") == "wal"


def test_an_old_folder_is_brought_up_to_date_with_all_its_rows(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE)) as db:
        before = db.execute("SELECT seed, status, row FROM samples ORDER BY seed").fetchall()
        identity = json.loads(db.execute("SELECT value FROM run WHERE key = 'identity'").fetchone()[0])
    with closing(Store(old)) as store:
        samples = list(store.samples())
        funnel, mark = store.start()
        assert store.value("identity") == identity
        assert mark is None
        assert funnel.done == funnel.accepted == len(samples) == len(before) == 8
        for sample in samples:
            assert store.memory.times("question", question_name(sample)) == 1
            assert store.memory.times("group", sample.seed.group) == sum(
                other.seed.group == sample.seed.group for other in samples
            )
        assert store.memory.commonest("opening") == max(
            sum(opening(other) == opening(sample) for other in samples) for sample in samples
        )
        assert store.replies() == 0
    assert pragma(old, "user_version") == VERSION
    with closing(sqlite3.connect(old / DATABASE)) as db:
        assert db.execute("SELECT seed, status, row FROM samples ORDER BY seed").fetchall() == before
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert not {name for name in tables if name.endswith("_1")}


def test_an_old_folder_is_opened_twice_as_well_as_once(old: Path) -> None:
    Store(old).close()
    with closing(Store(old)) as store:
        assert store.start()[0].done == 8


def test_an_old_run_can_be_shown_and_reported(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Store(old)) as store:
        publish(store, store.start()[0])
    adds_up(old, 8)
    run = Run(old)
    write_report(run)
    row = next(run.accepted())
    assert main(["show", str(old), row.id]) == 0
    assert row.question.split(". ")[0] in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(old)]) == 0


def test_an_old_folder_is_not_changed_by_those_who_only_read(old: Path) -> None:
    before = (old / DATABASE).read_bytes()
    with pytest.raises(UsageError, match="written by an earlier version"):
        Store(old, writes=False)
    assert (old / DATABASE).read_bytes() == before


def test_a_migration_that_breaks_leaves_the_old_folder_whole(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE)) as db, db:
        db.execute("UPDATE samples SET row = 'x' WHERE seed = 5")
    with pytest.raises(UsageError, match="damaged"):
        Store(old)
    assert pragma(old, "user_version") == 0
    assert stored(old, "samples") == 8


def test_a_store_of_a_later_version_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synth.generate(Config(), n=3, out=tmp_path / "r")
    with closing(sqlite3.connect(tmp_path / "r" / DATABASE)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert main(["generate", "-n", "5", "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("synth: ")
    assert f"written by a later version of synth (schema {VERSION + 1}, this one knows {VERSION})" in error
    assert len(error.splitlines()) == 1


def test_what_differs_from_a_stored_identity_is_named(store: Store) -> None:
    store.claim({"model": ["a"], "run": {"rounds": 2}, "version": "1"})
    store.claim({"model": ["a"], "run": {"rounds": 2}, "version": "1"})
    with pytest.raises(ConflictError, match=r"run\.rounds was 2, is 1"):
        store.claim({"model": ["a"], "run": {"rounds": 1}, "version": "1"})
    store.claim({"model": ["a"], "run": {"rounds": 2}, "version": "2"}, but={"version"})


# -- replies


def test_a_reply_is_there_for_another_process_once_it_is_kept(store: Store, tmp_path: Path) -> None:
    store.keep(b"key", "m", (3, 4), b"reply")
    with closing(Store(tmp_path, writes=False)) as other:
        assert other.reply(b"key") == b"reply"
        assert other.reply(b"none") is None


def test_replies_are_packed_and_the_last_of_a_name_counts(store: Store, tmp_path: Path) -> None:
    store.keep(b"key", "m", (1, 1), b"first")
    store.keep(b"key", "m", (1, 1), b"reply " * 1000)
    assert store.replies() == 1
    assert store.reply(b"key") == b"reply " * 1000
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("SELECT length(reply) FROM calls").fetchone()[0] < 200


def test_what_was_spent_survives_with_the_last_reply(store: Store, tmp_path: Path) -> None:
    store.spent.calls, store.spent.prompt_tokens = 7, 100
    store.keep(b"key", "m", (100, 0), b"reply")
    with closing(Store(tmp_path)) as after_a_kill:
        assert (after_a_kill.spent.calls, after_a_kill.spent.prompt_tokens) == (7, 100)


def test_replies_can_be_dropped_and_what_was_spent_stays(store: Store, tmp_path: Path) -> None:
    store.spent.calls = 1
    store.keep(b"key", "m", (1, 1), b"reply")
    assert store.drop_replies() == 1
    assert store.replies() == 0
    assert store.value("cleaned") is True
    with closing(Store(tmp_path)) as again:
        assert again.spent.calls == 1


# -- what waits, and what the gate knows


def test_what_was_laid_aside_comes_back_as_it_was(store: Store, rows: list[Sample]) -> None:
    store.put_ahead(7, rows[0])
    store.put_ahead(3, rows[1])
    assert store.take_ahead(7) == rows[0]
    assert store.take_ahead(3) == rows[1]


def test_what_was_laid_aside_goes_when_it_is_stored_and_when_the_run_starts_anew(
    store: Store, tmp_path: Path, rows: list[Sample]
) -> None:
    store.put_ahead(0, rows[0])
    store.put_ahead(9, rows[1])
    store.add([(0, rows[0])], Funnel())
    assert stored(tmp_path, "ahead") == 1
    store.start()
    assert stored(tmp_path, "ahead") == 0


def test_what_the_gate_counts_survives(store: Store, tmp_path: Path, rows: list[Sample]) -> None:
    funnel = Funnel()
    for index, sample in enumerate([*rows[:30], rows[0]]):
        store.memory.take(sample)
        funnel.take(sample)
        if index % 7 == 6:
            store.add([], funnel)
    store.add([(0, rows[0])], funnel)
    names = [("question", question_name(rows[0])), ("group", rows[0].seed.group), ("opening", opening(rows[0]))]
    before = [store.memory.times(*name) for name in names]
    assert before[0] == 2
    with closing(Store(tmp_path)) as other:
        assert [other.memory.times(*name) for name in names] == before
        assert other.memory.commonest("opening") == store.memory.commonest("opening") >= 2
        assert other.memory.times("question", "never asked") == 0
        assert other.start()[0] == funnel


def test_what_the_gate_counts_is_not_kept_without_its_rows(store: Store, tmp_path: Path, rows: list[Sample]) -> None:
    store.memory.take(rows[0])
    with closing(Store(tmp_path)) as after_a_kill:
        assert after_a_kill.memory.times("group", rows[0].seed.group) == 0


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    random_seed=st.integers(0, 2**63 - 1),
    start=st.integers(0, 4000),
    shares=st.lists(st.integers(0, 5), min_size=8, max_size=8).filter(any),
)
def test_drawing_on_from_a_mark_is_drawing_from_the_start(
    knowledge: Knowledge, random_seed: int, start: int, shares: list[int]
) -> None:
    genres = ("vignette", "multihop", "choice", "open", "reverse", "compare", "calculation", "explainer")
    config = Config.model_validate({"random_seed": random_seed, "mixture": dict(zip(genres, shares, strict=True))})
    draws = Draws(Seeds(knowledge, config))
    for _ in range(start):
        if next(draws, None) is None:
            break
    index, state = draws.mark()
    again = Draws(Seeds(knowledge, config), (index, json.loads(json.dumps(state))))
    for _ in range(300):
        assert next(again, None) == next(draws, None)


def test_a_mark_is_kept_with_the_rows_before_it_and_no_sooner(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.driver._MARK_EVERY", 7)
    both = {"model": ("a", "b"), "served__models_per_seed": 2, "serving__concurrency": 2}
    for limit in (12, 24, 36, 60, None):
        synth.generate(settings(server.url, **both, serving__max_calls=limit), n=20, out=tmp_path / "r")
        with closing(Store(tmp_path / "r")) as store:
            funnel, mark = store.start()
            assert mark is not None
            assert mark[0] == 7 * (funnel.done // 2 // 7)
    monkeypatch.undo()
    synth.generate(settings(server.url, **both), n=20, out=tmp_path / "once")
    assert content(tmp_path / "r") == content(tmp_path / "once")


def test_many_that_wait_for_one_are_laid_aside_on_disk(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside: list[int] = []
    put = Store.put_ahead

    def noted(store: Store, index: int, sample: Sample) -> None:
        aside.append(index)
        put(store, index, sample)

    synth.generate(settings(server.url), n=N, out=tmp_path / "usual")
    monkeypatch.setattr("synth.executors.local._AT_HAND", 2)
    monkeypatch.setattr(Store, "put_ahead", noted)
    with Scripted(script=SCRIPT, latency="lognormal:20:1.5") as uneven:
        synth.generate(settings(uneven.url), n=N, out=tmp_path / "r")
    assert len(aside) > 5
    assert stored(tmp_path / "r", "ahead") == 0
    assert content(tmp_path / "r") == content(tmp_path / "usual")


# -- a disk that is full or broken


@pytest.mark.slow
@pytest.mark.parametrize("limit", [30_000, 150_000, 400_000])
def test_a_disk_that_fills_up_while_replies_come_stops_the_run_whole(
    server: Scripted, tmp_path: Path, limit: int
) -> None:
    """A limit on file size stands in for a full disk: writes beyond it fail."""
    folder = tmp_path / "r"
    found = subprocess.run(
        command(server.url, folder, N),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert found.returncode == 2, found.stderr
    lines = found.stderr.strip().splitlines()
    assert "free some space" in lines[-1], found.stderr
    assert len([line for line in lines if line.startswith("synth:")]) == 1, found.stderr
    assert "Traceback" not in found.stderr
    assert "never retrieved" not in found.stderr
    assert pragma(folder, "integrity_check") == "ok"
    kept = stored(folder)
    server.reset()
    synth.generate(settings(server.url), n=N, out=folder)
    adds_up(folder, N)
    assert server.stats()["paths"]["/v1/chat/completions"] <= stored(folder) - kept + 5, (
        "what was stored is asked again"
    )
    synth.generate(settings(server.url), n=N, out=tmp_path / "usual")
    assert content(folder) == content(tmp_path / "usual")


@pytest.mark.parametrize(
    ("message", "error", "told"),
    [
        ("database or disk is full", NoSpaceError, "free some space and run the same command again"),
        ("disk I/O error", NoSpaceError, "what was finished is kept"),
        ("database is locked", UsageError, "cannot be used"),
    ],
)
def test_what_a_database_says_of_a_disk_is_put_in_our_words(message: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told), disk():
        raise sqlite3.OperationalError(message)


def header(data: bytes) -> bytes:
    return b"not a database, whatever its name" + data[33:]


def pages(data: bytes) -> bytes:
    return data[:8192] + b"\xff" * (len(data) - 16384) + data[-8192:]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [header, pages, half], ids=lambda damage: damage.__name__)
def test_a_damaged_database_is_named_in_one_line(
    server: Scripted, tmp_path: Path, damage: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    synth.generate(settings(server.url), n=10, out=tmp_path / "r")
    path = tmp_path / "r" / DATABASE
    path.write_bytes(damage(path.read_bytes()))
    assert main(command(server.url, tmp_path / "r", 20)[3:]) == 2
    error = capsys.readouterr().err
    last = [line for line in error.splitlines() if line.startswith("synth: ")]
    assert len(last) == 1, error
    assert "run.db" in last[0]
    assert "damaged" in last[0]


def test_a_damaged_database_stops_no_one_from_verifying(server: Scripted, tmp_path: Path) -> None:
    synth.generate(settings(server.url), n=10, out=tmp_path / "r")
    (tmp_path / "r" / DATABASE).write_bytes(b"not a database" * 1000)
    assert main(["verify", str(tmp_path / "r")]) == 0
