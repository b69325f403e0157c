"""Rows against the graph itself, by another way than the checks'.

These tests read rows as plain data and ask networkx and the table files; they share no code
with `synth.checks`.
"""

import csv
import json
import re
from collections import defaultdict
from pathlib import Path

import networkx
import pytest

from synth.run import Run
from synth_kg.bundle import data_folder, tables_folder

CHOICES = {"vignette", "multihop", "choice", "compare", "calculation"}


def table(name: str) -> list[dict[str, str]]:
    with (tables_folder() / f"{name}.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def graph() -> networkx.MultiDiGraph:
    found = networkx.MultiDiGraph()
    for name, add in (("nodes", None), ("edges", None)):
        assert add is None
        with (data_folder() / f"{name}.tsv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if name == "nodes":
                    found.add_node(row["id"], name=row["name"])
                else:
                    found.add_edge(row["head"], row["tail"], relation=row["relation"])
    return found


@pytest.fixture(scope="module")
def data(run: Run) -> list[dict]:
    with (run.folder / "accepted.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tails(graph: networkx.MultiDiGraph, node: str, relation: str) -> set[str]:
    return {tail for _, tail, edge in graph.out_edges(node, data=True) if edge["relation"] == relation}


def test_no_choice_has_two_right_options(graph: networkx.MultiDiGraph, data: list[dict]) -> None:
    """For each wrong option: the graph and the tables never make it right as well."""
    named = {
        "diagnosis": {row["name"].casefold(): row["disease"] for row in table("diseases")},
        "process": {row["gloss"].casefold(): row["disease"] for row in table("diseases")},
    }
    verdicts = {(row["disease"], row["finding"]): row["verdict"] for row in table("typical")}
    kept = [row for row in table("findings") if row["verdict"] == "keep"]
    wordings = {row["clinical"].casefold(): row["finding"] for row in kept}
    told = {row[column].casefold(): row["finding"] for row in kept for column in ("clinical", "patient")}
    agents = defaultdict(set)
    for row in table("infections"):
        agents[row["agent"].casefold()].add(row["disease"])
    classes = {row["drug"].casefold(): row["class"] for row in table("drugs")}
    checked = 0
    for row in data:
        if row["genre"] not in CHOICES or not row["options"]:
            continue
        anchor, answer = row["seed"]["anchor"], row["answer"]
        wrong = [text.casefold() for letter, text in row["options"].items() if letter != answer["option"]]
        assert len(set(row["options"].values())) == len(row["options"])
        stated = {
            finding
            for words, finding in told.items()
            if words and re.search(rf"\b{re.escape(words)}\b", row["question"].casefold())
        }
        for text in wrong:
            checked += 1
            if row["topic"] in named:
                disease = named[row["topic"]][text]
                assert disease != anchor
                assert not networkx.has_path(_hierarchy(graph), disease, anchor)
                assert not networkx.has_path(_hierarchy(graph), anchor, disease)
                typical = [verdicts.get((disease, finding)) == "typical" for finding in stated]
                assert not typical or not all(typical) or len(typical) < 2, (row["id"], text)
            elif row["topic"] == "pathogen":
                mine = tails(graph, anchor, "has_material_basis_in")
                for disease in agents[text]:
                    if row["genre"] == "choice":
                        assert not mine & tails(graph, disease, "has_material_basis_in"), (row["id"], text)
            elif row["topic"] == "finding":
                assert verdicts[(anchor, wordings[text])] == "never ask", (row["id"], text)
            elif row["topic"] == "drug class":
                assert classes[text] != classes[answer["text"].casefold()], (row["id"], text)
            elif row["genre"] == "calculation":
                assert text != answer["text"]
    assert checked > 300


_IS_A: dict[int, networkx.DiGraph] = {}


def _hierarchy(graph: networkx.MultiDiGraph) -> networkx.DiGraph:
    if id(graph) not in _IS_A:
        up = networkx.DiGraph()
        up.add_nodes_from(graph)
        up.add_edges_from((a, b) for a, b, edge in graph.edges(data=True) if edge["relation"] == "is_a")
        _IS_A[id(graph)] = up
    return _IS_A[id(graph)]


def test_every_finding_of_a_stem_stands_in_the_graph(graph: networkx.MultiDiGraph, data: list[dict]) -> None:
    stating = {"has_symptom", "characterized_by", "presents"}
    for row in data:
        if row["genre"] in {"vignette", "open", "multihop"}:
            edges = [e for e in row["seed"]["evidence"] if e["type"] == "edge" and e["relation"] in stating]
            assert len(edges) >= 3
            for edge in edges:
                assert edge["head"]["id"] == row["seed"]["anchor"]
                assert edge["tail"]["id"] in tails(graph, edge["head"]["id"], edge["relation"])


def test_prose_never_argues_from_the_data(data: list[dict]) -> None:
    barred = re.compile(r"\b(recorded|unexplained by|database|dataset|knowledge graph|in the data|tables?)\b", re.I)
    for row in data:
        found = barred.search(row["reasoning"] + row["response"])
        assert not found, (row["id"], found)


def test_a_reverse_or_pathogen_row_does_not_name_its_answer(data: list[dict]) -> None:
    for row in data:
        if row["genre"] == "reverse" or row["topic"] == "pathogen":
            told, asked = row["question"].casefold(), row["answer"]["text"].casefold()
            for word in re.findall(r"[a-z]{6,}", asked):
                if word not in {"disease", "infection", "infectious", "syndrome", "fever", "virus", "bacterial"}:
                    assert word[:5] not in told or row["options"], (row["id"], word)


def test_three_families_and_shares(data: list[dict]) -> None:
    sources = {item["source"].split()[0] for row in data for item in row["lineage"]}
    assert "Disease" in sources
    assert any(name.startswith("Hetionet") for name in sources)
    assert any(row["genre"] == "calculation" for row in data)
    words = [len(row["reasoning"].split()) for row in data if row["genre"] != "explainer"]
    assert sum(count >= 80 for count in words) >= 0.9 * len(words)


def test_the_product_needs_nothing_outside_itself() -> None:
    root = Path(__file__).parents[2]
    for folder in ("synth", "kg/synth_kg", "reward", "prompts", "configs"):
        for path in (root / folder).rglob("*"):
            if path.suffix in {".py", ".j2", ".yaml"}:
                assert "shared/" not in path.read_text(encoding="utf-8"), path
