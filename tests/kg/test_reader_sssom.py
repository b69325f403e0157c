"""SSSOM: mappings are statements and synonyms, and merge nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_kg.builder import Builder, Built
from synth_kg.columns import Arc
from synth_kg.readers.sssom import read_sssom
from synth_kg.readers.tables import EMPTY
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def built(path: Path) -> Built:
    builder = Builder()
    read_sssom(path, builder)
    return builder.finish()


def test_mondos_exact_matches_are_all_there(shared: Path) -> None:
    path = shared / "ontology/mondo_exactmatch_doid.sssom.tsv"
    graph = built(path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")][1:]
    ids = {cell for line in lines for cell in (line.split("\t")[0], line.split("\t")[3])}
    assert graph.columns.counts == {("Disease", Arc("exact_match", "both"), "Disease"): len(lines)}
    assert (len(lines), len(graph.nodes)) == (11_966, len(ids)) and not graph.dropped
    # the file says CC0 of itself
    assert graph.origins == (
        ("mondo_exactmatch_doid", "2026-08-04", "https://creativecommons.org/publicdomain/zero/1.0/"),
    )
    row = next(row for row in graph.nodes if row.id == "MONDO:0000004")
    assert (row.name, row.synonyms) == ("adrenocortical insufficiency", ("adrenal cortical hypofunction",))
    assert len(graph.attributes) == len(lines)


def test_other_matches_negation_and_bad_lines(tmp_path: Path) -> None:
    (tmp_path / "m.sssom.tsv").write_text(
        "#curie_map:\n#  HP: http://x\n#mapping_set_title: Ours\n#license: CC0\n#mapping_set_version: '7'\n"
        "subject_id\tsubject_label\tpredicate_modifier\tpredicate_id\tobject_id\tobject_label\n"
        "HP:1\tpain\t\tskos:broadMatch\tSYMP:1\tache\n"
        "HP:2\tcough\tNot\tskos:exactMatch\tSYMP:2\tsneeze\n"
        "HP:3\tx\t\tskos:exactMatch\tsssom:NoTermFound\t\n"
        "HP:3\tx\t\t\tSYMP:1\t\n"
    )
    graph = built(tmp_path / "m.sssom.tsv")
    edges = {(e.head[1], e.relation, e.tail[1], e.negated) for e in TypedGraph.of(graph).edges()}
    assert edges == {("HP:1", "broad_match", "SYMP:1", False), ("HP:2", "exact_match", "SYMP:2", True)}
    assert graph.origins == (("Ours", "7", "CC0"),)
    assert all(not row.synonyms for row in graph.nodes)
    assert [(one.reason, one.examples) for one in graph.dropped] == [
        (EMPTY, ("m.sssom.tsv:10",)), ("a term that is told to have no match", ("m.sssom.tsv:9",)),
    ]  # fmt: skip


def test_a_head_that_is_not_yaml_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text(
        "# [\n# : : {\nsubject_id\tpredicate_id\tobject_id\nHP:1\tskos:exactMatch\tSYMP:1\n"
    )
    graph = built(tmp_path / "m.tsv")
    assert graph.columns.statements == 1 and graph.origins[0].license == "not stated"


def test_other_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("subject_id\tb\n1\t2\n")
    with pytest.raises(UnusableSource, match="no column 'predicate_id', 'object_id'"):
        built(tmp_path / "t.tsv")
