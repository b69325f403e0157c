"""Exports open where they are meant to be read."""

import json
from pathlib import Path

import pytest

from synth.cli import main
from synth.errors import FaultError, NotBuiltError, UsageError
from synth.export import FORMATS, export
from synth.run import Run
from synth.sample import Sample

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>\n"
    "{% if message.reasoning_content is defined and message.reasoning_content %}"
    "<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ message.content }}<|end|>\n{% endfor %}"
)
"""A chat template of the kind that served models carry."""


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("think", ["tags", "field"])
def test_datasets_opens_every_export(format: str, think: str, rows: list[Sample], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    done = export(rows, format, tmp_path / "x.jsonl", think=think)
    found = datasets.load_dataset("json", data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.num_rows == done.rows == len(rows)
    text = json.dumps(found[0], ensure_ascii=False)
    first = rows[0]
    assert json.dumps(first.reasoning)[1:-1] in text.replace("\\u00e9", "é") or first.reasoning[:80] in text
    assert first.response[:60] in text
    assert ("<think>" in text) is (think == "tags")


@pytest.mark.parametrize("think", ["tags", "field"])
def test_a_chat_template_renders_the_messages(think: str, rows: list[Sample], tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    tokenizer.chat_template = TEMPLATE
    done = export(rows, "messages", tmp_path / "m.jsonl", think=think)
    for line, row in zip(done.path.read_text(encoding="utf-8").splitlines()[:20], rows, strict=False):
        text = tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False)
        assert text.startswith("<|user|>\n" + row.question)
        assert f"<think>\n{row.reasoning}\n</think>\n\n{row.response}<|end|>" in text
        assert text.count("<think>") == 1


def test_the_shapes_that_readers_expect(rows: list[Sample], tmp_path: Path) -> None:
    row = next(row for row in rows if row.options)
    found = {name: shape(row, "tags") for name, shape in FORMATS.items()}
    assert [message["role"] for message in found["messages"]["messages"]] == ["user", "assistant"]
    assert [message["role"] for message in found["prompt-completion"]["completion"]] == ["assistant"]
    assert [turn["from"] for turn in found["sharegpt"]["conversations"]] == ["human", "gpt"]
    assert found["alpaca"].keys() == {"id", "license", "instruction", "input", "output"}
    for letter, text in (row.options or {}).items():
        assert f"\n{letter}. {text}" in found["alpaca"]["instruction"]


def test_only_accepted_unflagged_rows_that_did_not_see_the_answer(
    strict: Run, rows: list[Sample], tmp_path: Path
) -> None:
    told = rows[0].model_copy(update={"conditioning": "answer"})
    flagged = rows[1].model_copy(update={"flags": ("doubtful",)})
    mixed = [told, flagged, *rows[2:5], *list(strict.rejected())[:2]]
    done = export(mixed, "messages", tmp_path / "x.jsonl")
    assert done.rows == 3
    assert done.left_out == {"written with the answer in sight": 1, "flagged": 1, "rejected": 2}
    assert export(mixed, "messages", tmp_path / "y.jsonl", include_flagged=True).rows == 4
    with pytest.raises(FaultError, match="no row to export"):
        export([told], "messages", tmp_path / "z.jsonl")


@pytest.mark.parametrize("name", ["accepted.jsonl", "rejected.jsonl", "funnel.json", "run.db", "config.yaml"])
def test_a_file_of_a_run_is_never_overwritten(name: str, rows: list[Sample], tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="a file of a run"):
        export(rows, "messages", tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8") == "precious"


def test_the_card_says_what_it_is(rows: list[Sample], tmp_path: Path) -> None:
    done = export(rows, "alpaca", tmp_path / "x.jsonl")
    card = done.card.read_text(encoding="utf-8")
    assert done.card.name == "x.card.md"
    assert "not clinically true" in card
    assert "not medical advice" in card
    assert "Disease Ontology" in card
    assert f"{len(rows)} synthetic" in card


def test_formats_that_are_not_there(rows: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="parquet"):
        export(rows, "parquet", tmp_path / "x")
    with pytest.raises(UsageError, match="unknown"):
        export(rows, "yaml", tmp_path / "x")


def test_the_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.jsonl"
    assert main(["export", str(run.folder), "--format", "messages", "--out", str(out)]) == 0
    assert "rows in" in capsys.readouterr().out
    assert main(["export", str(run.folder), "--format", "messages", "--out", str(tmp_path)]) == 2
    assert main(["export", str(tmp_path / "none"), "--format", "messages", "--out", str(out)]) == 2
    assert main(["export", str(run.folder), "--format", "messages", "--out", "/dev/full"]) == 2
