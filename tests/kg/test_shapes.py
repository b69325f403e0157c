"""Subgraphs by shape: those that networkx finds, all of them, in the mixture asked for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

import networkx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import GraphMatcher

from synth_kg import shapes
from synth_kg.columns import Arc, Columns, Relation, Statements, assemble
from synth_kg.shapes import SHAPES, Shape, ShapeEdge, ShapeSampler, shape

TYPES = ("disease", "drug", "gene")
RELATIONS = (
    Relation("causes"), Relation("treats"), Relation("linked", directed=False), Relation("causes", negated=True),
)  # fmt: skip
ANY: frozenset[str] = frozenset()


def graph(edges: Iterable[tuple[int, int, int]], n: int, sources: int = 1) -> Columns:
    """Nodes 0 to n - 1, a third of each type, and edges (head, relation, tail)."""
    rows = np.array([(h, r, t, s) for h, r, t in edges for s in range(sources)], np.int64).reshape(-1, 4)
    return assemble(TYPES, np.array([0, n // 3, 2 * n // 3, n]), RELATIONS, Statements(*rows.T))


def some(seed: int, n: int = 9, m: int = 24) -> Columns:
    rng = np.random.default_rng(seed)
    return graph(zip(*(rng.integers(0, high, m).tolist() for high in (n, len(RELATIONS), n)), strict=True), n)


def joined(columns: Columns) -> dict[tuple[int, int], dict[int, Arc]]:
    """(node, node) -> the entries from the one to the other, and their arcs."""
    found: dict[tuple[int, int], dict[int, Arc]] = {}
    for node in range(columns.nodes):
        for _, arc, where in columns.groups_of(node):
            for entry in range(where.start, where.stop):
                found.setdefault((node, int(columns.neighbours[entry])), {})[entry] = arc
    return found


def fits(arcs: frozenset[str], arc: Arc) -> bool:
    return str(arc) in arcs if arcs else not arc.negated


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_found_of_a_shape_is_what_networkx_finds(name: str) -> None:
    pattern = SHAPES[name]
    rng = np.random.default_rng(21)
    drawn_edges = zip(*(rng.integers(0, high, 24).tolist() for high in (9, len(RELATIONS), 9)), strict=True)
    planted = [(9 + head, rng.integers(0, 3), 9 + tail) for head, tail, _ in pattern.edges]
    columns = graph([*drawn_edges, *planted, (0, 0, 9), (4, 1, 10)], 15)
    host = networkx.Graph()
    host.add_nodes_from(range(15))
    host.add_edges_from(ends for ends, arcs in joined(columns).items() if any(fits(ANY, arc) for arc in arcs.values()))
    wanted_ = networkx.Graph([(head, tail) for head, tail, _ in pattern.edges])
    matcher = GraphMatcher(host, wanted_)
    matches = matcher.subgraph_isomorphisms_iter() if pattern.induced else matcher.subgraph_monomorphisms_iter()
    wanted = {tuple(sorted(match, key=match.__getitem__)) for match in matches}
    anchors = np.array([0, 9])
    wanted = {nodes for nodes in wanted if nodes[0] in anchors}
    assert wanted
    found = ShapeSampler(columns, {pattern: 1}, anchors=anchors, seed=4).draw(2000 + 100 * len(wanted))
    assert {tuple(nodes) for nodes in found.nodes[:, : len(pattern.nodes)].tolist()} == wanted


TYPED = [
    Shape(
        "treated", (frozenset({"disease"}), frozenset({"gene", "drug"}), ANY),
        (ShapeEdge(0, 1, frozenset({"causes^-1", "treats"})), ShapeEdge(2, 1, frozenset({"linked"}))),
    ),
    Shape(
        "contested", (ANY, frozenset({"drug", "disease"})),
        (ShapeEdge(0, 1, frozenset({"causes"})), ShapeEdge(0, 1, frozenset({"not causes"}))),
    ),
    Shape(
        "feed-forward", (ANY, ANY, ANY),
        (ShapeEdge(0, 1, frozenset({"causes"})), ShapeEdge(1, 2, frozenset({"causes"})), ShapeEdge(0, 2)), induced=True,
    ),
    Shape(
        "apart", (ANY, frozenset({"gene"}), ANY, ANY),
        (ShapeEdge(1, 0, frozenset({"causes"})), ShapeEdge(1, 2), ShapeEdge(2, 3, frozenset({"treats", "linked"}))),
        induced=True,
    ),
]  # fmt: skip


@pytest.mark.parametrize("pattern", TYPED, ids=lambda pattern: pattern.name)
def test_types_arcs_and_directions_are_kept(pattern: Shape) -> None:
    columns = some(8, m=60)
    entries = joined(columns)

    def right(nodes: tuple[int, ...]) -> bool:
        for node, types in zip(nodes, pattern.nodes, strict=True):
            if types and TYPES[columns.type_of(node)] not in types:
                return False
        for head, tail, arcs in pattern.edges:
            if not any(fits(arcs, arc) for arc in entries.get((nodes[head], nodes[tail]), {}).values()):
                return False
        told = {frozenset(edge[:2]) for edge in pattern.edges}
        others = [pair for pair in itertools.combinations(range(len(nodes)), 2) if frozenset(pair) not in told]
        return not pattern.induced or not any(
            fits(ANY, arc) for a, b in others for arc in entries.get((nodes[a], nodes[b]), {}).values()
        )

    wanted = {nodes for nodes in itertools.permutations(range(9), len(pattern.nodes)) if right(nodes)}
    assert wanted
    found = ShapeSampler(columns, {pattern: 1}, seed=4).draw(100 * len(wanted))
    assert {tuple(nodes) for nodes in found.nodes.tolist()} == wanted
    for nodes, row in zip(found.nodes.tolist(), found.entries.tolist(), strict=True):
        for (head, tail, arcs), entry in zip(pattern.edges, row, strict=True):
            assert fits(arcs, entries[nodes[head], nodes[tail]][entry])


def test_the_statement_of_an_edge_is_drawn_evenly_of_those_that_are_parallel() -> None:
    columns = graph([(0, 0, 3), (0, 1, 3), (3, 1, 0), (0, 3, 3)], 9, sources=2)
    found = ShapeSampler(columns, {shape("edge", [(0, 1)]): 1}, anchors=np.array([0]), seed=1).draw(6000)
    counts = Counter(found.entries[:, 0].tolist())
    arcs = Counter(joined(columns)[0, 3][entry] for entry in counts)
    assert arcs == {Arc("causes"): 2, Arc("treats"): 2, Arc("treats", "in"): 2}
    assert all(abs(n - 1000) < 150 for n in counts.values())


def test_a_mixture_is_kept_whatever_the_rates() -> None:
    columns = some(5, n=30, m=70)
    mixture = {SHAPES["path4"]: 2, SHAPES["triangle"]: 1, SHAPES["cycle4"]: 1}
    found = ShapeSampler(columns, mixture, seed=2).draw(1000)
    assert np.bincount(found.shapes).tolist() == [500, 250, 250]
    rates = found.rates
    assert rates["triangle"].attempts > 4 * rates["triangle"].found > rates["path4"].attempts / 2
    assert not any(rate.given_up for rate in rates.values())
    assert (found.nodes[found.shapes == 1][:, 3] == -1).all()


def test_a_shape_that_is_not_there_is_given_up_and_others_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "PATIENCE", 3000)
    columns = graph([(i, 0, i + 1) for i in range(20)], 30)  # a chain
    mixture = {SHAPES["path3"]: 1, SHAPES["triangle"]: 2, SHAPES["path4"]: 1}
    found = ShapeSampler(columns, mixture, seed=2).draw(400)
    assert np.bincount(found.shapes).tolist() == [200, 0, 200]
    assert found.rates["triangle"] == (3000, 0, True)
    nothing = ShapeSampler(columns, {SHAPES["triangle"]: 1}, seed=2).draw(10)
    assert len(nothing.nodes) == 0
    assert nothing.rates["triangle"].given_up
    rare = graph([(i, 0, i + 1) for i in range(600)] + [(0, 0, 2)], 900)
    some_ = ShapeSampler(rare, {SHAPES["triangle"]: 1, SHAPES["path3"]: 1}, seed=2).draw(2000)
    assert some_.rates["triangle"].given_up
    assert 0 < some_.rates["triangle"].found < 1000
    assert len(some_.nodes) == 2000


def test_a_sample_does_not_hang_on_how_many_are_asked_for_or_on_other_shapes() -> None:
    columns = some(5, n=30, m=70)
    whole = ShapeSampler(columns, {SHAPES["triangle"]: 1, SHAPES["path4"]: 1}, seed=2).draw(900)
    alone = ShapeSampler(columns, {SHAPES["triangle"]: 1}, seed=2).draw(60)
    assert (whole.nodes[:60, :3] == alone.nodes).all()
    assert (whole.entries[:60, :3] == alone.entries).all()
    assert (ShapeSampler(columns, {SHAPES["triangle"]: 1}, seed=3).draw(60).nodes != alone.nodes).any()


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({}, "a mixture has shapes"),
        ({SHAPES["path3"]: 0}, "a weight above 0"),
        ({shape("x", [(0, 1), (2, 3)]): 1}, "'x' is not connected"),
        ({shape("x", [(0, 0), (0, 1)]): 1}, "no edge from 0 to 0"),
        ({SHAPES["path3"]: 1, SHAPES["path4"]._replace(name="path3"): 1}, "two shapes of one name"),
        ({Shape("x", (ANY, frozenset({"organ"})), (ShapeEdge(0, 1),)): 1}, "no node type 'organ'"),
        ({Shape("x", (ANY, ANY), (ShapeEdge(0, 1, frozenset({"cures"})),)): 1}, "no relation 'cures'"),
    ],
)
def test_what_is_not_right_is_refused(mixture, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShapeSampler(some(5), mixture)
