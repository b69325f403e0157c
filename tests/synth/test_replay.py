"""`verify`: a sound run replays; one byte of evidence, answer or argument altered, and it does not."""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import synth
from synth.cli import main
from synth.run import Run
from synth.sample import Sample, content_id, to_json

Row = dict
Tamper = Callable[[Row], None]


def edge(row: Row) -> dict:
    return next(item for item in row["seed"]["evidence"] if item["type"] == "edge")


def record(row: Row, table: str = "typical") -> dict:
    return next(item for item in row["seed"]["evidence"] if item["table"] == table)


def wrong(row: Row) -> str:
    return next(letter for letter in row["options"] if letter != row["answer"]["option"])


def claim(row: Row) -> dict:
    return next(claim for step in row["steps"] for claim in step["claims"])


def say(row: Row, old: str, new: str) -> None:
    """Change a text everywhere in the argument, so that it agrees with itself."""
    for step in row["steps"]:
        step["text"] = step["text"].replace(old, new)
        for item in step["claims"]:
            item["text"] = item["text"].replace(old, new)
    row["reasoning"] = " ".join(step["text"] for step in row["steps"])
    row["response"] = row["response"].replace(old, new)


def swap_answer(row: Row) -> None:
    other = wrong(row)
    row["answer"]["text"], row["answer"]["option"] = row["options"][other], other


def claim_text(row: Row) -> None:
    old = claim(row)["text"]
    say(row, old, old + " always")


def claim_upside_down(row: Row) -> None:
    old = claim(row)["text"]
    say(row, old, old.replace(" ", " not ", 1))


def claim_made_up(row: Row) -> None:
    say(row, claim(row)["text"], "penicillin cures typhoid fever in every child")
    claim(row).update(verdict="unknown")


def nothing_is_so(row: Row) -> None:
    """Deny a step in words that templates know."""
    step = row["steps"][0]
    step["text"] = f"It is not so that {step['text'][0].lower()}{step['text'][1:]}"
    row["reasoning"] = " ".join(step["text"] for step in row["steps"])


def fewer_options(row: Row) -> None:
    last = max(letter for letter in row["options"] if letter != row["answer"]["option"])
    kept = [text for letter, text in row["options"].items() if letter != last]
    row["options"] = dict(zip("ABC", kept, strict=True))
    row["answer"]["option"] = next(k for k, text in row["options"].items() if text == row["answer"]["text"])


def another_engine(row: Row) -> None:
    row["generator"]["engine"] = "openai"
    row["response"] += " Give 5 tablets of penicillin."


def other_disease(row: Row) -> None:
    edge(row)["head"]["name"] = "another disease"


def edge_to_another(row: Row) -> None:
    edge(row)["tail"] = {"type": "Symptom", "id": "MESH:D000001", "name": "something else"}


TAMPERS: dict[str, Tamper] = {
    "edge: head's name": other_disease,
    "edge: tail": edge_to_another,
    "edge: relation": lambda r: edge(r).update(relation="treats"),
    "edge: negated": lambda r: edge(r).update(negated=True),
    "edge: source": lambda r: edge(r).update(source="somewhere"),
    "edge: licence": lambda r: edge(r).update(license="CC-BY-4.0"),
    "edge: ref": lambda r: edge(r).update(ref="0" * 32),
    "edge: left out": lambda r: r["seed"]["evidence"].remove(edge(r)),
    "record: text": lambda r: record(r).update(text=record(r)["text"].replace("\t", " ", 1)),
    "record: table": lambda r: record(r).update(table="findings"),
    "answer": swap_answer,
    "answer: alias": lambda r: r["answer"]["aliases"].append("common cold"),
    "answer: concept": lambda r: r["answer"].update(concept="DOID:1"),
    "option: another disease": lambda r: r["options"].update({wrong(r): "gout"}),
    "option: the answer again": lambda r: r["options"].update({wrong(r): r["answer"]["text"]}),
    "citation": lambda r: claim(r).update(evidence=[r["seed"]["evidence"][0]["id"]]),
    "citation: nowhere": lambda r: claim(r).update(evidence=["e99"]),
    "claim: more than the evidence says": claim_text,
    "claim: the contrary": claim_upside_down,
    "claim: made up and called unknown": claim_made_up,
    "steps: a denial between the claims": nothing_is_so,
    "question: a denial": lambda r: r.update(
        question=r["question"].replace(" has had ", " has not had ").replace(" has been ", " has not been ")
    ),
    "options: one taken out": fewer_options,
    "generator: another engine": another_engine,
    "verdict: rejected for something else": lambda r: (
        claim_text(r),
        r["verdict"].update(status="rejected", step="admit"),
    ),
    "response: the opposite": lambda r: r.update(response="It is none of these. " + r["response"]),
    "response: another script": lambda r: r.update(response=r["response"] + " 毒."),
    "steps: in another order": lambda r: r["steps"].insert(1, r["steps"].pop(2)),
    "question: another course": lambda r: r.update(question=r["question"].replace(".", " for ever.", 1)),
    "topic": lambda r: r.update(topic="foo"),
    "genre": lambda r: r.update(genre="open"),
    "anchor": lambda r: r["seed"].update(anchor="DOID:9113"),
    "group": lambda r: r["seed"].update(group="0" * 32),
    "flags": lambda r: r.update(flags=["fine"]),
    "language": lambda r: r.update(language="zh"),
    "making: another seed": lambda r: r["generator"].update(
        sampling=r["generator"]["sampling"].replace('"seed":', '"seed":9')
    ),
    "making: nothing": lambda r: r["generator"].update(sampling="none"),
    "uniqueness": lambda r: r.update(uniqueness="source_relative"),
    "conditioning": lambda r: r.update(conditioning="none"),
    "stage": lambda r: r.update(stage="basic"),
    "patient: a child that no source gives": lambda r: r.update(question="This is a girl. " + r["question"]),
    "claim: verdict": lambda r: claim(r).update(verdict="contradicted"),
    "question: another patient's finding": lambda r: r.update(question=r["question"].replace(". ", ", and dies. ", 1)),
    "licence": lambda r: r.update(license="MIT"),
    "lineage": lambda r: r["lineage"].pop(),
    "scores": lambda r: r["scores"].update(reward=1.0, rule=1.0),
    "department": lambda r: r["labels"].update(department="Dermatology of the future"),
}


def rows_of(run: Run) -> list[Row]:
    with (run.folder / "accepted.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_run_replays(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run.folder)]) == 0
    out = capsys.readouterr().out
    assert "0 with a proof that does not hold, 0 not replayed" in out
    assert "not clinically true" in out


@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_row_that_was_altered_is_named_though_its_id_was_stamped_anew(
    tamper: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(run)
    vignettes = (row for row in rows if row["genre"] == "vignette")
    row = next(row for row in vignettes if re.search("n adult has (had|been)", row["question"]))
    others = [other for other in rows if other["id"] != row["id"]][:3]
    before = json.dumps(row)
    TAMPERS[tamper](row)
    assert json.dumps(row) != before
    row["id"] = content_id(row)
    assert main(["verify", str(write(tmp_path / "t.jsonl", [*others, row]))]) == 1
    out = capsys.readouterr().out
    assert row["id"] in out
    assert "1 with a proof that does not hold" in out or "1 not replayed" in out


Place = tuple[str | int, ...]


def leaves(value: object, path: Place = ()) -> Iterator[Place]:
    """The path of every value and of every list in a row."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
        return
    yield path
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))


def altered(value: object, rng: random.Random) -> object:
    """Something else of the same kind."""
    if isinstance(value, list):
        return value[:-1] if value else ["x"]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    words = str(value or "").split(" ")
    words.insert(rng.randrange(len(words) + 1), rng.choice(("not", "the", "7")))
    return " ".join(words)


def test_whatever_is_altered_in_a_row_is_found(run: Run) -> None:
    """Any value at random; only what a row tells of its revisions cannot be made again."""
    rng = random.Random(5)
    rows = rows_of(run)
    for _ in range(150):
        row = json.loads(json.dumps(rng.choice(rows)))
        path = rng.choice([path for path in leaves(row) if path[0] not in {"id", "attempts"}])
        inner = row
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = altered(inner[path[-1]], rng)
        row["id"] = content_id(row)
        assert not synth.verify([row]).ok, (row["id"], path)


CALCULATIONS: dict[str, Tamper] = {
    "result": lambda r: r["seed"]["evidence"][0]["result"].update(value=1),
    "input": lambda r: r["seed"]["evidence"][0]["inputs"][0].update(
        value=r["seed"]["evidence"][0]["inputs"][0]["value"] + 1
    ),
    "formula": lambda r: r["seed"]["evidence"][0].update(formula="bmi2"),
    "question": lambda r: r.update(question=r["question"].replace("1", "7")),
}


@pytest.mark.parametrize("tamper", CALCULATIONS)
def test_a_calculation_that_was_altered_is_worked_again(tamper: str, run: Run) -> None:
    row = next(row for row in rows_of(run) if row["genre"] == "calculation" and "1" in row["question"])
    CALCULATIONS[tamper](row)
    row["id"] = content_id(row)
    assert synth.verify([row]).faults


@pytest.mark.parametrize("genre", ["open", "reverse", "multihop", "choice", "compare", "explainer"])
def test_another_answer_fails_in_every_genre(genre: str, run: Run) -> None:
    for row in [row for row in rows_of(run) if row["genre"] == genre][:6]:
        assert synth.verify([row]).ok
        if row["options"]:
            swap_answer(row)
        else:
            row["answer"]["text"] = "the common cold"
        row["id"] = content_id(row)
        assert synth.verify([row]).faults, row["topic"]


def test_the_id_itself(run: Run) -> None:
    row = rows_of(run)[0]
    row["id"] = "0" * 32
    (fault,) = synth.verify([row]).faults
    assert fault.row == "0" * 32
    assert fault.place == "id"


def test_a_row_twice_is_a_fault(run: Run) -> None:
    row = rows_of(run)[0]
    (fault,) = synth.verify([row, row]).faults
    assert "asks the same" in fault.reason


def test_a_row_of_another_graph_is_not_replayed(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = rows_of(run)[0]
    row["seed"]["graph"] = "f" * 32
    row["id"] = content_id(row)
    assert main(["verify", str(write(tmp_path / "t.jsonl", [row]))]) == 1
    assert "not replayed" in capsys.readouterr().out


def test_rows_of_another_shape_are_faults_with_their_line(run: Run) -> None:
    outcome = synth.verify([{"id": "x"}, {"question": "?"}, *rows_of(run)[:1]])
    assert [fault.row for fault in outcome.faults] == ["x", "line 2"]
    assert outcome.replayed == 1


def test_rejected_rows_have_evidence_that_stands(strict: Run) -> None:
    rejected = [row for row in strict.rejected() if row.seed.evidence]
    assert rejected
    assert not synth.verify(rejected).faults


def test_the_python_api_takes_samples_and_plain_rows(rows: list[Sample]) -> None:
    assert synth.verify(rows[:5]).ok
    assert synth.verify(json.loads(to_json(row)) for row in rows[:5]).ok


SOURCE = """format-version: 1.4
data-version: releases/2026-07-31
ontology: doid
property_value: terms:license https://creativecommons.org/publicdomain/zero/1.0/

"""


@pytest.fixture(scope="module")
def ontology(knowledge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OBO file with the definitions of the bundled diseases that have findings."""
    graph = knowledge.graph
    path = tmp_path_factory.mktemp("source") / "tiny.obo"
    frames = []
    from synth_kg.bundle import data_folder, read_tsv

    definitions = {row["owner"]: row["text"] for row in read_tsv(data_folder() / "documents.tsv")}
    for node in graph.of_type("Disease"):
        if node.id in definitions:
            text = definitions[node.id].replace("\\", "").replace('"', '\\"')
            frames.append(f'[Term]\nid: {node.id}\nname: {node.name}\ndef: "{text}" []\n')
    path.write_text(SOURCE + "\n".join(frames), encoding="utf-8")
    return path


@pytest.mark.slow
def test_rows_of_a_source_replay_from_the_run_folder_the_graph_or_the_source(ontology: Path, tmp_path: Path) -> None:
    run = synth.generate(Config_with(ontology), n=120, out=tmp_path / "r")
    assert run.funnel["accepted"] > 60
    rows = rows_of(run)
    assert {item["version"] for row in rows for item in row["lineage"]} >= {"releases/2026-07-31"}
    assert main(["verify", str(run.folder)]) == 0
    alone = str(write(tmp_path / "alone.jsonl", rows))
    assert main(["verify", alone]) == 1  # its graph is not at hand
    assert main(["verify", alone, "--kg", str(run.folder / "graph")]) == 0
    assert main(["verify", alone, "--source", str(ontology)]) == 0
    again = synth.generate(Config_with(ontology), n=120, out=tmp_path / "r")
    assert rows_of(again) == rows


def Config_with(path: Path) -> synth.Config:
    return synth.Config(source=(str(path),))


def test_templates_beside_a_file_are_data(run: Run, tmp_path: Path) -> None:
    """A template that someone else put beside the rows does nothing but word."""
    from synth.resources import data_dir

    shutil.copytree(data_dir("prompts"), tmp_path / "prompts")
    file = tmp_path / "prompts" / "en" / "claims" / "gloss.j2"
    witness = tmp_path / "witness"
    attack = "{{ cycler.__init__.__globals__.os.system('touch " + str(witness) + "') }}"
    file.write_text(file.read_text(encoding="utf-8") + attack + "\n", encoding="utf-8")
    from synth.prompts import load_prompts

    mark = f"prompts {load_prompts('en', tmp_path / 'prompts').hash}"
    rows = rows_of(run)[:5]
    for row in rows:
        row["generator"]["prompt"] = re.sub("prompts [0-9a-f]{32}", mark, row["generator"]["prompt"])
        row["id"] = content_id(row)
    assert main(["verify", str(write(tmp_path / "accepted.jsonl", rows))]) == 1
    assert not witness.exists()


def test_a_forged_graph_does_not_pass_for_the_bundled_one(tmp_path: Path, run: Run) -> None:
    from synth_kg.bundle import FILES, data_folder

    folder = tmp_path / "graph"
    shutil.copytree(data_folder(), folder)
    nodes = folder / "nodes.tsv"
    nodes.write_text(nodes.read_text(encoding="utf-8").replace("trench fever", "french fever"), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in FILES:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    write(tmp_path / "accepted.jsonl", rows_of(run)[:5])
    assert main(["verify", str(tmp_path / "accepted.jsonl")]) == 2
