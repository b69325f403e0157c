"""Accepted rows a second on one core, against the stated floor of 200.

    python benchmarks/rows_per_second.py [-n 6000]

Prints the time from an empty folder to the finished files, and the same for `synth verify`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import synth
from synth.sample import Sample

FLOOR = 200.0


def main() -> None:
    """Parse the command line, run once, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=6000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cpu = time.process_time()
        run = synth.generate(synth.Config(), n=arguments.n, out=Path(folder) / "r")
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        rows = list(run.accepted())
        start = time.perf_counter()
        outcome = synth.verify(rows)
        verified = time.perf_counter() - start
        report(run.funnel["seeds"], rows, wall, cpu)
        print(f"verify: {len(rows) / verified:.0f} rows/s, {len(outcome.faults)} faults")


def report(seeds: int, rows: list[Sample], wall: float, cpu: float) -> None:
    """Print rate, yield and repeats."""
    rate = len(rows) / cpu
    questions = len({row.question for row in rows})
    groups = Counter(row.seed.group for row in rows)
    print(f"{seeds} seeds, {len(rows)} accepted (yield {len(rows) / seeds:.1%}), {wall:.1f} s wall, {cpu:.1f} s CPU")
    print(f"{rate:.0f} accepted rows per second and core: {rate / FLOOR:.2f} x the floor of {FLOOR:.0f}")
    distinct = questions / len(rows)
    print(f"distinct questions {distinct:.1%}, evidence sets {len(groups)}, most rows of one {max(groups.values())}")


if __name__ == "__main__":
    main()
