"""KGX: categories become types, in either form of the files."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from synth_kg.builder import Builder, Built
from synth_kg.readers.kgx import category, read_kgx
from synth_kg.readers.tables import EMPTY
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

NODES = [
    {
        "id": "MONDO:1",
        "category": ["biolink:NamedThing", "biolink:Disease"],
        "name": "gout",
        "synonym": ["podagra", "x"],
    },
    {"id": "HP:1", "category": ["biolink:PhenotypicFeature"], "name": "pain"},
    {"id": "OMIM:7", "category": ["biolink:Gene"], "name": "G7"},
]
EDGES = [
    {"id": "1", "subject": "MONDO:1", "predicate": "biolink:has_phenotype", "object": "HP:1", "negated": True,
     "primary_knowledge_source": "infores:hpo-annotations"},
    {"id": "2", "subject": "OMIM:7", "predicate": "biolink:interacts_with", "object": "MONDO:1"},
    {"id": "3", "subject": "OMIM:7", "predicate": "biolink:causes", "object": "MONDO:1", "provided_by": ["a", "b"]},
    {"id": "4", "subject": "CHEBI:5", "predicate": "biolink:treats", "object": "MONDO:1"},
    {"id": "5", "subject": "", "predicate": "biolink:treats", "object": "MONDO:1"},
]  # fmt: skip
COLUMNS = ("id", "subject", "predicate", "object", "negated", "primary_knowledge_source", "provided_by")


def cell(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.fixture(params=["tsv", "jsonl"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    for part, rows, columns in (("nodes", NODES, ("id", "category", "name", "synonym")), ("edges", EDGES, COLUMNS)):
        path = tmp_path / f"kg_{part}.{request.param}"
        if request.param == "jsonl":
            path.write_bytes(b"\n".join(map(orjson.dumps, rows)))  # type: ignore[arg-type]
        else:
            lines = [columns, *(tuple(cell(row.get(name, "")) for name in columns) for row in rows)]  # type: ignore[attr-defined]
            path.write_text("\n".join(map("\t".join, lines)) + "\n")
    return tmp_path / f"kg_nodes.{request.param}", tmp_path / f"kg_edges.{request.param}"


def built(*paths: Path) -> Built:
    builder = Builder()
    for path in paths:
        read_kgx(path, builder)
    return builder.finish()


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1,)])
def test_nodes_and_edges_make_a_graph_in_any_order(files: tuple[Path, Path], order: tuple[int, ...]) -> None:
    graph = built(*(files[place] for place in order))
    edges = {(edge.head, edge.relation, edge.tail, edge.negated) for edge in TypedGraph.of(graph).edges()}
    gout, gene = ("Disease", "MONDO:1"), ("Gene", "OMIM:7")
    assert edges == {
        (gout, "has_phenotype", ("Phenotype", "HP:1"), True),
        (gout, "interacts_with", gene, False),
        (gene, "causes", gout, False),
        (("Drug", "CHEBI:5"), "treats", gout, False),
    }
    assert {arc.relation for arc in graph.columns.arcs if arc.way == "both"} == {"interacts_with"}
    assert [told for _, told in graph.attributes] == [
        {"primary_knowledge_source": "infores:hpo-annotations"}, {"provided_by": "a|b"},
    ]  # fmt: skip
    row = next(row for row in graph.nodes if row.id == "MONDO:1")
    assert (row.name, row.synonyms) == ("gout", ("podagra", "x"))
    assert [(one.reason, one.times) for one in graph.dropped] == [(EMPTY, 1)]
    assert [origin.name for origin in graph.origins] == ["kg"]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("biolink:Disease", "Disease"),
        ("biolink:NamedThing", "NamedThing"),
        ("biolink:BiologicalEntity|biolink:GrossAnatomicalStructure", "Anatomy"),
        ("", ""),
    ],
)
def test_categories(told: str, kind: str) -> None:
    assert category(told) == kind


def test_other_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UnusableSource, match="not KGX"):
        built(tmp_path / "t.tsv")
