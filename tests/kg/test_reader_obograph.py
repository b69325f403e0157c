"""OBO-graph JSON: the same graph as the OBO file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from synth_kg.builder import Builder, Built
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.readers.obograph import read_obograph
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

PURL = "http://purl.obolibrary.org/obo/"
OIO = "http://www.geneontology.org/formats/oboInOwl#"
OBO = """format-version: 1.2
data-version: tiny/releases/2026-01-02/tiny.obo
ontology: tiny
property_value: dc:title "Tiny" xsd:string
property_value: terms:license https://creativecommons.org/licenses/by/4.0/

[Term]
id: UBERON:0000001
name: limb
synonym: "extremity" EXACT []
synonym: "leg" NARROW []

[Term]
id: UBERON:0000002
name: hand
alt_id: UBERON:0000009
is_a: UBERON:0000001
relationship: part_of UBERON:0000003
relationship: RO:0002150 UBERON:0000001
intersection_of: UBERON:0000001
intersection_of: part_of UBERON:0000003

[Term]
id: UBERON:0000003
name: arm

[Term]
id: UBERON:0000004
name: obsolete paw
is_obsolete: true
replaced_by: UBERON:0000002

[Typedef]
id: part_of
name: part of
xref: BFO:0000050

[Typedef]
id: RO:0002150
name: continuous with
"""


def value(pred: str, val: str) -> dict[str, str]:
    return {"pred": pred, "val": val}


def node(number: int, label: str, **meta: Any) -> dict[str, Any]:
    return {"id": f"{PURL}UBERON_000000{number}", "lbl": label, "type": "CLASS", "meta": meta}


def edge(sub: int, pred: str, obj: int) -> dict[str, str]:
    return {"sub": f"{PURL}UBERON_000000{sub}", "pred": pred, "obj": f"{PURL}UBERON_000000{obj}"}


GRAPH: dict[str, Any] = {
    "id": f"{PURL}tiny.owl",
    "meta": {
        "version": f"{PURL}tiny/releases/2026-01-02/tiny.owl",
        "basicPropertyValues": [
            value("http://purl.org/dc/elements/1.1/title", "Tiny"),
            value("http://purl.org/dc/terms/license", "https://creativecommons.org/licenses/by/4.0/"),
        ],
    },
    "nodes": [
        node(1, "limb", synonyms=[value("hasExactSynonym", "extremity"), value("hasNarrowSynonym", "leg")]),
        node(2, "hand", basicPropertyValues=[value(f"{OIO}hasAlternativeId", "UBERON:0000009")]),
        node(3, "arm"),
        node(
            4,
            "obsolete paw",
            deprecated=True,
            basicPropertyValues=[value(f"{PURL}IAO_0100001", f"{PURL}UBERON_0000002")],
        ),
        {
            "id": f"{PURL}BFO_0000050",
            "lbl": "part of",
            "type": "PROPERTY",
            "meta": {"basicPropertyValues": [value(f"{OIO}shorthand", "part_of")]},
        },
        {"id": f"{PURL}RO_0002150", "lbl": "continuous with", "type": "PROPERTY"},
        {"id": f"{PURL}IAO_0000115", "type": "PROPERTY"},
    ],
    "edges": [
        edge(2, "is_a", 1),
        edge(2, f"{PURL}BFO_0000050", 3),
        edge(2, f"{PURL}RO_0002150", 1),
        {"sub": f"{PURL}RO_0002150", "pred": "subPropertyOf", "obj": f"{PURL}BFO_0000050"},
    ],
    "logicalDefinitionAxioms": [{"definedClassId": f"{PURL}UBERON_0000002", "genusIds": [f"{PURL}UBERON_0000001"]}],
}


def write(tmp_path: Path, name: str, data: Any) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def built(path: Path, read: Any) -> tuple[Built, set[Any]]:
    """What comes of a file, and where its old ids lead."""
    builder = Builder()
    read(path, builder)
    aliases = {(builder._keys[old], builder._keys[new]) for old, found in builder._aliases.items() for new in found}
    return builder.finish(), aliases


def assert_same(one: tuple[Built, set[Any]], other: tuple[Built, set[Any]]) -> None:
    assert one[0].nodes == other[0].nodes
    assert one[0].origins == other[0].origins
    refs, others = ([edge.ref for edge in TypedGraph.of(found).edges()] for found, _ in (one, other))
    assert refs == others
    assert one[1] == other[1]
    assert {(d.reason, d.times) for d in one[0].dropped} == {(d.reason, d.times) for d in other[0].dropped}


def test_the_same_graph_as_from_obo(tmp_path: Path) -> None:
    obo = built(write(tmp_path, "tiny.obo", OBO.encode()), read_obo_terms)
    assert_same(obo, built(write(tmp_path, "tiny.json", {"graphs": [GRAPH]}), read_obograph))
    packed = write(tmp_path, "tiny.json.gz", gzip.compress(json.dumps({"graphs": [GRAPH]}).encode()))
    assert_same(obo, built(packed, read_obograph))
    stated = {(e.head[1], e.relation, e.tail[1]) for e in TypedGraph.of(obo[0]).edges()}
    assert stated == {
        ("UBERON:0000002", "is_a", "UBERON:0000001"),
        ("UBERON:0000002", "part_of", "UBERON:0000003"),
        ("UBERON:0000002", "continuous_with", "UBERON:0000001"),
    }


def test_a_well_known_relation_that_the_file_does_not_name(tmp_path: Path) -> None:
    graph = {**GRAPH, "nodes": GRAPH["nodes"][:4]}
    found, _ = built(write(tmp_path, "tiny.json", {"graphs": [graph]}), read_obograph)
    assert {e.relation for e in TypedGraph.of(found).edges()} == {"is_a", "part_of", "RO:0002150"}


def test_what_is_amiss_is_counted(tmp_path: Path) -> None:
    graph = {
        **GRAPH,
        "nodes": [*GRAPH["nodes"], None, {"lbl": "x"}, {"id": f"{PURL}UBERON_0000005"}, node(1, "again"), 7],
        "edges": [*GRAPH["edges"], None, {"sub": 1}, edge(2, "is_a", 8), edge(7, "is_a", 1), edge(1, "is_a", 1)],
    }
    found, _ = built(write(tmp_path, "tiny.json", {"graphs": [graph, None]}), read_obograph)
    counted = {one.reason: one.times for one in found.dropped}
    assert counted["a term that cannot be read"] == 7
    assert counted["a term whose id was given before"] == 1
    assert counted["is_a of a term that is not there"] == 1
    assert counted["relates a node to itself"] == 1
    assert TypedGraph.of(found).columns.statements == 3


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cut.json", json.dumps({"graphs": [GRAPH]}).encode()[:-40], "not JSON, or cut"),
        ("list.json", b"[1, 2]", "not of an OBO graph"),
        ("other.json", b'{"nodes": [], "links": []}', "not of an OBO graph"),
        ("none.json", b'{"graphs": [{"nodes": [{"id": "x:1"}]}]}', "without a single readable term"),
        ("page.json", b"<!DOCTYPE html><html></html>", "HTML page"),
        ("x.obo", OBO.encode(), "obo, not an ontology in OBO-graph JSON"),
        ("gbk.json", json.dumps({"graphs": ["腹水"]}, ensure_ascii=False).encode("gb18030"), "not JSON"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words) as caught:
        read_obograph(write(tmp_path, name, data), Builder())
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["symp", "DO_infectious_disease_slim"])
def test_real_files_are_the_same_in_both_forms(shared: Path, name: str) -> None:
    folder = shared / "ontology"
    assert_same(built(folder / f"{name}.obo", read_obo_terms), built(folder / f"{name}.json", read_obograph))
