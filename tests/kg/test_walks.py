"""Walks: the same from every backend, batch and worker; as likely as they ought to be; never a dead one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from synth.engines.server import vllm_python
from synth_kg.builder import Builder
from synth_kg.columns import Columns
from synth_kg.hops import HopPattern
from synth_kg.typed import TypedGraph
from synth_kg.walks import RESTARTS, Walker, metapath

PATH = "disease -has> sign <has- disease <treats- drug -drug_drug- drug"
ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "kg")}
WAYS: list[dict[str, Any]] = [
    {},
    {"weights": "long_tail"},
    {"weights": "long_tail", "exponent": 0.5},
    {"weights": "hub_damped", "hub": 5},
    {"weights": "exact"},
    {"repeats": False},
    {"weights": "long_tail", "repeats": False},
    {"prune": False},
]


def made(seed: int = 0, diseases: int = 60, signs: int = 40, drugs: int = 30) -> TypedGraph:
    """A graph with hubs, dead ends, a negated and an undirected relation."""
    draw = np.random.default_rng(seed)
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    has, not_has = builder.relation("has"), builder.relation("has", negated=True)
    treats, together = builder.relation("treats"), builder.relation("drug_drug", directed=False)
    nodes = {
        kind: [builder.node(origin, kind, f"{kind}:{n:03}", f"{kind} {n}") for n in range(many)]
        for kind, many in (("disease", diseases), ("sign", signs), ("drug", drugs))
    }
    for disease in nodes["disease"]:
        for place in set((draw.random(draw.integers(0, 9)) ** 3 * signs).astype(int)):
            builder.edge(origin, disease, has if draw.random() < 0.9 else not_has, nodes["sign"][place])
    for drug in nodes["drug"]:
        for place in set((draw.random(draw.integers(0, 4)) ** 2 * diseases).astype(int)):
            builder.edge(origin, drug, treats, nodes["disease"][place])
        for place in set(draw.integers(0, drugs, 3).tolist()):
            builder.edge(origin, drug, together, nodes["drug"][place])
    return TypedGraph.of(builder.finish())


@pytest.fixture(scope="module")
def graph() -> TypedGraph:
    return made()


@pytest.fixture(scope="module")
def columns(graph: TypedGraph) -> Columns:
    return graph.columns


def walker(columns: Columns, text: str = PATH, **options: Any) -> Walker:
    types, steps = metapath(text)
    return Walker(columns, steps, types=types, **{"seed": 7, "backend": "numba", **options})


def hashed(walks: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(walks, np.int32).tobytes()).hexdigest()


# -- the same walks


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_numba_and_numpy_draw_the_same(columns: Columns, options: dict[str, Any]) -> None:
    one, other = (walker(columns, backend=backend, **options).walks(5000) for backend in ("numba", "numpy"))
    assert hashed(one) == hashed(other)
    assert len(np.unique(one, axis=0)) > 500


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_batches_change_nothing(columns: Columns, options: dict[str, Any], backend: str) -> None:
    drawn = walker(columns, backend=backend, **options)
    whole = drawn.walks(3000)
    cuts = [0, *range(1, 40), *range(777, 3000, 777), 3000]
    parts = [drawn.walks(end - begin, first=begin) for begin, end in pairwise(cuts)]
    assert hashed(np.concatenate(parts)) == hashed(whole)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_workers_change_nothing(columns: Columns, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walker(columns, **options).walks(4000)
    monkeypatch.setattr("synth_kg.walks._BATCH", 300)
    assert hashed(walker(columns, **options).walks(4000, workers=2)) == hashed(whole)


def test_ids_beyond_32_bits_are_walks_of_their_own(columns: Columns) -> None:
    low, far = (walker(columns).walks(2000, first=first) for first in (0, 2**32))
    assert hashed(low) != hashed(far)
    assert hashed(far) == hashed(walker(columns, backend="numpy").walks(2000, first=2**32))


def test_another_seed_gives_other_walks(columns: Columns) -> None:
    seeds = (7, 8, 7 + 2**32)
    assert len({hashed(walker(columns, seed=seed).walks(100)) for seed in seeds}) == 3


def test_starts_may_be_given(columns: Columns) -> None:
    drawn = walker(columns)
    starts = np.repeat(drawn.choices[:5], 100)
    for backend in ("numba", "numpy"):
        walks = walker(columns, backend=backend).walks(500, starts=starts)
        assert (walks[:, 0] == starts).all()
        assert (walks >= 0).all()


TORCH = """
import hashlib, json, sys
import numpy as np
from synth_kg.columns import Arc, Columns
from synth_kg.walks import Walker, metapath

told = json.load(sys.stdin)
arrays = {name: np.array(value, kind) for name, (value, kind) in told["arrays"].items()}
columns = Columns(tuple(told["types"]), tuple(Arc(*arc) for arc in told["arcs"]), **arrays)
types, steps = metapath(told["path"])
for options in told["ways"]:
    walks = Walker(columns, steps, types=types, seed=7, backend="torch", **options).walks(3000)
    print(hashlib.sha256(np.ascontiguousarray(walks, np.int32).tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_torch_draws_the_same(columns: Columns) -> None:
    """In the environment that has torch."""
    python = vllm_python()
    if python is None:
        pytest.skip("there is no .venv-vllm, which has torch: `make test` builds it")
    arrays = {name: getattr(columns, name) for name in Columns.ARRAYS}
    told = {
        "types": columns.types, "arcs": columns.arcs, "path": PATH, "ways": WAYS,
        "arrays": {name: (array.tolist(), str(array.dtype)) for name, array in arrays.items()},
    }  # fmt: skip
    done = subprocess.run(
        [python, "-c", TORCH], input=json.dumps(told), capture_output=True, text=True, check=False, env=ENV
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [hashed(walker(columns, **options).walks(3000)) for options in WAYS]


# -- the walks that they ought to be


def steps_of(graph: TypedGraph) -> list[dict[int, list[int]]]:
    """What may follow what at each step of PATH, parallel edges repeated, told by networkx."""
    whole = graph.to_networkx()
    number = {graph.key(node): node for node in range(len(graph))}
    found: list[dict[int, list[int]]] = [{} for _ in range(4)]
    for head, tail, told in whole.edges(data=True):
        one, other = number[head], number[tail]
        if told["relation"] == "has" and not told["negated"]:
            found[0].setdefault(one, []).append(other)
            found[1].setdefault(other, []).append(one)
        elif told["relation"] == "treats":
            found[2].setdefault(other, []).append(one)
        elif told["relation"] == "drug_drug":
            found[3].setdefault(one, []).append(other)
    return found


def instances(graph: TypedGraph) -> list[tuple[int, ...]]:
    """Every walk that fits PATH."""
    steps = steps_of(graph)
    walks = [(start,) for start in steps[0]]
    for step in steps:
        walks = [(*walk, after) for walk in walks for after in step.get(walk[-1], ())]
    return walks


def probabilities(graph: TypedGraph, weigh: Any) -> dict[tuple[int, ...], float]:
    """The chance of each walk, drawn step by step among what can be ended, starts evenly."""
    every = instances(graph)
    starts = {walk[0] for walk in every}
    steps = steps_of(graph)
    fits = [{walk[: n + 1] for walk in every} for n in range(5)]
    chances: dict[tuple[int, ...], float] = {(start,): 1 / len(starts) for start in starts}
    for n, step in enumerate(steps):
        follow: Counter[tuple[int, ...]] = Counter()
        for walk, chance in chances.items():
            ends = [after for after in step.get(walk[-1], ()) if (*walk, after) in fits[n + 1]]
            total = sum(weigh(after) for after in ends)
            for after in ends:
                follow[(*walk, after)] += chance * weigh(after) / total
        chances = dict(follow)
    return chances


def chi_square(drawn: np.ndarray, expected: dict[Any, float]) -> float:
    """Standard deviations by which a chi-square is beyond its mean; rare outcomes taken together."""
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) <= set(expected)
    n = len(drawn)
    common = [(counts.get(walk, 0), n * chance) for walk, chance in expected.items() if n * chance >= 5]
    rare = [(counts.get(walk, 0), n * chance) for walk, chance in expected.items() if n * chance < 5]
    cells = [*common, (sum(c for c, _ in rare), sum(e for _, e in rare))] if rare else common
    cells = [(count, mean) for count, mean in cells if mean > 0]
    statistic = sum((count - mean) ** 2 / mean for count, mean in cells)
    freedom = len(cells) - 1
    return (statistic - freedom) / (2 * freedom) ** 0.5


SMALL = {"seed": 3, "diseases": 8, "signs": 6, "drugs": 5}


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize(
    ("options", "weigh"),
    [
        ({}, lambda degree: 1.0),
        ({"weights": "long_tail"}, lambda degree: 1 / degree),
        ({"weights": "long_tail", "exponent": 2.0}, lambda degree: degree**-2.0),
        ({"weights": "hub_damped", "hub": 3}, lambda degree: min(1, 3 / degree)),
    ],
    ids=["even", "long_tail", "long_tail_2", "hub_damped"],
)
def test_walks_are_as_likely_as_they_ought_to_be(backend: str, options: dict[str, Any], weigh: Any) -> None:
    graph = made(**SMALL)
    degrees = graph.columns.degrees
    expected = probabilities(graph, lambda node: weigh(int(degrees[node])))
    assert len(expected) > 20
    walks = walker(graph.columns, backend=backend, **options).walks(60_000)
    assert abs(chi_square(walks, expected)) < 5


def test_a_wrong_weight_would_be_found_out() -> None:
    graph = made(**SMALL)
    walks = walker(graph.columns, weights="long_tail").walks(60_000)
    assert chi_square(walks, probabilities(graph, lambda _: 1.0)) > 50


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_exact_walks_are_all_alike(backend: str) -> None:
    graph = made(**SMALL)
    every = Counter(instances(graph))
    drawn = walker(graph.columns, backend=backend, weights="exact")
    assert drawn.instances == every.total()
    expected = {walk: times / every.total() for walk, times in every.items()}
    assert abs(chi_square(drawn.walks(60_000), expected)) < 5


def test_walks_along_anything_are_those_of_networkx() -> None:
    """Two steps from everywhere, an entry as likely as any other of its node."""
    graph = made(**SMALL)
    whole = graph.to_networkx()
    number = {graph.key(node): node for node in range(len(graph))}
    step: dict[int, list[int]] = {}
    for head, tail, told in whole.edges(data=True):
        if not told["negated"]:
            step.setdefault(number[head], []).append(number[tail])
            if told["directed"]:
                step.setdefault(number[tail], []).append(number[head])
    expected: Counter[tuple[int, ...]] = Counter()
    for start, first in step.items():
        for one in first:
            for two in step[one]:
                expected[start, one, two] += 1 / len(step) / len(first) / len(step[one])
    walks = Walker(graph.columns, [HopPattern()] * 2, seed=1).walks(100_000)
    assert abs(chi_square(walks, dict(expected))) < 5


def around_a_ring(n: int = 7) -> TypedGraph:
    """A ring with a chord, so that nodes differ and all can be reached from all."""
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    nodes = [builder.node(origin, "a", f"{m}", "") for m in range(n)]
    near = builder.relation("near", directed=False)
    for one in range(n):
        builder.edge(origin, nodes[one], near, nodes[(one + 1) % n])
    for other in (2, 3):
        builder.edge(origin, nodes[0], near, nodes[other])
    return TypedGraph.of(builder.finish())


def sequences(graph: TypedGraph, steps: int, *, fresh: bool) -> list[tuple[int, ...]]:
    """Every walk of so many steps; `fresh`: those that never come back to a node."""
    found = [(node,) for node in range(len(graph))]
    for _ in range(steps):
        found = [(*walk, entry.node) for walk in found for entry in graph.around(walk[-1])]
    return [walk for walk in found if not fresh or len(set(walk)) == len(walk)]


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_exact_walks_along_anything_are_all_alike(backend: str, repeats: bool) -> None:
    """Nothing is pruned here, and every step has the same adjacency with other weights."""
    graph = around_a_ring()
    every = sequences(graph, 5, fresh=not repeats)
    drawn = Walker(graph.columns, [HopPattern()] * 5, seed=1, weights="exact", repeats=repeats, backend=backend)  # type: ignore[arg-type]
    walks = drawn.walks(60_000)
    whole = walks[(walks >= 0).all(axis=1)]
    assert len(whole) > (0.99 if repeats else 0.3) * len(walks)
    assert abs(chi_square(whole, dict.fromkeys(every, 1 / len(every)))) < 5


def test_the_same_walker_made_again_draws_the_same() -> None:
    made_again = {
        hashed(Walker(around_a_ring(9).columns, [HopPattern()] * 6, seed=1, weights="exact").walks(500))
        for _ in range(20)
    }
    assert len(made_again) == 1


def test_a_relation_called_as_another_is_denied_cannot_be_asked_for() -> None:
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    one, other = (builder.node(origin, "a", name, name) for name in "xy")
    builder.edge(origin, one, builder.relation("r", negated=True), other)
    builder.edge(origin, one, builder.relation("not r"), other)
    columns = TypedGraph.of(builder.finish()).columns
    with pytest.raises(ValueError, match="the denial of another"):
        walker(columns, "a -not r> a")


# -- no dead walk


@pytest.mark.parametrize(
    "options", [way for way in WAYS if way.get("prune", True) and way.get("repeats", True)], ids=str
)
def test_no_typed_walk_dies(columns: Columns, options: dict[str, Any]) -> None:
    assert (walker(columns, **options).walks(20_000) >= 0).all()


def test_without_pruning_many_die_and_say_so(columns: Columns) -> None:
    walks = walker(columns, prune=False).walks(20_000)
    dead = walks[:, -1] < 0
    assert 0.05 < dead.mean() < 0.95
    ends = (walks < 0).argmax(axis=1)[dead]
    assert all((walks[dead][row, end:] == -1).all() for row, end in enumerate(ends))


def test_a_walk_that_may_not_come_back_does_not(columns: Columns) -> None:
    walks = walker(columns, "disease -has> sign <has- disease -has> sign <has- disease", repeats=False).walks(20_000)
    whole = walks[walks[:, -1] >= 0]
    assert len(whole) > 19_000
    assert all(len(set(walk)) == 5 for walk in whole.tolist())


def test_where_none_is_new_the_walk_ends() -> None:
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    one, other = (builder.node(origin, "a", name, name) for name in "xy")
    builder.edge(origin, one, builder.relation("r"), other)
    drawn = walker(TypedGraph.of(builder.finish()).columns, "a --> a --> a", repeats=False)
    walks = drawn.walks(50)
    assert (walks[:, :2] >= 0).all()
    assert (walks[:, 2] == -1).all()
    assert RESTARTS > 1


def test_a_path_that_fits_nowhere_is_told(columns: Columns) -> None:
    with pytest.raises(ValueError, match="nothing in this graph fits"):
        walker(columns, "sign -has> disease")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("disease -cures> drug", "no relation 'cures'"),
        ("disease -has> planet", "no node type 'planet'"),
        ("planet -has> sign", "no node type 'planet'"),
        ("disease", "not a metapath"),
        ("disease -has> ", "not a metapath"),
        ("disease <has> sign", "points both ways"),
    ],
)
def test_a_wrong_metapath_is_told(columns: Columns, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        walker(columns, text)


def test_negated_statements_are_walked_only_when_asked_for(graph: TypedGraph) -> None:
    denied = walker(graph.columns, "disease -not has> sign").walks(2000)
    stated = walker(graph.columns, "disease --> sign").walks(2000)
    for walks, negated in ((denied, True), (stated, False)):
        for one, other in set(map(tuple, walks.tolist())):
            assert any(found.arc.negated == negated for found in graph.between(one, other))
    assert not set(map(tuple, denied.tolist())) & set(map(tuple, stated.tolist()))


def test_counts_that_do_not_fit_are_refused() -> None:
    """Ninety nodes that all lead to all: 90^32 instances."""
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    nodes = [builder.node(origin, "a", f"{n:02}", "") for n in range(90)]
    relation = builder.relation("r")
    for one in nodes:
        for other in nodes:
            builder.edge(origin, one, relation, other)
    columns = TypedGraph.of(builder.finish()).columns
    with pytest.raises(ValueError, match="too many instances"):
        Walker(columns, [HopPattern()] * 16, weights="exact")
    assert Walker(columns, [HopPattern()] * 3, weights="exact").instances == 90 * (2 * 89) ** 3


def test_hops_come_one_by_one_from_networkx_too(graph: TypedGraph) -> None:
    walks = walker(graph.columns).walks(300)
    whole: nx.MultiDiGraph[Any] = graph.to_networkx()
    for walk in walks.tolist():
        keys = [graph.key(node) for node in walk]
        assert whole.has_edge(keys[0], keys[1])
        assert whole.has_edge(keys[2], keys[1])
        assert whole.has_edge(keys[3], keys[2])
        assert whole.has_edge(keys[3], keys[4]) and whole.has_edge(keys[4], keys[3])
