"""The command line: names, exit codes and one clear line for everything that can be wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from synth.cli import main
from synth.run import Run

COMMANDS = ["demo", "generate", "serve", "clean", "verify", "show", "export", "report", "score", "kg", "doctor"]
LATER = ["curate", "review", "recall", "bench", "reward", "proxy", "plan"]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "-h"])
    assert stop.value.code == 0
    assert "example: synth " in capsys.readouterr().out


@pytest.mark.parametrize("command", LATER)
def test_a_command_of_a_later_version_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--whatever", "x"]) == 2
    (line,) = lines(capsys)
    assert f"{command}: not in version" in line


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "textbook"], ["--seed", "case"], ["--allow-historical"], ["--phi-reviewed", "me"],
    ],
)  # fmt: skip
def test_an_option_of_a_later_version_says_so(options: list[str], tmp_path: Path, capsys) -> None:
    base = [] if "--seed" in options else ["--seed", "kg"]
    assert main(["generate", *base, *options, "-n", "1", "--out", str(tmp_path / "r")]) == 2
    (line,) = lines(capsys)
    assert "version" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lang", "zh"], "--engine openai"), (["--model", "m"], "asks no model"), (["--gpus", "1"], "asks no model"),
        (["--base-url", "u"], "asks no model"), (["--max-calls", "1"], "asks no model"),
        (["--engine", "openai"], "--base-url"), (["--engine", "openai", "--base-url", "ftp://x"], "not an http"),
        (["--engine", "vllm"], "--model"), (["--engine", "replay"], "finished run"),
        (["--engine", "openai", "--base-url", "http://x", "--model", "m", "--profile", "none"], "no profile 'none'"),
        (["--engine", "vllm", "--model", "m", "--set", "served.models_per_seed=2"], "1 models are named"),
        (["--set", "mixture.dialogue=1"], "only a served model"),
        (["--engine", "openai", "--base-url", "http://u:secret@127.0.0.1:9", "--model", "m"], "127.0.0.1:9"),
    ],
)  # fmt: skip
def test_an_engine_that_cannot_be_used(options: list[str], words: str, tmp_path: Path, capsys) -> None:
    code = main(["generate", "--seed", "kg", *options, "-n", "1", "--out", str(tmp_path / "r")])
    assert code == (3 if "127.0.0.1:9" in words else 2)
    said = [line for line in lines(capsys) if line.startswith("synth:")]
    assert words in said[-1]
    assert "secret" not in said[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "-n", "0"], "-n 0"),
        (["generate", "--accept", "0"], "--accept 0"),
        (["generate", "--config", "none.yaml"], "no such configuration file"),
        (["generate", "--set", "surprise=1"], "unknown key 'surprise'"),
        (["generate", "--set", "run.min_yield"], "key=value"),
        (["generate", "--source", "none.obo"], "no such file"),
        (["generate", "--prompts", "none"], "no templates"),
        (["verify", "none.jsonl"], "no such file"),
        (["show", "none", "x"], "no such file"),
        (["report", "none"], "not a run folder"),
        (["score", "none.jsonl", "--out", "x"], "no such file"),
        (["score", "none.jsonl", "--out", "x", "--scorer", "model"], "--scorer rule only"),
        (["kg", "info", "none"], "not a built graph"),
        (["kg", "ask", "bundled", "no such thing at all"], "no node"),
        (["kg", "build", "x", "--out", "y"], "no such file"),
        (["kg", "walk", "bundled", "-n", "1"], "not a built graph"),
        (["kg", "ask", "bundled", "measles", "--html"], "not in this version"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = lines(capsys)
    assert line.startswith("synth: ")
    assert words in line


SOURCES = {
    "empty.obo": (b"", "empty"),
    "pointer.obo": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
    "page.obo": (b"<html><body>Not found</body></html>", "HTML"),
    "edges.csv": (b"a,b,c\n1,2,3\n", "cannot tell nodes and relations"),
    "graph.json": (b'{"nodes": [\n]}\n', "not of an OBO graph"),
    "x.zip": (b"PK\x03\x04", "zip"),
    "words.txt": (b"words", "not triples"),
    "other.obo": (b"format-version: 1.4\n\n[Term]\nid: X:1\nname: nothing of ours\n", "nothing can be made of it"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_used(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, words = SOURCES[name]
    (tmp_path / name).write_bytes(data)
    assert main(["generate", "--source", str(tmp_path / name), "-n", "5", "--out", str(tmp_path / "r")]) == 2
    (line,) = lines(capsys)
    assert words in line
    assert name in line


def test_real_sources_of_other_formats(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (shared / "ontology" / "symp.owl", shared / "ontology" / "symp.json", shared / "kg" / "hetionet"):
        assert main(["generate", "--source", str(path), "-n", "5", "--out", str(tmp_path / "r")]) == 2
        (line,) = lines(capsys)
        assert path.name in line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"not json\n", "not a JSONL file"),
        (b'{"id": 1}\n{broken\n', ":2: not JSON"),
        (b"[1]\n", "not a row"),
        (b"<html></html>", "HTML"),
        (b"\x80\x04\x95", "pickle"),
    ],
)
def test_rows_that_cannot_be_read(data: bytes, words: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    assert main(["verify", str(path)]) == 2
    (line,) = lines(capsys)
    assert words in line


def test_out_below_a_regular_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["generate", "-n", "1", "--out", str(tmp_path / "file" / "r")]) == 2
    (line,) = lines(capsys)
    assert "in the way" in line


def test_demo_makes_rows_and_shows_one_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "-n", "40", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    for words in ("rows accepted of 40 seeds", "One row in full", "Reasoning", "Evidence", "not medical advice"):
        assert words in out
    assert (tmp_path / "demo" / "report.html").read_text().startswith("<!doctype html>")


def test_show_by_the_beginning_of_an_id(run: Run, strict: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first = next(run.accepted())
    assert main(["show", str(run.folder), first.id[:10]]) == 0
    assert first.id in capsys.readouterr().out
    rejected = next(row for row in strict.rejected() if row.question)
    assert main(["show", str(strict.folder), rejected.id]) == 0
    assert rejected.verdict.reason in capsys.readouterr().out
    assert main(["show", str(run.folder), ""]) == 2
    assert main(["show", str(run.folder), "zzz"]) == 2


def test_report_prints_the_funnel(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run.folder)]) == 0
    out = capsys.readouterr().out
    assert "rows accepted of 300 seeds" in out
    assert main(["report", str(run.folder), "--watch"]) == 2


def test_score_writes_the_rows_again(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    assert main(["score", str(run.folder), "--out", str(out), "--scorer", "rule"]) == 0
    assert out.read_bytes() == (run.folder / "accepted.jsonl").read_bytes()


def test_kg_info_and_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kg", "info"]) == 0
    out = capsys.readouterr().out
    assert all(genre in out for genre in ("vignette", "calculation", "endless", "CC0-1.0"))
    assert main(["kg", "ask", "bundled", "scrub typhus"]) == 0
    out = capsys.readouterr().out
    assert "is caused by Orientia tsutsugamushi" in out
    assert "Disease Ontology 2026-07-31, CC0-1.0" in out


def test_doctor_in_words_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "grounded" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {"grounded", "openai", "replay"} <= set(data["engines"])
    assert ("vllm" in data["engines"]) == (data["vllm_python"] is not None)
    assert {item["what"] for item in data["findings"]} >= {"python", "knowledge", "templates", "disk", "gpu"}


def test_dry_run_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--dry-run", "-n", "10", "--out", str(tmp_path / "r")]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()


def test_a_starved_run_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["generate", "-n", "300", "--set", "checks.max_reasoning_words=1", "--out", str(tmp_path / "r")]
    assert main(arguments) == 1
    assert "too little" in capsys.readouterr().err


def test_templates_of_ones_own(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows made with other templates verify with the copy in their run folder."""
    import shutil

    from synth.resources import data_dir

    own = Path(shutil.copytree(data_dir("prompts"), tmp_path / "own"))
    wording = own / "en" / "claims" / "gloss.j2"
    wording.write_text(wording.read_text().replace("{{ disease }} is {{ gloss }}", "{{ disease }}: {{ gloss }}"))
    arguments = ["generate", "-n", "40", "--prompts", str(own), "--out", str(tmp_path / "r")]
    assert main(arguments) == 0
    assert main(["verify", str(tmp_path / "r")]) == 0
    assert "templates other than the bundled ones" in capsys.readouterr().out
    rows = (tmp_path / "r" / "accepted.jsonl").read_bytes()
    (tmp_path / "alone.jsonl").write_bytes(rows)
    assert main(["verify", str(tmp_path / "alone.jsonl")]) == 1
    assert "templates" in capsys.readouterr().out


def test_output_that_nobody_reads_to_its_end() -> None:
    command = f"{sys.executable} -m synth kg ask bundled fever | head -1"
    found = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert found.stderr == ""
