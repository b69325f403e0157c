"""PrimeKG in parts gives what kg.csv gives."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from synth_kg.builder import Builder, Built
from synth_kg.columns import Columns
from synth_kg.readers.primekg import read_wide
from synth_kg.readers.primekg_parts import DIFFERENT, read_parts, read_paths
from synth_kg.readers.tables import EMPTY, UNLISTED
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def built(*paths: Path) -> Built:
    builder = Builder()
    for path in paths:
        read_parts(path, builder)
    return builder.finish()


def test_nodes_and_edges_are_kg_csv(shared: Path, tmp_path: Path) -> None:
    wide = shared / "kg/primekg_shape/primekg_like_scale0.005.csv.gz"
    nodes: dict[str, list[str]] = {}
    edges = []
    with gzip.open(wide, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for end in "xy":
                told = [row[f"{end}_{part}"] for part in ("index", "id", "type", "name", "source")]
                nodes[told[0]] = told
            edges.append([row["relation"], row["display_relation"], row["x_index"], row["y_index"]])
    for name, header, lines in (
        ("nodes", "node_index node_id node_type node_name node_source", nodes.values()),
        ("edges", "relation display_relation x_index y_index", edges),
    ):
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([header.split(), *lines])
    builder = Builder()
    read_wide(wide, builder)
    expected, graph = builder.finish(), built(tmp_path / "edges.csv", tmp_path / "nodes.csv")
    assert graph.nodes == expected.nodes and graph.origins == expected.origins
    assert (graph.columns.types, graph.columns.arcs) == (expected.columns.types, expected.columns.arcs)
    for name in Columns.ARRAYS:
        assert np.array_equal(getattr(graph.columns, name), getattr(expected.columns, name)), name
    assert len(graph.nodes) == 647 and 2 * graph.columns.statements == 28_694


def test_edges_need_the_nodes_beside_them(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("relation,display_relation,x_index,y_index\nr,r,0,1\n")
    with pytest.raises(UnusableSource, match=r"no nodes\.csv beside it"):
        built(tmp_path / "edges.csv")


def test_bad_lines_are_counted(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(
        "node_index,node_id,node_type,node_name,node_source\n0,1250,disease,a,M\n1,1250,drug,b,D\n,7,drug,c,D\n"
        "1,9,drug,d,D\n2,,drug,e,D\n"
    )
    (tmp_path / "edges.csv").write_text(
        "relation,display_relation,x_index,y_index\nindication,i,1,0\nindication,i,0,1\nindication,i,0,5\n,i,0,1\nindication,i,,1\n"
    )
    graph = built(tmp_path / "edges.csv")
    told = {one.reason: one.examples for one in graph.dropped}
    assert told[DIFFERENT] == ("nodes.csv:5",) and told[UNLISTED] == ("edges.csv:4",)
    assert set(told[EMPTY]) == {"nodes.csv:4", "nodes.csv:6", "edges.csv:5", "edges.csv:6"}
    (edge,) = TypedGraph.of(graph).edges()
    assert (edge.head, edge.relation, edge.tail) == (("drug", "1250"), "indication", ("disease", "1250"))


def test_paths_are_there_as_published(shared: Path) -> None:
    builder = Builder()
    read_paths(shared / "kg/primekg_drugmech/benchmark_pathways_edges.csv", builder)
    graph = builder.finish()
    # 1,113 lines state 544 things, 19 of them from either end
    assert (len(graph.nodes), graph.columns.statements) == (509, 525)
    assert len({arc.relation for arc in graph.columns.arcs}) == 16
    assert [(one.reason, one.times) for one in graph.dropped] == [("states again what it stated", 1113 - 525)]
    assert len(graph.attributes) == 1113
    assert len({told["pathway_id"] for _, told in graph.attributes}) == 343
    named = {row.name for row in graph.nodes}
    assert "" not in named and {"antazoline", "Antazoline"} & named


def test_other_files_are_named_for_what_is_missing(shared: Path) -> None:
    with pytest.raises(UnusableSource, match="'source_node'"):
        read_paths(shared / "kg/primekg_drugmech/benchmark_pathways_nodes.csv", Builder())
    with pytest.raises(UnusableSource, match=r"neither nodes\.csv nor edges\.csv"):
        read_parts(shared / "kg/primekg_drugmech/benchmark_pathways_metadata.csv", Builder())
