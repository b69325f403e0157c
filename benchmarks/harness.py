"""The generation harness beside hand-written clients, against a scripted server, on this machine.

    python benchmarks/harness.py [--scenarios lat,crash] [--rows raw,aiohttp,synth] [--n 0.5] [--kills 10]

Every row does the job of `harness_job.py`. On a shared machine only ratios within one run hold,
and CPU per request. Linux only (reads /proc); `raw` needs uvloop.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.harness_job import Found, check, write_prompts  # noqa: E402
from benchmarks.harness_process import Process  # noqa: E402
from tests.served.scripted import Scripted  # noqa: E402
from tests.served.scripted_options import Options  # noqa: E402
from tests.served.scripted_replies import is_poisoned  # noqa: E402

MIX = (
    *("429=0.01", "500=0.01", "drop=0.005", "cutbody=0.0025", "hang=0.0025"),
    *("truncate=0.005", "length=0.005", "empty=0.005", "schema=0.005"),
)
TIMEOUT = 5.0


class Row(NamedTuple):
    """Something that does the job."""

    command: tuple[str, ...]
    needs: tuple[str, ...]
    """Modules without which it cannot run."""


ROWS = {
    "raw": Row(("benchmarks.harness_clients", "--client", "raw"), ("uvloop",)),
    "aiohttp": Row(("benchmarks.harness_clients", "--client", "aiohttp"), ("aiohttp",)),
    "synth": Row(("benchmarks.harness_synth",), ("synth.engines.scheduler", "aiohttp")),
}


class Scenario(NamedTuple):
    """A server, and how it is used."""

    server: dict[str, Any]
    concurrency: int
    calls: int
    latency: float = 0.0
    """Seconds of every answer."""

    @property
    def ideal(self) -> float:
        """Seconds that a perfect client takes."""
        return -(-self.calls // self.concurrency) * self.latency


SCENARIOS = {
    "slow1k": Scenario({"latency": "fixed:2000", "max_num_seqs": 1024}, 1024, 16_000, 2.0),
    "lat": Scenario({"latency": "fixed:200", "max_num_seqs": 256}, 256, 10_000, 0.2),
    "zero": Scenario({"max_num_seqs": 100_000}, 256, 10_000),
    "faults": Scenario({"latency": "fixed:50", "hang": 20.0, "faults": MIX}, 64, 2000, 0.05),
    "poison": Scenario({"latency": "fixed:50", "poison": 0.01}, 64, 2000, 0.05),
    "crash": Scenario({"latency": "fixed:200", "max_num_seqs": 64}, 64, 2000, 0.2),
}
COLUMNS = {
    "crash": "row rc kills in_flight requests repeated wasted lost dup corrupt mismatched same resume_s load",
    "": "row rc rows lost dup mismatched requests span_s ideal/span /raw /aiohttp cpu_s cpu_ms/req base_s "
    "start_s tail_s pss_mb base_mb in_flight load",
}
GOALS = {
    ("slow1k", "/raw"): 1.05,
    ("lat", "/raw"): 1.05,
    ("slow1k", "/aiohttp"): 1.0,
    ("lat", "/aiohttp"): 1.0,
    ("faults", "/raw"): 1.1,
    ("lat", "cpu_ms/req"): 0.45,
    ("slow1k", "cpu_ms/req"): 0.45,
    ("lat", "base_mb"): 80,
    ("lat", "base_s"): 0.6,
    ("lat", "start_s/aiohttp"): 2.0,
    **{(name, column): 0 for name in ("slow1k", "lat", "zero", "faults", "poison") for column in ("lost", "dup")},
    **{("crash", column): 0 for column in ("lost", "dup", "corrupt", "mismatched")},
}
"""The most that a column of our row may be."""
LEAST = {("slow1k", "ideal/span"): 0.95, ("lat", "ideal/span"): 0.95}
Cells = dict[str, Any]


class Bench:
    """One run of scenarios and rows."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._arguments = arguments
        self._bases: dict[str, tuple[float, int]] = {}

    def measure(self, scenario: str, row: str) -> Cells:
        """Measure a row in a scenario."""
        given = SCENARIOS[scenario]
        given = given._replace(calls=max(2, round(given.calls * self._arguments.n)))
        load = os.getloadavg()[0]
        cells = self._crashes(row, given) if scenario == "crash" else self._once(scenario, row, given)
        if cells["rc"] != 0:
            log = (self._folder / f"{scenario}-{row}" / "log.txt").read_text(errors="replace")
            print(f"{row} ended with {cells['rc']}: {log.strip()[-300:]}")
        return {"row": row, "load": load, **cells}

    def _process(self, row: str, scenario: Scenario, server: Scripted, folder: Path) -> Process:
        """Start a row; the second time on the same folder it goes on."""
        folder.mkdir(exist_ok=True)
        source = folder / "prompts.jsonl"
        if not source.exists():
            write_prompts(source, scenario.calls)
        places = {"--in": source, "--out": folder / "out.jsonl", "--work": folder / "work"}
        limits = {"--concurrency": scenario.concurrency, "--timeout": TIMEOUT}
        options = {"--base-url": server.url, "--model": "scripted", **places, **limits}
        flags = [str(part) for option in options.items() for part in option]
        return Process([sys.executable, "-m", *ROWS[row].command, *flags], ROOT, folder / "log.txt")

    def _base(self, row: str) -> tuple[float, int]:
        """CPU seconds and PSS of the same command with two calls: the lowest of three."""
        if row not in self._bases:
            found = []
            with Scripted(latency="fixed:200") as server:
                for number in range(3):
                    folder = self._folder / f"base-{row}-{number}"
                    process = self._process(row, Scenario({}, 256, 2), server, folder)
                    process.wait(60)
                    found.append((process.cpu, process.pss))
            self._bases[row] = min(cpu for cpu, _ in found), min(pss for _, pss in found)
        return self._bases[row]

    def _once(self, scenario: str, row: str, given: Scenario) -> Cells:
        base_cpu, base_pss = self._base(row)
        folder = self._folder / f"{scenario}-{row}"
        with Scripted(**given.server) as server:
            process = self._process(row, given, server, folder)
            code = process.wait(self._arguments.limit)
            stats = server.stats()
        found, span = found_in(folder, given), stats["span_s"] or float("nan")
        return {
            **found._asdict(),
            "rc": code,
            "requests": stats["requests"],
            "faults": stats["faults"],
            "span_s": span,
            "ideal/span": given.ideal / span if given.ideal else None,
            "cpu_s": process.cpu,
            "cpu_ms/req": 1e3 * (process.cpu - base_cpu) / max(1, stats["requests"]),
            "base_s": base_cpu,
            "start_s": (stats["first_request"] or float("nan")) - process.started,
            "tail_s": process.ended - (stats["last_response"] or float("nan")),
            "pss_mb": process.pss,
            "base_mb": base_pss,
            "in_flight": stats["max_in_flight"],
        }

    def _crashes(self, row: str, given: Scenario) -> Cells:
        """Kill a job again and again, let it finish, and compare it to one that was left alone."""
        kills, limit = self._arguments.kills, self._arguments.limit
        chance = random.Random(self._arguments.seed)
        points = sorted(chance.uniform(0, given.calls) for _ in range(kills))
        folder, whole = self._folder / f"crash-{row}", self._folder / f"whole-{row}"
        with Scripted(**given.server) as server:
            for point in points:
                process = self._process(row, given, server, folder)
                if chance.random() < 0.75:
                    self._wait_for(process, server, point)
                    process.until(lambda: False, chance.uniform(0, given.latency))
                else:  # wherever it is: starting, resuming, working
                    process.until(lambda: False, chance.uniform(0, 1))
                process.kill()
            in_flight, before = server.stats()["aborted_by_client"], server.stats()["requests"]
            process = self._process(row, given, server, folder)
            process.until(lambda: server.stats()["requests"] > before, limit)
            resumed = time.time() - process.started
            code, stats = process.wait(limit), server.stats()
            server.reset()
            self._process(row, given, server, whole).wait(limit)
        killed, left_alone = (output_of(place) for place in (folder, whole))
        lines = sorted(killed.splitlines()) == sorted(left_alone.splitlines())
        return {
            **found_in(folder, given)._asdict(),
            "rc": code,
            "kills": kills,
            "in_flight": in_flight,
            "requests": stats["requests"],
            "repeated": stats["requests"] - given.calls,
            "wasted": stats["wasted_ok"],
            "same": "bytes" if killed == left_alone else "lines" if lines else "NO",
            "resume_s": resumed,
        }

    def _wait_for(self, process: Process, server: Scripted, answered: float) -> None:
        """Wait until the server has answered so many rows."""
        process.until(lambda: server.stats()["unique_ok"] >= answered, self._arguments.limit)


def output_of(folder: Path) -> bytes:
    """The output of a job; nothing if there is none."""
    path = folder / "out.jsonl"
    return path.read_bytes() if path.exists() else b""


def found_in(folder: Path, scenario: Scenario) -> Found:
    """What the output of a job holds; rows that no client can finish are not missed."""
    options = Options(poison=scenario.server.get("poison", 0.0))
    names = {f"r{index:06d}" for index in range(scenario.calls)}
    return check(folder / "out.jsonl", {name for name in names if not is_poisoned(options, name)})


def compare(cells: list[Cells]) -> None:
    """Put in the ratios to the hand-written clients."""
    measured = {row["row"]: row for row in cells if "span_s" in row}
    for row in measured.values():
        for other in ("raw", "aiohttp"):
            if other in measured:
                row[f"/{other}"] = row["span_s"] / measured[other]["span_s"]
                row[f"start_s/{other}"] = row["start_s"] / measured[other]["start_s"]


def table(scenario: str, cells: list[Cells]) -> None:
    """Print a scenario."""
    columns = COLUMNS.get(scenario, COLUMNS[""]).split()
    grid = [columns, *([_text(row.get(column)) for column in columns] for row in cells)]
    widths = [max(len(line[place]) for line in grid) for place in range(len(columns))]
    for number, row in enumerate(grid):
        print("| " + " | ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)


def goals(scenario: str, row: Cells) -> None:
    """Print how far our row is from what is asked of it."""
    for (name, column), most in GOALS.items():
        value = row.get(column)
        if name == scenario and value is not None:
            verdict = "met" if value <= most else "MISSED"
            print(f"{scenario}: {column} {_text(value)}, at most {_text(most)}: {verdict}")
    for (name, column), least in LEAST.items():
        if name == scenario:
            verdict = "met" if row[column] >= least else "MISSED"
            print(f"{scenario}: {column} {_text(row[column])}, at least {_text(least)}: {verdict}")
    if scenario == "faults":
        fewest = row["rows"] + row["lost"] + sum(times for kind, times in row["faults"].items() if kind != "slow")
        print(f"{scenario}: requests {row['requests']}, the fewest possible {fewest}")
    if scenario == "crash":
        verdict = "met" if row["repeated"] <= row["in_flight"] and row["same"] else "MISSED"
        print(
            f"{scenario}: repeated {row['repeated']}, in flight at the {row['kills']} kills {row['in_flight']}; ",
            end="",
        )
        print(f"the same in the end: {row['same']}: {verdict}")


def main() -> None:
    """Measure, and print a table and the goals for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="of " + ", ".join(SCENARIOS))
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument("--n", type=float, default=1.0, help="times the number of calls of every scenario")
    parser.add_argument("--kills", type=int, default=10, help="of the crash scenario")
    parser.add_argument("--seed", type=int, default=0, help="of the points where they come")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a row may take")
    arguments = parser.parse_args()
    rows = [name for name in arguments.rows.split(",") if usable(name)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments)
        for scenario in arguments.scenarios.split(","):
            given = SCENARIOS[scenario]
            title = f"{scenario}: {given.calls} calls x {arguments.n:g}, {given.concurrency} at a time"
            print(f"\n## {title}\n", flush=True)
            cells = [bench.measure(scenario, row) for row in rows]
            compare(cells)
            table(scenario, cells)
            print(flush=True)
            for row in cells:
                if row["row"] == "synth":
                    goals(scenario, row)


def usable(row: str) -> bool:
    """Whether a row can run here; says why not."""
    missing = [module for module in ROWS[row].needs if not _installed(module)]
    if missing:
        print(f"{row}: left out, for {', '.join(missing)} is not installed")
    return not missing


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
