"""Typed graphs: what is stated is there once and from both ends, whatever order it came in, in memory and on disk."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_kg.builder import NOT_TOLD, About, Builder, Built
from synth_kg.columns import Arc, Columns, Relation, Statements, assemble
from synth_kg.readers import sources
from synth_kg.sniff import UnusableSource
from synth_kg.typed import NotAGraph, TypedGraph, check_files

TYPES = "abc"
RELATIONS = [("r", True, False), ("r", True, True), ("s", False, False)]
Said = tuple[int, str, str, int, str, str]
"""Source, head type and id, relation, tail type and id."""


statements = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(TYPES), st.sampled_from("12345"), st.integers(0, 2),
        st.sampled_from(TYPES), st.sampled_from("12345"),
    ),
    max_size=60,
)  # fmt: skip


def built(said: list[Said]) -> Built:
    builder = Builder()
    for source, head_type, head, relation, tail_type, tail in said:
        name, directed, negated = RELATIONS[relation]
        origin = builder.origin(f"source {source}", "1", "none")
        ends = (
            builder.node(origin, kind, ident, f"{kind}{ident}")
            for kind, ident in ((head_type, head), (tail_type, tail))
        )
        one, other = ends
        builder.edge(origin, one, builder.relation(name, directed=directed, negated=negated), other)
    return builder.finish()


def truth(said: list[Said]) -> set[tuple[Any, ...]]:
    """What is stated: undirected statements with their ends in order, none of a node about itself."""
    found = set()
    for source, head_type, head, relation, tail_type, tail in said:
        name, directed, negated = RELATIONS[relation]
        one, other = (head_type, head), (tail_type, tail)
        if one != other:
            ends = (one, other) if directed else (min(one, other), max(one, other))
            found.add((f"source {source}", ends[0], name, negated, ends[1]))
    return found


def stated(graph: TypedGraph) -> Counter[tuple[Any, ...]]:
    return Counter((edge.source, edge.head, edge.relation, edge.negated, edge.tail) for edge in graph.edges())


@given(statements)
@settings(max_examples=150)
def test_every_statement_is_there_once(said: list[Said]) -> None:
    graph = TypedGraph.of(built(said))
    assert stated(graph) == Counter(truth(said))
    assert graph.columns.statements == len(truth(said))
    assert graph.columns.entries == 2 * len(truth(said))
    dropped = sum(one.times for one in graph.dropped)
    assert graph.columns.statements + dropped == len(said)


@given(statements, st.randoms())
@settings(max_examples=100)
def test_order_changes_nothing(said: list[Said], chance: Random) -> None:
    one = built(said)
    shuffled = list(said)
    chance.shuffle(shuffled)
    other = built(shuffled)
    assert one.origins == other.origins
    assert one.nodes == other.nodes
    for name in Columns.ARRAYS:
        assert np.array_equal(getattr(one.columns, name), getattr(other.columns, name)), name
    refs = [[edge.ref for edge in TypedGraph.of(each).edges()] for each in (one, other)]
    assert refs[0] == refs[1]


@given(statements)
@settings(max_examples=100)
def test_entries_are_those_of_networkx(said: list[Said]) -> None:
    graph = TypedGraph.of(built(said))
    whole = graph.to_networkx()
    for node in range(len(graph)):
        key = graph.key(node)
        outward = Counter(
            (tail, told["relation"], told["negated"]) for _, tail, told in whole.out_edges(key, data=True)
        )
        found = Counter(
            (graph.key(entry.node), entry.arc.relation, entry.arc.negated)
            for entry in graph.around(node) if entry.arc.way != "in"
        )  # fmt: skip
        assert found == outward
        for entry in graph.around(node):
            assert entry in list(graph.between(node, entry.node))
    assert whole.number_of_nodes() == len(graph)


@given(statements)
@settings(max_examples=60)
def test_counts_add_up(said: list[Said]) -> None:
    columns = built(said).columns
    expected = Counter()
    for _, head, name, negated, tail in truth(said):
        directed = {relation: way for relation, way, _ in RELATIONS}[name]
        ends = (head[0], tail[0]) if directed else (min(head[0], tail[0]), max(head[0], tail[0]))
        expected[ends[0], Arc(name, "out" if directed else "both", negated), ends[1]] += 1
    assert columns.counts == expected


def test_what_is_said_beside_a_statement_is_found_from_both_ends() -> None:
    builder = Builder()
    origin, other = builder.origin("a", "1", "none"), builder.origin("b", "1", "none")
    disease, sign = builder.node(origin, "disease", "d", "D"), builder.node(origin, "sign", "s", "S")
    has, near = builder.relation("has"), builder.relation("near", directed=False)
    builder.edge(origin, disease, has, sign, frequency=0.5)
    builder.edge(origin, disease, has, sign, reference="x")
    builder.edge(other, disease, has, sign, frequency="often")
    builder.edge(origin, sign, near, disease, note="undirected")
    graph = TypedGraph.of(builder.finish())
    one, two = graph.number("disease", "d"), graph.number("sign", "s")
    assert one is not None and two is not None
    for start in (one, two):
        said = {
            (entry.arc.relation, graph.origin(entry.entry).name): [dict(told) for told in graph.said(start, entry)]
            for entry in graph.around(start)
        }
        assert said == {
            ("has", "a"): [{"frequency": 0.5}, {"reference": "x"}],
            ("has", "b"): [{"frequency": "often"}],
            ("near", "a"): [{"note": "undirected"}],
        }


def test_merged_ids_lead_to_those_that_stand() -> None:
    builder = Builder()
    origin = builder.origin("a", "1", "none")
    new, old = builder.node(origin, "t", "new", "New", ["newer"]), builder.number("t", "old")
    third = builder.node(origin, "t", "third", "Third")
    builder.alias(("t", "oldest"), ("t", "old"))
    builder.alias(("t", "old"), ("t", "new"))
    builder.alias(("t", "x"), ("t", "y"))
    builder.alias(("t", "y"), ("t", "x"))
    builder.edge(origin, old, builder.relation("r"), third)
    builder.edge(origin, builder.number("t", "oldest"), builder.relation("r"), third)
    builder.edge(origin, old, builder.relation("r"), new)
    graph = TypedGraph.of(builder.finish())
    assert [edge.head for edge in graph.edges()] == [("t", "new")]
    (node,) = graph.find("oldest")
    assert graph.key(node) == ("t", "new")
    assert {"old", "oldest", "newer"} == set(graph.synonyms[node])


def test_names_do_not_depend_on_who_came_first() -> None:
    def of(order: list[str]) -> TypedGraph:
        builder = Builder()
        for source in order:
            builder.node(builder.origin(source, "1", "none"), "t", "1", f"as {source} says")
        return TypedGraph.of(builder.finish())

    for graph in (of(["a", "b", "c"]), of(["c", "b", "a"]), of(["b", "c", "a"])):
        assert graph.name(0) == "as a says"
        assert sorted(graph.synonyms[0]) == ["as b says", "as c says"]


def test_a_graph_too_large_for_its_keys_is_refused() -> None:
    offsets = np.array([0, 2**31])
    one = np.zeros(1, np.int64)
    stated = Statements(one, one, one + 1, one)
    with pytest.raises(ValueError, match="too large a graph"):
        assemble(["t"], offsets, [Relation("r")] * 3, stated)


# -- disk


@pytest.fixture
def graph() -> TypedGraph:
    draw = Random(5)
    said = [
        (draw.randrange(3), draw.choice(TYPES), str(draw.randrange(40)), draw.randrange(3), draw.choice(TYPES),
         str(draw.randrange(40))) for _ in range(400)
    ]  # fmt: skip
    builder_said: list[Said] = said
    return TypedGraph.of(built(builder_said))


def test_a_graph_comes_back_from_disk(graph: TypedGraph, tmp_path: Path) -> None:
    graph.write(tmp_path / "g")
    again = TypedGraph.open(tmp_path / "g")
    assert [edge.ref for edge in again.edges()] == [edge.ref for edge in graph.edges()]
    for node in range(len(graph)):
        assert (again.key(node), again.name(node), list(again.synonyms[node])) == (
            graph.key(node), graph.name(node), list(graph.synonyms[node]),
        )  # fmt: skip
        assert again.number(*graph.key(node)) == node
        assert again.find(graph.name(node).upper()) == graph.find(graph.name(node))
    assert again.number("a", "none") is None
    assert again.number("none", "1") is None
    assert again.dropped == graph.dropped
    assert isinstance(again.columns.neighbours, np.memmap)
    check_files(tmp_path / "g")


def test_the_same_statements_give_the_same_folder(graph: TypedGraph, tmp_path: Path) -> None:
    one, other = (graph.write(tmp_path / name) for name in "xy")
    assert one == other


def test_attributes_come_back_from_disk(tmp_path: Path) -> None:
    builder = Builder()
    origin = builder.origin("a", "1", "none")
    nodes = [builder.node(origin, "t", str(n), "") for n in range(4)]
    relation = builder.relation("r")
    builder.edge(origin, nodes[0], relation, nodes[1], frequency=0.25, entry="a word", mixed=1)
    builder.edge(origin, nodes[2], relation, nodes[3], mixed="one")
    builder.edge(origin, nodes[0], relation, nodes[3])
    graph = TypedGraph.of(builder.finish())
    graph.write(tmp_path)
    again = TypedGraph.open(tmp_path)
    found = [dict(told) for node in range(4) for entry in again.around(node) for told in again.said(node, entry)]
    assert sorted(map(str, found)) == sorted(
        map(str, [{"entry": "a word", "frequency": 0.25, "mixed": "1"}, {"mixed": "one"}] * 2)
    )


@pytest.mark.parametrize("name", ["neighbours.npy", "nodes.arrow", "manifest.json"])
def test_a_damaged_graph_is_told(graph: TypedGraph, tmp_path: Path, name: str) -> None:
    graph.write(tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(NotAGraph):
            TypedGraph.open(tmp_path)
    path.unlink()
    with pytest.raises(NotAGraph):
        TypedGraph.open(tmp_path)


def test_a_changed_byte_is_found(graph: TypedGraph, tmp_path: Path) -> None:
    graph.write(tmp_path)
    path = tmp_path / "neighbours.npy"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    with pytest.raises(NotAGraph, match=r"neighbours\.npy: missing, or changed"):
        check_files(tmp_path)


def test_a_graph_of_a_later_format_is_refused(graph: TypedGraph, tmp_path: Path) -> None:
    manifest = graph.write(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 9}))
    with pytest.raises(NotAGraph, match="format 9"):
        TypedGraph.open(tmp_path)


# -- PrimeKG, and sources by what they are

HEADER = "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source"
LINES = """
drug_protein,target,0,DB1,drug,aspirin,DrugBank,1,99,gene/protein,PTGS1,NCBI
protein_protein,ppi,1,99,gene/protein,PTGS1,NCBI,2,7,gene/protein,TP53,NCBI
disease_phenotype_negative,phenotype absent,3,7,disease,"gout, chronic",MONDO,4,99,effect/phenotype,fever,HPO
drug_protein,target,1,99,gene/protein,PTGS1,NCBI,0,DB1,drug,aspirin,DrugBank
protein_protein,ppi,2,7,gene/protein,TP53,NCBI,1,99,gene/protein,PTGS1,NCBI
disease_phenotype_negative,phenotype absent,4,99,effect/phenotype,fever,HPO,3,7,disease,"gout, chronic",MONDO
""".strip().splitlines()
EXPECTED = {
    (("drug", "DB1"), "drug_protein", False, ("gene/protein", "99")),
    (("gene/protein", "7"), "protein_protein", False, ("gene/protein", "99")),
    (("disease", "7"), "disease_phenotype_positive", True, ("effect/phenotype", "99")),
}


def read(path: Path, about: About = NOT_TOLD) -> TypedGraph:
    return TypedGraph.of(sources.build([path], about))


def of_lines(path: Path, lines: list[str], header: str = HEADER) -> TypedGraph:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return read(path)


@pytest.mark.parametrize("order", [1, -1])
def test_primekg_is_read_with_heads_negations_and_names(tmp_path: Path, order: int) -> None:
    graph = of_lines(tmp_path / "kg.csv", LINES[::order])
    assert {(edge.head, edge.relation, edge.negated, edge.tail) for edge in graph.edges()} == EXPECTED
    assert [graph.name(node) for node in graph.find("gout, chronic")] == ["gout, chronic"]
    assert {edge.source for edge in graph.edges()} == {"PrimeKG"}


@pytest.mark.parametrize(
    "bad",
    [
        "drug_protein,target,x,DB1,drug,aspirin,DrugBank,1,99,gene/protein,PTGS1,NCBI",  # an index that is none
        "drug_protein,target,0,DB1,disease,aspirin,DrugBank,1,99,gene/protein,PTGS1,NCBI",  # of another type
        "drug_protein,target,,DB1,drug,aspirin,DrugBank,1,99,gene/protein,PTGS1,NCBI",
        "drug_protein,target,0,DB1,drug",
        ",,0,,drug,aspirin,DrugBank,1,99,gene/protein,PTGS1,NCBI",
    ],
)
def test_a_bad_line_of_primekg_costs_only_itself(tmp_path: Path, bad: str) -> None:
    graph = of_lines(tmp_path / "kg.csv", [*LINES[:2], bad, *LINES[2:]])
    found = {(edge.head, edge.relation, edge.negated, edge.tail) for edge in graph.edges()}
    assert found >= EXPECTED
    assert len(found) <= len(EXPECTED) + 1


def test_the_slow_way_reads_what_the_fast_one_does(tmp_path: Path, shared: Path) -> None:
    from synth_kg.readers import primekg

    path = shared / "kg/primekg_shape/primekg_like_scale0.005.csv.gz"
    fast, slow = Builder(), Builder()
    primekg.read_wide(path, fast)
    primekg._read_lines(path, slow, slow.told(NOT_TOLD, primekg.TITLE))
    one, other = fast.finish(), slow.finish()
    assert one.nodes == other.nodes
    for name in Columns.ARRAYS:
        assert np.array_equal(getattr(one.columns, name), getattr(other.columns, name)), name
    assert (len(one.nodes), one.columns.statements) == (647, 14_347)


def test_every_graph_and_ontology_at_hand_loads(shared: Path) -> None:
    files = [
        path for folder in ("kg", "ontology") for path in sorted((shared / folder).rglob("*"))
        if path.is_file() and path.name not in ("phenotype.hpoa.gz", "hp.obo.gz")
    ]  # fmt: skip
    beside = {
        "hetionet-v1.0-metagraph.json", "metaedges.tsv", "metanodes.tsv", "benchmark_pathways_metadata.csv",
        "benchmark_pathways_nodes.csv",
    }  # fmt: skip
    for path in files:
        if path.name in beside:
            with pytest.raises(UnusableSource):
                read(path)
        else:
            assert len(read(path)) > 9, path


def test_a_folder_is_read_file_by_file(shared: Path) -> None:
    graph = read(shared / "kg/hetionet")
    assert (len(graph), graph.columns.statements) == (47_031, 99_676)
    reasons = {one.reason: one.times for one in graph.dropped}
    assert reasons["a file that no reader takes"] == 3


def test_sources_meet_in_one_graph_whatever_their_order(shared: Path) -> None:
    folder = shared / "ontology"
    paths = [
        folder / name for name in ("symp.obo", "DO_infectious_disease_slim.json", "mondo_exactmatch_doid.sssom.tsv")
    ]
    one, other = (TypedGraph.of(sources.build(order)) for order in (paths, paths[::-1]))
    assert [edge.ref for edge in one.edges()] == [edge.ref for edge in other.edges()]
    assert list(one.names) == list(other.names)
    (node,) = [n for n in one.find("DOID:0050117")]
    assert {edge.arc.relation for edge in one.around(node)} >= {"is_a", "exact_match"}


def test_a_person_may_say_what_a_source_is(tmp_path: Path) -> None:
    path = tmp_path / "kg.csv"
    path.write_text("\n".join([HEADER, *LINES]) + "\n")
    (edge, *_) = read(path, About("Ours", "3", "CC0-1.0")).edges()
    assert (edge.source, edge.version, edge.license) == ("Ours", "3", "CC0-1.0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "HTML page"), (b"\x80\x04\x95\x00", "pickle"), (b"PK\x03\x04", "zip"),
        (b"just some words\nand more of them\n", "not triples"),
        (b"<xml><a/></xml>", "neither OWL nor GraphML"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_named_for_what_it_is(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "kg.csv"
    path.write_bytes(data)
    with pytest.raises(UnusableSource, match=words):
        read(path)


def test_networkx_and_back(tmp_path: Path) -> None:
    from synth_kg.readers.networks import from_networkx

    whole: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    whole.add_node("gout", type="disease", name="Gout")
    whole.add_node("urate", type="molecule")
    whole.add_edge("gout", "urate", relation="involves")
    graph = from_networkx(whole)
    assert [(edge.head, edge.relation, edge.tail) for edge in graph.edges()] == [
        (("disease", "gout"), "involves", ("molecule", "urate"))
    ]
    back = graph.to_networkx()
    assert back.number_of_edges() == 1
    part = graph.to_networkx([0])
    assert part.number_of_nodes() == 1 and part.number_of_edges() == 0


# -- what a hostile reader found


def edges_of(graph: TypedGraph) -> set[tuple[Any, ...]]:
    return {(edge.head[1], edge.relation, edge.negated, edge.tail[1]) for edge in graph.edges()}


def test_a_negation_that_comes_late_in_a_file_is_one(tmp_path: Path) -> None:
    rows = [{"subject": f"X:{n}", "predicate": "biolink:treats", "object": "Y:1"} for n in range(300)]
    told = [*rows, {**rows[0], "subject": "X:999", "negated": True}]
    path = tmp_path / "k_edges.jsonl"
    path.write_text("\n".join(map(json.dumps, told)))
    denied = [edge for edge in read(path).edges() if edge.negated]
    assert [edge.head[1] for edge in denied] == ["X:999"]


@pytest.mark.parametrize(
    ("column", "cell", "denied"),
    [
        ("negated", "1.0", True), ("negated:boolean", "true", True), ("is_negated", "yes", True),
        ("qualifier", "NOT", True), ("qualifier", "NOT|involved_in", True), ("qualifier", "involved_in", False),
        ("negated", "negative", True),
        ("negated", "0", False), ("negated", "", False), ("negated", "perhaps", None),
    ],
)  # fmt: skip
def test_negations_are_seen_or_the_line_is_left_out(
    tmp_path: Path, column: str, cell: str, denied: bool | None
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(f"head,relation,tail,{column}\nA:1,r,B:1,{cell}\nA:2,r,B:1,\nA:3,r,B:1,\n")
    graph = read(path)
    found = {edge.head[1]: edge.negated for edge in graph.edges()}
    assert found == {"A:2": False, "A:3": False} | ({} if denied is None else {"A:1": denied})
    assert any("negation" in one.reason for one in graph.dropped) is (denied is None)


def test_an_index_of_two_nodes_mixes_nothing_up(tmp_path: Path) -> None:
    """Two exports put together, each with its own numbers."""
    other = [line.replace("DB1", "DB2").replace("aspirin", "warfarin").replace("99", "98") for line in LINES]
    graph = of_lines(tmp_path / "kg.csv", [*LINES, *other])
    assert {("DB1", "99"), ("DB2", "98")} <= {(edge.head[1], edge.tail[1]) for edge in graph.edges()}


@pytest.mark.parametrize("cell", ["drug_protein,target,0,,drug", ",target,0,DB1,drug", "drug_protein,target,0,DB1,"])
def test_empty_cells_of_primekg_are_counted(tmp_path: Path, cell: str) -> None:
    graph = of_lines(tmp_path / "kg.csv", [*LINES, f"{cell},x,D,1,99,gene/protein,PTGS1,NCBI"])
    assert {(edge.head, edge.relation, edge.negated, edge.tail) for edge in graph.edges()} == EXPECTED
    assert any(one.reason == "a line without relation, type or id" for one in graph.dropped)


@pytest.mark.parametrize("order", [1, -1])
def test_a_relation_that_is_not_known_turns_neither_with_the_way_nor_the_order_of_reading(
    tmp_path: Path, order: int
) -> None:
    lines = ["soothes,soothes,0,B1,b,B,S,1,A1,a,A,S", "soothes,soothes,2,A2,a,A,S,3,B2,b,B,S"][::order]
    fast = of_lines(tmp_path / "kg.csv", lines)
    slow = of_lines(tmp_path / "kg.csv", [*lines, "soothes,soothes,x,B9,b,B,S,1,A1,a,A,S"])
    assert edges_of(fast) == {("A1", "soothes", False, "B1"), ("A2", "soothes", False, "B2")}
    assert edges_of(fast) <= edges_of(slow)
    assert all(head.startswith("A") for head, *_ in edges_of(slow))


def test_a_relation_may_be_directed_here_and_undirected_there() -> None:
    builder = Builder()
    origin = builder.origin("a", "1", "none")
    nodes = [builder.node(origin, "t", str(n), "") for n in range(4)]
    directed, undirected = builder.relation("meets"), builder.relation("meets", directed=False)
    builder.edge(origin, nodes[0], directed, nodes[1], note="directed")
    builder.edge(origin, nodes[3], undirected, nodes[2], note="undirected")
    graph = TypedGraph.of(builder.finish())
    said = {
        (entry.arc.way, told["note"])
        for node in range(4)
        for entry in graph.around(node)
        for told in graph.said(node, entry)
    }
    assert said == {("out", "directed"), ("in", "directed"), ("both", "undirected")}


def test_an_id_that_is_said_to_be_two_others_is_one_of_them_whatever_the_order() -> None:
    def of(order: list[str]) -> TypedGraph:
        builder = Builder()
        origin = builder.origin("a", "1", "none")
        third = builder.node(origin, "t", "third", "")
        for new in order:
            builder.node(origin, "t", new, new)
            builder.alias(("t", "old"), ("t", new))
        for one, other in (("x", "y"), ("y", "x"))[:: -1 if order[0] == "b" else 1]:
            builder.alias(("t", one), ("t", other))
        builder.edge(origin, builder.number("t", "old"), builder.relation("r"), third)
        builder.edge(origin, builder.number("t", "y"), builder.relation("r"), third)
        return TypedGraph.of(builder.finish())

    for graph in (of(["a", "b"]), of(["b", "a"])):
        assert edges_of(graph) == {("a", "r", False, "third"), ("x", "r", False, "third")}
        assert any("several others" in one.reason for one in graph.dropped)


def test_a_cut_archive_in_a_folder_is_told_for_what_it_is(tmp_path: Path) -> None:
    import gzip

    rows = "head,relation,tail\n" + "".join(f"A:{n},r,B:{n % 7}\n" for n in range(200_000))
    (tmp_path / "big.csv.gz").write_bytes(gzip.compress(rows.encode())[:-100_000])
    (tmp_path / "small.csv").write_text("head,relation,tail\nA:1,r,B:1\nA:2,r,B:2\n")
    graph = read(tmp_path)
    assert {edge.relation for edge in graph.edges()} == {"r"}
    (reason,) = [one.reason for one in graph.dropped if "file" in one.reason]
    cut = "a file that was cut or damaged; what came before is there"
    assert reason == (cut if len(graph) > 4 else "a file that no reader takes")


def test_a_table_of_three_columns_is_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("gen,krankheit,wert\n" + "".join(f"G{n},disease {n},0.{n}\n" for n in range(9)))
    with pytest.raises(UnusableSource, match="cannot tell nodes and relations"):
        read(path)


def test_hundreds_of_sources_fit(tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"e{n}.csv").write_text(f"head,relation,tail\nA:{n},r,B:1\nA:{n},r,B:2\n")
    graph = read(tmp_path)
    assert (graph.columns.statements, len(graph.origins)) == (600, 300)
    assert {edge.source for edge in graph.edges()} == {f"e{n}" for n in range(300)}


def test_a_graph_of_loops_alone_is_empty() -> None:
    builder = Builder()
    origin = builder.origin("a", "1", "none")
    node = builder.node(origin, "t", "1", "")
    builder.edge(origin, node, builder.relation("r"), node, note="x")
    graph = TypedGraph.of(builder.finish())
    assert (len(graph), graph.columns.statements, list(graph.edges())) == (1, 0, [])


def test_deep_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"a":' * 100_000)
    with pytest.raises(UnusableSource):
        read(path)


def test_a_manifest_that_lacks_something_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(NotAGraph, match="not the manifest"):
        TypedGraph.open(tmp_path)


def test_a_vocabulary_of_many_types_relations_and_sources_fits() -> None:
    """127 types, 900 relations, 100 sources and 2 million nodes: the shape of UMLS, few of whose pairs are there."""
    draw = np.random.default_rng(1)
    n, m = 2_000_000, 20_000
    offsets = np.linspace(0, n, 128).astype(np.int64)
    heads, tails, sources = (draw.integers(0, most, m) for most in (n, n, 100))
    relations = (heads * 127 // n) * 7 + (tails * 127 // n) % 7
    stated = Statements(heads, relations, tails, sources)
    columns = assemble([f"t{t:03}" for t in range(127)], offsets, [Relation(f"r{r:03}") for r in range(900)], stated)
    assert columns.statements == m


def test_what_is_said_comes_out_with_networkx() -> None:
    builder = Builder()
    origin = builder.origin("a", "1", "none")
    one, other = builder.node(origin, "t", "1", "One", ["first"]), builder.node(origin, "t", "2", "Two")
    builder.edge(origin, one, builder.relation("r"), other, frequency=0.5)
    whole = TypedGraph.of(builder.finish()).to_networkx()
    assert whole.nodes["t", "1"]["synonyms"] == ("first",)
    assert [told["said"] for *_, told in whole.edges(data=True)] == [[{"frequency": 0.5}]]
