"""What the scripted server is told: its options, as a value and as a command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

FAULTS = {
    "drop": "the connection closes without an answer",
    "cutbody": "half of the body, then the connection closes",
    "cutstream": "half of the stream, then the connection closes (of an answer in one piece: half of the body)",
    "stall": "half of the stream or of the body, then silence for --hang seconds",
    "streamerror": "half of the stream, then an error in place of the rest (in one piece: status 500)",
    "hang": "no answer for --hang seconds, then the connection closes",
    "slow": "ten times the latency",
    "truncate": "half of the content, finish_reason stop",
    "length": "half of the content, finish_reason length",
    "empty": "no content",
    "schema": "valid JSON of another schema; free text becomes a refusal",
    "prose": "the content inside a fenced block with words around it",
}
"""Fault kinds; a three-digit number is one too: that status, without an answer."""
FORMATS = ("json_schema", "json_object", "structured_outputs", "guided_json")
LACKS = ("n", "logprobs", "prompt_logprobs", "usage", *FORMATS, "models", "metrics", "version", "pooling", "embeddings")
REASONING = ("tags", "reasoning", "reasoning_content", "none")
LATENCIES = {"fixed": 1, "lognormal": 2, "tokens": 2}
"""Kinds of latency, each with the number of its values."""


def _option(default: Any, text: str, choices: Iterable[str] = ()) -> Any:
    """A field of `Options` that is also a flag; a tuple is given with commas between its parts."""
    metadata = {"help": text, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How the server behaves."""

    port: int = _option(0, "0 picks a free one; the first line of output names it")
    model: str = _option("scripted", "the served name")
    root: str = _option("", "what /v1/models calls the root of the model (default: its name)")
    seed: int = _option(0, "seeds answers and faults")
    key_regex: str = _option(r"\bid=([\w-]+)", "its first group names the row a prompt belongs to; else a hash does")
    script: str = _option("", "FILE.py:function (request, key, attempt) -> dict or None, see the top of scripted.py")
    latency: str = _option("0", "0, fixed:MS, lognormal:MEDIAN_MS:SIGMA or tokens:FIRST_MS:MS_PER_TOKEN")
    max_num_seqs: int = _option(256, "requests that run at once; the others wait in the order they came")
    max_model_len: int = _option(32768, "tokens (of four characters) of prompt and answer")
    completion_tokens: int = _option(300, "mean length of free-text answers")
    reasoning: str = _option("tags", "how free-text answers carry their thinking", REASONING)
    chunks: int = _option(4, "pieces of a streamed answer")
    chunk_ms: float = _option(0.0, "milliseconds between them")
    faults: tuple[str, ...] = _option((), "KIND=PROBABILITY of each request; KIND: a status, " + ", ".join(FAULTS))
    max_faults: int = _option(2, "a key is faulted at most so many times")
    poison: float = _option(0.0, "fraction of keys whose content never has the schema asked for")
    retry_after: float = _option(1.0, "seconds that 429 and 503 tell the client to wait; below 0: they tell nothing")
    hang: float = _option(3600.0, "seconds that hang and stall last")
    lacks: tuple[str, ...] = _option((), "what it cannot do; a format is answered with status 400", LACKS)
    ignores: tuple[str, ...] = _option((), "formats that are passed over in silence", FORMATS)
    require_key: str = _option("", "401, repeating the key that was sent, without this one")
    echo_headers: bool = _option(False, "put every header of the request into the answer's text and into errors")
    stop_on_eof: bool = _option(False, "stop when standard input ends, that is, with the parent process")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            allowed, value = field.metadata["choices"], getattr(self, field.name)
            if isinstance(field.default, tuple):
                value = _parts(value) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, field.name, value)
            unknown = {value} if isinstance(field.default, str) else {*value} if allowed else set()
            unknown -= set(allowed)
            if allowed and unknown:
                raise ValueError(f"{field.name}: {', '.join(sorted(unknown))} unknown; known: {', '.join(allowed)}")
        self.fault_rates()
        self.delay()

    def fault_rates(self) -> list[tuple[float, str]]:
        """The fault kinds, each with the sum of the probabilities up to and with its own."""
        rates, total = [], 0.0
        for fault in self.faults:
            kind, _, probability = fault.partition("=")
            if kind not in FAULTS and not (kind.isdigit() and len(kind) == 3):
                raise ValueError(f"faults: {kind} unknown; known: a status, {', '.join(FAULTS)}")
            total += float(probability)
            rates.append((total, kind))
        return rates

    def delay(self) -> tuple[str, list[float]]:
        """The kind of latency and its values."""
        kind, *values = self.latency.split(":")
        if kind == "0" and not values:
            return "fixed", [0.0]
        if LATENCIES.get(kind) != len(values):
            raise ValueError(f"latency: {self.latency} is none of 0, fixed:A, lognormal:A:B, tokens:A:B")
        return kind, [float(value) for value in values]

    def flags(self) -> list[str]:
        """The command line that gives these options."""
        line = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            name = "--" + field.name.replace("_", "-")
            line.append(name if value is True else f"{name}={text}")
        return line


def parse(arguments: Sequence[str] | None, description: str) -> Options:
    """Read a command line.

    Args:
        arguments: without the program; None for those of this process.
        description: for --help.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Options):
        name, text = "--" + field.name.replace("_", "-"), field.metadata["help"]
        if isinstance(field.default, bool):
            parser.add_argument(name, action="store_true", help=text)
            continue
        kind = _parts if isinstance(field.default, tuple) else type(field.default)
        allowed = field.metadata["choices"]
        text += f" ({', '.join(allowed)})" if allowed else ""
        parser.add_argument(name, type=kind, default=field.default, help=text, metavar="X")
    try:
        return Options(**vars(parser.parse_args(arguments)))
    except ValueError as error:
        parser.error(str(error))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)
