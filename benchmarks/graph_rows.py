"""The rows of `benchmarks/graph.py`, each run as a process of its own: `python benchmarks/graph_rows.py ROW ARGUMENTS`.

A row prints its figures as JSON. The row `peers` needs numpy and what it measures, nothing of ours.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kg"))
PATH = (
    "disease -disease_phenotype_positive> effect/phenotype <disease_phenotype_positive- disease <-- drug "
    "-drug_protein> gene/protein"
)
SEED = 7
LISTED = 100_000
_PARTS = ("base", "pointers", "targets")
Figures = dict[str, Any]


def build(table: str, out: str) -> Figures:
    """The whole of `synth kg build`."""
    start = time.process_time()
    from synth_kg.readers import sources  # noqa: PLC0415  (its import belongs to the build)
    from synth_kg.typed import TypedGraph  # noqa: PLC0415

    graph = TypedGraph.of(sources.build([Path(table)]))
    graph.write(Path(out))
    cpu = time.process_time() - start
    megabytes = graph.columns.bytes / 2**20
    return {"cpu_s": cpu, "peak_mb": _peak(), "resident_mib": megabytes, **_size(len(graph), graph.columns.statements)}


def networkx(table: str) -> Figures:
    """The usual way: csv and a MultiDiGraph."""
    start = time.process_time()
    import networkx  # noqa: PLC0415

    graph: Any = networkx.MultiDiGraph()
    with Path(table).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for end in "xy":
                if row[f"{end}_index"] not in graph:
                    graph.add_node(row[f"{end}_index"], type=row[f"{end}_type"], name=row[f"{end}_name"])
            graph.add_edge(row["x_index"], row["y_index"], relation=row["relation"])
    return {"cpu_s": time.process_time() - start, "peak_mb": _peak(), **_size(len(graph), graph.number_of_edges())}


def walks(folder: str, many: str, shared: str) -> Figures:
    """Million walks a CPU second, the best of several: ours in all ways, a dict of lists, and the limit.

    The steps of the typed walks and where they begin are left in `shared`, for the row `dgl`.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow  # noqa: F401, PLC0415  (so that its import is not counted as opening)

    from synth_kg.hops import HopPattern  # noqa: PLC0415
    from synth_kg.typed import TypedGraph  # noqa: PLC0415
    from synth_kg.walks import Walker, metapath  # noqa: PLC0415

    n = int(many)
    opened = []
    for _ in range(5):
        start = time.perf_counter()
        columns = TypedGraph.open(Path(folder)).columns
        opened.append(time.perf_counter() - start)
    types, steps = metapath(PATH)
    anything = [HopPattern()] * 4
    ways: dict[str, tuple[Any, dict[str, Any]]] = {
        "typed": (steps, {}), "typed_numpy": (steps, {"backend": "numpy"}), "exact": (steps, {"weights": "exact"}),
        "typed_no_repeat": (steps, {"repeats": False}), "uniform": (anything, {}),
        "long_tail": (anything, {"weights": "long_tail", "repeats": False}),
    }  # fmt: skip
    told: Figures = {"open_ms": 1e3 * sorted(opened)[2]}
    for name, (pattern, options) in ways.items():
        walker = Walker(columns, pattern, types=types if pattern is steps else frozenset(), seed=SEED, **options)
        drawn = walker.walks(1000)
        told[name] = n / _best(lambda walker=walker: walker.walks(n), 3 if "numpy" in name else 7) / 1e6  # type: ignore[misc]
        told[f"{name}_dead"] = float((walker.walks(n) < 0).any(axis=1).mean())
        if name == "typed":
            drawn = walker.walks(n)
            parts = {f"{part}{at}": getattr(hop, part) for at, hop in enumerate(walker.hops) for part in _PARTS}
            np.savez(shared, starts=drawn[:, 0], nodes=columns.nodes, **parts)
            told["limit"] = n / _limit(walker.hops, drawn, np) / 1e6
            told["dict_of_lists"] = LISTED / _listed(walker.hops) / 1e6
    return told


def dgl(shared: str) -> Figures:
    """DGL's typed walks over the same steps from the same nodes, million a CPU second; one thread."""
    import dgl  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    data = np.load(shared)
    steps = sum(name.startswith("base") for name in data.files)
    edges = {}
    for at in range(steps):
        sizes = np.diff(data[f"pointers{at}"])
        heads = int(data[f"base{at}"]) + np.repeat(np.arange(len(sizes)), sizes)
        ends = (torch.from_numpy(heads), torch.from_numpy(data[f"targets{at}"].astype(np.int64)))
        edges[(f"n{at}", f"e{at}", f"n{at + 1}")] = ends
    graph = dgl.heterograph(edges, num_nodes_dict={f"n{at}": int(data["nodes"]) for at in range(steps + 1)})
    starts = torch.from_numpy(data["starts"].astype(np.int64))
    path = [f"e{at}" for at in range(steps)]
    dgl.sampling.random_walk(graph, starts[:1000], metapath=path)
    spent = _best(lambda: dgl.sampling.random_walk(graph, starts, metapath=path), 5)
    return {"dgl": len(starts) / spent / 1e6}


def _limit(hops: Any, drawn: Any, np: Any) -> float:
    """Seconds for the loads of walks whose addresses are known beforehand, and for their random numbers."""
    import numba  # noqa: PLC0415

    from synth_kg.walks_numba import _philox  # noqa: PLC0415

    draw = np.random.default_rng(SEED)
    nodes = [drawn[:, step] - hop.base for step, hop in enumerate(hops)]
    sizes = [hop.pointers[at + 1] - hop.pointers[at] for at, hop in zip(nodes, hops, strict=True)]
    entries = [
        hop.pointers[at] + (draw.random(len(at)) * size).astype(np.int64)
        for at, size, hop in zip(nodes, sizes, hops, strict=True)
    ]

    @numba.njit
    def gather(pointers, targets, nodes, entries, out):  # type: ignore[no-untyped-def]
        for i in range(len(nodes)):
            out[i] = targets[entries[i]] + pointers[nodes[i]] + pointers[nodes[i] + 1]

    @numba.njit
    def numbers(out):  # type: ignore[no-untyped-def]
        zero, key = np.uint32(0), np.uint32(7)
        for i in range(len(out)):
            a, b, c, d = _philox(np.uint32(i), zero, zero, zero, key, zero)
            out[i] = a ^ b ^ c ^ d

    sums, lanes = np.empty(len(drawn), np.int64), np.empty(len(drawn), np.uint32)

    def replay() -> None:
        numbers(lanes)
        for hop, at, taken in zip(hops, nodes, entries, strict=True):
            gather(hop.pointers, hop.targets, at, taken, sums)

    replay()
    return _best(replay, 7)


def _listed(hops: Any) -> float:
    """Seconds for `LISTED` walks over a warm dict of lists: what a careful person writes without a library."""
    lists = [
        {
            hop.base + u: hop.targets[hop.pointers[u] : hop.pointers[u + 1]].tolist()
            for u in range(len(hop.pointers) - 1)
            if hop.pointers[u + 1] > hop.pointers[u]
        }
        for hop in hops
    ]
    choice, starts = random.Random(SEED).choice, list(lists[0])

    def walk() -> None:
        for _ in range(LISTED):
            node = choice(starts)
            for step in lists:
                node = choice(step[node])

    return _best(walk, 3)


def paths(folder: str, many: str, shared: str) -> Figures:
    """CPU milliseconds of a pair and of a neighbourhood; writes the pairs and the edges for `peers`."""
    import numpy as np  # noqa: PLC0415

    from synth_kg.egos import Egos  # noqa: PLC0415
    from synth_kg.paths import PathFinder  # noqa: PLC0415
    from synth_kg.typed import TypedGraph  # noqa: PLC0415

    columns = TypedGraph.open(Path(folder)).columns
    n, draw = int(many), np.random.default_rng(SEED)

    def some(kind: str) -> Any:
        code = columns.types.index(kind)
        return draw.integers(columns.offsets[code], columns.offsets[code + 1], n)

    sources, targets = some("disease"), some("drug")
    finder, egos = PathFinder(columns, seed=SEED), Egos(columns, hops=2, fan=8, cap=64, seed=SEED)
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
    ahead = finder.net
    np.savez(shared, sources=sources, targets=targets, pointers=ahead[0], neighbours=ahead[1])
    rows: dict[str, Callable[[], Any]] = {
        "paths_50_ms": lambda: finder.draw(sources, targets, 50),
        "path_ms": lambda: finder.one(sources, targets),
        "path_single_ms": lambda: [finder.path(*pair) for pair in pairs],
        "ego_ms": lambda: egos.draw(sources),
    }
    told: Figures = {}
    for name, run in rows.items():
        run()
        told[name] = 1e3 * _best(run, 5) / n
    return told


def peers(shared: str) -> Figures:
    """Igraph and networkit on the same edges and pairs, in CPU milliseconds a pair."""
    import igraph  # noqa: PLC0415
    import networkit  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    data = np.load(shared)
    pointers, neighbours = data["pointers"], data["neighbours"]
    pairs = list(zip(data["sources"].tolist(), data["targets"].tolist(), strict=True))
    heads = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    told: Figures = {}
    graph = igraph.Graph(n=len(pointers) - 1, edges=np.stack([heads, neighbours], axis=1), directed=True)
    spent = [
        _best(lambda pair=pair: graph.get_all_shortest_paths(pair[0], to=pair[1], mode="out"), 1) for pair in pairs[:10]
    ]  # type: ignore[misc]
    told |= {
        "igraph_all_ms": 1e3 * sum(spent) / len(spent),
        "igraph_all_median_ms": 1e3 * sorted(spent)[len(spent) // 2],
    }
    ends = (heads.astype(np.uint64), neighbours.astype(np.uint64))
    whole = networkit.GraphFromCoo((np.ones(len(heads)), ends), n=len(pointers) - 1, directed=True)
    told["networkit_ms"] = (
        1e3 * _best(lambda: [networkit.distance.BidirectionalBFS(whole, *pair).run() for pair in pairs], 3) / len(pairs)
    )
    return told


def _best(run: Callable[[], Any], tries: int) -> float:
    """The least of several process times, in seconds."""
    found = []
    for _ in range(tries):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _size(nodes: int, statements: int) -> Figures:
    return {"nodes": nodes, "statements": statements}


ROWS: dict[str, Callable[..., Figures]] = {
    "build": build, "networkx": networkx, "walks": walks, "paths": paths, "peers": peers, "dgl": dgl,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(ROWS[sys.argv[1]](*sys.argv[2:])))
