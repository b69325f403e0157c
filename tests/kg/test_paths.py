"""Shortest paths: right by networkx, drawn evenly, the same everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_kg.columns import Columns, Relation, Statements, assemble
from synth_kg.paths import PathFinder, TooManyPaths

TYPES = ("disease", "drug", "gene")
RELATIONS = (
    Relation("causes"), Relation("treats"), Relation("linked", directed=False), Relation("causes", negated=True),
)  # fmt: skip
BACKENDS = ("numba", "numpy")


def graph(edges: Iterable[tuple[int, int, int]], n: int, sources: int = 1) -> Columns:
    """Nodes 0 to n - 1, a third of each type, and edges (head, relation, tail)."""
    rows = np.array([(h, r, t, s) for h, r, t in edges for s in range(sources)], np.int64).reshape(-1, 4)
    return assemble(TYPES, np.array([0, n // 3, 2 * n // 3, n]), RELATIONS, Statements(*rows.T))


def some(seed: int, n: int = 30, m: int = 70, sources: int = 1) -> Columns:
    rng = np.random.default_rng(seed)
    rows = zip(*(rng.integers(0, high, m).tolist() for high in (n, len(RELATIONS), n)), strict=True)
    return graph(rows, n, sources)


def simple(columns: Columns, arcs: Iterable[str] | None) -> networkx.DiGraph:
    """Who can be reached from whom in a step."""
    found: networkx.DiGraph = networkx.DiGraph()
    found.add_nodes_from(range(columns.nodes))
    for node in range(columns.nodes):
        for _, arc, where in columns.groups_of(node):
            if str(arc) in arcs if arcs else not arc.negated:
                found.add_edges_from((node, int(other)) for other in columns.neighbours[where])
    return found


def oracle(whole: networkx.DiGraph, closed: set[int], source: int, target: int, longest: int) -> list[list[int]]:
    part = whole.subgraph(set(whole) - (closed - {source, target}))
    try:
        found = [list(path) for path in networkx.all_shortest_paths(part, source, target)]
    except networkx.NetworkXNoPath:
        return []
    return found if len(found[0]) <= longest + 1 else []


def trimmed(row: np.ndarray) -> tuple[int, ...]:
    return tuple(int(node) for node in row if node >= 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("arcs", "types", "most"),
    [
        (None, None, None),
        (("causes", "linked"), None, None),
        (("causes", "treats^-1"), ("gene", "drug"), None),
        (None, ("gene",), None),
        (None, None, 4),
        (("causes", "linked", "not causes"), None, 3),
    ],
)
def test_all_pairs_of_a_graph_agree_with_networkx(backend, arcs, types, most) -> None:
    columns = some(3)
    finder = PathFinder(columns, arcs, types, most, seed=5, backend=backend)
    whole = simple(columns, arcs)
    closed = {n for n in range(columns.nodes) if types and TYPES[columns.type_of(n)] not in types}
    if most:
        closed |= {n for n in whole if max(whole.out_degree(n), whole.in_degree(n)) > most}
    assert len(closed) < columns.nodes - 3
    sources, targets = (ends.ravel() for ends in np.indices((columns.nodes, columns.nodes)))
    found = finder.draw(sources, targets, 40, longest=5)
    lone = finder.one(sources, targets, longest=5)
    assert (lone.distances == found.distances).all()
    lengths = Counter()
    for i, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        wanted = {tuple(path) for path in oracle(whole, closed, source, target, 5)}
        drawn = {trimmed(row) for row in found.paths[i]}
        lengths[int(found.distances[i])] += 1
        assert found.ways[i] == len(wanted)
        assert drawn <= (wanted or {()})
        assert len(drawn) > 1 or len(wanted) < 2
        assert trimmed(lone.paths[i, 0]) in (wanted or {()})
        assert found.distances[i] == len(next(iter(wanted), ())) - 1
    assert {-1, 0, 1, 2, 3} <= set(lengths)


edges_ = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(edges_, st.integers(0, 8), st.integers(0, 8), st.integers(0, 6))
def test_any_small_graph(edges: list[tuple[int, int, int]], source: int, target: int, longest: int) -> None:
    if all(r == 3 or h == t for h, r, t in edges):
        return
    columns = graph(edges, 9)
    wanted = {tuple(path) for path in oracle(simple(columns, None), set(), source, target, longest)}
    for backend in BACKENDS:
        found = PathFinder(columns, backend=backend).between(source, target, 3, longest=longest)
        assert found.ways == len(wanted)
        assert {tuple(path) for path in found.paths} <= wanted
        lone = PathFinder(columns, backend=backend).path(source, target, longest=longest)
        assert lone is None if not wanted else tuple(lone or ()) in wanted


def chi_square(counts: Iterable[int], cells: int) -> float:
    """How far counts are from even, in standard deviations (Wilson and Hilferty)."""
    counts = [*counts]
    expected = sum(counts) / cells
    squares = sum((n - expected) ** 2 for n in counts) / expected + expected * (cells - len(counts))
    free = cells - 1
    return ((squares / free) ** (1 / 3) - (1 - 2 / (9 * free))) / (2 / (9 * free)) ** 0.5


def test_draws_are_even_over_all_shortest_paths() -> None:
    columns = some(11, n=60, m=260)
    finder = PathFinder(columns, seed=2)
    sources, targets = (ends.ravel() for ends in np.indices((60, 60)))
    ways = finder.draw(sources, targets, 0).ways
    many = np.flatnonzero((ways >= 12) & (finder.one(sources, targets).distances >= 3))[:8]
    assert len(many) == 8
    for i in many:
        drawn = finder.between(int(sources[i]), int(targets[i]), 12_000, pair=int(i))
        counts = Counter(tuple(path) for path in drawn.paths)
        assert len(counts) == drawn.ways == ways[i]
        assert chi_square(counts.values(), drawn.ways) < 4


def test_a_draw_is_the_same_in_any_batch_by_any_worker_and_backend() -> None:
    columns = some(1, n=60, m=200)
    rng = np.random.default_rng(0)
    sources, targets = rng.integers(0, 60, (2, 300))
    whole = PathFinder(columns, seed=9).draw(sources, targets, 4, first=2**33)
    for other in (
        PathFinder(columns, seed=9, backend="numpy").draw(sources, targets, 4, first=2**33),
        PathFinder(columns, seed=9).draw(sources, targets, 4, first=2**33, workers=2),
    ):
        assert all((a == b).all() for a, b in zip(whole, other, strict=True))
    finder = PathFinder(columns, seed=9)
    for i in (0, 17, 299):
        alone = finder.between(int(sources[i]), int(targets[i]), 4, pair=2**33 + i)
        assert [tuple(path) for path in alone.paths] == [row for row in map(trimmed, whole.paths[i]) if row]
    more = finder.draw(sources, targets, 6, first=2**33)
    assert (more.paths[:, :4] == whole.paths).all()
    assert (finder.draw(sources, targets, 4, first=7).paths != whole.paths).any()
    assert (PathFinder(columns, seed=10).draw(sources, targets, 4, first=2**33).paths != whole.paths).any()
    numpy_one = PathFinder(columns, backend="numpy").one(sources, targets)
    assert (numpy_one.paths == finder.one(sources, targets, workers=2).paths).all()


def test_parallel_statements_do_not_make_more_paths() -> None:
    edges = [(0, 0, 1), (0, 1, 1), (1, 2, 0), (1, 0, 2), (0, 0, 3), (3, 0, 2)]
    finder = PathFinder(graph(edges, 9, sources=3))
    assert finder.between(0, 2).ways == 2
    assert len(finder.net.ahead_targets) == 8


def diamonds(n: int) -> Columns:
    """2^n shortest paths from node 0 to node 3n, of length 2n."""
    edges = [(3 * i + a, 0, 3 * i + b) for i in range(n) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))]
    return graph(edges, 3 * n + 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_are_whole_up_to_62_bits_and_refused_beyond(backend: str) -> None:
    finder = PathFinder(diamonds(61), backend=backend, seed=1)
    found = finder.between(0, 183, 50, longest=122)
    assert (found.distance, found.ways) == (122, 2**61)
    assert len({tuple(path) for path in found.paths}) == 50
    assert all(path[::2] == list(range(0, 184, 3)) for path in [[*p] for p in found.paths])
    assert finder.path(0, 183, longest=122) is not None
    assert finder.path(0, 183, longest=121) is None
    beyond = PathFinder(diamonds(62), backend=backend)
    with pytest.raises(TooManyPaths, match="from 0 to 186"):
        beyond.between(0, 186, longest=124)
    assert beyond.path(0, 186, longest=124) is not None
    assert beyond.between(0, 6, longest=124).ways == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_are_refused_where_one_end_alone_passes_62_bits(backend: str) -> None:
    edges = [(3 * i + a, 0, 3 * i + b) for i in range(70) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))]
    busy = [(leaf, 0, 210) for leaf in range(211, 511)]  # so that the source's end does all the way
    finder = PathFinder(graph(edges + busy, 511), backend=backend)
    with pytest.raises(TooManyPaths, match="from 0 to 210"):
        finder.between(0, 210, longest=140)
    assert finder.between(90, 210, longest=140).ways == 2**40


def test_what_is_not_right_is_refused() -> None:
    columns = some(3)
    with pytest.raises(ValueError, match="no relation 'cures'"):
        PathFinder(columns, ["cures"])
    with pytest.raises(ValueError, match="no node type 'organ'"):
        PathFinder(columns, types=["organ"])
    finder = PathFinder(columns)
    for ends in ((0, 30), (-1, 3)):
        with pytest.raises(ValueError, match="there are 30 nodes"):
            finder.path(*ends)
    with pytest.raises(ValueError, match="longest"):
        finder.path(0, 1, longest=-1)
    with pytest.raises(ValueError, match="2 sources and 1 targets"):
        finder.one(np.array([0, 1]), np.array([2]))
    assert finder.one(np.zeros(0, np.int64), np.zeros(0, np.int64)).paths.shape == (0, 1, 5)


def test_neighbours_that_are_both_closed_are_one_step_apart() -> None:
    edges = [(0, 0, 1), (0, 0, 2), (2, 0, 1), (1, 0, 5), (5, 0, 0)]
    for backend in BACKENDS:
        finder = PathFinder(graph(edges, 9), arcs=["causes"], types=["gene"], backend=backend)
        assert finder.path(0, 1) == [0, 1]
        assert finder.path(2, 0) is None
        assert finder.path(1, 0) is None
        assert finder.between(0, 1, 2).paths == [[0, 1], [0, 1]]
        assert finder.path(0, 1, longest=0) is None
