"""A run folder: the resumable store of one command.

`run.db` (SQLite, write-ahead log) is the truth: finished samples by seed index, committed in
batches. `accepted.jsonl`, `rejected.jsonl` and `funnel.json` are written from it at the end of
every attempt, whole or not at all. They hold no time, host or path, so the same configuration
gives the same bytes, whether or not it was interrupted.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth.errors import ConflictError, NoSpaceError, UsageError
from synth.funnel import Funnel
from synth.process import NO_SPACE
from synth.sample import Sample, from_json, to_json

DATABASE = "run.db"
ACCEPTED, REJECTED, FUNNEL, CONFIG = "accepted.jsonl", "rejected.jsonl", "funnel.json", "config.yaml"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (seed INTEGER PRIMARY KEY, status TEXT NOT NULL, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Run(NamedTuple):
    """A run on disk."""

    folder: Path
    interrupted: bool = False
    """Whether the last attempt was stopped by a signal; the same command goes on."""
    starved: bool = False
    """Whether the last attempt stopped because nothing was accepted."""

    @property
    def funnel(self) -> dict[str, Any]:
        """The funnel as it was written.

        Raises:
            UsageError: the file is damaged.
        """
        path = self.folder / FUNNEL
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path}: damaged; run the same `synth generate` again to write it anew") from error
        return data

    def accepted(self) -> Iterator[Sample]:
        """The accepted rows, in the order of their seeds."""
        return read_rows(self.folder / ACCEPTED)

    def rejected(self) -> Iterator[Sample]:
        """The rejected and failed rows, each with its reason."""
        return read_rows(self.folder / REJECTED)


def read_rows(path: Path) -> Iterator[Sample]:
    """Rows of a JSONL file that this package wrote."""
    with path.open("rb") as file:
        for line in file:
            yield from_json(line)


class Store:
    """The database of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with disk():
            self._db = sqlite3.connect(folder / DATABASE)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Fold the log into the database and let go of it."""
        with disk():
            self._db.commit()
            self._db.close()

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Bind the folder to a configuration, or make sure that it is bound to this one.

        Raises:
            ConflictError: the folder holds a run of another configuration; says what differs.
        """
        found = self._db.execute("SELECT value FROM run WHERE key = 'identity'").fetchone()
        if found is None:
            self._db.execute("INSERT INTO run VALUES ('identity', ?)", (json.dumps(identity),))
            self._db.commit()
            return
        before = _flat(json.loads(found[0]))
        now = _flat(json.loads(json.dumps(identity)))
        differing = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        if differing:
            what = "; ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in differing[:4])
            raise ConflictError(
                f"{self.folder} holds a run of another configuration ({what}): "
                "choose another --out, or give the same options"
            )

    def add(self, batch: Iterable[tuple[int, Sample]]) -> None:
        """Commit finished samples."""
        rows = [(index, sample.verdict.status, to_json(sample)) for index, sample in batch]
        with disk(), self._db:
            self._db.executemany("INSERT INTO samples VALUES (?, ?, ?)", rows)

    def samples(self) -> Iterator[Sample]:
        """Every finished sample, in the order of the seeds."""
        try:
            for (row,) in self._db.execute("SELECT row FROM samples ORDER BY seed"):
                yield from_json(row)
        except (sqlite3.DatabaseError, ValueError) as error:  # pydantic raises ValueErrors
            raise UsageError(f"{self.folder / DATABASE}: damaged; move the folder away and start again") from error

    def publish(self, funnel: Funnel) -> None:
        """Write the files of the folder from what is stored."""
        for name, wanted in ((ACCEPTED, "= 'accepted'"), (REJECTED, "<> 'accepted'")):
            query = f"SELECT row FROM samples WHERE status {wanted} ORDER BY seed"
            write_whole(self.folder / name, (row + b"\n" for (row,) in self._db.execute(query)))
        text = json.dumps(funnel.summary(), indent=2) + "\n"
        write_whole(self.folder / FUNNEL, [text.encode()])


def write_config(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the resolved configuration beside the data."""
    text = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True)
    write_whole(folder / CONFIG, [text.encode()])


def make_folder(folder: Path) -> bool:
    """Create a folder to write in, and say whether it was not there before.

    Raises:
        UsageError: it cannot be, and why.
    """
    try:
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: a file is in the way of this folder") from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder}: not writable")
    return fresh


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all: to a neighbor first, then renamed.

    Raises:
        UsageError: the place cannot be written to.
        NoSpaceError: the disk is full.
    """
    whole = path.is_file() or not path.exists()
    temporary = path.with_name(f".{path.name}.part")
    try:
        if not whole:  # a pipe or a device is written to as it is
            with path.open("wb") as file:
                file.writelines(chunks)
            return
        with temporary.open("wb") as file:
            file.writelines(chunks)
        temporary.replace(path)
    except OSError as error:
        if whole:
            _discard(temporary)
        raise _unwritable(path, error) from error


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # never came to be: the error that is on its way says why


def _unwritable(path: Path, error: OSError) -> UsageError | NoSpaceError:
    if error.errno in NO_SPACE:
        return NoSpaceError(f"{path}: the disk is full; free some space and run the same command again")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return UsageError(f"{path}: a file is in the way of this path")
    if isinstance(error, IsADirectoryError):
        return UsageError(f"{path}: is a folder; name a file in it")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{path}: its folder does not exist")
    return UsageError(f"{path}: cannot be written ({error.strerror or error})")


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
