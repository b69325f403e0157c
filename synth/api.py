"""The Python API: what the command line wraps, function by function."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from synth import __version__
from synth.claims import Claims
from synth.config import Config, load_config
from synth.driver import Driver, Progress, Wanted, Work, wanted_of
from synth.engines.opening import WRITERS, Opened, choose_models, endpoints_of, open_engine, to_keep, writers_kept
from synth.engines.server import check_start
from synth.errors import UsageError
from synth.pilot import Pilot, pilot_of
from synth.prepared import Prepared, prepare, unkept
from synth.process import LOCK, Drain, sole_driver
from synth.replay import Shelf, Verification, replay
from synth.report import write_report
from synth.reworded import Reworded, keeps_replies, recorded
from synth.run import ACCEPTED, CONFIG, DATABASE, PROMPTS, Run, Store, make_folder, publish, write_config
from synth.sample import Sample, from_json
from synth.seeds.source import GRAPH, open_graph, open_named, read_sources
from synth.steps.score import scored
from synth_kg.knowledge import bundled

LOGS = "logs"

log = logging.getLogger("synth")


def generate(
    config: Config,
    *,
    n: int | None = None,
    accept: int | None = None,
    out: Path | str | None = None,
    prompts: Path | None = None,
    pilot: int | None = None,
    confirm: Callable[[Pilot], bool] = lambda _pilot: True,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Run:
    """Make rows, or go on making them, in a run folder.

    Args:
        config: what to make. The engine 'replay' takes the folder's own configuration instead and
            makes its rows anew from the stored replies.
        n: seeds to attempt in all; a folder that has fewer is extended. 100 if neither is given.
        accept: rows to accept in all; at most five seeds are attempted for each.
        out: the run folder; `runs/SEED-<8 of the fingerprint>` if None.
        prompts: a folder of templates; they stand in for bundled ones of the same name.
        pilot: seeds after which `confirm` is asked whether to go on.
        confirm: is shown what the pilot gave and what the whole would take.
        progress: told how far the run is, after every finished sample and every few seconds.
        say: is told what a person may want to know: licences, what a server can do, how it starts.

    Returns:
        The run; see its `interrupted`, `starved` and `limited`.

    Raises:
        UsageError: an option, a source, a server or the folder cannot be used.
        ConflictError: the folder is in use or holds a run of another configuration.
        NoSpaceError: the disk is full; what was finished is kept.
        EndpointError: the server is gone or refuses us; what was finished is kept.
    """
    folder = Path(out) if out else None
    again = config.engine == "replay"
    writers = None
    if again:
        config, prompts, writers = recorded(folder)
    wanted = wanted_of(n, accept, pilot)
    config = _named(config, folder)
    if folder is None:
        folder = Path("runs") / f"{config.seed}-{prepare(config, prompts=prompts).fingerprint[:8]}"
    fresh = make_folder(folder)
    if not (folder / DATABASE).exists() and any(path.name not in (LOCK, GRAPH) for path in folder.iterdir()):
        raise UsageError(f"{folder}: neither empty nor a run folder; choose another --out")
    with sole_driver(folder):
        try:
            prepared = prepare(config, prompts=prompts, graph=folder / GRAPH, writers=writers, again=again)
            if fresh:
                _check_servers(config)
        except UsageError:
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)  # nothing was made, so nothing is left behind
            raise
        replaces = None if prompts is None or prompts.resolve() == (folder / PROMPTS).resolve() else prompts
        asked = _Asked(wanted, None if again else replaces, again, confirm, progress or _ignore, say)
        return _attempt(prepared, folder, asked)


def _check_servers(config: Config) -> None:
    """Refuse what no server could be asked or started with."""
    if config.engine == "openai":
        endpoints_of(config)
    if config.engine == "vllm":
        for model in config.model:
            check_start(model)


class _Asked(NamedTuple):
    """What of a call to `generate` concerns its attempt alone."""

    wanted: Wanted
    prompts: Path | None
    """Templates to keep with the run."""
    offline: bool
    """Whether the rows are made anew from stored replies."""
    confirm: Callable[[Pilot], bool]
    progress: Progress
    say: Callable[[str], None]


def _attempt(prepared: Prepared, folder: Path, asked: _Asked) -> Run:
    """One attempt at a run, in a folder that is ours alone; its files are written whatever happens."""
    config = prepared.config
    with closing(Store(folder)) as store, Drain() as drain, _logged(folder):
        store.claim(prepared.identity, but={"version"} if asked.offline else ())
        wanted = _from_replies(store) if asked.offline else asked.wanted
        if asked.prompts is not None:
            shutil.copytree(asked.prompts, folder / PROMPTS, dirs_exist_ok=True)
        kept = config.model_dump(mode="json", exclude={"serving"})
        write_config(folder, {"fingerprint": prepared.fingerprint, **kept})
        if not asked.offline:
            store.keep_value(WRITERS, to_keep(prepared.writers))
        driver = Driver(Work(config, prepared.knowledge, prepared.seeds, store, drain, wanted, asked.progress))
        try:
            with _no_collecting():
                asyncio.run(_drive(driver, prepared, asked))
        except BaseException:
            if asked.offline:
                store.end_again(whole=False)
            stored, _ = store.start()  # what is stored, not what was made
            stored.asked = max(driver.funnel.asked, stored.done)
            publish(store, stored)
            raise
        if asked.offline:
            store.end_again(whole=driver.finished)
            if not driver.finished:
                driver.funnel = store.start()[0]
        publish(store, driver.funnel)
        run = Run(folder, drain.asked and not driver.finished, driver.starved, driver.limited, driver.spent)
        write_report(run)
        return run


def _ignore(_funnel: object) -> None:
    pass


def _named(config: Config, folder: Path | None) -> Config:
    """The configuration with its model named: by itself, by the folder's run, or by the server's only one."""
    if config.engine != "openai" or config.model:
        return config
    if folder is not None and (folder / CONFIG).is_file():
        before = load_config(folder / CONFIG)
        if before.engine == config.engine and before.model:
            return config.model_copy(update={"model": before.model})
    return config.model_copy(update={"model": asyncio.run(choose_models(config))})


def _from_replies(store: Store) -> Wanted:
    """Make room for the rows that the stored replies give; as many as were finished.

    Raises:
        UsageError: the replies are gone, and the rows would be lost for nothing.
    """
    if store.value("cleaned"):
        raise UsageError(f"{store.folder}: `synth clean` dropped replies of its rows, so they cannot be replayed")
    many = store.begin_again()
    return Wanted(many, None, samples=many)


async def _drive(driver: Driver, prepared: Prepared, asked: _Asked) -> None:
    claims, store = Claims(prepared.knowledge, prepared.prompts), driver.store
    if driver.finished or driver.work.drain.asked:
        return

    def told(line: str) -> None:
        log.info("%s", line)
        asked.say(line)

    drain, loop, task = driver.work.drain, asyncio.get_running_loop(), asyncio.current_task()

    def leave() -> None:
        """A signal while servers start or are probed: there is nothing to wait for yet."""
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    drain.wish = leave
    try:
        async with open_engine(
            prepared.config, prepared.writers, claims, prepared.asked_with, journal=store, spent=store.spent,
            known=store.value("capabilities"), offline=asked.offline, logs=store.folder / LOGS, say=told,
        ) as opened:  # fmt: skip
            drain.wish = None
            if opened.capabilities and not asked.offline:
                store.keep_value("capabilities", {m: c.model_dump() for m, c in opened.capabilities.items()})
            await driver.drive(opened, claims, lambda driver: asked.confirm(pilot_of(driver, prepared.config)))
            _tell_counts(opened)
    except asyncio.CancelledError:
        if not drain.asked:
            raise


def _tell_counts(opened: Opened) -> None:
    if opened.scheduler is not None:
        counts = ", ".join(f"{n} {what}" for what, n in opened.scheduler.counts.most_common())
        spent = opened.scheduler.spent
        log.info("calls of this attempt: %s", counts or "none")
        log.info("spent so far: %d calls, %d tokens", spent.calls, spent.tokens)


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
        self.folder = folder / LOGS

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


def obligations(path: Path | str) -> Mapping[str, str]:
    """What the licences of a run's models ask of its rows, by the licences' names.

    Args:
        path: a run folder, or a file in one; elsewhere nothing is known.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if not (folder / DATABASE).is_file():
        return {}
    try:
        with closing(Store(folder, writes=False)) as store:
            profiles = [writer.profile for writer in writers_kept(store.value(WRITERS)) or ()]
    except UsageError:
        return {}
    return {profile.license: " ".join(profile.obligations.split()) for profile in profiles}


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
    if kind == "empty" and file.name == ACCEPTED and (file.parent / DATABASE).is_file():
        return  # a run that accepted nothing
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
        run: the folder of the run that the rows come from; its graph, templates and replies are used.
    """
    graphs = [bundled()]
    folders: list[Path] = []
    if kg is not None:
        graphs.append(open_named(str(kg)))
    if source:
        graphs.append(unkept(read_sources(source, Config().source_license)))
    if run is not None:
        if (Path(run) / GRAPH).is_dir():
            graphs.append(open_graph(Path(run) / GRAPH))
        if (Path(run) / PROMPTS).is_dir():
            folders.append(Path(run) / PROMPTS)
    shelf = Shelf(graphs, folders)
    if run is not None and keeps_replies(Path(run)):
        with ExitStack() as stack:
            try:
                reworded: Reworded | None = stack.enter_context(Reworded(Path(run)))
            except UsageError as error:
                log.warning("the replies of %s cannot be read again: %s", run, error)
                reworded = None  # its profile or its model's folder is gone: the proof needs neither
            return replay(rows, shelf, reworded)
    return replay(rows, shelf)


def score(rows: Iterable[Sample]) -> Iterator[Sample]:
    """Score rows with the rule scorer; see `synth_reward.rule`."""
    return map(scored, rows)
