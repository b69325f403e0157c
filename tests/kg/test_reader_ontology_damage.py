"""Damaged ontologies and annotations: they are read as far as they can be, or refused in one line."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_kg.builder import Builder
from synth_kg.readers.babelon import read_babelon
from synth_kg.readers.hpoa import read_hpoa
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.readers.obograph import read_obograph
from synth_kg.readers.owl import read_owl
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

OBO = r"""format-version: 1.2
ontology: hp
property_value: dc:title "T" xsd:string

[Term]
id: HP:0000001
name: one \: "one"
synonym: "uno" EXACT layperson [A:1]
xref: B:2 "x"

[Term]
id: HP:0000002
name: two
alt_id: HP:0000003
is_a: HP:0000001 {source="Z"} ! one
relationship: part_of HP:0000004

[Term]
id: HP:0000003
name: obsolete three
is_obsolete: true
replaced_by: HP:0000002

[Term]
id: HP:0000004
name: four
is_a: HP:0000002

[Typedef]
id: part_of
name: part of
"""
PURL = "http://purl.obolibrary.org/obo/"
_IRI = [f"{PURL}HP_000000{number}" for number in range(5)]
JSON = json.dumps(
    {
        "graphs": [
            {
                "id": f"{PURL}hp.json",
                "meta": {"basicPropertyValues": [{"pred": "http://x#license", "val": "free"}]},
                "nodes": [
                    {"id": _IRI[1], "lbl": "one", "meta": {"synonyms": [{"pred": "hasExactSynonym", "val": "uno"}]}},
                    {"id": _IRI[2], "lbl": "two", "type": "CLASS"},
                    {"id": _IRI[3], "lbl": "three", "meta": {"deprecated": True, "basicPropertyValues": [
                        {"pred": f"{PURL}IAO_0100001", "val": _IRI[2]}]}},
                    {"id": f"{PURL}BFO_0000050", "type": "PROPERTY"},
                ],
                "edges": [
                    {"sub": _IRI[2], "pred": "is_a", "obj": _IRI[1]},
                    {"sub": _IRI[1], "pred": f"{PURL}BFO_0000050", "obj": _IRI[3]},
                ],
            }
        ]
    },
    indent=0,
)  # fmt: skip
OWL = f"""<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:o="http://www.w3.org/2002/07/owl#"
 xmlns:s="http://www.w3.org/2000/01/rdf-schema#" xmlns:i="http://www.geneontology.org/formats/oboInOwl#">
<o:Class r:about="{_IRI[1]}"><s:label>one</s:label>
<i:hasExactSynonym>uno</i:hasExactSynonym></o:Class>
<o:Class r:about="{_IRI[2]}"><s:label>two</s:label>
<s:subClassOf r:resource="{_IRI[1]}"/>
<i:hasAlternativeId>HP:0000003</i:hasAlternativeId></o:Class>
</r:RDF>
"""
HPOA = """#version: 2025-01-16
database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tbiocuration
OMIM:1\tAgue\t\tHP:0000001\tPMID:1\tPCS\t\t1/2\t\t\tP\tHPO:a[2021-06-21]
OMIM:1\tAgue\tNOT\tHP:0000002\tPMID:1\tPCS\tHP:0003577\t45%\tMALE\t\tP\tHPO:a[2021-06-21]
ORPHA:2\tQuartan\t\tHP:0000001\tPMID:1\tTAS\t\tHP:0040285\t\t\tP\tHPO:a[2021-06-21]
"""
BABELON = """source_language\ttranslation_language\tsubject_id\tpredicate_id\tsource_value\ttranslation_value
en\tzh\tHP:0000001\trdfs:label\tone\t一
en\tzh\tHP:0000002\trdfs:label\ttwo\t"二, 两"
"""
READERS = {
    "obo": (read_obo_terms, OBO), "json": (read_obograph, JSON), "owl": (read_owl, OWL),
    "hpoa": (read_hpoa, HPOA), "babelon": (read_babelon, BABELON),
}  # fmt: skip
_SPLINTERS = [
    b"\x00", b"\xff\xfe", b"\xb8\xb9", "é".encode("latin-1"), "腹水".encode("gb18030"), b"\r", b"\n", b"\n\n", b"\t",
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b"<", b">", b"&", b"!", b":", b"#", b"|", b"\x85", "\u2028".encode(),
    b"[Term]", b"\n[Term]\n", b"\n[Typedef]\n", b"\nid: HP:0000001\n", b"is_a: HP:0000002\n", b"HP:0000001",
    b"HP:0000002", b"HP_0000001", b"HP_0000002", b"is_obsolete: true\n", b"replaced_by: HP:0000003\n", b"null",
    b"1e999", b"0/0", b"%",
]  # fmt: skip

_Change = Callable[[bytes], bytes]


def _cut(at: float) -> _Change:
    return lambda data: data[: int(at * len(data))]


def _without(at: float, length: int) -> _Change:
    return lambda data: data[: int(at * len(data))] + data[int(at * len(data)) + length :]


def _with(at: float, splinter: bytes) -> _Change:
    return lambda data: data[: int(at * len(data))] + splinter + data[int(at * len(data)) :]


def _line_again(one: float, other: float) -> _Change:
    def change(data: bytes) -> bytes:
        lines = data.split(b"\n")
        lines.insert(int(other * len(lines)), lines[int(one * (len(lines) - 1))])
        return b"\n".join(lines)

    return change


def _renamed(one: int, other: int) -> _Change:
    """Ids mixed up: terms given twice, circles, loops and ends that are not there."""
    old, new = (f"{number:07}".encode() for number in (one, other))
    return lambda data: data.replace(old, new, 2)


_PLACE = st.floats(0, 1, allow_nan=False)
CHANGES = st.lists(
    st.one_of(
        st.builds(_cut, _PLACE),
        st.builds(_without, _PLACE, st.integers(1, 40)),
        st.builds(_with, _PLACE, st.sampled_from(_SPLINTERS)),
        st.builds(_with, _PLACE, st.binary(max_size=6)),
        st.builds(_line_again, _PLACE, _PLACE),
        st.builds(_renamed, st.integers(1, 4), st.integers(1, 6)),
    ),
    min_size=1,
    max_size=8,
)


def read(kind: str, data: bytes) -> TypedGraph | None:
    """The graph of a file, or None if it was refused in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        builder = Builder()
        try:
            READERS[kind][0](path, builder)
        except UnusableSource as error:
            assert str(error).startswith(str(path))
            assert len(str(error).splitlines()) == 1
            return None
        return TypedGraph.of(builder.finish())


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES, packed=st.booleans())
def test_any_damage(kind: str, changes: list[_Change], packed: bool) -> None:
    data = READERS[kind][1].encode()
    if packed:
        data = gzip.compress(data, mtime=0)
    for change in changes:
        data = change(data)
    graph = read(kind, data)
    if graph is not None:
        assert all(edge.head != edge.tail for edge in graph.edges())


@pytest.mark.parametrize("kind", READERS)
def test_undamaged_they_are_read(kind: str) -> None:
    graph = read(kind, READERS[kind][1].encode())
    assert graph is not None
    assert not [one for one in graph.dropped if "cannot" in one.reason or "cells" in one.reason]


@pytest.mark.parametrize("kind", READERS)
def test_a_cell_of_ten_megabytes(kind: str) -> None:
    told = {"obo": "one \\:", "json": '"uno"', "owl": "uno", "hpoa": "Ague", "babelon": "一"}[kind]
    graph = read(kind, READERS[kind][1].replace(told, told[:-1] + "x" * 10_000_000 + told[-1], 1).encode())
    assert graph is not None
    texts = [*graph.names, *(text for several in graph.synonyms for text in several)]
    assert max(map(len, texts)) > 9_999_999


def test_circles_and_loops() -> None:
    frames = [f"[Term]\nid: X:{n}\nname: t{n}\nis_a: X:{(n + 1) % 9}\nis_a: X:{n}\n" for n in range(9)]
    gone = [
        f"[Term]\nid: Y:{n}\nname: o{n}\nis_obsolete: true\nreplaced_by: Y:{(n + 1) % 9}\nalt_id: Y:{n}\n"
        for n in range(9)
    ]
    graph = read("obo", "\n".join(("ontology: x\n", *frames, *gone)).encode())
    assert graph is not None
    assert (len(graph), graph.columns.statements) == (9, 9)
    counted = {one.reason: one.times for one in graph.dropped}
    assert counted["relates a node to itself"] == 9
    assert counted["an obsolete term, replaced by none"] == 9


def test_deep_nesting() -> None:
    assert read("json", b'{"graphs": ' + b"[" * 100_000) is None
    deep = OWL.replace("<s:label>one", "<s:subClassOf>" * 50_000 + "</s:subClassOf>" * 50_000 + "<s:label>one")
    graph = read("owl", deep.encode())
    assert graph is None or len(graph) == 2
