"""Rows of diseases that HPO annotates: held against the raw files by other code, replayed, and with planted faults."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import pytest

import synth
from synth.checks import run_checks
from synth.cli import main
from synth.config import Config
from synth.replay import Shelf, replay
from synth.sample import ANNOTATED, Sample, content_id
from synth.seeds.source import open_graph
from synth_kg.aliases import normal
from synth_kg.tables import load_tables
from tests.served.scribe import SCRIPT, settings
from tests.served.scripted import Scripted

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("syndromes")]
SIZE = 120


class Made(NamedTuple):
    """A run, and the graph that it rests on."""

    run: Path
    graph: Path
    rows: list[Sample]


@pytest.fixture(scope="module")
def files(shared: Path) -> list[str]:
    folder = shared / "ontology"
    return [str(folder / name) for name in ("hp.obo.gz", "phenotype.hpoa.gz", "hp-zh.babelon.tsv")]


@pytest.fixture(scope="module")
def english(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("syndromes") / "en"
    run = synth.generate(Config(source=tuple(files)), n=SIZE, out=out)
    return Made(out, out / "graph", list(run.accepted()))


@pytest.fixture(scope="module")
def chinese(english: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("syndromes") / "zh"
    source = (str(english.graph / "annotated"),)  # a built graph is a source as well
    run = synth.generate(Config(source=source, lang="zh"), n=SIZE, out=out)
    return Made(out, out / "graph", list(run.accepted()))


@pytest.fixture(scope="module")
def shelf(english: Made) -> Shelf:
    return Shelf([open_graph(english.graph)])


class Raw(NamedTuple):
    """The files read by a few lines of this test alone."""

    said: dict[tuple[str, str], set[tuple[str, str, str]]]
    """(disease, term) -> (qualifier, aspect, frequency)."""
    names: dict[str, set[str]]
    """Name of a disease -> its ids."""
    terms: nx.DiGraph[str]
    """From a term to what it is a kind of."""
    labels: dict[str, str]

    def annotated(self, disease: str) -> set[str]:
        return {
            term
            for (one, term), rows in self.said.items()
            if one == disease and any(q != "NOT" and x == "P" and not f.startswith("0/") for q, x, f in rows)
        }


@pytest.fixture(scope="module")
def raw(files: list[str]) -> Raw:
    said: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    names: dict[str, set[str]] = {}
    with gzip.open(files[1], "rt", encoding="utf-8") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if line.startswith("#") or cells[0] == "database_id":
                continue
            said.setdefault((cells[0], cells[3]), set()).add((cells[2], cells[10], cells[7]))
            names.setdefault(cells[1], set()).add(cells[0])
    terms: nx.DiGraph[str] = nx.DiGraph()
    labels: dict[str, str] = {}
    ident = ""
    with gzip.open(files[0], "rt", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition(": ")
            if key == "id":
                ident = value
            elif key == "name":
                labels[ident] = value
            elif key == "is_a":
                terms.add_edge(ident, value.split(" ")[0])
    return Raw(said, names, terms, labels)


def about(rows: list[Sample]) -> list[Sample]:
    return [row for row in rows if row.topic in ANNOTATED]


def stated(row: Sample, of: str) -> set[str]:
    """The terms that the evidence asserts of a disease."""
    return {
        item.tail.id
        for item in row.seed.evidence
        if item.relation == "has_phenotype" and not item.negated and item.head and item.tail and item.head.id == of
    }


def test_nearly_all_seeds_make_a_row(english: Made, chinese: Made) -> None:
    for made in (english, chinese):
        assert len(made.rows) > 0.95 * SIZE
        assert {(row.genre, row.topic) for row in about(made.rows)} == {
            ("vignette", "syndrome"), ("multihop", "inheritance"), ("choice", "inheritance"), ("choice", "onset"),
            ("choice", "feature"), ("compare", "feature"),
        }  # fmt: skip
        assert len({row.question for row in made.rows}) == len(made.rows)
    assert all(row.topic in ANNOTATED for row in chinese.rows), "the tables are in English"


def test_every_row_is_closed_on_its_source_and_says_so(english: Made, chinese: Made) -> None:
    for made, name in ((english, "the human phenotype ontology"), (chinese, "人类表型本体（hpo）")):
        for row in about(made.rows):
            assert row.uniqueness == "source_relative"
            assert name in row.question.casefold()
            assert row.labels.long_tail == "rare disease"
            assert "hpo.jax.org" in row.license


def test_what_is_asserted_stands_in_the_file_and_is_never_denied(english: Made, chinese: Made, raw: Raw) -> None:
    for row in about(english.rows) + about(chinese.rows):
        for item in row.seed.evidence:
            if item.relation == "has_phenotype" and item.head and item.tail:
                rows = raw.said[item.head.id, item.tail.id]
                assert {s.frequency for s in item.said or ()} <= {frequency for _, _, frequency in rows}
                denied = any(q == "NOT" or f.startswith("0/") for q, _, f in rows)
                assert denied is bool(item.negated), (item.head, item.tail)
        for term in stated(row, row.seed.anchor):
            for broader in (term, *nx.descendants(raw.terms, term)):
                for qualifier, _, frequency in raw.said.get((row.seed.anchor, broader), ()):
                    assert qualifier != "NOT"
                    assert not frequency.startswith("0/")


def test_orphanet_counts_only_where_omim_agrees(english: Made, raw: Raw) -> None:
    """What a stem takes from an entry of Orphanet stands, in these words or others, in an entry of OMIM as well."""
    omim = [disease for disease, _ in raw.said if disease.startswith("OMIM:")]
    by_term: dict[str, set[str]] = {}
    for disease in dict.fromkeys(omim):
        for term in raw.annotated(disease):
            by_term.setdefault(term, set()).add(disease)
    seen = 0
    for row in about(english.rows):
        if row.genre == "vignette" and row.seed.anchor.startswith("ORPHA:"):
            for term in stated(row, row.seed.anchor):
                near = {term} | nx.ancestors(raw.terms, term) | nx.descendants(raw.terms, term)
                assert any(by_term.get(one) for one in near)
                seen += 1
    assert seen


def test_no_row_repeats_an_estimate_of_frequency(english: Made) -> None:
    words = re.compile(r"\b(?:most|many|nearly all|every|all) (?:of its )?patients")
    assert not any(words.search(row.reasoning + row.response) for row in about(english.rows))


def test_a_served_model_is_told_the_same_things(english: Made, tmp_path: Path) -> None:
    """A scripted model words them; what it cites is proved by the same evidence."""
    with Scripted(latency="fixed:2", script=SCRIPT) as server:
        config = settings(server.url).model_copy(update={"source": (str(english.graph / "annotated"),)})
        run = synth.generate(config, n=30, out=tmp_path / "r")
    rows = about(list(run.accepted()))
    assert rows
    assert any(claim.verdict == "supported" for row in rows for step in row.steps for claim in step.claims)
    assert main(["verify", str(tmp_path / "r" / "accepted.jsonl")]) == 0


def test_only_phenotypes_are_findings(english: Made, raw: Raw) -> None:
    """Onset and inheritance are told as such: no mode, course or onset among the findings of a stem."""
    for row in about(english.rows):
        for disease in {item.head.id for item in row.seed.evidence if item.head and item.head.type == "Disease"}:
            for term in stated(row, disease):
                assert {aspect for _, aspect, _ in raw.said[disease, term]} == {"P"}
                assert "HP:0000118" in nx.descendants(raw.terms, term)


def test_an_inheritance_that_is_asked_for_is_the_only_one_in_the_file(english: Made, chinese: Made, raw: Raw) -> None:
    modes = load_tables().modes
    asked = [row for row in about(english.rows) + about(chinese.rows) if row.topic == "inheritance"]
    assert len(asked) > 20
    for row in asked:
        own = next(i.head.name for i in row.seed.evidence if i.head and i.head.id == row.seed.anchor)
        told = {t for (d, t), rows in raw.said.items() if d in raw.names[own] and any(x == "I" for _, x, _ in rows)}
        assert told == {row.answer.concept}
        assert normal(row.answer.text) == normal(modes[row.answer.concept or ""].named(row.language))


def test_an_onset_that_is_asked_for_is_the_only_one_of_its_entry(english: Made, chinese: Made, raw: Raw) -> None:
    onsets = load_tables().onsets
    asked = [row for row in about(english.rows) + about(chinese.rows) if row.topic == "onset"]
    assert len(asked) > 5
    for row in asked:
        told = {term for (disease, term), _ in raw.said.items() if disease == row.seed.anchor and term in onsets}
        assert told == {row.answer.concept}
        own = onsets[row.answer.concept or ""]
        for letter, text in (row.options or {}).items():
            others = [o for o in onsets.values() if normal(o.named(row.language)) == normal(text)]
            apart = all(o.age_min >= own.age_max + 4 or own.age_min >= o.age_max + 4 for o in others)
            assert apart is (letter != row.answer.option)


def test_no_other_option_of_a_vignette_has_its_findings_in_the_file(english: Made, chinese: Made, raw: Raw) -> None:
    """Under none of its ids, neither in broader nor in narrower words, does it have two of them."""
    for row in about(english.rows) + about(chinese.rows):
        if row.genre != "vignette":
            continue
        terms = stated(row, row.seed.anchor)
        assert len(terms) >= 3
        for letter, name in (row.options or {}).items():
            has = set().union(*(raw.annotated(ident) for ident in raw.names[name]))
            near = {
                term for term in terms
                if term in has or has & nx.ancestors(raw.terms, term)
            }  # fmt: skip
            if letter == row.answer.option:
                assert near == terms
            else:
                assert near, "nothing makes it tempting"
                assert len(terms - near) >= 2, (row.id, name)


def test_a_feature_that_is_offered_as_wrong_is_no_feature_in_the_file(english: Made, raw: Raw) -> None:
    for row in about(english.rows):
        if (row.genre, row.topic) != ("choice", "feature"):
            continue
        own = next(i.head.name for i in row.seed.evidence if i.head and i.head.id == row.seed.anchor)
        has = set().union(*(raw.annotated(ident) for ident in raw.names[own]))
        above = has.union(*(nx.descendants(raw.terms, term) for term in has if term in raw.terms))
        foils = {i.terms[0].id for i in row.seed.evidence if i.type == "count" and i.head and i.terms}
        assert len(foils) == 3
        assert not foils & above


def test_the_proofs_replay(english: Made, chinese: Made) -> None:
    assert main(["verify", str(english.run / "accepted.jsonl")]) == 0
    assert main(["verify", str(chinese.run / "accepted.jsonl"), "--kg", str(english.graph)]) == 0


def test_a_row_is_shown_with_frequencies_and_counts(english: Made, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(r for r in english.rows if r.topic == "syndrome" and any(i.type == "count" for i in r.seed.evidence))
    assert main(["show", str(english.run), row.id]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for item in row.seed.evidence:
        if item.type == "count" and item.result and item.terms:
            assert f"count: {item.result.value:g} {item.result.unit}" in shown
        assert all(said.reference in shown for said in item.said or ())


def test_another_graph_does_not_prove_them(english: Made, tmp_path: Path) -> None:
    alone = tmp_path / "rows.jsonl"
    alone.write_bytes((english.run / "accepted.jsonl").read_bytes())
    assert main(["verify", str(alone)]) == 1


def _evidence(row: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(item for item in row["seed"]["evidence"] if item["type"] == kind)


def _swap_names(row: dict[str, Any]) -> None:
    wrong = next(letter for letter in row["options"] if letter != row["answer"]["option"])
    row["options"][wrong], row["options"][row["answer"]["option"]] = row["answer"]["text"], row["options"][wrong]


def _frequency(row: dict[str, Any]) -> None:
    item = next(i for i in row["seed"]["evidence"] if i["said"])
    item["said"][0]["frequency"] = "99/99"


def _count(row: dict[str, Any]) -> None:
    _evidence(row, "count")["result"]["value"] += 1


def _claim(row: dict[str, Any]) -> None:
    step = next(step for step in row["steps"] if step["claims"])
    old = step["claims"][0]["text"]
    new = f"{old} and fever"
    step["claims"][0]["text"], step["text"] = new, step["text"].replace(old, new)
    row["reasoning"] = " ".join(one["text"] for one in row["steps"])


def _prose(row: dict[str, Any]) -> None:
    row["steps"][0]["text"] += " Fever is a feature of every one of them."
    row["reasoning"] = " ".join(one["text"] for one in row["steps"])


def _finding(row: dict[str, Any]) -> None:
    row["question"] = row["question"].replace(" patient", " patient with fever, who", 1)


FAULTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "answer": _swap_names, "frequency": _frequency, "count": _count, "claim": _claim,
    "prose": _prose, "finding": _finding,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, english: Made, shelf: Shelf) -> None:
    vignettes = [row for row in english.rows if (row.genre, row.topic) == ("vignette", "syndrome")]
    for row in vignettes[:8]:
        data = row.model_dump(mode="json")
        FAULTS[fault](data)
        data["id"] = content_id(data)
        outcome = replay([data], shelf)
        assert outcome.replayed == 1
        assert outcome.faults, f"{fault} is not found in {row.id}"


def test_the_check_finds_options_that_are_no_longer_far(english: Made, shelf: Shelf) -> None:
    """An option is exchanged for a disease that brings most of the findings."""
    (knowledge,) = shelf.graphs.values()
    a = knowledge.annotations
    assert a is not None
    found = 0
    for row in english.rows:
        if (row.genre, row.topic) != ("vignette", "syndrome"):
            continue
        terms = [a.term(term) for term in sorted(stated(row, row.seed.anchor))]
        near = [
            d for d in range(a.first, a.end)
            if a.ident(d) != row.seed.anchor and sum(a.brings(d, term) for term in terms) >= len(terms) - 1
        ]  # fmt: skip
        for rival in near[:1]:
            data = row.model_dump(mode="json")
            wrong = next(letter for letter in data["options"] if letter != row.answer.option)
            data["options"][wrong] = a.name(rival)
            data["id"] = content_id(data)
            sample = Sample.model_validate(data)
            context = shelf.context(sample)
            assert not isinstance(context, str)
            assert "annotated" in {finding.check for finding in run_checks(sample, context)}
            found += 1
    assert found > 3


def test_a_longer_run_begins_with_the_same_rows_and_a_built_graph_gives_them_too(english: Made, tmp_path: Path) -> None:
    config = Config(source=(str(english.graph / "annotated"),))
    synth.generate(config, n=40, out=tmp_path / "r")
    first = (tmp_path / "r" / "accepted.jsonl").read_bytes()
    synth.generate(config, n=80, out=tmp_path / "r")
    longer = (tmp_path / "r" / "accepted.jsonl").read_bytes()
    assert longer.startswith(first)
    assert (english.run / "accepted.jsonl").read_bytes().startswith(longer)


def test_chinese_rows_are_chinese_but_for_the_names_of_diseases(chinese: Made) -> None:
    for row in chinese.rows:
        assert row.language == "zh"
        heads = {i.head.name for i in row.seed.evidence if i.head and i.head.type == "Disease"}
        left = row.question + row.reasoning + row.response
        for name in sorted(heads, key=len, reverse=True):
            left = left.replace(name, "")
        assert sum(letter.isascii() and letter.isalpha() for letter in left) < 0.2 * len(left)  # "T 细胞", "HPO"


def test_an_english_text_is_not_taken_for_chinese(chinese: Made, english: Made, shelf: Shelf) -> None:
    one, other = chinese.rows[0].model_dump(mode="json"), about(english.rows)[0]
    one["response"] = other.response
    one["id"] = content_id(one)
    sample = Sample.model_validate(one)
    context = shelf.context(sample)
    assert not isinstance(context, str)
    assert "language" in {finding.check for finding in run_checks(sample, context)}


def test_without_labels_in_chinese_it_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["generate", "--lang", "zh", "--source", *files[:2], "-n", "5", "--out", str(tmp_path / "r")]
    assert main(wanted) == 2
    assert "labels in that language" in capsys.readouterr().err


def test_annotations_without_the_ontology_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--source", files[1], "-n", "5", "--out", str(tmp_path / "r")]) == 2
    assert "together with the ontology" in capsys.readouterr().err
