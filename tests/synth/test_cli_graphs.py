"""`synth kg` on graphs that are built: from files to walks, and every mistake in one line."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from synth.cli import main
from synth.cli.graphs import components
from synth_kg.builder import Builder
from synth_kg.typed import TypedGraph

ROWS = """head,relation,tail
Disease::gout,has_sign,Sign::tophus
Disease::gout,has_sign,Sign::podagra
Disease::sepsis,has_sign,Sign::fever
"""


@pytest.fixture
def graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "edges.csv").write_text(ROWS)
    assert main(["kg", "build", str(tmp_path / "edges.csv"), "--out", str(tmp_path / "g"), "--license", "CC0-1.0"]) == 0
    assert "5 nodes, 3 statements" in capsys.readouterr().out
    return tmp_path / "g"


def test_a_graph_is_told_of(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kg", "info", str(graph)]) == 0
    told = capsys.readouterr().out
    assert "components: 2, the largest with 60.0% of the nodes" in told
    assert "edges undated, CC0-1.0" in told
    assert "median 1" in told


def test_a_node_and_a_path_are_told_with_their_proof(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edge = next(edge for edge in TypedGraph.open(graph).edges() if edge.tail[1].endswith("podagra"))
    assert main(["kg", "ask", str(graph), edge.head[1]]) == 0
    told = capsys.readouterr().out
    assert f"[{edge.ref[:8]}; edges undated, CC0-1.0]" in told
    assert main(["kg", "ask", str(graph), "tophus", "podagra"]) == 0
    assert "2 steps, 1 shortest paths" in capsys.readouterr().out
    assert main(["kg", "ask", str(graph), "tophus", "fever"]) == 1
    assert "no path of 6 steps or fewer" in capsys.readouterr().err


def test_walks_are_drawn(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["kg", "walk", str(graph), "-n", "20", "--path", "Disease -has_sign> Sign"]
    assert main(line) == 0
    out, err = capsys.readouterr()
    walks = [json.loads(text) for text in out.splitlines()]
    assert len(walks) == 20
    assert {tuple(node["type"] for node in one["nodes"]) for one in walks} == {("Disease", "Sign")}
    assert "0.00% ended before their time" in err
    assert main([*line, "--out", str(tmp_path / "w.npy")]) == 0
    assert np.load(tmp_path / "w.npy").shape == (20, 2)
    assert main(line) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["build", "nothing.csv", "--out", "g2"], "nothing.csv: no such file"),
        (["build", "edges.csv", "--out", "edges.csv"], "there is something else"),
        (["build", "edges.csv", "--out", "full"], "there is something else"),
        (["walk", "g", "-n", "1", "--path", "Disease -cures> Sign"], "no relation 'cures'"),
        (["walk", "g", "-n", "1", "--path", "Disease"], "not a metapath"),
        (["walk", "none", "-n", "1"], "not a built graph"),
        (["walk", "g", "-n", "-1"], "-n -1"),
        (["ask", "g", "goot"], "no node of this name"),
        (["info", "none"], "none"),
    ],
)
def test_mistakes_are_told_in_one_line(
    line: list[str], words: str, graph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(graph.parent)
    (graph.parent / "full").mkdir()
    (graph.parent / "full/mine.txt").write_text("mine")
    assert main(["kg", *line]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert words in said


def test_a_changed_file_is_told_by_info(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (graph / "neighbours.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert main(["kg", "info", str(graph)]) == 2
    assert "changed since the graph was built" in capsys.readouterr().err


def test_components_of_a_long_chain() -> None:
    builder = Builder()
    origin = builder.origin("made", "1", "none")
    nodes = [builder.node(origin, "t", f"{n:05}", "") for n in range(3000)]
    for one, other in pairwise(nodes[:1000]):
        builder.edge(origin, one, builder.relation("r"), other)
    labels = components(TypedGraph.of(builder.finish()))
    assert len(np.unique(labels)) == 2001
