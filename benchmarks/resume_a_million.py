"""How soon a run of a million finished rows goes on: from the command to its first request, and its memory.

    python benchmarks/resume_a_million.py [--rows 1000000] [--times 5] [--profile] [--keep DIR]

The folder is filled as the store would have filled it: real rows under ids of their own, what
the gate remembers of each, a mark every thousand seeds. The goal is 2 s. Beside it stands the
same command on an empty folder, whose first request is that of the probe. Linux only (reads /proc).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pstats
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import synth  # noqa: E402
from synth.funnel import Funnel  # noqa: E402
from synth.prepared import prepare  # noqa: E402
from synth.sample import from_json, opening  # noqa: E402
from synth.seeds.kg import Draws  # noqa: E402
from tests.served import scribe  # noqa: E402
from tests.served.scripted import Scripted  # noqa: E402

GOAL = 2.0
_MARK_EVERY = 1000
_FEW = 60
"""Seeds of the real run whose rows are repeated."""
_SHORT = 4
"""Rows that are: its shortest, 12 kB each, so that a disk holds a million of them."""


class Start(NamedTuple):
    """What a command had taken when its first request came in."""

    wall: float
    cpu: float
    megabytes: float


def main() -> None:
    """Parse the command line, fill a folder, start the command in it a few times, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print what the time goes to, as well")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the folder here, and take it from here again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Scripted(script=scribe.SCRIPT, latency="fixed:1000") as server:
        folder = arguments.keep or Path(name) / "filled"
        if not folder.exists():
            start = time.monotonic()
            fill(folder, server.url, arguments.rows)
            size = sum(path.stat().st_size for path in folder.glob("run.db*"))
            print(f"{arguments.rows} rows, {size / 1e9:.1f} GB, filled in {time.monotonic() - start:.0f} s")
        for kind, n in (("empty folder", 100), (f"{arguments.rows} rows", arguments.rows + 1000)):
            starts = []
            for number in range(arguments.times):
                out = folder if n > arguments.rows else Path(name) / f"empty-{number}"
                starts.append(started(server, out, n))
            report(kind, starts)
        if arguments.profile:
            profiled(server, folder, arguments.rows + 1000, Path(name) / "profile")


def fill(folder: Path, url: str, many: int) -> None:
    """Make a run folder of so many finished rows."""
    with Scripted(script=scribe.SCRIPT) as quick:
        synth.generate(scribe.settings(quick.url), n=_FEW, out=folder)
    with closing(sqlite3.connect(folder / "run.db")) as db:
        made = db.execute("SELECT row FROM samples WHERE status = 'accepted' ORDER BY length(row) LIMIT ?", (_SHORT,))
        real = [bytes(row) for (row,) in made]
        db.execute("PRAGMA synchronous=OFF")
        for table in ("samples", "gate", "marks"):
            db.execute(f"DELETE FROM {table}")
        insert(db, "INSERT INTO samples VALUES (?, ?, ?)", rows(real, many))
        insert(db, "INSERT OR IGNORE INTO gate VALUES (?, ?, ?)", gate(real, many))
        insert(db, "INSERT INTO marks VALUES (?, ?)", marks(Draws(prepare(scribe.settings(url)).seeds), many))
        funnel = Funnel()
        for row in real:
            funnel.take(from_json(row))
        funnel.done = funnel.accepted = funnel.chains = many
        with db:
            db.execute("INSERT OR REPLACE INTO run VALUES ('funnel', ?)", (json.dumps(funnel.state()),))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def insert(db: sqlite3.Connection, statement: str, found: Iterator[tuple[Any, ...]]) -> None:
    """Insert what comes, ten thousand a transaction."""
    while chunk := list(islice(found, 10_000)):
        with db:
            db.executemany(statement, chunk)


def rows(real: Sequence[bytes], many: int) -> Iterator[tuple[int, str, bytes]]:
    """Real rows in turn, each under an id of its own."""
    ids = [from_json(row).id.encode() for row in real]
    for seed in range(many):
        which = seed % len(real)
        yield seed, "accepted", real[which].replace(ids[which], _name("row", seed).encode())


def gate(real: Sequence[bytes], many: int) -> Iterator[tuple[str, str, int]]:
    """A question for each row, an evidence set for each four, and the openings that there are."""
    for seed in range(many):
        yield "question", _name("question", seed), 1
    for seed in range(many // 4):
        yield "group", _name("group", seed), 4
    for number, row in enumerate(real):
        yield "opening", f"{opening(from_json(row))} {number}", many // len(real)


def marks(draws: Draws, many: int) -> Iterator[tuple[int, str]]:
    """The marks that drawing so many seeds leaves."""
    while draws.index <= many:
        if draws.index % _MARK_EVERY == 0:
            yield draws.index, json.dumps(draws.mark()[1])
        next(draws)


def _name(kind: str, number: int) -> str:
    return hashlib.blake2b(f"{kind} {number}".encode(), digest_size=16).hexdigest()


def started(server: Scripted, folder: Path, n: int) -> Start:
    """Give the command, wait for its first request, look at the process, and kill it."""
    server.reset()
    begun = time.time()
    line = scribe.command(server.url, folder, n)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        while (first := server.stats()["first_request"]) is None:
            if process.poll() is not None:
                sys.exit(f"the command ended with {process.returncode} before its first request")
            time.sleep(0.02)
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        process.kill()
    proportional = next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]
    return Start(first - begun, (int(stat[11]) + int(stat[12])) / 100, int(proportional) / 1024)


def profiled(server: Scripted, folder: Path, n: int, path: Path) -> None:
    """Print the imports and the calls that take longest, up to the end of an attempt of one request."""
    line = [*scribe.command(server.url, folder, n)[1:], "--max-calls", "1"]
    subprocess.run(
        [sys.executable, "-m", "cProfile", "-o", str(path), *line], capture_output=True, check=False, cwd=ROOT
    )
    pstats.Stats(str(path)).sort_stats("cumulative").print_stats("synth|import", 40)


def report(kind: str, starts: list[Start]) -> None:
    """Print the median and the range."""
    wall, cpu = (sorted(getattr(start, name) for start in starts) for name in ("wall", "cpu"))
    middle = len(starts) // 2
    print(
        f"{kind}: first request after {wall[middle]:.2f} s ({wall[0]:.2f} to {wall[-1]:.2f}; goal {GOAL:g}), "
        f"{cpu[middle]:.2f} s of CPU, {max(start.megabytes for start in starts):.0f} MB"
    )


if __name__ == "__main__":
    main()
