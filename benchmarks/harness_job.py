"""The job that every row of `harness.py` does, and what its command is given.

    COMMAND --base-url URL --model NAME --in PROMPTS.jsonl --out ROWS.jsonl --work DIR --concurrency C --timeout S

It reads `{"id", "prompt"}` lines, asks for one exam question for each, and leaves one line of
`{"id", "question", "options", "answer", "explanation"}` for each finished one. State goes under
--work; the same command again goes on where the last one ended.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

SYSTEM = "You write single-best-answer medical exam questions. Answer with JSON only."
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "question": {"type": "string"},
        "options": {"type": "array", "items": {"type": "string"}, "minItems": 4, "maxItems": 4},
        "answer": {"type": "string", "enum": ["A", "B", "C", "D"]},
        "explanation": {"type": "string"},
    },
    "required": ["question", "options", "answer", "explanation"],
}
MAX_TOKENS = 1024


class Row(NamedTuple):
    """One prompt of the input."""

    index: int
    name: str
    prompt: str

    @property
    def messages(self) -> tuple[dict[str, str], dict[str, str]]:
        """What the model is asked."""
        return {"role": "system", "content": SYSTEM}, {"role": "user", "content": self.prompt}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every runner; it may add its own."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--base-url", required=True)
    made.add_argument("--model", required=True)
    made.add_argument("--in", dest="source", type=Path, required=True)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--concurrency", type=int, default=256)
    made.add_argument("--timeout", type=float, default=5.0, help="seconds that a reply may take")
    return made


def write_prompts(path: Path, number: int) -> None:
    """Write the input of a job of `number` rows."""
    with path.open("wb") as file:
        for index in range(number):
            name = f"r{index:06d}"
            text = "Write one question about the management of acute heart failure in an elderly patient"
            prompt = f"id={name} {text} with renal impairment."
            file.write(orjson.dumps({"id": name, "prompt": prompt}) + b"\n")


def read_prompts(path: Path) -> Iterator[Row]:
    """The rows of a job, one at a time."""
    with path.open("rb") as file:
        for index, line in enumerate(file):
            row = orjson.loads(line)
            yield Row(index, row["id"], row["prompt"])


def valid(value: object) -> bool:
    """Whether a value is the exam question that was asked for."""
    if not isinstance(value, dict) or not isinstance(value.get("options"), Sequence):
        return False
    texts = [value.get(name) for name in ("question", "answer", "explanation")]
    return len(value["options"]) == 4 and all(isinstance(text, str) for text in texts)


def line(row: Row, value: Mapping[str, Any]) -> bytes:
    """A finished row as a line of the output."""
    return orjson.dumps({"id": row.name, **value}) + b"\n"


class Found(NamedTuple):
    """What an output holds."""

    rows: int = 0
    lost: int = 0
    dup: int = 0
    corrupt: int = 0
    """Lines that are no JSON, or no exam question."""
    mismatched: int = 0
    """Rows with the answer to another prompt: the server puts the name of the prompt into every text."""


def check(path: Path, wanted: set[str]) -> Found:
    """Read an output.

    Args:
        path: the file; none counts as an empty one.
        wanted: the names that have to be in it.
    """
    seen: set[str] = set()
    dup = corrupt = mismatched = 0
    for text in path.read_bytes().split(b"\n") if path.exists() else []:
        if not text:
            continue
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        if not valid(value):
            corrupt += 1
            continue
        mismatched += f"<<{value['id']}>>" not in value["question"]
        dup += value["id"] in seen
        seen.add(value["id"])
    return Found(len(seen), len(wanted - seen), dup, corrupt, mismatched)
