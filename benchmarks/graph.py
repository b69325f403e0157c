"""Graphs: building one of PrimeKG's shape, and walks, paths and neighbourhoods on it, beside others in one run.

    python benchmarks/graph.py KG.csv [-n 1000000] [--pairs 500] [--peers PYTHON] [--dgl PYTHON]

KG.csv has PrimeKG's columns. Every row is a process of its own; figures are CPU time, the best of several but for the
builds, since machines are shared. igraph and networkit are rows where `--peers` names an interpreter that has them
(igraph is GPL, so no environment of this project has it), DGL where `--dgl` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROWS = Path(__file__).with_name("graph_rows.py")


def measured(row: str, *arguments: object, python: str = sys.executable) -> dict[str, Any]:
    """Run a row, and print what it found."""
    command = [python, str(ROWS), row, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{row} failed: {done.stderr.strip()[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{row}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
    return found


def ratio(what: str, value: float, *, least: float | None = None, most: float | None = None) -> None:
    """Print a ratio beside what is asked of it."""
    met = (least is None or value >= least) and (most is None or value <= most)
    asked = f"at least {least:g}" if least is not None else f"at most {most:g}"
    print(f"  {what}: {value:.3g} ({asked}: {'met' if met else 'MISSED'})", flush=True)


def main() -> None:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, metavar="KG.csv")
    parser.add_argument("-n", type=int, default=1_000_000, help="walks of a row")
    parser.add_argument("--pairs", type=int, default=500, help="of a disease and a drug, for paths")
    parser.add_argument("--dgl", metavar="PYTHON", help="interpreter that has DGL and torch")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has igraph and networkit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        graph, pairs, steps = Path(place) / "g", Path(place) / "pairs.npz", Path(place) / "steps.npz"
        ours, usual = measured("build", arguments.csv, graph), measured("networkx", arguments.csv)
        ratio("csv and networkx over ours, CPU", usual["cpu_s"] / ours["cpu_s"], least=8)
        ratio("csv and networkx over ours, peak memory", usual["peak_mb"] / ours["peak_mb"], least=5)
        ratio("resident, MiB", ours["resident_mib"], most=64)
        walks = measured("walks", graph, arguments.n, steps)
        ratio("opening again, ms", walks["open_ms"], most=50)
        ratio("typed walks, million a CPU second", walks["typed"], least=10)
        ratio("the limit over typed walks", walks["limit"] / walks["typed"], most=2.5)
        ratio("typed walks that die", walks["typed_dead"], most=0)
        ratio("long-tail walks, million a CPU second", walks["long_tail"], least=2)
        ratio("typed walks over a warm dict of lists", walks["typed"] / walks["dict_of_lists"], least=20)
        if arguments.dgl:
            other = measured("dgl", steps, python=arguments.dgl)
            ratio("typed walks over DGL's", walks["typed"] / other["dgl"], least=3)
        paths = measured("paths", graph, arguments.pairs, pairs)
        ratio("a neighbourhood, ms", paths["ego_ms"], most=0.05)
        if arguments.peers:
            others = measured("peers", pairs, python=arguments.peers)
            ratio("igraph, all shortest paths, over our 50", others["igraph_all_ms"] / paths["paths_50_ms"], least=200)
            ratio("networkit over ours, one path a call", others["networkit_ms"] / paths["path_single_ms"], least=1)


if __name__ == "__main__":
    main()
