"""The Python API: what the command line wraps, function by function."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from synth import __version__
from synth.claims import Claims
from synth.config import Config, fingerprint, what_changes_rows
from synth.engines import open_engine
from synth.errors import NotBuiltError, UsageError
from synth.executors.local import execute
from synth.funnel import Funnel, count
from synth.pipeline import Memory, Pipeline
from synth.process import LOCK, Drain, sole_driver
from synth.prompts import Prompts, load_prompts
from synth.replay import Shelf, Verification, replay
from synth.report import write_report
from synth.run import ACCEPTED, DATABASE, Run, Store, make_folder, write_config
from synth.sample import Sample, from_json
from synth.seeds.kg import Seeds
from synth.seeds.source import GRAPH, knowledge_of, open_graph, open_named, read_sources
from synth.steps.score import scored
from synth_kg.knowledge import Knowledge, bundled

PROMPTS = "prompts"
"""Folder of a run that holds its templates, where they are not the bundled ones."""
_BATCH = 100
"""Samples committed together: what a killed process has to make again, at most."""
_STARVING = 200
"""Finished samples after which a yield of nothing stops a run."""
_MOST = 10**9
"""More than anyone can want: a wrong number is told before it is tried."""
_PER_ACCEPTED = 5
"""Seeds attempted for each row wanted, at most."""
_CONCURRENCY = 8

log = logging.getLogger("synth")
Progress = Callable[[Funnel], None]


class Prepared(NamedTuple):
    """A configuration with all that it names, opened."""

    config: Config
    prompts: Prompts
    knowledge: Knowledge
    seeds: Seeds
    fingerprint: str
    identity: Mapping[str, Any]
    """What changes rows, by name: two runs with the same identity give the same bytes."""


def prepare(config: Config, *, prompts: Path | None = None, graph: Path | None = None) -> Prepared:
    """Open what a configuration names, and refuse what cannot be used, before any work.

    Args:
        config: the resolved configuration.
        prompts: a folder of templates instead of the bundled ones.
        graph: where to keep the graph of `config.source`; needed only to write it.

    Raises:
        UsageError: a source, a language or a kind of seed that cannot be used.
    """
    if config.seed != "kg":
        raise NotBuiltError(f"--seed {config.seed}: this version has --seed kg; others come in a later version")
    if config.lang != "en":
        raise NotBuiltError(
            f"--lang {config.lang}: English only in this version, since there is no table of "
            f"labels in that language whose licence allows it"
        )
    templates = load_prompts(config.lang, prompts)
    knowledge = bundled()
    if config.source:
        source = read_sources(config.source, config.source_license)
        for message in source.bad_frames:
            log.warning("skipped a frame that cannot be read: %s", message)
        for name in source.unlicensed:
            log.warning("%s states no licence: --set source_license=NAME says which it is", name)
        knowledge = knowledge_of(source, graph) if graph else _unkept(source)
    open_engine(config, Claims(knowledge, templates))
    seeds = Seeds(knowledge, config)
    if config.source and not any(found for genre, found in seeds.lists.items() if genre != "calculation"):
        raise UsageError(
            f"{', '.join(config.source)}: read, but the reviewed tables keep nothing of it; they know terms "
            "of the Disease Ontology (`synth kg info` prints what can be made)"
        )
    identity = {
        **what_changes_rows(config), "graph": knowledge.name, "prompts": templates.hash, "version": __version__,
    }  # fmt: skip
    mark = fingerprint(config, graph=knowledge.name, prompts=templates.hash, version=__version__)
    return Prepared(config, templates, knowledge, seeds, mark, identity)


def _unkept(source: Any) -> Knowledge:
    """The knowledge of a source without leaving its graph on disk."""
    import tempfile  # noqa: PLC0415  (only for a look at a source before a run)

    with tempfile.TemporaryDirectory() as folder:
        return knowledge_of(source, Path(folder))


def generate(
    config: Config,
    *,
    n: int | None = None,
    accept: int | None = None,
    out: Path | str | None = None,
    prompts: Path | None = None,
    concurrency: int = _CONCURRENCY,
    progress: Progress | None = None,
) -> Run:
    """Make rows, or go on making them, in a run folder.

    Args:
        config: what to make.
        n: seeds to attempt in all; a folder that has fewer is extended. 100 if neither is given.
        accept: rows to accept in all; at most five seeds are attempted for each.
        out: the run folder; `runs/SEED-<8 of the fingerprint>` if None.
        prompts: a folder of templates instead of the bundled ones.
        concurrency: seeds in flight, at most.
        progress: called with the funnel so far, after every finished sample.

    Returns:
        The run; see its `interrupted` and `starved`.

    Raises:
        UsageError: an option, a source or the folder cannot be used.
        ConflictError: the folder is in use or holds a run of another configuration.
        NoSpaceError: the disk is full; what was finished is kept.
    """
    wanted = _limits(n, accept, concurrency)
    folder = Path(out) if out else None
    if folder is None:
        folder = Path("runs") / f"{config.seed}-{prepare(config, prompts=prompts).fingerprint[:8]}"
    fresh = make_folder(folder)
    if not (folder / DATABASE).exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise UsageError(f"{folder}: neither empty nor a run folder; choose another --out")
    with sole_driver(folder):
        try:
            prepared = prepare(config, prompts=prompts, graph=folder / GRAPH)
        except UsageError:
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)  # nothing was made, so nothing is left behind
            raise
        with closing(Store(folder)) as store, Drain() as drain, _logged(folder):
            store.claim(prepared.identity)
            if prompts is not None and prompts.resolve() != (folder / PROMPTS).resolve():
                shutil.copytree(prompts, folder / PROMPTS, dirs_exist_ok=True)
            write_config(folder, {"fingerprint": prepared.fingerprint, **config.model_dump(mode="json")})
            driver = _Driver(prepared, store, drain, wanted, progress)
            try:
                with _no_collecting():
                    asyncio.run(driver.drive(concurrency))
            except BaseException:
                store.publish(count(store.samples(), driver.funnel.asked))  # what is stored, not what was made
                raise
            store.publish(driver.funnel)
            run = Run(folder, drain.asked and not driver.finished, driver.starved)
            write_report(run)
            return run


class _Limits(NamedTuple):
    seeds: int
    accepted: int | None


def _limits(n: int | None, accept: int | None, concurrency: int) -> _Limits:
    if n is not None and accept is not None:
        raise UsageError("give -n (seeds to attempt) or --accept (rows to accept), not both")
    for name, value in (("-n", n), ("--accept", accept), ("--concurrency", concurrency)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: must be at least 1")
        if value is not None and value > _MOST:
            raise UsageError(f"{name} {value}: must be at most {_MOST}")
    if accept is not None:
        return _Limits(accept * _PER_ACCEPTED, accept)
    return _Limits(n if n is not None else 100, None)


class _Driver:
    """One attempt at a run: picks up what is stored and goes on from there."""

    def __init__(
        self, prepared: Prepared, store: Store, drain: Drain, wanted: _Limits, progress: Progress | None
    ) -> None:
        claims = Claims(prepared.knowledge, prepared.prompts)
        self.prepared = prepared
        self.pipeline = Pipeline(prepared.knowledge, prepared.config, claims, open_engine(prepared.config, claims))
        self.store = store
        self.drain = drain
        self.wanted = wanted
        self.progress = progress or (lambda _funnel: None)
        self.funnel = Funnel(wanted.seeds if wanted.accepted is None else 0)
        self.memory = Memory()
        for sample in store.samples():
            self.funnel.take(sample)
            if sample.verdict.status == "accepted":
                self.memory.take(sample)
        self.spent = False
        """Whether the knowledge admits no further seed."""

    @property
    def finished(self) -> bool:
        """Whether what was asked for is there."""
        enough = self.wanted.accepted is not None and self.funnel.accepted >= self.wanted.accepted
        return enough or self.funnel.done >= self.wanted.seeds or self.spent

    @property
    def starved(self) -> bool:
        """Whether so many samples gave so little that asking for more is a waste."""
        least = self.prepared.config.run.min_yield
        enough = self.funnel.done >= _STARVING or (self.funnel.done > 0 and self.finished)
        return least > self.funnel.accepted and enough

    async def drive(self, concurrency: int) -> None:
        """Attempt the seeds that are left, committing batch by batch."""
        done = self.funnel.done
        if self.finished:
            return
        log.info("attempt starts at seed %d of %d", done, self.wanted.seeds)
        spots = islice(self.prepared.seeds, done, self.wanted.seeds)
        batch: list[tuple[int, Sample]] = []
        try:
            async with aclosing(execute(self.pipeline, spots, self.memory, concurrency)) as results:
                async for index, sample in results:
                    batch.append((index, sample))
                    self.funnel.take(sample)
                    self.progress(self.funnel)
                    if len(batch) >= _BATCH:
                        self.store.add(batch)
                        batch = []
                    if self.drain.asked or self.finished or self.starved:
                        break
                else:
                    self.spent = True
        finally:
            self.store.add(batch)
        if self.spent and self.funnel.done < self.wanted.seeds:
            log.warning("the knowledge is spent after %d seeds", self.funnel.done)
        log.info("%d samples, %d accepted", self.funnel.done, self.funnel.accepted)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Spare the garbage collector the knowledge and the wordings, which stay: a tenth of a run's time."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _logged:
    """Writes the package's log to the next free `logs/attempt-N.log` of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "logs"

    def __enter__(self) -> None:
        make_folder(self.folder)
        number = 1 + len(list(self.folder.glob("attempt-*.log")))
        self.handler = logging.FileHandler(self.folder / f"attempt-{number}.log", encoding="utf-8")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(self.handler)
        log.setLevel(logging.INFO)
        log.info("synth %s, Python %s", __version__, sys.version.split()[0])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None:
            log.error("stopped by %s: %s", getattr(kind, "__name__", "an error"), error)
        log.removeHandler(self.handler)
        self.handler.close()


def rows_file(path: Path | str) -> Path:
    """The file of rows that a path names: a run folder's accepted rows, or the file itself.

    Raises:
        UsageError: there is no such file, or it is not one of rows.
    """
    path = Path(path)
    if path.is_dir():
        found = path / ACCEPTED
        if not found.is_file():
            half = " (its run was killed: give its `synth generate` command again)"
            raise UsageError(f"{path}: holds no {ACCEPTED}{half if (path / DATABASE).is_file() else ''}")
        return found
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    return path


def load(path: Path | str) -> Iterator[Sample]:
    """The rows of a run folder (accepted ones) or of a JSONL file.

    Raises:
        UsageError: no such file, or a line that is not a row; names file and line.
    """
    file = rows_file(path)
    for number, line in _lines(file):
        try:
            yield from_json(line)
        except ValueError as error:
            raise UsageError(f"{file}:{number}: not a row of synth") from error


def raw(path: Path | str) -> Iterator[Mapping[str, Any]]:
    """The rows of a file as they stand, whether or not they are rows of this version.

    Raises:
        UsageError: the file is no JSONL; names file and line.
    """
    file = rows_file(path)
    for number, line in _lines(file):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UsageError(f"{file}:{number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise UsageError(f"{file}:{number}: not a row, since a row is a JSON object")
        yield row


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    from synth_kg.sniff import ADVICE, kind_of  # noqa: PLC0415

    kind = kind_of(file)
    if kind in ADVICE:
        raise UsageError(f"{file}: {ADVICE[kind]}")
    if kind not in {"json", "jsonl"}:
        raise UsageError(f"{file}: this is {kind}, not a JSONL file of rows")
    with file.open("rb") as lines:
        yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def verify(
    rows: Iterable[Sample | Mapping[str, Any]],
    *,
    kg: Path | str | None = None,
    source: Sequence[str] = (),
    run: Path | str | None = None,
) -> Verification:
    """Replay the proofs of rows, offline and with no model.

    'Verified' means faithful to the cited source, not clinically true.

    Args:
        rows: samples, or rows as read from JSON.
        kg: a built graph that rows may name, besides the bundled one.
        source: ontologies from which such a graph is read.
        run: the folder of the run that the rows come from; its graph and templates are used.
    """
    graphs = [bundled()]
    folders = []
    if kg is not None:
        graphs.append(open_named(str(kg)))
    if source:
        graphs.append(_unkept(read_sources(source, Config().source_license)))
    if run is not None:
        if (Path(run) / GRAPH).is_dir():
            graphs.append(open_graph(Path(run) / GRAPH))
        if (Path(run) / PROMPTS).is_dir():
            folders.append(Path(run) / PROMPTS)
    return replay(rows, Shelf(graphs, folders))


def score(rows: Iterable[Sample]) -> Iterator[Sample]:
    """Score rows with the rule scorer; see `synth_reward.rule`."""
    return map(scored, rows)
