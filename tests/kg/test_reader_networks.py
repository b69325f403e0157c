"""networkx both ways, and GraphML as networkx reads it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from synth_kg.builder import About, Builder, Built
from synth_kg.columns import Columns
from synth_kg.readers.networks import from_networkx, read_graphml
from synth_kg.readers.primekg_parts import read_paths
from synth_kg.readers.tables import UNLISTED
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def same(one: Columns, other: Columns, *but: str) -> None:
    assert (one.types, one.arcs) == (other.types, other.arcs)
    for name in set(Columns.ARRAYS) - set(but):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_there_and_back_is_the_same_graph(shared: Path) -> None:
    builder = Builder()
    read_paths(shared / "kg/primekg_drugmech/benchmark_pathways_edges.csv", builder)
    other = builder.origin("other", "2", "CC0")
    one, two, three = (builder.node(other, "T", name, name.upper()) for name in "abc")
    builder.edge(other, one, builder.relation("is", negated=True), two)
    builder.edge(other, one, builder.relation("near", directed=False), three)
    graph = TypedGraph.of(builder.finish())
    back = from_networkx(graph.to_networkx())
    same(back.columns, graph.columns, "sources")  # the nodes are told by networkx, which is one source more
    assert set(graph.origins) == {origin for origin in back.origins if origin.name != "networkx"}
    assert list(back.names) == list(graph.names)
    assert {edge.ref for edge in back.edges()} == {edge.ref for edge in graph.edges()}


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_any_graph_of_networkx(kind: Any) -> None:
    graph = nx.gnp_random_graph(40, 0.2, seed=1, directed=kind in (nx.DiGraph, nx.MultiDiGraph))
    graph = kind(graph)
    nx.set_edge_attributes(graph, "r", "relation")
    typed = from_networkx(graph, About("Mine", "1", "CC0"))
    assert typed.columns.statements == graph.number_of_edges() and typed.origins == (("Mine", "1", "CC0"),)
    found = typed.to_networkx()
    pairs = {(str(a), str(b)) for a, b in graph.edges()} | (
        set() if graph.is_directed() else {(str(b), str(a)) for a, b in graph.edges()}
    )
    assert {(a[1], b[1]) for a, b in found.edges()} == pairs
    assert {node[0] for node in found} == {"Entity"}


def test_attributes_tell_type_name_relation_and_the_rest() -> None:
    graph: Any = nx.MultiDiGraph(name="ours")
    graph.add_node(1, kind="Drug", label="aspirin", synonyms=["ASA"])
    graph.add_node("HP:1", name="pain")
    graph.add_edge(1, "HP:1", predicate="treats", weight=0.5, negated=False, none=None)
    graph.add_edge(1, "HP:1", predicate="treats", negated=True, origin="x")
    graph.add_edge("HP:1", 1)
    graph.add_edge(1, 1)
    typed = from_networkx(graph)
    assert {(str(edge.head[1]), edge.relation, edge.negated) for edge in typed.edges()} == {
        ("1", "treats", False), ("1", "treats", True), ("HP:1", "related_to", False),
    }  # fmt: skip
    assert (typed.key(0), typed.name(0), list(typed.synonyms[0])) == (("Drug", "1"), "aspirin", ["ASA"])
    assert sorted(str(told) for several in typed.attributes.values() for told in several) == [
        "{'origin': 'x'}", "{'weight': '0.5'}",
    ]  # fmt: skip
    assert typed.origins[0].name == "ours"


def built(path: Path) -> Built:
    builder = Builder()
    read_graphml(path, builder)
    return builder.finish()


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
@pytest.mark.parametrize("packed", [False, True])
def test_graphml_is_what_networkx_wrote(tmp_path: Path, kind: Any, packed: bool) -> None:
    graph = kind(nx.gnp_random_graph(30, 0.2, seed=2, directed=kind in (nx.DiGraph, nx.MultiDiGraph)))
    for node in graph:
        graph.nodes[node].update(type="AB"[node % 2], name=f"n{node} é")
    for place, edge in enumerate(list(graph.edges)):
        graph.edges[edge].update(relation=f"r{place % 3}", weight=place / 2, negated=place % 5 == 0)
    path = tmp_path / "g.graphml"
    nx.write_graphml(graph, path)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found, expected = TypedGraph.of(built(path)), from_networkx(graph)
    same(found.columns, expected.columns)
    assert list(found.names) == list(expected.names)
    assert {entry: told for entry, told in found.attributes.items()} == expected.attributes


GRAPHML = """<?xml version="1.0" encoding="{encoding}"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
 <key id="d0" for="node" attr.name="type"><default>Thing</default></key>
 <key id="d1" for="all" attr.name="label"/>
 <graph edgedefault="undirected">
  <edge source="a" target="b" directed="true"><data key="d1">before</data></edge>
  <node id="a"><data key="d0">Drug</data><data key="d1">é</data></node><node id="b"/>
  <edge source="a" target="b"><data key="d1">along</data></edge>
  <edge source="a" target="lost"/>
  <node/>
 </graph>
</graphml>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ISO-8859-1", "utf-16"])
def test_graphml_of_other_hands(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "g.graphml"
    path.write_bytes(GRAPHML.format(encoding=encoding).encode(encoding))
    graph = built(path)
    assert {(arc.relation, arc.way) for arc in graph.columns.arcs} == {
        ("before", "out"), ("before", "in"), ("along", "both"),
    }  # fmt: skip
    assert [row[:3] for row in graph.nodes] == [("Drug", "a", "é"), ("Thing", "b", "")]
    assert {one.reason: one.times for one in graph.dropped}[UNLISTED] == 1


def test_damaged_graphml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.graphml"
    whole = GRAPHML.format(encoding="utf-8")
    for text, says in ((whole[:500], "damaged or cut"), ("<graphml></graphml>", "no graph"), ("<x/>", "no graph")):
        path.write_text(text)
        with pytest.raises(UnusableSource, match=says):
            built(path)
