"""What the scripted server says: every value is a function of a seed, and every string names its row.

Two runs, or two tries, give the same text; `<<key>>` in a string proves to which row it belongs.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]
WORD_BITS = 53
TOKEN = 4
"""Characters of a token: tokens are slices, so that a text is the sum of its tokens."""
_MASK = 0xFFFFFFFFFFFFFFFF
_DEEP = 6
"""Depth below which values end as soon as their schema lets them."""
_TEXT = """
the patient presents with acute chronic pain fever dyspnea edema of heart lung liver kidney and a history
hypertension diabetes mellitus type two treated metformin lisinopril examination shows elevated troponin
creatinine sodium potassium therefore likely diagnosis is because differential includes sepsis pneumonia
embolism infarction stroke anemia first line management consists oxygen antibiotics fluids consider imaging
computed tomography ultrasound electrocardiogram however exclude contraindications monitor response within hours
guideline recommends dose adjusted renal function age weight risk factors smoking family not in on for by
"""


def digest(*parts: object) -> int:
    """64 bits over the parts."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(str(part).encode())
        state.update(b"\0")
    return int.from_bytes(state.digest(), "little")


def step(seed: int, index: int) -> int:
    """The seed of the part number `index`; far cheaper than `digest`."""
    return (seed * 6364136223846793005 + 1442695040888963407 + index * 0x9E3779B97F4A7C15) & _MASK


def fraction(seed: int) -> float:
    """A number from 0 up to 1."""
    return (seed >> 64 - WORD_BITS) / (1 << WORD_BITS)


@functools.cache
def _pool() -> str:
    chance = random.Random(7)
    words = _TEXT.split()
    return " ".join(chance.choice(words) for _ in range(40_000))


def phrase(seed: int, characters: int) -> str:
    """Words, cut at `characters`."""
    pool = _pool()
    start = pool.find(" ", seed % (len(pool) - characters - 64)) + 1
    return pool[start : start + characters]


class Author:
    """Writes for one row."""

    def __init__(self, key: str, aside: str = "", schema: Schema | None = None) -> None:
        self._mark = f"<<{key}>> {aside}"
        self._root = schema or {}

    def free_text(self, seed: int, characters: int) -> str:
        """Thinking between tags, and an answer half as long."""
        thought = phrase(step(seed, 1), characters * 2 // 3)
        return f"<think>\n{thought}\n</think>\n\n{self._mark}{phrase(step(seed, 2), characters // 3)}."

    def value(self, schema: Schema | bool, seed: int, depth: int = 0) -> Any:
        """A value that is valid under a schema, of the kinds that servers accept."""
        if not schema or schema is True:
            return self._mark + phrase(seed, 24)
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][(seed >> 20) % len(schema["enum"])]
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            option = options[-1] if depth > _DEEP else options[(seed >> 24) % len(options)]
            return self.value(option, step(seed, 1), depth + 1)
        if "allOf" in schema:
            return self.value(self._merged(schema), seed, depth)
        return _WRITERS[_kind(schema)](self, schema, seed, depth)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            node = self._root
            for part in schema["$ref"].lstrip("#/").split("/"):
                node = node[part]
            schema = node
        return schema

    def _merged(self, schema: Schema) -> Schema:
        """A schema with its `allOf` folded in."""
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            for key, value in self._resolved(part).items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                else:
                    merged[key] = [*merged.get(key, ()), *value] if key == "required" else value
        return merged

    def object(self, schema: Schema, seed: int, depth: int) -> dict[str, Any]:
        """Every property that the schema names."""
        items = enumerate(schema.get("properties", {}).items())
        return {name: self.value(part, step(seed, index), depth + 1) for index, (name, part) in items}

    def array(self, schema: Schema, seed: int, depth: int) -> list[Any]:
        """Two items, or as few more or less as the schema lets."""
        least = schema.get("minItems", 1)
        count = least if depth > _DEEP else min(max(least, 2), schema.get("maxItems", max(least, 2)))
        return [self.value(schema.get("items", True), step(seed, index), depth + 1) for index in range(count)]

    def string(self, schema: Schema, seed: int, _depth: int) -> str:
        """A marked phrase, or a date where one is asked for."""
        if schema.get("format") in ("date", "date-time"):
            day = f"20{seed % 26:02d}-{seed // 31 % 12 + 1:02d}-{seed // 999 % 28 + 1:02d}"
            return day if schema["format"] == "date" else f"{day}T00:00:00Z"
        longest = schema.get("maxLength")
        wanted = max(schema.get("minLength", 0), 120 if longest is None else min(120, longest))
        return (self._mark + phrase(seed, wanted))[:longest]


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    return kind or ("object" if "properties" in schema else "array" if "items" in schema else "string")


def _bounds(schema: Schema) -> tuple[float, float]:
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else 0
    low = schema.get("minimum", low)
    high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else max(low, 0) + 100
    return low, schema.get("maximum", high)


def _integer(_: Author, schema: Schema, seed: int, _depth: int) -> int:
    low, high = _bounds(schema)
    return int(low + int(fraction(seed) * (high - low + 1)))


def _number(_: Author, schema: Schema, seed: int, _depth: int) -> float:
    low, high = _bounds(schema)
    return round(low + fraction(seed) * (high - low), 4)


_WRITERS: Mapping[str, Callable[[Author, Schema, int, int], Any]] = {
    "object": Author.object,
    "array": Author.array,
    "string": Author.string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _author, _schema, seed, _depth: bool(seed >> 33 & 1),
    "null": lambda _author, _schema, _seed, _depth: None,
}


def tokens(text: str) -> list[str]:
    """The tokens of a text; their sum is the text."""
    return [text[start : start + TOKEN] for start in range(0, len(text), TOKEN)]


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return -(-len(text) // TOKEN)


def logprob(seed: int, index: int) -> float:
    """The log probability of the token number `index`."""
    return round(-4 * fraction(step(seed, index)), 6)


def rivals(seed: int, index: int, count: int) -> Iterable[tuple[str, float]]:
    """`count` other tokens, each less probable than the token itself."""
    chosen = logprob(seed, index)
    for rank in range(1, count + 1):
        yield phrase(step(seed, index + rank), TOKEN), round(chosen - rank, 6)


def prompt_text(body: Mapping[str, Any]) -> str:
    """What a request says, as one text."""
    if "messages" in body:
        return "\n".join(_content(message.get("content")) for message in body["messages"])
    for field in ("prompt", "input", "text_1", "query"):
        if field in body:
            value = body[field]
            return value if isinstance(value, str) else json.dumps(value)
    return ""


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or ())
