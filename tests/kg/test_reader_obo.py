"""OBO files as graphs."""

import gzip
from pathlib import Path

import pytest
import zstandard

from synth_kg.builder import About, Builder
from synth_kg.obo import ident
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

OBO = r"""format-version: 1.2
data-version: tiny/releases/2026-01-02/tiny.obo
ontology: tiny.obo
remark: see the license on the page
property_value: dc:title "Tiny \"real\" ontology" xsd:string
property_value: terms:license https://creativecommons.org/publicdomain/zero/1.0/

[Term]
id: SYMP:1
name: ague \{marsh\}
def: "A fever, \"so\" called." [url:http\://example.org/a]
synonym: "marsh  fever" EXACT layperson []
synonym: "fever" BROAD []
synonym: "shivers" RELATED []
xref: UMLS_CUI:C1

[Term]
id: SYMP:2
name: tertian ague
alt_id: SYMP:9
alt_id: SYMP:1
is_a: SYMP:1 {source="ZFA", xref="A:1"} ! ague
relationship: part_of SYMP:8 {source="B"} ! an obsolete one
relationship: RO:7 UBERON:5 ! blood
intersection_of: SYMP:1 ! ague
intersection_of: part_of SYMP:3

[Term]
id: SYMP:3
name: quartan ague
is_a: SYMP:9
is_a: SYMP:7
is_a: SYMP:404 ! nowhere
is_a: SYMP:3

[Term]
id: UBERON:5
name: blood

[Term]
id: SYMP:6
name: obsolete old ague
is_obsolete: true
replaced_by: SYMP:8

[Term]
id: SYMP:7
name: obsolete lost ague
is_a: SYMP:1
is_obsolete: true
consider: SYMP:1

[Term]
id: SYMP:8
name: obsolete newer ague
alt_id: SYMP:88
is_obsolete: true
replaced_by: SYMP:3

[Term]
id: SYMP:10
name: obsolete split ague
is_obsolete: true
replaced_by: SYMP:2
replaced_by: SYMP:3

[Term]
id: SYMP:11

[Typedef]
id: part_of
name: part of

[Typedef]
id: RO:7
name: found in
"""


NAMELESS = OBO[: OBO.index("id: SYMP:11")].count("\n")


def write(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def graph_of(path: Path, about: About = About()) -> TypedGraph:  # noqa: B008  (it is a tuple)
    builder = Builder()
    read_obo_terms(path, builder, about)
    return TypedGraph.of(builder.finish())


def test_what_a_file_says(tmp_path: Path) -> None:
    graph = graph_of(write(tmp_path, "tiny.obo", OBO))
    assert {graph.key(n): (graph.name(n), graph.synonyms[n]) for n in range(len(graph))} == {
        ("Anatomy", "UBERON:5"): ("blood", ()),
        ("Symptom", "SYMP:1"): ("ague {marsh}", ("marsh fever",)),
        ("Symptom", "SYMP:2"): ("tertian ague", ("SYMP:9",)),
        ("Symptom", "SYMP:3"): ("quartan ague", ("SYMP:6", "SYMP:8", "SYMP:88")),
    }
    assert {(e.head[1], e.relation, e.tail[1], e.negated) for e in graph.edges()} == {
        ("SYMP:2", "is_a", "SYMP:1", False),
        ("SYMP:2", "part_of", "SYMP:3", False),
        ("SYMP:2", "found_in", "UBERON:5", False),
        ("SYMP:3", "is_a", "SYMP:2", False),
    }
    assert graph.origins == (
        ('Tiny \\"real\\" ontology', "2026-01-02", "https://creativecommons.org/publicdomain/zero/1.0/"),
    )
    assert {(one.reason, one.times, one.examples) for one in graph.dropped} == {
        ("a cross-reference", 1, ("tiny.obo:SYMP:1",)),
        ("a synonym that is not exact", 2, ("tiny.obo:SYMP:1",)),
        ("a term that cannot be read", 1, (f"tiny.obo:{NAMELESS}: a term without a name",)),
        ("an alternative id of two terms, or of one that stands", 1, ("tiny.obo:SYMP:1",)),
        ("an obsolete term, replaced by another", 2, ("tiny.obo:SYMP:6", "tiny.obo:SYMP:8")),
        ("an obsolete term, replaced by none", 2, ("tiny.obo:SYMP:7", "tiny.obo:SYMP:10")),
        ("is_a of a term that is not there", 1, ("tiny.obo:SYMP:3",)),
        ("is_a of a term that is obsolete", 1, ("tiny.obo:SYMP:3",)),
        ("relates a node to itself", 1, ()),
    }


def test_a_person_knows_better(tmp_path: Path) -> None:
    graph = graph_of(write(tmp_path, "tiny.obo", OBO), About("Mine", "7", "ours"))
    assert graph.origins == (("Mine", "7", "ours"),)
    assert {one.source for one in graph.dropped} == {"Mine"}


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.ZstdCompressor().compress, lambda b: b"\xef\xbb\xbf" + b.replace(b"\n", b"\r\n")],
)
def test_packed_or_with_the_marks_of_windows(tmp_path: Path, pack) -> None:
    plain, packed = (graph_of(write(tmp_path, name, d)) for name, d in (("a", OBO), ("b", pack(OBO.encode()))))
    assert [edge.ref for edge in packed.edges()] == [edge.ref for edge in plain.edges()]


def test_a_frame_in_the_middle_of_many_that_does_not_parse(tmp_path: Path) -> None:
    frames = [f"[Term]\nid: SYMP:{n}\nname: t{n}\nis_a: SYMP:{n // 2}" for n in range(1, 700)]
    frames[300] = '[Term]\nid: SYMP:301\nname: x\ndef: "open'
    frames[400] = "[Term]\nid: SYMP:401\n[Term\nname: x"
    graph = graph_of(write(tmp_path, "many.obo", "ontology: many\n\n" + "\n\n".join(frames)))
    assert len(graph) == 697
    assert graph.number("Symptom", "SYMP:301") is None
    bad = next(one for one in graph.dropped if one.reason == "a term that cannot be read")
    assert bad.times == 2
    assert bad.examples[0].startswith("many.obo:1503: ")
    assert next(o.times for o in graph.dropped if o.reason == "is_a of a term that is not there") == 3


def test_two_that_claim_an_id_and_one_that_is_given_again(tmp_path: Path) -> None:
    one, two = (f"[Term]\nid: SYMP:{n}\nname: t{n}\nalt_id: SYMP:9\n" for n in (1, 2))
    again = "[Term]\nid: SYMP:1\nname: other\nis_a: SYMP:2\n"
    forward, backward = (
        graph_of(write(tmp_path, "x.obo", "\n".join(("ontology: x", "", *frames))))
        for frames in ((one, two, again), (two, one, again))
    )
    for graph in (forward, backward):
        assert [graph.ids[n] for n in graph.find("SYMP:9")] == ["SYMP:1"]
        assert not list(graph.edges())
        assert {d.reason: d.times for d in graph.dropped} == {
            "a term whose id was given before": 1,
            "an alternative id of two terms, or of one that stands": 1,
        }


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.obo", b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
        ("a.json", b'{"graphs": []}', "json, not an OBO ontology"),
        ("cut.obo.gz", gzip.compress(OBO.encode())[:-20], "damaged"),
        ("gbk.obo", OBO.replace("blood", "腹水").encode("gb18030"), "not UTF-8"),
        ("none.obo", b"format-version: 1.2\n", "without a single readable term"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words) as caught:
        graph_of(write(tmp_path, name, data))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_of_any_form() -> None:
    assert ident("http://purl.obolibrary.org/obo/NCBITaxon_Union_0000010") == "NCBITaxon_Union:0000010"
    assert ident(r"X:a\:b") == "X:a:b"


@pytest.mark.parametrize(
    ("file", "terms", "obsolete", "unread", "is_a", "lost", "aliases"),
    [
        ("hp.obo.gz", 19_484, 450, 0, 23_392, 0, 3_837),
        ("symp.obo", 1_020, 125, 0, 898, 0, 19),
        ("HumanDO-2015.obo", 8_948, 2_374, 6, 6_921, 17, 1_326),
        ("doid-2026-NCIthesaurus-slim.obo", 4_757, 7, 0, 4_780, 0, 1_093),
        ("DO_infectious_disease_slim.obo", 536, 0, 0, 498, 0, 291),
    ],
)
def test_real_files(
    shared: Path, file: str, terms: int, obsolete: int, unread: int, is_a: int, lost: int, aliases: int
) -> None:
    """Of HumanDO's 17, six are stated by frames that do not parse, and 11 of terms that those define."""
    builder = Builder()
    read_obo_terms(shared / "ontology" / file, builder)
    graph = TypedGraph.of(builder.finish())
    dropped = {one.reason: one.times for one in graph.dropped}
    assert len(graph) == terms - obsolete - unread
    assert sum(count for reason, count in dropped.items() if reason.startswith("an obsolete term")) == obsolete
    assert dropped.get("a term that cannot be read", 0) == unread
    assert graph.columns.statements == is_a - lost
    assert {(arc.relation, arc.way) for arc in graph.columns.arcs} == {("is_a", "out"), ("is_a", "in")}
    old = {text for several in graph.synonyms for text in several if text[:3] in {"HP:", "SYM", "DOI"}}
    assert len({text for text in old if text.split(":")[-1].isdigit()}) == aliases
    assert all(graph.names)
