"""Rows against the graph itself, by another way than the checks'.

These tests read rows as plain data and ask networkx and the table files; they share no code
with `synth.checks`.
"""

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import networkx
import pytest

from synth.run import Run
from synth_kg.bundle import data_folder, tables_folder


def table(name: str) -> list[dict[str, str]]:
    with (tables_folder() / f"{name}.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def graph() -> networkx.MultiDiGraph:
    found = networkx.MultiDiGraph()
    for row in shipped("nodes"):
        found.add_node(row["id"], name=row["name"])
    for row in shipped("edges"):
        found.add_edge(row["head"], row["tail"], relation=row["relation"])
    return found


def shipped(name: str) -> list[dict[str, str]]:
    with (data_folder() / f"{name}.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def data(run: Run) -> list[dict]:
    with (run.folder / "accepted.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tails(graph: networkx.MultiDiGraph, node: str, relation: str) -> set[str]:
    return {tail for _, tail, edge in graph.out_edges(node, data=True) if edge["relation"] == relation}


VERDICTS = {(row["disease"], row["finding"]): row["verdict"] for row in table("typical")}
KEPT = [row for row in table("findings") if row["verdict"] == "keep"]
FINDINGS = {row["clinical"].casefold(): row["finding"] for row in KEPT}
TOLD = {row[column].casefold(): row["finding"] for row in KEPT for column in ("clinical", "patient") if row[column]}
DISEASES = {row["name"].casefold(): row["disease"] for row in table("diseases")}
GLOSSES = {row["gloss"].casefold(): row["disease"] for row in table("diseases")}
CLASSES = {row["drug"].casefold(): row["class"] for row in table("drugs")}
WAYS = {row["disease"]: set(filter(None, row["route_category"].split("|"))) for row in table("infections")}
AGENTS: dict[str, set[str]] = defaultdict(set)
ROUTES: dict[str, set[str]] = defaultdict(set)
for line in table("infections"):
    AGENTS[line["agent"].casefold()].add(line["disease"])
    ROUTES[line["route"].casefold()].add(line["disease"])


def stated(row: dict) -> set[str]:
    """Findings that a stem states and the tables call typical of its answer."""
    sentences = [s for s in row["question"].split(". ") if not s.startswith("There is no") and " has no " not in s]
    text = ". ".join(sentences).casefold()
    found = {finding for words, finding in TOLD.items() if re.search(rf"\b{re.escape(words)}\b", text)}
    return {finding for finding in found if VERDICTS.get((row["seed"]["anchor"], finding)) == "typical"}


def wrong_disease(graph: networkx.MultiDiGraph, row: dict, disease: str) -> bool:
    """No kin of the answer, and two findings of the stem that no line lets it have."""
    anchor, findings = row["seed"]["anchor"], stated(row)
    up = _hierarchy(graph)
    related = networkx.has_path(up, disease, anchor) or networkx.has_path(up, anchor, disease)
    had = [finding for finding in findings if VERDICTS.get((disease, finding)) in {"typical", "occasional"}]
    return not related and len(findings) >= 3 and len(findings) - len(had) >= 2


def wrong_option(graph: networkx.MultiDiGraph, row: dict, text: str) -> bool:  # noqa: PLR0911  (one a topic)
    """Whether an option is wrong by the graph and the tables alone."""
    anchor, topic, asked = row["seed"]["anchor"], row["topic"], row["question"].casefold()
    if topic in {"diagnosis", "process"}:
        return wrong_disease(graph, row, (DISEASES if topic == "diagnosis" else GLOSSES)[text])
    if topic == "pathogen" and row["genre"] == "multihop":
        return any(wrong_disease(graph, row, disease) for disease in AGENTS[text] if disease in DISEASES.values())
    if topic == "pathogen":
        mine = tails(graph, anchor, "has_material_basis_in")
        return not any(mine & tails(graph, disease, "has_material_basis_in") for disease in AGENTS[text])
    if topic == "route":
        return all(WAYS[disease] and not WAYS[disease] & WAYS[anchor] for disease in ROUTES[text])
    if topic == "finding":
        return VERDICTS.get((anchor, FINDINGS[text])) == "never ask"
    if topic == "drug class":
        return CLASSES[text] != CLASSES[row["answer"]["text"].casefold()]
    assert topic == "comparison"
    pair = [disease for name, disease in DISEASES.items() if re.search(rf"\b{re.escape(name)}\b", asked)]
    verdicts = {disease: VERDICTS.get((disease, FINDINGS[text])) for disease in pair}
    other = [verdict for disease, verdict in verdicts.items() if disease != anchor]
    return anchor in pair and not (verdicts[anchor] == "typical" and "never ask" in other and "typical" not in other)


def test_no_choice_has_two_right_options(graph: networkx.MultiDiGraph, data: list[dict]) -> None:
    """For each wrong option: the graph and the tables never make it right as well."""
    checked = Counter()
    for row in data:
        options = row["options"] or {}
        assert len({text.casefold() for text in options.values()}) == len(options)
        for letter, text in options.items():
            if letter != row["answer"]["option"]:
                checked[row["genre"], row["topic"] if row["genre"] != "calculation" else ""] += 1
                assert wrong_option(graph, row, text.casefold()), (row["id"], text)
    kinds = {"diagnosis", "process", "pathogen", "route", "finding", "drug class", "comparison"}
    assert {topic for _, topic in checked} == kinds
    assert checked.total() > 300


def test_the_query_finds_a_second_right_option(graph: networkx.MultiDiGraph, data: list[dict]) -> None:
    """The answer itself, offered as a wrong option, is found right in every kind of row."""
    for row in data:
        if row["options"]:
            assert not wrong_option(graph, row, row["answer"]["text"].casefold()), row["id"]


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
                    assert word[:5] not in told, (row["id"], word)


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


def test_no_man_is_offered_a_disease_of_women(data: list[dict]) -> None:
    women = {row["disease"] for row in table("patients") if row["sex"] == "female"}
    seen = 0
    for row in data:
        if row["topic"] == "diagnosis" and re.search(r"\b(man|boy|he)\b", row["question"]):
            seen += 1
            assert not women & {DISEASES[text.casefold()] for text in (row["options"] or {}).values()}, row["id"]
    assert seen
