"""Reading what a model wrote: small JSON, and long text in sections with citations.

Long reasoning is never asked for inside JSON: it comes as numbered steps under a heading, and
the answer under another. A sentence that cites ids, `... [e3].`, is a claim; the ids leave the
text and stay with the claim, since rows speak of medicine and not of data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from synth.engines.calls import Choice, Malformed

_FENCE = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?```\s*$", re.S)
_GAP = r"(?:[^\S\n]|\*)*"
"""Within a line: with line breaks in it, a long run of them would cost the square of its length."""
_NAME = "(reasoning|answer|推理|答案)"
_HEADING = re.compile(rf"^[^\S\n]{{0,3}}#{{1,4}}{_GAP}{_NAME}{_GAP}(?:[:\uFF1A]{_GAP})?$", re.I | re.M)
_REASONING, _ANSWER = ("reasoning", "推理"), ("answer", "答案")
_NUMBERED = re.compile(rf"^{_GAP}(?:step[^\S\n]+)?\d{{1,2}}[^\S\n]?[.)\uFF0E\u3001:](?!\d)", re.I | re.M)
"""The number of a step; `2.5 mg` at the beginning of a line is none."""
_IDS = r"[\[\u3010\uFF3B]\s*(e\d+(?:\s*[,;\uFF0C\u3001\uFF1B]\s*e\d+)*)\s*[\]\u3011\uFF3D]"
_CITED = re.compile(rf"\s*{_IDS}")
_AFTER_STOP = re.compile(rf"([.?!\u3002\uFF1F\uFF01])((?:\s*{_IDS})+)")
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[\[A-Z(\u4e00-\u9fff])|(?<=[\u3002\uFF1F\uFF01])")
_MARKS = re.compile(r"\*\*|__|`|^[^\S\n]*(?:[-*]|#{1,6})[^\S\n]+", re.M)
_BLANK = re.compile(r"\n[^\S\n]*\n")
_ID = re.compile(r"e\d+")


class Cited(NamedTuple):
    """A sentence and the ids that it cites."""

    text: str
    evidence: tuple[str, ...]


class WrittenStep(NamedTuple):
    """A step without its citations, and the sentences of it that had some."""

    text: str
    claims: tuple[Cited, ...]


class Written(NamedTuple):
    """A reply in sections."""

    steps: tuple[WrittenStep, ...]
    response: str


def read_json(choice: Choice, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Read a small structured reply.

    Control characters inside strings and a code fence around the whole are forgiven, since
    servers let them through; everything else is held to the schema's required keys and types.

    Raises:
        Malformed: it is cut off, not JSON, or of another form.
    """
    if choice.cut:
        raise Malformed("it was cut off before its end; keep it short", "json")
    text = choice.text.strip()
    fenced = _FENCE.match(text)
    text = fenced.group(1) if fenced else text
    if not text:
        raise Malformed("it is empty", "json")
    try:
        data = orjson.loads(_escaped(text))
    except orjson.JSONDecodeError:
        raise Malformed("it is not valid JSON", "json") from None
    _fits(data, schema, "the reply")
    found: dict[str, Any] = data
    return found


def _escaped(text: str) -> str:
    """Control characters as spaces: some grammars let them through inside a string."""
    return re.sub(r"[\x00-\x1f]", " ", text)


_TYPES = {"string": str, "integer": int, "array": list, "object": dict}


def _fits(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Hold a value to the subset of JSON Schema that our own schemas use."""
    kind = _TYPES[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Malformed(f"{where} is not of type {schema['type']}", "json")
    if isinstance(value, dict):
        missing = [name for name in schema["required"] if name not in value]
        extra = [name for name in value if name not in schema["properties"]]
        if missing or extra:
            what = f"lacks '{missing[0]}'" if missing else f"has the unknown key '{extra[0][:40]}'"
            raise Malformed(f"{where} {what}", "json")
        for name, inner in schema["properties"].items():
            _fits(value[name], inner, f"'{name}'")
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            raise Malformed(f"{where} has too many items", "json")
        for inner in value:
            _fits(inner, schema["items"], f"an item of {where}")
    elif isinstance(value, str) and not value.strip():
        raise Malformed(f"{where} is empty", "json")


def read_sections(choice: Choice) -> Written:
    """Read reasoning in numbered steps and the answer after it.

    Raises:
        Malformed: it is cut off, has not both sections, or cites nothing.
    """
    written = _written(*_both(choice))
    if not any(step.claims for step in written.steps):
        raise Malformed("no step cites a statement by its id")
    return written


def _both(choice: Choice) -> tuple[str, str]:
    """The two sections of a reply."""
    if choice.cut:
        raise Malformed("it was cut off before its end; be briefer")
    sections = _sections(choice.text)
    body = next((text for name, text in sections if name in _REASONING), "")
    answer = next((text for name, text in reversed(sections) if name in _ANSWER), "")
    if not body.strip():
        raise Malformed("it has no section '## Reasoning' ('## 推理')", reason="it has no reasoning section")
    if not answer.strip():
        raise Malformed("it has no section '## Answer' ('## 答案')", reason="it has no answer section")
    return body, answer


def _written(body: str, answer: str) -> Written:
    steps = tuple(step for part in _steps(body) if (step := _step(part)).text)
    if not steps:
        raise Malformed("its reasoning has no steps")
    paragraphs = (_step(part).text for part in _BLANK.split(answer.strip()))
    return Written(steps, "\n\n".join(text for text in paragraphs if text))


def read_unsupported(choice: Choice) -> Written:
    """As `read_sections`, for a writer that was shown no evidence and has nothing to cite."""
    return _written(*_both(choice))


def _sections(text: str) -> list[tuple[str, str]]:
    """The named sections of a text, in order."""
    heads = list(_HEADING.finditer(text))
    ends = [*(head.start() for head in heads), len(text)][1:]
    return [(head.group(1).casefold(), text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _steps(body: str) -> list[str]:
    """The numbered steps of a section, or its paragraphs where nothing is numbered."""
    starts = [match.start() for match in _NUMBERED.finditer(body)]
    if not starts:
        return [part for part in _BLANK.split(body) if part.strip()]
    before, ends = body[: starts[0]], [*starts[1:], len(body)]
    steps = [_NUMBERED.sub("", body[start:end], count=1) for start, end in zip(starts, ends, strict=True)]
    return [before, *steps] if re.search(_IDS, before) else steps


def _step(text: str) -> WrittenStep:
    """Take the citations out of a text and keep them with their sentences."""
    flat = " ".join(_MARKS.sub("", text).split())
    flat = _AFTER_STOP.sub(lambda found: f"{found[2]}{found[1]}", flat)
    claims = []
    sentences = []
    for sentence in _SENTENCE.split(flat):
        plain = re.sub(r"\s+([.,;:?!])(?!\w)", r"\1", _CITED.sub("", sentence)).strip()
        ids = tuple(dict.fromkeys(ident for group in _CITED.findall(sentence) for ident in _ID.findall(group)))
        if plain:
            sentences.append(plain)
        if plain and ids:
            claims.append(Cited(plain, ids))
    return WrittenStep(" ".join(sentences), tuple(claims))
