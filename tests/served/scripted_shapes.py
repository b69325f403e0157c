"""The shapes in which vLLM answers: choices, log probabilities, streamed pieces, errors, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.served.scripted_content import TOKEN, count_tokens, logprob, rivals, tokens

try:
    import orjson
except ImportError:

    def dumps(value: Any) -> bytes:
        """JSON without spaces."""
        return json.dumps(value, separators=(",", ":")).encode()

    loads: Callable[[bytes], Any] = json.loads
else:
    dumps, loads = orjson.dumps, orjson.loads

CREATED = 1_700_000_000
VERSION = "0.32.0"
DONE = b"data: [DONE]\n\n"
ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    503: "ServiceUnavailableError",
}


class Said(NamedTuple):
    """One text that the model gave."""

    index: int
    raw: str
    """Everything that was generated, the thinking between tags."""
    finish: str
    seed: int
    reasoning: str = ""
    content: str | None = ""
    tool: str = ""
    """The function whose arguments the content is."""

    @property
    def tokens(self) -> int:
        """How many were generated."""
        return count_tokens(self.raw)


class Wanted(NamedTuple):
    """What a request asks for beside the text."""

    logprobs: bool = False
    top: int = 0
    prompt_logprobs: int | None = None


def said(index: int, raw: str, finish: str, seed: int, *, reasoning: str = "tags", tool: str = "") -> Said:
    """Take the thinking out of a text, as a server with a reasoning parser does.

    A text that ends within its thinking has no content then.
    """
    if reasoning == "tags" or not raw.startswith("<think>"):
        return Said(index, raw, finish, seed, "", raw, tool)
    thought, closed, content = raw.removeprefix("<think>").partition("</think>")
    if reasoning == "none":
        raw = content.lstrip() if closed else thought.lstrip()
        return Said(index, raw, finish, seed, "", raw, tool)
    return Said(index, raw, finish, seed, thought.strip(), content.lstrip() if closed else None, tool)


def chat_choice(part: Said, wanted: Wanted, field: str) -> dict[str, Any]:
    """A choice of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": part.content}
    finish = part.finish
    if part.reasoning:
        message[field] = part.reasoning
    if part.tool:
        message |= {"content": None, "tool_calls": [_tool_call(part)]}
        finish = "tool_calls" if finish == "stop" else finish
    return {
        "index": part.index,
        "message": message,
        "logprobs": chat_logprobs(part.raw, part.seed, wanted.top) if wanted.logprobs else None,
        "finish_reason": finish,
        "stop_reason": None,
    }


def _tool_call(part: Said) -> dict[str, Any]:
    function = {"name": part.tool, "arguments": part.content}
    return {"id": f"call_{part.seed:016x}", "type": "function", "function": function}


def completion_choice(part: Said, wanted: Wanted, prompt: str) -> dict[str, Any]:
    """A choice of a text completion."""
    choice = {
        "index": part.index,
        "text": part.raw,
        "logprobs": completion_logprobs(part.raw, part.seed, wanted.top) if wanted.logprobs else None,
        "finish_reason": part.finish,
        "stop_reason": None,
    }
    if wanted.prompt_logprobs is not None:
        choice["prompt_logprobs"] = prompt_logprobs(prompt, part.seed, wanted.prompt_logprobs)
    return choice


def chat_logprobs(text: str, seed: int, top: int) -> dict[str, Any]:
    """Log probabilities of a chat completion: `top` of the likeliest tokens at each place."""
    return {"content": [_token(token, seed, index, top) for index, token in enumerate(tokens(text))]}


def _token(token: str, seed: int, index: int, top: int) -> dict[str, Any]:
    entry = {"token": token, "logprob": logprob(seed, index), "bytes": list(token.encode())}
    others = [
        {"token": other, "logprob": value, "bytes": list(other.encode())}
        for other, value in rivals(seed, index, top - 1)
    ]
    return {**entry, "top_logprobs": [entry, *others] if top else []}


def completion_logprobs(text: str, seed: int, top: int) -> dict[str, Any]:
    """Log probabilities of a text completion."""
    parts = tokens(text)
    return {
        "text_offset": [index * TOKEN for index in range(len(parts))],
        "token_logprobs": [logprob(seed, index) for index in range(len(parts))],
        "tokens": parts,
        "top_logprobs": [
            {part: logprob(seed, index), **dict(rivals(seed, index, top - 1))} for index, part in enumerate(parts)
        ],
    }


def prompt_logprobs(prompt: str, seed: int, top: int) -> list[dict[str, Any] | None]:
    """Log probabilities of a prompt, by token id; the first token has none."""
    entries: list[dict[str, Any] | None] = [None]
    for index, part in enumerate(tokens(prompt)[1:], start=1):
        ranked = [(part, logprob(seed, index)), *rivals(seed, index, top - 1)]
        entries.append(
            {
                str(1000 * index + rank): {"logprob": value, "rank": rank, "decoded_token": token}
                for rank, (token, value) in enumerate(ranked, start=1)
            }
        )
    return entries


def stream(head: Mapping[str, Any], parts: list[Said], wanted: Wanted, field: str, pieces: int) -> Iterator[bytes]:
    """The events of a streamed chat completion: roles, texts in pieces, ends; without usage and end mark."""
    for part in parts:
        yield _event(head, part.index, {"role": "assistant", "content": ""})
    for number in range(pieces):
        for part in parts:
            if part.tool:
                if number == 0:
                    yield _event(head, part.index, {"tool_calls": [{"index": 0, **_tool_call(part)}]})
                continue
            yield from _pieces(head, part, wanted, field, number, pieces)
    for part in parts:
        finish = "tool_calls" if part.tool and part.finish == "stop" else part.finish
        yield _event(head, part.index, {}, finish)


def _pieces(
    head: Mapping[str, Any], part: Said, wanted: Wanted, field: str, number: int, pieces: int
) -> Iterator[bytes]:
    """Piece `number` of `pieces` of a text; thinking comes in half of them, if the server tells it apart."""
    fields = [(field, part.reasoning)] if part.reasoning else []
    fields += [("content", part.content)] if part.content else []
    for place, (name, text) in enumerate(fields):
        share = pieces // len(fields) or 1
        first = place * share
        within = number - first
        last = place == len(fields) - 1
        count = pieces - first if last else share
        if not 0 <= within < count:
            continue
        piece = text[len(text) * within // count : len(text) * (within + 1) // count]
        probabilities = chat_logprobs(piece, part.seed, wanted.top) if wanted.logprobs else None
        if piece:
            yield _event(head, part.index, {name: piece}, logprobs=probabilities)


def _event(
    head: Mapping[str, Any], index: int, delta: Mapping[str, Any], finish: str | None = None, logprobs: Any = None
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return event({**head, "choices": [choice]})


def event(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + dumps(value) + b"\n\n"


def error(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind = ERRORS.get(status, "InternalServerError")
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def models(name: str, root: str, longest: int) -> bytes:
    """The answer of /v1/models."""
    card = {"id": name, "object": "model", "created": CREATED, "owned_by": "vllm"}
    card |= {"root": root, "parent": None, "max_model_len": longest, "permission": []}
    return dumps({"object": "list", "data": [card]})


def metrics(name: str, running: int, waiting: int, usage: float) -> bytes:
    """The answer of /metrics: Prometheus text."""
    gauges = {
        "vllm:num_requests_running": ("Number of requests in model execution batches.", running),
        "vllm:num_requests_waiting": ("Number of requests waiting to be processed.", waiting),
        "vllm:kv_cache_usage_perc": ("KV-cache usage. 1 means 100 percent usage.", usage),
    }
    lines = []
    for gauge, (text, value) in gauges.items():
        lines += [f"# HELP {gauge} {text}", f"# TYPE {gauge} gauge"]
        lines.append(f'{gauge}{{engine="0",model_name="{name}"}} {float(value)}')
    return ("\n".join(lines) + "\n").encode()
