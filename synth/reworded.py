"""Making the rows of a finished run again from the replies that it keeps, with no server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import NamedTuple, Self

from synth.claims import Claims
from synth.config import Config, load_config
from synth.engines.opening import WRITERS, open_engine, writers_kept
from synth.engines.scheduler import NOT_STORED
from synth.engines.served import Writer
from synth.errors import NoSpaceError, SynthError, UsageError
from synth.pipeline import Pipeline
from synth.prepared import prepare
from synth.run import CONFIG, DATABASE, PROMPTS
from synth.sample import Sample
from synth.seeds.source import GRAPH
from synth.steps.draft import origin_of
from synth.store import Store


class Recorded(NamedTuple):
    """What a run keeps of how it was made."""

    config: Config
    prompts: Path | None
    """Folder of the templates that it was given."""
    writers: tuple[Writer, ...] | None
    """Its models as they were; None where they were not kept."""


def recorded(folder: Path | None) -> Recorded:
    """How a run was made whose replies are to be used again.

    Raises:
        UsageError: there is no such run.
    """
    if folder is None or not (folder / DATABASE).is_file() or not (folder / CONFIG).is_file():
        raise UsageError("--engine replay: name a finished run with --out; its own configuration is used")
    config, prompts = load_config(folder / CONFIG), folder / PROMPTS
    writers = None
    if config.engine != "grounded":
        with closing(Store(folder, writes=False)) as store:
            writers = writers_kept(store.value(WRITERS))
    return Recorded(config, prompts if prompts.is_dir() else None, writers)


def keeps_replies(folder: Path) -> bool:
    """Whether a folder is a run whose rows a model worded, and whose replies are there."""
    if not (folder / DATABASE).is_file() or not (folder / CONFIG).is_file():
        return False
    try:
        with closing(Store(folder, writes=False)) as store:
            return store.replies() > 0
    except (UsageError, NoSpaceError):
        return False  # of another version, damaged, or where it cannot be opened without writing


class Reworded:
    """Words rows anew from stored replies; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        config, prompts, writers = recorded(self.folder)
        prepared = prepare(config, prompts=prompts, graph=self.folder / GRAPH, writers=writers, again=True)
        claims = Claims(prepared.knowledge, prepared.prompts)
        self._runner = asyncio.Runner()
        self._store = Store(self.folder, writes=False)
        self._stack = AsyncExitStack()
        opening = open_engine(
            config, prepared.writers, claims, prepared.asked_with, journal=self._store, spent=self._store.spent,
            known=self._store.value("capabilities"), offline=True,
        )  # fmt: skip
        opened = self._runner.run(self._stack.enter_async_context(opening))
        self._pipeline = Pipeline(prepared.knowledge, config, claims, opened.engine)
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()
        self._store.close()

    def __call__(self, sample: Sample) -> Sample | None:
        """The row as the stored replies give it; None if they are not there."""
        try:
            origin, _ = origin_of(sample.generator.sampling)
            again = self._runner.run(self._pipeline.flow(origin.spot))
        except (SynthError, ValueError):
            return None
        return None if again.verdict.reason == NOT_STORED else again
