"""Hetionet: kinds from ids, words from abbreviations, direction from both."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from pathlib import Path

import pytest

from synth_kg.builder import Builder, Built
from synth_kg.columns import Arc
from synth_kg.readers.hetionet import read_hetionet
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

NODES, EDGES = "hetionet-v1.0-nodes.tsv", "hetionet-v1.0-edges-5k.sif.gz"


def built(*paths: Path) -> Built:
    builder = Builder()
    for path in paths:
        read_hetionet(path, builder)
    return builder.finish()


def test_hetionet_is_there_as_published(shared: Path) -> None:
    folder = shared / "kg/hetionet"
    graph = built(folder / EDGES, folder / NODES)
    assert (len(graph.nodes), graph.columns.statements) == (47_031, 99_676)
    assert Counter(row.type for row in graph.nodes) == {
        "Gene": 20_945, "Biological Process": 11_381, "Side Effect": 5_734, "Molecular Function": 2_884,
        "Pathway": 1_822, "Compound": 1_552, "Cellular Component": 1_391, "Symptom": 438, "Anatomy": 402,
        "Pharmacologic Class": 345, "Disease": 137,
    }  # fmt: skip
    assert len(graph.columns.counts) == 24 and not graph.dropped
    assert graph.columns.counts["Compound", Arc("treats"), "Disease"] == 755
    assert graph.columns.counts["Gene", Arc("regulates"), "Gene"] == 5_000
    both = {(head, arc.relation) for head, arc, _ in graph.columns.counts if arc.way == "both"}
    assert both == {("Compound", "resembles"), ("Disease", "resembles"), ("Gene", "covaries"), ("Gene", "interacts")}
    assert int((graph.columns.degrees > 0).sum()) == 26_574 and max(graph.columns.degrees) == 663
    assert graph.origins == (("Hetionet", "v1.0", "not stated"),)
    typed = TypedGraph.of(graph)
    nose = typed.number("Anatomy", "UBERON:0000004")
    assert nose is not None and typed.name(nose) == "nose"


def test_without_words_abbreviations_stay(tmp_path: Path, shared: Path) -> None:
    shutil.copy(shared / "kg/hetionet" / EDGES, tmp_path)
    graph = built(tmp_path / EDGES)
    assert graph.columns.statements == 99_676
    counts = graph.columns.counts
    assert counts["Gene", Arc("Gr>G"), "Gene"] and counts["Gene", Arc("GiG", "both"), "Gene"]
    assert {row.source for row in graph.nodes} == {-1}


def test_bad_lines_and_other_files(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "e.sif.gz", "wt") as file:
        file.write(
            "source\tmetaedge\ttarget\nGene::1\tGiG\tGene::2\nGene::1\tGiG\n\tGiG\tGene::2\nGene::1\t\tGene::3\n"
        )
    graph = built(tmp_path / "e.sif.gz")
    assert graph.columns.statements == 1
    assert {example for one in graph.dropped for example in one.examples} == {
        "e.sif.gz:3", "e.sif.gz:4", "e.sif.gz:5",
    }  # fmt: skip
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UnusableSource, match="'a', 'b'"):
        built(tmp_path / "x.tsv")
    (tmp_path / "p.sif.gz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UnusableSource, match="git lfs pull"):
        built(tmp_path / "p.sif.gz")
