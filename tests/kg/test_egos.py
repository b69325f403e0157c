"""Capped egos: what is stated, no more than asked for, drawn evenly, the same everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import networkx
import numpy as np
import pytest

from synth_kg.adjacency import inverse
from synth_kg.columns import Arc, Columns, Relation, Statements, assemble
from synth_kg.egos import Egos

TYPES = ("disease", "drug", "gene")
RELATIONS = (
    Relation("causes"), Relation("treats"), Relation("linked", directed=False), Relation("causes", negated=True),
)  # fmt: skip
BACKENDS = ("numba", "python")


def graph(edges: Iterable[tuple[int, int, int, int]], n: int) -> Columns:
    """Nodes 0 to n - 1, a third of each type, and edges (head, relation, tail, source)."""
    rows = np.array([*edges], np.int64).reshape(-1, 4)
    return assemble(TYPES, np.array([0, n // 3, 2 * n // 3, n]), RELATIONS, Statements(*rows.T))


def some(seed: int, n: int = 24, m: int = 160) -> Columns:
    rng = np.random.default_rng(seed)
    return graph(zip(*(rng.integers(0, high, m).tolist() for high in (n, len(RELATIONS), n, 2)), strict=True), n)


def arcs_of(columns: Columns, node: int) -> dict[int, Arc]:
    """The entries of a node, and their arcs."""
    return {entry: arc for _, arc, where in columns.groups_of(node) for entry in range(where.start, where.stop)}


Said = tuple[int, Arc, int, int]


def statement(columns: Columns, head: int, entry: int) -> Said:
    """What an entry states, the same from both its ends."""
    arc, tail = arcs_of(columns, head)[entry], int(columns.neighbours[entry])
    source = int(columns.sources[entry]) if len(columns.sources) else 0
    return min((head, arc, tail, source), (tail, inverse(arc), head, source))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("arcs", "types"),
    [
        (None, None),
        (("causes",), None),
        (("causes", "treats", "treats^-1"), None),
        (None, ("gene", "drug")),
        (("not causes", "linked", "causes^-1"), ("disease",)),
    ],
)
def test_with_room_for_all_an_ego_is_all_that_is_stated_round_a_node(backend, arcs, types) -> None:
    columns = some(4)
    found = Egos(columns, arcs=arcs, types=types, hops=2, fan=99, cap=500, backend=backend).draw(np.arange(24))
    steps: networkx.MultiDiGraph = networkx.MultiDiGraph()
    steps.add_nodes_from(range(24))
    for node in range(24):
        for entry, arc in arcs_of(columns, node).items():
            other = int(columns.neighbours[entry])
            allowed = str(arc) in arcs if arcs else not arc.negated
            if allowed and (not types or TYPES[columns.type_of(other)] in types):
                steps.add_edge(node, other, key=entry)
    for seed in range(24):
        near = networkx.single_source_shortest_path_length(steps, seed, cutoff=1)
        wanted = {statement(columns, head, entry) for head, _, entry in steps.out_edges(near, keys=True)}
        size = int(found.sizes[seed])
        listed = [
            statement(columns, head, entry)
            for head, entry in zip(found.heads[seed, :size].tolist(), found.entries[seed, :size].tolist(), strict=True)
        ]
        assert len(listed) == len(set(listed))
        assert set(listed) == wanted
        assert (found.entries[seed, size:] == -1).all()


@pytest.mark.parametrize(("hops", "fan", "cap"), [(1, 3, 64), (2, 3, 64), (3, 2, 7), (4, 5, 30), (2, 1, 1)])
def test_an_ego_keeps_to_its_bounds_and_grows_from_its_seed(hops: int, fan: int, cap: int) -> None:
    columns = some(8, m=220)
    found = Egos(columns, hops=hops, fan=fan, cap=cap, seed=3).draw(np.arange(24))
    for seed in range(24):
        depth, drawn = {seed: 0}, Counter()
        seen: set[tuple[int, int]] = set()
        size = int(found.sizes[seed])
        assert size <= cap
        for head, entry in zip(found.heads[seed, :size].tolist(), found.entries[seed, :size].tolist(), strict=True):
            tail = int(columns.neighbours[entry])
            assert entry in arcs_of(columns, head)
            assert depth[head] < hops
            depth.setdefault(tail, depth[head] + 1)
            drawn[head] += (head, tail) not in seen
            seen.add((head, tail))
        assert max(drawn.values(), default=0) <= fan
    assert found.sizes.max() == cap or cap == 64


def test_an_ego_is_the_same_in_any_batch_by_any_worker_and_backend() -> None:
    columns = some(2, n=60, m=900)
    seeds = np.random.default_rng(0).integers(0, 60, 200)
    for kwargs in ({}, {"hops": 3, "fan": 30, "cap": 100}, {"arcs": ["causes", "linked"], "fan": 5}):
        whole = Egos(columns, seed=6, **kwargs).draw(seeds, first=2**34)
        plain = Egos(columns, seed=6, backend="python", **kwargs).draw(seeds, first=2**34)
        two = Egos(columns, seed=6, **kwargs).draw(seeds, first=2**34, workers=2)
        for other in (plain, two):
            assert all((a == b).all() for a, b in zip(whole, other, strict=True))
        late = Egos(columns, seed=6, **kwargs).draw(seeds[150:], first=2**34 + 150)
        assert (late.entries == whole.entries[150:]).all()
        assert (Egos(columns, seed=7, **kwargs).draw(seeds, first=2**34).entries != whole.entries).any()
        assert (Egos(columns, seed=6, **kwargs).draw(seeds).entries != whole.entries).any()


def test_neighbours_are_drawn_evenly_however_many_statements_join_them() -> None:
    parallel = [(0, r, 20, s) for r in (0, 1) for s in (0, 1)]
    columns = graph([(0, 0, t, 0) for t in range(10, 20)] + parallel + [(0, 2, 10, 0)], 24)
    assert len(columns.sources)
    found = Egos(columns, hops=1, fan=3, seed=1).draw(np.zeros(30_000, np.int64))
    sets = Counter(frozenset(columns.neighbours[row[row >= 0]].tolist()) for row in found.entries)
    assert len(sets) == 165  # 11 over 3
    expected = 30_000 / 165
    squares = sum((n - expected) ** 2 for n in sets.values()) / expected
    assert squares < 164 + 4 * (2 * 164) ** 0.5
    with_all = [row for row in found.entries if 20 in columns.neighbours[row[row >= 0]]]
    assert all((columns.neighbours[row[row >= 0]] == 20).sum() == 4 for row in with_all)
    first = Egos(columns, hops=1, fan=20, cap=1, seed=1).draw(np.zeros(22_000, np.int64))
    counts = np.bincount(columns.neighbours[first.entries[:, 0]], minlength=24)[10:21]
    assert ((counts - 2000) ** 2 / 2000).sum() < 10 + 4 * 20**0.5


def test_what_is_not_right_is_refused() -> None:
    columns = some(4)
    with pytest.raises(ValueError, match="no relation 'cures'"):
        Egos(columns, arcs=["cures"])
    with pytest.raises(ValueError, match="each is at least 1"):
        Egos(columns, fan=0)
    for node in (-1, 24):
        with pytest.raises(ValueError, match="there are 24 nodes"):
            Egos(columns).draw(np.array([node]))
    assert Egos(columns).draw(np.zeros(0, np.int64)).entries.shape == (0, 64)
    lonely = graph([(1, 0, 2, 0)], 9)
    for backend in BACKENDS:
        assert Egos(lonely, backend=backend).draw(np.array([0])).sizes.tolist() == [0]
