"""Damaged files: whatever happens to one, it is refused in words, or read and what was lost counted."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_kg.builder import Builder
from synth_kg.readers.hetionet import read_hetionet
from synth_kg.readers.kgx import read_kgx
from synth_kg.readers.mapping import read_mapping
from synth_kg.readers.medical_cn import read_medical_cn
from synth_kg.readers.networks import read_graphml
from synth_kg.readers.primekg_parts import read_parts, read_paths
from synth_kg.readers.sssom import read_sssom
from synth_kg.readers.tables import read_mapped, read_table
from synth_kg.readers.triples import read_triples
from synth_kg.sniff import UnusableSource

TABLE = 'source,source_type,relation,target,target_type,negated\n' + "".join(
    f'a{n},"T, {n % 3}",r{n % 2},"b ""{n}""",U é,{n % 2}\n' for n in range(12)
)  # fmt: skip
SAMPLES: dict[str, tuple[Callable[..., None], str]] = {
    "table.csv": (read_table, TABLE),
    "triples.txt": (read_triples, "".join(f"Gene::{n}\tr\t头痛{n}\n" for n in range(12))),
    "hetionet.sif": (read_hetionet, "source\tmetaedge\ttarget\n" + "Gene::1\tGiG\tGene::2\nGene::1\tGr>G\tGene::3\n"),
    "nodes.tsv": (read_hetionet, "id\tname\tkind\nGene::1\tone\tGene\nSide Effect::C1\ttwo\tSide Effect\n"),
    "nodes.csv": (read_parts, "node_index,node_id,node_type,node_name,node_source\n0,1250,disease,a,M\n1,7,drug,b,D\n"),
    "paths.csv": (
        read_paths,
        "pathway_id,source_node,source_id,source_type,target_node,target_id,target_type,relation\n"
        + "p,a,1,drug,b,2,disease,indication\np,b,2,disease,c,3,disease,disease_disease\n" * 4,
    ),
    "kg_edges.tsv": (
        read_kgx,
        "subject\tpredicate\tobject\tnegated\tprovided_by\n" + "HP:1\tbiolink:treats\tMONDO:2\tTrue\tx|y\n" * 5,
    ),
    "kg_nodes.jsonl": (read_kgx, '{"id": "HP:1", "category": ["biolink:Gene"], "name": "x", "synonym": ["y"]}\n' * 4),
    "m.sssom.tsv": (
        read_sssom,
        "# license: CC0\n# curie_map:\n#   HP: x\nsubject_id\tsubject_label\tpredicate_id\tobject_id\n"
        + "HP:1\tpain\tskos:exactMatch\tSYMP:1\n" * 4,
    ),
    "cn.jsonl": (
        read_medical_cn,
        '{"name": "甲（别名：乙）", "symptom": ["咳嗽"], "drug_detail": ["某(丙)"]}\n'
        + '{"name": "丁", "check": ["x", "y"]}\n' * 4,
    ),
    "g.graphml": (
        read_graphml,
        '<?xml version="1.0"?><graphml><key id="d" for="all" attr.name="type"/><graph edgedefault="directed">'
        + '<node id="a"><data key="d">T</data></node><node id="b"/>'
        + '<edge source="a" target="b"><data key="d">r</data></edge><edge source="b" target="c"/></graph></graphml>',
    ),
}  # fmt: skip
JUNK = [
    b"\x00",
    b'"',
    b"\n",
    b"\r",
    b"\t",
    b",",
    b"\xff\xfe",
    b"\xe5",
    b"\xed\xa0\x80",
    b"#",
    b"{",
    b"<",
    b"]]>",
    b"::",
    b"",
]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes cut, doubled, overwritten, in another encoding or packed badly."""
    if draw(st.integers(0, 9)) == 0:
        data = data.decode().encode(
            draw(st.sampled_from(["utf-16", "utf-16-be", "gb18030", "utf-8-sig", "utf-32"])), "replace"
        )
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        what = draw(st.integers(0, 4))
        if what == 0:
            data = data[:at] + draw(st.sampled_from(JUNK)) + data[at:]
        elif what == 1:
            data = data[:at] + data[to:]
        elif what == 2:
            data = data[:to] + data[at:]
        elif what == 3:
            data = data[:at]
        else:
            data = data[:at] + draw(st.binary(max_size=8)) + data[at + 1 :]
    packed = draw(st.integers(0, 11))
    if packed < 2:
        data = gzip.compress(data, 1) if packed else zstandard.compress(data, 1)
        data = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    return data


def survives(read: Callable[..., None], path: Path, data: bytes) -> None:
    path.write_bytes(data)
    builder = Builder()
    try:
        read(path, builder)
    except UnusableSource as error:
        assert str(path.parent) in str(error) and "\n" not in str(error)
        return
    graph = builder.finish()
    assert all(one.times > 0 for one in graph.dropped)
    assert all(row.type and row.id for row in graph.nodes)


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_no_damage_makes_a_traceback(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    read, text = SAMPLES[name]
    survives(read, tmp_path / name, draw.draw(damaged(text.encode())))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_nor_one_of_a_mapping_file(tmp_path: Path, draw: st.DataObject) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    text = "source: s\nedges:\n  - file: t.csv\n    head: {id: a}\n    relation: {value: r}\n    tail: {id: b}\n"
    survives(read_mapped, tmp_path / "map.yaml", draw.draw(damaged(text.encode())))


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_files_are_read(tmp_path: Path, name: str) -> None:
    read, text = SAMPLES[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    builder = Builder()
    read(tmp_path / name, builder)
    assert builder.finish().nodes


def test_a_mapping_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"\x80\x04\x95\x00")
    with pytest.raises(UnusableSource):
        read_mapping(tmp_path / "m.yaml")


def test_a_cell_of_ten_megabytes_does_no_harm(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    (tmp_path / "t.csv").write_text(f'source,relation,target\na,r,{long}\na,r,b\n"{long}\n')
    builder = Builder()
    read_table(tmp_path / "t.csv", builder)
    assert builder.finish().columns.statements == 2
