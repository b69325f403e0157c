"""Tables with a mapping and without: what the columns say, however the file comes."""

from __future__ import annotations

import csv
import gzip
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_kg.builder import About, Builder, Built
from synth_kg.readers import blocks, tables
from synth_kg.readers.primekg import read_wide
from synth_kg.readers.tables import AMBIGUOUS, EMPTY, UNLISTED, read_mapped, read_table
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def built(read: Callable[..., None], *paths: Path, about: About | None = None) -> Built:
    builder = Builder()
    for path in paths:
        read(path, builder, *([about] if about else []))
    return builder.finish()


def said(graph: Built) -> set[tuple[str, ...]]:
    typed = TypedGraph.of(graph)
    return {
        (*edge.head, ("not " if edge.negated else "") + edge.relation, *edge.tail) for edge in typed.edges()
    }  # fmt: skip


def dropped(graph: Built) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {one.reason: (one.times, one.examples) for one in graph.dropped}


@pytest.mark.parametrize(
    "header",
    [
        "x_id,x_type,x_name,relation,y_id,y_type,y_name",
        "source_id,source_type,source_name,relation,target_id,target_type,target_name",
        "subject,subject_category,subject_label,predicate,object,object_category,object_label",
        "head,head_type,head_name,rel,tail,tail_type,tail_name",
        ":START_ID(N),start_type,start_name,:TYPE,:END_ID(N),end_type,end_name",
        "Source,Source Type,Source Name,Interaction,Target,Target Type,Target Name",
    ],
)
def test_usual_columns_need_no_mapping(tmp_path: Path, header: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'{header}\n1,Drug,"aspirin, coated",treats,1,Disease,headache\n')
    graph = built(read_table, path)
    assert said(graph) == {("Drug", "1", "treats", "Disease", "1")}
    assert {row.name for row in graph.nodes} == {"aspirin, coated", "headache"}
    assert graph.origins[0] == ("t", "undated", "not stated")


def test_what_a_person_says_of_a_source_stands(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("source,relation,target\na,r,b\n,r,b\n")
    graph = built(read_table, tmp_path / "t.csv", about=About("Mine", "2", "CC0"))
    assert graph.origins == (("Mine", "2", "CC0"),)
    assert [one.source for one in graph.dropped] == ["Mine"]


def test_ids_tell_their_types_where_no_column_does(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("head\trelation\ttail\nGene::2\tr\tHP:1\nplain\tr\tGene::2\n")
    assert said(built(read_table, tmp_path / "t.tsv")) == {
        ("Gene", "2", "r", "Phenotype", "HP:1"), ("Entity", "plain", "r", "Gene", "2"),
    }  # fmt: skip


def test_a_table_of_nodes_names_them(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("id,name,type,synonyms\n7,fever,Symptom,pyrexia|febris\n")
    (row,) = built(read_table, tmp_path / "n.csv").nodes
    assert row[:4] == ("Symptom", "7", "fever", ("febris", "pyrexia"))


def test_strange_columns_are_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("alpha,beta,gamma\n1,2,3\n")
    with pytest.raises(UnusableSource, match=r"t\.csv: .*'alpha', 'beta', 'gamma'.*mapping"):
        read_table(tmp_path / "t.csv", Builder())


def test_bad_lines_are_counted_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("source,relation,target\na,r,b\n,r,b\na,,b\na,r\na,r,b,c\na,r,c\n")
    graph = built(read_table, path)
    assert said(graph) == {("Entity", "a", "r", "Entity", "b"), ("Entity", "a", "r", "Entity", "c")}
    assert dropped(graph) == {
        EMPTY: (2, ("t.csv:3", "t.csv:4")),
        blocks.SHORT: (2, ("t.csv:5", "t.csv:6")),
    }


def test_a_dropped_line_leaves_no_node(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("source,relation,target\na,r,b\nlost,r,\nlost,,b\n")
    assert [row.id for row in built(read_table, tmp_path / "t.csv").nodes] == ["a", "b"]


def test_the_same_id_in_two_types_is_two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{n % 5},{'AB'[n % 2]},n{n % 5}{'AB'[n % 2]},r,{n % 3},{'BA'[n % 2]},m{n % 3}" for n in range(60)]
    path.write_text("x_id,x_type,x_name,relation,y_id,y_type,y_name\n" + "\n".join(lines))
    whole = built(read_table, path)
    assert {(row.type, row.id) for row in whole.nodes} == {(t, str(n)) for t in "AB" for n in range(5)}
    assert all(row.name == f"n{row.id}{row.type}" or row.name.startswith("m") for row in whole.nodes)
    expected = {
        (c[1], c[0], "r", c[5], c[4]) for c in (line.split(",") for line in lines) if (c[1], c[0]) != (c[5], c[4])
    }  # fmt: skip
    assert said(whole) == expected
    monkeypatch.setattr(blocks, "_PIECE", 100)
    monkeypatch.setattr(blocks, "_GATHERED", 7)
    pieces = built(read_table, path)
    assert said(pieces) == expected and [row[:3] for row in pieces.nodes] == [row[:3] for row in whole.nodes]


MAPPING = """
source: Ward
version: "3"
license: internal
nodes:
  - {file: things.csv, type: kind, id: code, name: title, synonyms: [short, other], separator: "/"}
edges:
  - file: given.tsv.gz
    head: {id: drug}
    relation: {value: treats}
    tail: {id: icd}
    negated: "no"
    attributes: [dose, origin]
  - file: pairs.txt
    columns: [a, b]
    delimiter: ";"
    encoding: gb18030
    head: {type: {value: Food}, id: a, name: a}
    relation: {value: goes_with}
    tail: {type: {value: Food}, id: b, name: b}
    undirected: true
"""


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    (tmp_path / "things.csv").write_text(
        "code,title,kind,short,other\nd1,aspirin,Drug,ASA,acetylsalicylic acid/Aspro\ni1,headache,Disease,,\n"
        "i2,gout,Disease,,\ntwice,x,Drug,,\ntwice,x,Disease,,\n"
    )
    with gzip.open(tmp_path / "given.tsv.gz", "wt") as file:
        file.write(
            "drug\ticd\tno\tdose\torigin\nd1\ti1\t\t500 mg\tus\nd1\ti2\tNOT\t\t\n"
            "d1\ti9\t\t\t\nd1\ttwice\t\t\t\nd1\t\t\t\t\n"
        )
    (tmp_path / "pairs.txt").write_bytes("豆腐;菠菜\n菠菜;豆腐\n牛奶;豆腐\n".encode("gb18030"))
    (tmp_path / "map.yaml").write_text(MAPPING)
    return tmp_path / "map.yaml"


def test_a_mapping_says_what_columns_hold(ward: Path) -> None:
    graph = built(read_mapped, ward)
    assert said(graph) == {
        ("Drug", "d1", "treats", "Disease", "i1"),
        ("Drug", "d1", "not treats", "Disease", "i2"),
        ("Food", "菠菜", "goes_with", "Food", "豆腐"),
        ("Food", "牛奶", "goes_with", "Food", "豆腐"),
    }
    assert graph.origins == (("Ward", "3", "internal"),)
    assert [told for _, told in graph.attributes] == [{"dose": "500 mg", "origin": "us"}]
    aspirin = next(row for row in graph.nodes if row.id == "d1")
    assert aspirin.synonyms == ("ASA", "Aspro", "acetylsalicylic acid")
    told = dropped(graph)
    assert told[UNLISTED] == (1, ("given.tsv.gz:4",)) and told[AMBIGUOUS] == (1, ("given.tsv.gz:5",))
    assert told[EMPTY] == (1, ("given.tsv.gz:6",))
    assert told["states again what it stated"][0] == 1


@pytest.mark.parametrize(
    ("name", "title"),
    [("a/x.tsv.gz", "x"), ("a/train.txt", "a"), ("a/my.graph.v1.0.csv", "my.graph.v1.0"), ("a/csv", "csv")],
)
def test_a_file_is_called_by_its_name(name: str, title: str) -> None:
    assert tables.title_of(Path(name)) == title


def test_a_told_type_and_one_of_the_id_keep_apart(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\nGene::1,Gene::1\nGene::2,Gene::1\n")
    (tmp_path / "m.yaml").write_text(
        "source: s\nedges:\n  - {file: t.csv, head: {type: {value: X}, id: a}, relation: {value: r}, tail: {id: b}}\n"
    )
    assert said(built(read_mapped, tmp_path / "m.yaml")) == {
        ("X", "Gene::1", "r", "Gene", "1"), ("X", "Gene::2", "r", "Gene", "1"),
    }  # fmt: skip


def test_a_mapped_column_that_is_not_there_is_named(ward: Path) -> None:
    ward.write_text(MAPPING.replace("id: icd", "id: icd10"))
    with pytest.raises(UnusableSource, match=r"given\.tsv\.gz: no column 'icd10'; there are 'drug', 'icd'"):
        read_mapped(ward, Builder())


@pytest.mark.parametrize(("kind", "bare"), [("parquet", False), *product(("csv", "tsv", "jsonl"), (False, True))])
def test_every_form_of_a_table_gives_the_same_graph(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, bare: bool
) -> None:
    import orjson
    import pyarrow as pa
    from pyarrow import csv as arrow
    from pyarrow import parquet

    whole = tmp_path / "kg.csv"
    with gzip.open(shared / "kg/primekg_shape/primekg_like_scale0.005.csv.gz") as file, whole.open("wb") as out:
        shutil.copyfileobj(file, out)
    expected = built(read_table, whole)
    table = arrow.read_csv(whole)
    path = tmp_path / f"kg.{kind}"
    if kind == "tsv":
        lines = [table.column_names, *(map(str, row.values()) for row in table.to_pylist())]
        path.write_text("\n".join(map("\t".join, lines)), encoding="utf-8")
    elif kind == "jsonl":
        path.write_bytes(b"\n".join(map(orjson.dumps, table.to_pylist())))
    elif kind == "parquet":
        parquet.write_table(table.cast(pa.schema([(name, pa.string()) for name in table.column_names])), path)
    if bare:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    graph = built(read_table, path)
    assert graph.columns.counts == expected.columns.counts and graph.nodes == expected.nodes
    assert (len(graph.nodes), graph.columns.statements) == (647, 28_694)


def test_as_many_statements_as_the_wide_reader(shared: Path) -> None:
    path = shared / "kg/primekg_shape/primekg_like_scale0.005.csv.gz"
    wide, table = built(read_wide, path), built(read_table, path)
    assert [row[:3] for row in wide.nodes] == [row[:3] for row in table.nodes]
    assert 2 * wide.columns.statements == table.columns.statements


def test_as_networkx_has_it(shared: Path) -> None:
    path = shared / "kg/primekg_drugmech/benchmark_pathways_edges.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = {
            (row["source_type"], row["source_id"], row["relation"], row["target_type"], row["target_id"])
            for row in csv.DictReader(file)
        }
    assert said(built(read_table, path)) == rows
    assert len(rows) == 544


_ID = st.sampled_from(["a", "b", "Gene::1", "HP:1", "", " c ", "é", "x,y", 'q"', "::"])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(_ID, st.sampled_from(["T", "U", ""]), st.sampled_from(["r", "s", ""]), _ID), max_size=30)
)
def test_in_bulk_as_one_by_one(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("source", "source_type", "relation", "target"), *rows])
    graph = built(read_table, path)
    expected, bad = set(), Counter[str]()
    for cells in rows:
        head, kind, relation, tail = (cell.strip() for cell in cells)
        key = tables.plain_key(tail)
        if not (head and kind and relation) or isinstance(key, str):
            bad[EMPTY] += 1
        elif (kind, head) != key:
            expected.add((kind, head, relation, *key))
    assert said(graph) == expected
    assert dropped(graph).get(EMPTY, (0,))[0] == bad[EMPTY]


def test_numbers_of_many_nodes_are_those_of_each() -> None:
    builder = Builder()
    one = builder.number("T", "b")
    assert builder.numbers("T", ["a", "b", "a", "c"]).tolist() == [1, one, 1, 2]
    assert builder.numbers("U", ["a"]).tolist() == [3] and builder.number("T", "c") == 2
    assert builder.numbers("T", []).tolist() == []
