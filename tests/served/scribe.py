"""A script for the scripted server that answers as a model would that does what it is told.

It knows nothing that its prompt does not say: it repeats the draft as the question, quotes the
statements that it was given with their ids, and concludes in the option that the statements
speak for most. It proves the plumbing of a run, never the quality of a row.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth.config import Config

_STATEMENT = re.compile(r"^\[(e\d+)\] (.+)$", re.M)
_OPTION = re.compile(r"^([A-H])\. (.+)$", re.M)
_AGAINST = re.compile(r"against|not to be expected|does not|do not|rather than", re.I)


def answer(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any] | None:
    """Answer a request of the served engine; anything else is left to the server."""
    prompt = _prompt(request)
    if "</draft>" in prompt:
        return {"content": {"question": _between(prompt, "draft")}}
    if "</reasoning>" in prompt:
        return {"content": {"points": [{"step": 1, "problem": "It says too little.", "mend": "Say more."}]}}
    if "</question>" in prompt:
        return {"content": _written(prompt)}
    return None


def _prompt(request: dict[str, Any]) -> str:
    return next((turn["content"] for turn in request.get("messages", ()) if turn["role"] == "user"), "")


def _between(text: str, tag: str) -> str:
    return text.rsplit(f"<{tag}>", 1)[1].split(f"</{tag}>", maxsplit=1)[0].strip()


def _written(prompt: str) -> str:
    statements = _STATEMENT.findall(_between(prompt, "knowledge")) if "</knowledge>" in prompt else []
    options = dict(_OPTION.findall(_between(prompt, "options"))) if "</options>" in prompt else {}
    letter, best = _best(statements, options)
    opening = _between(prompt, "question").split(". ")[0].rstrip(".?")
    steps = [f"What is told is this: {opening}. It has to be put in order before anything is named."]
    told: set[str] = set()
    for ident, text in statements:
        first = text.split(". ")[0].rstrip(".")
        named = best and best.casefold() in first.casefold()
        if first not in told and (not named or len(steps) > 1):
            told.add(first)
            steps.append(f"{first} [{ident}].")
    steps += [f"That leaves little room for {text}." for other, text in options.items() if other != letter]
    closing = f"The answer is {letter}, {best}." if letter else f"The answer is {best}."
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate([*steps, closing], 1))
    reader = f"{letter}. {best}." if letter else f"{best}."
    return f"## Reasoning\n{numbered}\n## Answer\n{reader} It is what the findings add up to."


def _best(statements: list[tuple[str, str]], options: dict[str, str]) -> tuple[str, str]:
    """The option that the statements speak for most; without options the thing that they speak of most."""

    def weight(name: str) -> int:
        said = [text for _, text in statements if name.casefold() in text.casefold()]
        return sum(-3 if _AGAINST.search(text) else 1 for text in said)

    if options:
        letter = max(options, key=lambda one: weight(options[one]))
        return letter, options[letter]
    subjects = [text.split(" can ")[0] for _, text in statements if " can " in text]
    return "", max(subjects, key=subjects.count).lower() if subjects else "unclear"


def stubborn(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, but some rows never get anything usable: the same ones in every run."""
    prompt = _prompt(request)
    place = "draft" if "</draft>" in prompt else "question" if "</question>" in prompt else ""
    kind = zlib.crc32(_between(prompt, place).encode()) % 20 if place else 9
    if kind == 0:
        return {"content": "I cannot help with that."}
    if kind == 1:
        return {"status": 400, "error": "not with me"}
    if kind == 2:
        return {"status": 500}
    return answer(request, key, attempt)


def alike(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, but the model called b begins its questions in its own way."""
    found = answer(request, key, attempt)
    if found and request.get("model") == "b" and isinstance(found["content"], dict) and "question" in found["content"]:
        found["content"]["question"] = f"Consider this. {found['content']['question']}"
    return found


def dosing(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, but every answer ends in a dose that nothing supports."""
    found = answer(request, key, attempt)
    if found and isinstance(found["content"], str):
        found["content"] += " Give 500 mg of it."
    return found


def chatty(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, but a critic that is asked for JSON talks."""
    return {"content": "Well, well."} if "</reasoning>" in _prompt(request) else answer(request, key, attempt)


def unhurried(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, but whoever asks for reasoning waits for half a minute."""
    found = answer(request, key, attempt)
    return {**found, "delay": 30.0} if found and isinstance(found["content"], str) else found


def logged(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """As `answer`, and every request is written to the file that `SCRIBE_LOG` names."""
    with Path(os.environ["SCRIBE_LOG"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(request) + "\n")
    return answer(request, key, attempt)


# -- whole runs against it

SCRIPT = f"{Path(__file__)}:answer"
MANY = 120
"""Share of vignettes: so many that the gate has openings to turn away, even in a small run."""
PROBE = 5
"""Chat requests by which a server is probed for a model; all but one repeat the first one's words."""
FILES = ("accepted.jsonl", "rejected.jsonl", "funnel.json", "config.yaml")


def settings(url: str = "", **changes: Any) -> Config:
    """A configuration that asks the server at `url`; a change is named by its key, dots as double underscores."""
    from synth.config import load_config

    flags = {
        "engine": "openai", "model": ("mock-model",), "serving.base_url": (url,) if url else (),
        "mixture.vignette": MANY,
    }  # fmt: skip
    return load_config(flags=flags | {name.replace("__", "."): value for name, value in changes.items()})


def command(url: str, out: Path, n: int, *more: str) -> list[str]:
    """The same as a command line."""
    asked = [sys.executable, "-m", "synth", "generate", "--seed", "kg", "--engine", "openai", "--base-url", url]
    said = ["--model", "mock-model", "--set", f"mixture.vignette={MANY}"]
    return [*asked, *said, "-n", str(n), "--out", str(out), *more]


def content(folder: Path) -> list[bytes]:
    """What a run publishes, byte for byte."""
    return [(folder / name).read_bytes() for name in FILES]


def stored(folder: Path, table: str = "calls") -> int:
    """How many rows a table of a run's database has, while the run is under way."""
    if not (folder / "run.db").is_file():
        return 0
    with closing(sqlite3.connect(folder / "run.db", timeout=10)) as db:
        try:
            (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        except sqlite3.OperationalError:
            return 0  # not created yet
    return int(count)


def adds_up(folder: Path, asked: int) -> None:
    """Hold a run's accounts to what was asked for, and to its rows."""
    funnel = json.loads((folder / "funnel.json").read_bytes())
    entering = funnel["steps"][0]["in"]
    assert entering == asked
    ended = {"rejected": 0, "failed": 0}
    for step in funnel["steps"]:
        assert step["in"] == entering
        for kind in ended:
            ended[kind] += sum(step[kind].values())
        entering -= sum(step["rejected"].values()) + sum(step["failed"].values()) + step["pending"]
        assert step["passed"] == entering
    pending = funnel["steps"][0]["pending"]
    assert entering == funnel["accepted"]
    assert funnel["accepted"] + sum(ended.values()) + pending == asked
    assert funnel["samples"] == asked - pending
    accepted, rejected = (rows(folder, name) for name in FILES[:2])
    assert len(accepted) == funnel["accepted"]
    assert all(row["verdict"]["status"] == "accepted" for row in accepted)
    assert {kind: sum(row["verdict"]["status"] == kind for row in rejected) for kind in ended} == ended
    assert all(row["verdict"]["reason"] for row in rejected)
    assert len(accepted) + len(rejected) == funnel["samples"]


def rows(folder: Path, name: str = "accepted.jsonl") -> list[dict[str, Any]]:
    """The rows of one of a run's files."""
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]
