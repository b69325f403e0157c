"""One call to a served model: what is asked, what came back, and the name under which it is stored.

A reply is stored as the server gave it, and read again whenever it is used: an edit to the
reading costs no call. The reading brings the layouts that servers have to one: thinking apart
from the reply proper, whether it came in a field of its own or between think tags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

Message = Mapping[str, str]


class Malformed(Exception):
    """A reply whose content cannot be used; the text tells the model what is wrong with it."""

    def __init__(self, error: str, form: str = "sections", reason: str = "") -> None:
        super().__init__(error)
        self.form = form
        """What was wanted: 'json' or 'sections'."""
        self.reason = reason or error
        """The same words for the same fault, so that it can be counted."""


class Call(NamedTuple):
    """A question to a chat endpoint."""

    model: str
    messages: tuple[Message, ...]
    body: Mapping[str, Any] = {}
    """Sampling and whatever else the request states: temperature, max_tokens, seed, n, stop, logprobs ..."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of a small structured reply; None for free text."""
    revision: str = ""
    """Of the model, as far as it is known."""

    @property
    def key(self) -> bytes:
        """The name of the reply: 16 bytes over all that decides it, and nothing of where it was asked."""
        named = [self.model, self.revision, self.messages, self.body, self.schema]
        return hashlib.blake2b(orjson.dumps(named, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()

    def again(self, reply: str, complaint: str) -> Call:
        """The call that shows the model its reply and what is wrong with it."""
        turns = ({"role": "assistant", "content": reply or "(no text)"}, {"role": "user", "content": complaint})
        return self._replace(messages=(*self.messages, *turns))


_CUT = frozenset(("length", "content_filter", "abort", "error", "insufficient_system_resource"))


class Choice(NamedTuple):
    """One of the texts that came back."""

    text: str
    """The reply proper."""
    reasoning: str
    """What the model thought before it, if the server or the model tells it apart."""
    finish: str
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each token of the reply, where asked for."""

    @property
    def cut(self) -> bool:
        """Whether something else than the model ended the reply: its length, a filter, the server."""
        return self.finish in _CUT


class Completion(NamedTuple):
    """What came back for a call."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int
    prompt_logprobs: tuple[float | None, ...] = ()
    """Natural-log probability of each token of the prompt (None for the first), where asked for."""

    @property
    def first(self) -> Choice:
        """The only choice of a call that asked for one.

        Raises:
            Malformed: there is none.
        """
        if not self.choices:
            raise Malformed("the reply holds no choice")
        return self.choices[0]


def read_completion(reply: bytes) -> Completion:
    """Read a stored reply.

    Args:
        reply: the JSON body of a chat completion.

    Raises:
        ValueError: it is not one.
    """
    try:
        body = orjson.loads(reply)
        usage = body.get("usage") or {}
        choices = tuple(_choice(choice) for choice in body["choices"])
        return Completion(
            choices,
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or sum(len(c.text) + len(c.reasoning) for c in choices) // 4),
            tuple(_prompt_logprob(entry) for entry in body.get("prompt_logprobs") or ()),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat completion ({type(error).__name__})") from error


def _choice(choice: Mapping[str, Any]) -> Choice:
    message = choice.get("message") or {}
    thought, text = split_thought(message.get("content") or "")
    field = message.get("reasoning") or message.get("reasoning_content") or ""
    tokens = (choice.get("logprobs") or {}).get("content") or ()
    return Choice(
        text.strip(),
        "\n\n".join(part for part in (field.strip(), thought.strip()) if part),
        choice.get("finish_reason") or "",
        tuple(float(token["logprob"]) for token in tokens),
    )


def split_thought(content: str) -> tuple[str, str]:
    """Split a text into what stands between think tags and what follows.

    A template that opens the thought itself leaves only the closing tag in the text; a thought
    that was cut off has only the opening one.

    >>> split_thought("<think>fever</think> Malaria."), split_thought("fever</think>Malaria.")
    (('fever', ' Malaria.'), ('fever', 'Malaria.'))
    >>> split_thought("<think>fever and"), split_thought("Malaria.")
    (('fever and', ''), ('', 'Malaria.'))
    """
    before, closed, after = content.rpartition("</think>")
    if closed:
        return before.replace("<think>", "", 1), after
    start, opened, thought = content.partition("<think>")
    return (thought, start) if opened else ("", content)


def _prompt_logprob(entry: Any) -> float | None:
    """The log probability of one prompt token: vLLM maps token ids to theirs, the actual token first."""
    if not entry:
        return None
    return float(next(iter(entry.values()))["logprob"])
