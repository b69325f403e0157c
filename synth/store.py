"""The store of a run: one SQLite file that holds every reply, every finished sample, and where the run stands.

A reply is committed as it comes and counts only then; samples are committed in batches. The log
is written ahead, without fsync for each commit: a killed process loses nothing, a power cut at
most the last moments, and the file is whole after either. What the gate remembers of earlier
rows is in a table too, so a run of a million rows is picked up without reading one of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from synth.engines.limits import Spent
from synth.errors import ConflictError, NoSpaceError, UsageError
from synth.funnel import Funnel
from synth.sample import Sample, from_json, opening, to_json
from synth_kg.aliases import normal

DATABASE = "run.db"
VERSION = 2
_TABLES = """
CREATE TABLE samples (seed INTEGER PRIMARY KEY, status TEXT NOT NULL, row BLOB NOT NULL);
CREATE TABLE ahead (seed INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE calls (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, spent TEXT NOT NULL, reply BLOB NOT NULL
);
CREATE TABLE gate (kind TEXT NOT NULL, name TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (kind, name))
    WITHOUT ROWID;
CREATE TABLE marks (seed INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_LEVEL = 1
_MADE = ("samples", "ahead", "gate", "marks")
"""Tables of what was made of replies."""
log = logging.getLogger("synth")


class Store:
    """The database of a run, held by one process.

    Args:
        folder: of the run.
        writes: whether it is opened to write; if not, it has to be there and of this version.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self._pack = zstandard.ZstdCompressor(level=_LEVEL)
        self._unpack = zstandard.ZstdDecompressor()
        self.spent = Spent()
        with disk():
            mode = "rwc" if writes else "ro"
            self._db = sqlite3.connect(f"{(folder / DATABASE).absolute().as_uri()}?mode={mode}", uri=True)
            self._db.isolation_level = None
            if writes:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
            self._open(writes)
            self.spent = self._spent()
        self.memory = Memory(self._db)
        if writes:
            self._bring_back()

    def _open(self, writes: bool) -> None:
        """Make the tables, or bring those of an earlier version up to this one."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise UsageError(
                f"{self.folder / DATABASE}: written by a later version of synth (schema {version}, this one knows "
                f"{VERSION}); use that version"
            )
        if version == VERSION:
            return
        if not writes:
            raise UsageError(f"{self.folder / DATABASE}: written by an earlier version of synth")
        old = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'samples'").fetchone()
        with self._whole():
            if old:
                self._db.execute("ALTER TABLE samples RENAME TO samples_1")
                self._db.execute("ALTER TABLE run RENAME TO run_1")
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            if old:
                self._from_1()
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _from_1(self) -> None:
        """Schema 1 had samples and the run's identity only: the gate and the funnel are counted from them."""
        self._db.execute("INSERT INTO samples SELECT seed, status, row FROM samples_1")
        self._db.execute("INSERT INTO run SELECT key, value FROM run_1")
        self._db.execute("DROP TABLE samples_1")
        self._db.execute("DROP TABLE run_1")
        memory, funnel = Memory(self._db), Funnel()
        for sample in self.samples():
            funnel.take(sample)
            if sample.verdict.status == "accepted":
                memory.take(sample)
        memory.write()
        memory.written()
        self._set("funnel", funnel.state())

    def close(self) -> None:
        """Fold the log into the database and let go of it."""
        with disk():
            self._db.close()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # -- what the run is

    def value(self, key: str) -> Any:
        """A value that the run keeps about itself, or None."""
        found = self._db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    def keep_value(self, key: str, value: Any) -> None:
        """Keep a value about the run."""
        with disk(), self._whole():
            self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))

    def claim(self, identity: Mapping[str, Any], *, but: Iterable[str] = ()) -> None:
        """Bind the folder to a configuration, or make sure that it is bound to this one.

        Args:
            identity: what changes rows, by name.
            but: names that may differ.

        Raises:
            ConflictError: the folder holds a run of another configuration; says what differs.
        """
        found = self.value("identity")
        if found is None:
            self.keep_value("identity", identity)
            return
        before, now = _flat(found), _flat(json.loads(json.dumps(identity)))
        differing = [
            key for key in sorted(before.keys() | now.keys()) if key not in but and before.get(key) != now.get(key)
        ]
        if differing:
            what = "; ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in differing[:4])
            raise ConflictError(
                f"{self.folder} holds a run of another configuration ({what}): "
                "choose another --out, or give the same options"
            )

    # -- replies

    def reply(self, key: bytes) -> bytes | None:
        """The stored reply of this name."""
        with disk():
            found = self._db.execute("SELECT reply FROM calls WHERE key = ?", (key,)).fetchone()
        try:
            return self._unpack.decompress(found[0]) if found else None
        except zstandard.ZstdError as error:
            log.warning("a stored reply is damaged, and counts as missing: %s", error)
            return None

    def keep(self, key: bytes, model: str, tokens: tuple[int, int], reply: bytes) -> None:
        """Store a reply, durably on return.

        One commit a reply, 30 us, costs less than letting replies wait for each other: those that
        arrive together would all be held until the last was read, and so would their next requests.
        """
        spent = json.dumps(vars(self.spent))
        with disk(), self._whole():
            self._db.execute(
                "INSERT OR REPLACE INTO calls (key, model, prompt_tokens, completion_tokens, spent, reply) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (key, model, *tokens, spent, self._pack.compress(reply)),
            )

    def _spent(self) -> Spent:
        """What the run has cost: as of its last reply, or as written down since."""
        last = self._db.execute("SELECT spent FROM calls ORDER BY number DESC LIMIT 1").fetchone()
        told = [data for data in (self.value("spent"), json.loads(last[0]) if last else None) if data]
        return Spent(**{name: max(data.get(name, 0) for data in told) for name in vars(Spent())}) if told else Spent()

    def replies(self) -> int:
        """How many replies are stored."""
        (number,) = self._db.execute("SELECT count(*) FROM calls").fetchone()
        return int(number)

    def size(self) -> int:
        """Bytes that rows and replies take: both in the database, and the rows once more as lines of JSON."""
        rows, replies = (
            self._db.execute(f"SELECT coalesce(sum(length({what})), 0) FROM {table}").fetchone()[0]
            for what, table in (("row", "samples"), ("reply", "calls"))
        )
        return int(2 * rows + replies)

    def drop_replies(self) -> int:
        """Drop every reply and give their space back; the rows stay.

        Returns:
            How many there were.
        """
        with disk():
            dropped = self.replies()
            with self._whole():
                self._db.execute("DELETE FROM calls")
                self._set("spent", vars(self.spent))
                self._set("cleaned", True)
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped

    # -- samples

    def add(self, batch: Iterable[tuple[int, Sample]], funnel: Funnel, marks: Mapping[int, Any] | None = None) -> None:
        """Commit finished samples, what the gate remembers of them, and where the run stands."""
        rows = [(index, sample.verdict.status, to_json(sample)) for index, sample in batch]
        with disk(), self._whole():
            # again if a signal came between the commit and its caller's knowing of it
            self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", rows)
            self._db.executemany("DELETE FROM ahead WHERE seed = ?", [(index,) for index, *_ in rows])
            self._db.executemany(
                "INSERT OR IGNORE INTO marks VALUES (?, ?)",
                [(place, json.dumps(state)) for place, state in (marks or {}).items()],
            )
            self.memory.write()
            self._set("funnel", funnel.state())
            self._set("spent", vars(self.spent))
        self.memory.written()

    def put_ahead(self, index: int, sample: Sample) -> None:
        """Lay a sample aside that has to wait for an earlier seed."""
        with disk(), self._whole():
            self._db.execute("INSERT OR REPLACE INTO ahead VALUES (?, ?)", (index, to_json(sample)))

    def take_ahead(self, index: int) -> Sample:
        """A sample that was laid aside."""
        (row,) = self._db.execute("SELECT row FROM ahead WHERE seed = ?", (index,)).fetchone()
        return from_json(row)

    def start(self) -> tuple[Funnel, tuple[int, Any] | None]:
        """Where the run stands: its funnel, and the last mark from which seeds can be drawn on."""
        state = self.value("funnel")
        funnel = Funnel.of(state) if state else Funnel()
        with disk():
            self._db.execute("DELETE FROM ahead")
            mark = self._db.execute(
                "SELECT seed, state FROM marks WHERE seed <= ? ORDER BY seed DESC LIMIT 1", (funnel.done,)
            ).fetchone()
        return funnel, (int(mark[0]), json.loads(mark[1])) if mark else None

    def begin_again(self) -> int:
        """Put every sample by, to make them anew from the stored replies.

        Until `end_again` they can come back, and do when the store is opened after a kill.

        Returns:
            How many there are.
        """
        many = self.start()[0].done
        with disk(), self._whole():
            for table in _MADE:
                self._db.execute(f"CREATE TABLE before_{table} AS SELECT * FROM {table}")
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("UPDATE run SET key = 'before_funnel' WHERE key = 'funnel'")
        return many

    def end_again(self, *, whole: bool) -> None:
        """Let go of the samples that were put by, or bring them back if they could not all be made anew."""
        with disk(), self._whole():
            if whole:
                self._db.execute("DELETE FROM run WHERE key = 'before_funnel'")
            else:
                self._db.execute("DELETE FROM run WHERE key = 'funnel'")
                self._db.execute("UPDATE run SET key = 'funnel' WHERE key = 'before_funnel'")
            for table in _MADE:
                if not whole:
                    self._db.execute(f"DELETE FROM {table}")
                    self._db.execute(f"INSERT INTO {table} SELECT * FROM before_{table}")
                self._db.execute(f"DROP TABLE before_{table}")
        self.memory = Memory(self._db)

    def _bring_back(self) -> None:
        """Undo a making anew that was killed."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'before_samples'").fetchone():
            self.end_again(whole=False)

    def samples(self) -> Iterator[Sample]:
        """Every finished sample, in the order of the seeds."""
        try:
            for (row,) in self._db.execute("SELECT row FROM samples ORDER BY seed"):
                yield from_json(row)
        except (sqlite3.DatabaseError, ValueError) as error:  # pydantic raises ValueErrors
            raise UsageError(f"{self.folder / DATABASE}: damaged; move the folder away and start again") from error

    def rows(self, *, accepted: bool) -> Iterator[bytes]:
        """The accepted rows, or all others, as lines of JSON in the order of the seeds."""
        sign = "=" if accepted else "<>"
        query = f"SELECT row FROM samples WHERE status {sign} 'accepted' ORDER BY seed"
        return (row + b"\n" for (row,) in self._db.execute(query))


class Memory:
    """What the gate has let in so far: questions asked, evidence sets used, openings said."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._fresh: dict[tuple[str, str], int] = {}
        """Counts since the last commit."""

    def times(self, kind: str, name: str) -> int:
        """How often something was let in: a 'question', a 'group' or an 'opening'."""
        if (kind, name) in self._fresh:
            return self._fresh[kind, name]
        with disk():
            found = self._db.execute("SELECT times FROM gate WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return int(found[0]) if found else 0

    def take(self, sample: Sample) -> None:
        """Remember an accepted sample."""
        for kind, name in (
            ("question", question_name(sample)),
            ("group", sample.seed.group),
            ("opening", opening(sample)),
        ):
            self._fresh[kind, name] = self.times(kind, name) + 1

    def commonest(self, kind: str) -> int:
        """The largest of the counts of a kind."""
        fresh = max((times for (k, _), times in self._fresh.items() if k == kind), default=0)
        (stored,) = self._db.execute("SELECT max(times) FROM gate WHERE kind = ?", (kind,)).fetchone()
        return max(fresh, int(stored or 0))

    def write(self) -> None:
        """Write the counts since the last commit; part of the caller's transaction."""
        self._db.executemany(
            "INSERT OR REPLACE INTO gate VALUES (?, ?, ?)",
            [(kind, name, times) for (kind, name), times in self._fresh.items()],
        )

    def written(self) -> None:
        """The transaction of the last `write` is whole: its counts need not be remembered here any more."""
        self._fresh = {}


def question_name(sample: Sample) -> str:
    """The name under which the gate knows a question: two that differ in case or punctuation share it."""
    return hashlib.blake2b(normal(sample.question).encode(), digest_size=16).hexdigest()


@contextmanager
def disk() -> Iterator[None]:
    """Turn what a database says about a full or broken disk into our own words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            raise NoSpaceError(
                f"the run's database cannot be written ({text}): what was finished is kept; "
                "free some space and run the same command again"
            ) from error
        raise UsageError(f"the run's database cannot be used ({text})") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{DATABASE} is damaged ({error}): move the folder away and start again") from error


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
