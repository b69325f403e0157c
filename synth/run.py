"""A run folder: what the resumable store of one command publishes.

`run.db` is the truth (see `synth.store`). `accepted.jsonl`, `rejected.jsonl` and `funnel.json`
are written from it at the end of every attempt, whole or not at all. They hold no time, host
or path, so the same configuration gives the same bytes, whether or not it was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth.errors import NoSpaceError, UsageError
from synth.funnel import Funnel
from synth.process import NO_SPACE
from synth.sample import Sample, from_json
from synth.store import DATABASE, Store

__all__ = ["DATABASE", "Run", "Store", "make_folder", "publish", "read_rows", "write_config", "write_whole"]

PROMPTS = "prompts"
"""Folder of a run that holds the templates that it was given for bundled ones."""
ACCEPTED, REJECTED, FUNNEL, CONFIG = "accepted.jsonl", "rejected.jsonl", "funnel.json", "config.yaml"


class Run(NamedTuple):
    """A run on disk."""

    folder: Path
    interrupted: bool = False
    """Whether the last attempt was stopped by a signal; the same command goes on."""
    starved: bool = False
    """Whether the last attempt stopped because nothing was accepted."""
    limited: str = ""
    """The limit that the last attempt stopped at, if it did."""
    spent: bool = False
    """Whether the last attempt found that the knowledge admits no further seed."""

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


def publish(store: Store, funnel: Funnel) -> None:
    """Write the files of a run's folder from what is stored."""
    for name, accepted in ((ACCEPTED, True), (REJECTED, False)):
        write_whole(store.folder / name, store.rows(accepted=accepted))
    text = json.dumps(funnel.summary(store.memory.commonest("opening")), indent=2) + "\n"
    write_whole(store.folder / FUNNEL, [text.encode()])


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
