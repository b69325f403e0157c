"""Mapping files: what they say, and where they are wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from synth_kg.readers import mapping
from synth_kg.readers.mapping import Cell, read_mapping
from synth_kg.sniff import UnusableSource

GOOD = """\
source: s
edges:
  - file: t.csv
    head: {id: a}
    relation: r
    tail: {id: b}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text("a,r,b\n")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_in_the_text_is_one(folder: Path) -> None:
    lines = (mapping.__doc__ or "").split("All there is to it:")[1].split("\n\n")[1]
    for name in ("things.csv", "given_for.tsv.gz", "pairs.txt"):
        (folder / name).write_text("x,y\n")
    found = read_mapping(written(folder, textwrap.dedent(lines)))
    assert (found.source, found.version, found.license) == ("Ward formulary", "2026-05", "internal use only")
    (things,), (given, pairs) = found.nodes, found.edges
    assert things.synonyms == ("short", "other") and things.type == Cell("kind")
    assert given.head.type == Cell(value="Drug") and given.relation == Cell(value="treats")
    assert given.attributes == ("dose", "since") and given.undirected == frozenset()
    assert pairs.shape == (("a", "b", "weight"), ";", "gb18030", "#")
    assert pairs.undirected == {"interacts_with"} and pairs.tail.type is None


@pytest.mark.parametrize(
    ("told", "means"), [("true", None), ("false", frozenset()), ("[x, y]", {"x", "y"}), ("x", {"x"})]
)
def test_relations_without_direction(folder: Path, told: str, means: object) -> None:
    (edges,) = read_mapping(written(folder, GOOD + f"    undirected: {told}\n")).edges
    assert edges.undirected == means


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GOOD.replace("source: s", "sauce: s"), 1, "sauce: no such key; there are source, version"),
        (GOOD.replace("source: s\n", ""), 1, "`source` is missing"),
        (GOOD.replace("{id: a}", "{name: a}"), 4, "head: `id` is missing"),
        (GOOD.replace("relation: r", "relations: r"), 5, "relations: no such key"),
        (GOOD.replace("t.csv", "u.csv"), 3, r"file: there is no file u\.csv"),
        (GOOD.replace("{id: b}", "b"), 6, "tail: keys with values"),
        (GOOD + "    delimiter: '--'\n", 7, "delimiter: one character"),
        (GOOD + "    relation: q\n", 7, "relation: told twice"),
        (GOOD.replace("relation: r", "relation: {value: }"), 5, "value: a text is expected"),
        (GOOD.replace("relation: r", "relation: [r]"), 5, "relation: a text is expected"),
        ("source: s\nedges: 3\n", 2, "edges: a list"),
        ("source: s\n", 1, "it names no file"),
        ("source: [s\n", 2, "not YAML"),
        ("", 1, "keys with values"),
        ("a: &a [*a]\n", 1, ""),
    ],
)
def test_what_is_wrong_is_told_with_line_and_key(folder: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(UnusableSource, match=rf"map\.yaml:{line}: .*{says}"):
        read_mapping(written(folder, text))


def test_other_encodings_and_endless_nesting_are_named(folder: Path) -> None:
    path = folder / "map.yaml"
    path.write_bytes(b"source: caf\xe9\n")
    with pytest.raises(UnusableSource, match="UTF-8"):
        read_mapping(path)
    with pytest.raises(UnusableSource):
        read_mapping(written(folder, "[" * 20_000))
