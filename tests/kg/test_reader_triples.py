"""Triples without a header."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_kg.builder import Builder, Built
from synth_kg.readers import blocks
from synth_kg.readers.triples import read_triples
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def built(*paths: Path) -> Built:
    builder = Builder()
    for path in paths:
        read_triples(path, builder)
    return builder.finish()


def test_the_umls_semantic_network_is_there_as_published(shared: Path) -> None:
    graph = built(*(shared / f"kg/umls_kemp/{split}.txt" for split in ("test", "train", "valid")))
    assert (len(graph.nodes), graph.columns.statements) == (135, 6529)
    assert len({arc.relation for arc in graph.columns.arcs}) == 46
    assert graph.columns.types == ("Entity",) and not graph.dropped
    assert [origin.name for origin in graph.origins] == ["umls_kemp"]
    assert max(graph.columns.degrees) == 382


def test_ids_may_carry_their_types(tmp_path: Path) -> None:
    (tmp_path / "drkg.tsv").write_text(
        "Gene::2157\tbioarx::HumGenHumGen:Gene:Gene\tGene::5264\n"
        "Compound::DB00107\tDRUGBANK::treats::Compound:Disease\tDisease::MESH:D001\nHP:1\tisa\tthing\n"
    )
    graph = built(tmp_path / "drkg.tsv")
    assert {(row.type, row.id) for row in graph.nodes} == {
        ("Gene", "2157"), ("Gene", "5264"), ("Compound", "DB00107"), ("Disease", "MESH:D001"), ("Phenotype", "HP:1"),
        ("Entity", "thing"),
    }  # fmt: skip


@pytest.mark.parametrize("mark", ["\t", ",", ";", "|", " "])
def test_any_delimiter_will_do(tmp_path: Path, mark: str) -> None:
    (tmp_path / "t").write_text("".join(mark.join(("#a", "r", f"b{n}")) + "\n" for n in range(30)))
    graph = built(tmp_path / "t")
    assert graph.columns.statements == 30
    assert next(TypedGraph.of(graph).edges()).head == ("Entity", "#a")


def test_lines_of_other_length_are_counted(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a\tr\tb\na\tr\na\tr\tc\na\tr\tc\td\n")
    graph = built(tmp_path / "t.txt")
    assert graph.columns.statements == 2
    assert graph.dropped[0][1:] == (blocks.SHORT, 2, ("t.txt:2", "t.txt:4"))


def test_what_has_not_three_cells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("one two three four\nfive\n")
    with pytest.raises(UnusableSource, match="three cells"):
        built(tmp_path / "t.txt")
