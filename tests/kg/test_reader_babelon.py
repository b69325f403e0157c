"""Translations of labels: other names of the same node."""

from pathlib import Path

import pytest

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.babelon import read_babelon
from synth_kg.readers.hpoa import LICENSE
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

OBO = """ontology: hp

[Term]
id: HP:1
name: Fever
alt_id: HP:9

[Term]
id: HP:2
name: Chills
"""
HEADER = "\t".join(
    ("source_language", "translation_language", "subject_id", "predicate_id", "source_value", "translation_value",
     "translation_status")
)  # fmt: skip


def row(ident: str, text: str, predicate: str = "rdfs:label", status: str = "OFFICIAL") -> str:
    return "\t".join(("en", "zh", ident, predicate, "x", text, status))


def graph_of(tmp_path: Path, rows: list[str], about: About = NOT_TOLD, *, first: bool = True) -> TypedGraph:
    (tmp_path / "hp.obo").write_text(OBO, encoding="utf-8")
    table = tmp_path / "hp-zh.babelon.tsv"
    table.write_text("\n".join((HEADER, *rows)), encoding="utf-8")
    builder = Builder()
    if first:
        read_obo_terms(tmp_path / "hp.obo", builder)
    read_babelon(table, builder, about)
    if not first:
        read_obo_terms(tmp_path / "hp.obo", builder)
    return TypedGraph.of(builder.finish())


@pytest.mark.parametrize("first", [True, False])
def test_labels_are_names_of_the_same_node_whatever_comes_first(tmp_path: Path, first: bool) -> None:
    rows = [
        row("HP:1", "发热"),
        row("HP:1", "发烧", "oio:exactSynonym"),
        row("HP:2", '"寒战, 畏寒"'),
        row("HP:9", "热"),
    ]
    graph = graph_of(tmp_path, rows, first=first)
    assert [(graph.name(n), graph.synonyms[n]) for n in range(len(graph))] == [
        ("Fever", ("HP:9", "发烧", "发热", "热")),
        ("Chills", ("寒战, 畏寒",)),
    ]
    assert ("HP translations (zh)", "undated", LICENSE) in graph.origins


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [
        row("HP:1", "发热"), row("HP:1", "体温升高。", "IAO:0000115"), row("HP:2", ""), row("", "寒战"),
        row("HP:2", "冷", status="CANDIDATE"), row("HP:2", "\ufffd冷"), "en\tzh", "",
    ]  # fmt: skip
    graph = graph_of(tmp_path, rows, About("Ours", "1", "free"))
    assert ("Ours", "1", "free") in graph.origins
    assert {one.reason: (one.times, one.examples) for one in graph.dropped if one.source == "Ours"} == {
        "a row of another number of cells": (1, ("hp-zh.babelon.tsv:8",)),
        "a row without term or translation": (2, ("hp-zh.babelon.tsv:4", "hp-zh.babelon.tsv:5")),
        "a translation that is no name": (1, ("hp-zh.babelon.tsv:3",)),
        "a translation that is not official": (1, ("hp-zh.babelon.tsv:6",)),
        "a translation with characters in another encoding": (1, ("hp-zh.babelon.tsv:7",)),
    }


@pytest.mark.parametrize(
    ("data", "words"), [("a\tb\n1\t2\n", "not a babelon table"), (HEADER, "without a single"), ("", "empty")]
)
def test_what_cannot_be_used(tmp_path: Path, data: str, words: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(data, encoding="utf-8")
    with pytest.raises(UnusableSource, match=words):
        read_babelon(path, Builder())


def test_the_real_table(shared: Path) -> None:
    """Of 18,988 labels, six are of ids that HPO has since merged into others, which have one too."""
    builder = Builder()
    read_babelon(shared / "ontology" / "hp-zh.babelon.tsv", builder)
    read_obo_terms(shared / "ontology" / "hp.obo.gz", builder)
    graph = TypedGraph.of(builder.finish())
    assert len(graph) == 19_034
    chinese = [
        node for node in range(len(graph)) if any("\u4e00" <= c <= "\u9fff" for c in "".join(graph.synonyms[node]))
    ]
    assert len(chinese) == 18_982
    assert not any('"' in text for node in chinese for text in graph.synonyms[node] if "\u4e00" <= text[0] <= "\u9fff")
    assert "发热" in graph.synonyms[graph.find("Fever")[0]]
    humerus = graph.number("Phenotype", "HP:0031095")
    assert humerus is not None
    assert {"肱骨异常", "HP:0003063"} <= set(graph.synonyms[humerus])
    assert not [one for one in graph.dropped if one.source.startswith("HP translations")]
