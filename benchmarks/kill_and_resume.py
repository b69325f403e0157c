"""A run that is killed again and again, and what it cost: nothing lost, nothing twice, nothing mixed up.

    python benchmarks/kill_and_resume.py [--kills 20] [-n 3000] [--concurrency 48] [--latency 100] [--seed 0]

The whole command runs against the scripted server, is killed (-9) at random points, and is given
again until it finishes. Every reply in its database is then held to the request that it stands
for, and what was published to that of a run that nobody interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from synth.engines.calls import Call  # noqa: E402
from tests.served import scribe  # noqa: E402
from tests.served.scripted import Scripted  # noqa: E402

_ASIDE = ("model", "messages", "response_format")
"""Fields of a request that are not its sampling."""


class Kill(NamedTuple):
    """What was seen of one kill."""

    after: float
    """Seconds from the start of the command."""
    stored: int
    at_server: int
    """Requests that the server had not answered, just before."""
    in_flight: int
    """Requests of this attempt whose replies were not stored, whether or not the server had answered."""


class Outcome(NamedTuple):
    """What a run that was killed again and again came to."""

    kills: tuple[Kill, ...]
    repeated: int
    """Requests that had been sent before."""
    stored: int
    lost: int
    duplicated: int
    corrupt: int
    mispaired: int
    same: bool
    """Whether it published the bytes of the run that nobody interrupted."""

    @property
    def in_flight(self) -> int:
        """Over all kills."""
        return sum(kill.in_flight for kill in self.kills)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, made twice, spoiled or mixed up, and no more asked again than was in flight."""
        wrong = self.lost + self.duplicated + self.corrupt + self.mispaired
        return self.same and not wrong and self.repeated <= self.in_flight


def main() -> None:
    """Parse the command line, kill, resume, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("-n", type=int, default=3000, help="seeds")
    parser.add_argument("--concurrency", type=int, default=48)
    parser.add_argument("--latency", type=float, default=100, help="milliseconds, the median")
    parser.add_argument("--longest", type=float, default=8, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_and_resume(
            Path(folder), kills=arguments.kills, n=arguments.n, concurrency=arguments.concurrency,
            latency=arguments.latency, longest=arguments.longest, draw=random.Random(arguments.seed),
        )  # fmt: skip
    report(outcome)
    if len(outcome.kills) < arguments.kills:
        sys.exit(f"only {len(outcome.kills)} of {arguments.kills} kills: give a larger -n")
    sys.exit(not outcome.sound)


def kill_and_resume(
    folder: Path, *, kills: int, n: int, concurrency: int, latency: float, longest: float, draw: random.Random
) -> Outcome:
    """Kill a run so many times at random points, let it finish, and compare.

    Args:
        folder: an empty one.
        kills: how often.
        n: seeds.
        concurrency: requests in flight, at most.
        latency: of the server, in milliseconds (the median; a tenth wait more than twice as long).
        longest: seconds from the start of the command to a kill, at most.
        draw: of the points.
    """
    log = folder / "requests.jsonl"
    log.touch()
    os.environ["SCRIBE_LOG"] = str(log)
    run, whole = folder / "killed", folder / "whole"
    with Scripted(script=scribe.SCRIPT.replace("answer", "logged"), latency=f"lognormal:{latency}:0.5") as server:
        line = scribe.command(server.url, run, n, "--concurrency", str(concurrency))
        seen: list[Kill] = []
        while len(seen) < kills:
            kill = _killed(line, server, run, log, draw.uniform(0, longest))
            if kill is None:
                break
            seen.append(kill)
        _finish(line)
        requests = _requests(log)
        _finish(scribe.command(server.url, whole, n, "--concurrency", str(concurrency)))
    return _judged(run, whole, n, requests, tuple(seen))


def _killed(line: list[str], server: Scripted, run: Path, log: Path, after: float) -> Kill | None:
    """Start the command and kill it after so many seconds; None if it ended before."""
    start, before = time.monotonic(), len(_requests(log))
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            at_server = server.stats()["in_flight"]
            process.kill()
            process.wait()
            seconds = time.monotonic() - start
            while server.stats()["in_flight"]:  # what was on the wire reaches the server's log, too
                time.sleep(0.05)
            stored = _stored(run)
            sent = {_key(request) for request in _requests(log)[before:]}
            return Kill(seconds, len(stored), at_server, len(sent - stored))
    return None


def _stored(run: Path) -> set[bytes]:
    """The names of the replies that a run has stored."""
    if not scribe.stored(run):
        return set()
    with closing(sqlite3.connect(run / "run.db")) as db:
        return {key for (key,) in db.execute("SELECT key FROM calls")}


def _requests(log: Path) -> list[dict[str, Any]]:
    """The requests that reached the server, those of the probe aside."""
    requests = (json.loads(text) for text in log.read_text(encoding="utf-8").splitlines())
    return [request for request in requests if "seed" in request]


def _finish(line: list[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"the command that was given again ended with {done.returncode}: {done.stderr}")


def _judged(run: Path, whole: Path, n: int, requests: list[Mapping[str, Any]], kills: tuple[Kill, ...]) -> Outcome:
    asked = {_key(request): request for request in requests}
    stored, corrupt, mispaired = 0, 0, 0
    with closing(sqlite3.connect(run / "run.db")) as db:
        corrupt += db.execute("PRAGMA integrity_check").fetchone() != ("ok",)
        for key, packed in db.execute("SELECT key, reply FROM calls"):
            stored += 1
            try:
                content = _content(packed)
            except (zstandard.ZstdError, ValueError, KeyError):
                corrupt += 1
                continue
            mispaired += key not in asked or content != _wanted(asked[key])
        places = Counter(seed for (seed,) in db.execute("SELECT seed FROM samples"))
    ids = Counter(row["id"] for name in scribe.FILES[:2] for row in scribe.rows(run, name))
    usual = Counter(row["id"] for name in scribe.FILES[:2] for row in scribe.rows(whole, name))
    return Outcome(
        kills, len(requests) - len(asked), stored,
        lost=len(set(range(n)) - set(places)) + (usual - ids).total(),
        duplicated=places.total() - len(places) + (ids - usual).total(),
        corrupt=corrupt, mispaired=mispaired,
        same=scribe.content(run) == scribe.content(whole),
    )  # fmt: skip


def _key(request: Mapping[str, Any]) -> bytes:
    """The name under which the reply to a request is stored."""
    schema = request.get("response_format", {}).get("json_schema", {}).get("schema")
    body = {name: value for name, value in request.items() if name not in _ASIDE}
    return Call(request["model"], tuple(request["messages"]), body, schema, "not stated").key


def _content(packed: bytes) -> str:
    body = json.loads(zstandard.ZstdDecompressor().decompress(packed))
    content: str = body["choices"][0]["message"]["content"]
    return content


def _wanted(request: Mapping[str, Any]) -> str:
    """What the script answers to a request, as the server writes it."""
    answer = scribe.answer(dict(request), "", 0)
    content = answer["content"] if answer else ""
    return content if isinstance(content, str) else json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def report(outcome: Outcome) -> None:
    """Print the kills and the figures."""
    print(f"{'kill':>4}{'after s':>9}{'stored':>8}{'at the server':>15}{'sent, not stored':>18}")
    for number, kill in enumerate(outcome.kills, 1):
        print(f"{number:>4}{kill.after:>9.1f}{kill.stored:>8}{kill.at_server:>15}{kill.in_flight:>18}")
    most = max((kill.in_flight for kill in outcome.kills), default=0)
    print(f"\n{outcome.stored} replies stored; {len(outcome.kills)} kills")
    print(f"requests sent twice: {outcome.repeated}, in flight at the kills: {outcome.in_flight} (most {most})")
    for name in ("lost", "duplicated", "corrupt", "mispaired"):
        print(f"{name}: {getattr(outcome, name)}")
    print(f"published bytes equal to the uninterrupted run's: {'yes' if outcome.same else 'NO'}")


if __name__ == "__main__":
    main()
