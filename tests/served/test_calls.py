"""A call's name is all that decides its reply; a reply is read alike from every layout that servers have."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.engines.calls import Call, Completion, Malformed, read_completion, split_thought

ASKED = Call(
    "m", ({"role": "user", "content": "Why?"},), {"max_tokens": 9, "seed": 1, "stop": ["x"]}, {"type": "object"}, "r1"
)
OTHERS = {
    "model": ASKED._replace(model="m2"),
    "revision": ASKED._replace(revision="r2"),
    "content": ASKED._replace(messages=({"role": "user", "content": "How?"},)),
    "role": ASKED._replace(messages=({"role": "system", "content": "Why?"},)),
    "another turn": ASKED._replace(messages=(*ASKED.messages, *ASKED.messages)),
    "seed": ASKED._replace(body={**ASKED.body, "seed": 2}),
    "n": ASKED._replace(body={**ASKED.body, "n": 2}),
    "schema": ASKED._replace(schema={"type": "array"}),
    "no schema": ASKED._replace(schema=None),
}


def reply(message: Any = None, *, finish: str | None = "stop", **beside: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish, **beside.pop("choice", {})}
    return json.dumps({"choices": [choice], **beside}).encode()


@pytest.mark.parametrize("what", OTHERS)
def test_all_that_decides_a_reply_is_in_its_key(what: str) -> None:
    assert OTHERS[what].key != ASKED.key


def test_keys_of_all_calls_differ() -> None:
    assert len({call.key for call in (ASKED, *OTHERS.values())}) == len(OTHERS) + 1


def test_nothing_else_is_in_the_key() -> None:
    turned = {"content": "Why?", "role": "user"}
    same = Call("m", (turned,), {"stop": ["x"], "seed": 1, "max_tokens": 9}, {"type": "object"}, "r1")
    assert same.key == ASKED.key and len(same.key) == 16


def test_the_key_stays_what_it_was_so_that_stored_replies_are_found() -> None:
    assert Call("m", ({"role": "user", "content": "é"},)).key.hex() == "f4306f31c6efa133a69eca16100a2361"


def test_asking_again_shows_the_reply_and_the_complaint() -> None:
    again = ASKED.again("because", "Not so.")
    assert again.messages == (
        *ASKED.messages,
        {"role": "assistant", "content": "because"},
        {"role": "user", "content": "Not so."},
    )
    assert again._replace(messages=ASKED.messages) == ASKED and again.key != ASKED.key
    assert ASKED.again("", "Not so.").messages[1]["content"]  # servers refuse an empty turn


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": " plain "}, "plain", ""),
        ({"content": "<think>\nfever\n</think>\n\nMalaria."}, "Malaria.", "fever"),
        ({"content": "fever</think>Malaria."}, "Malaria.", "fever"),
        ({"content": "<think>fever and"}, "", "fever and"),
        ({"content": "Malaria.", "reasoning": "fever"}, "Malaria.", "fever"),
        ({"content": "Malaria.", "reasoning_content": "fever"}, "Malaria.", "fever"),
        ({"content": "Malaria.", "reasoning": "fever", "reasoning_content": "fever"}, "Malaria.", "fever"),
        ({"content": "<think>chills</think>Malaria.", "reasoning": "fever"}, "Malaria.", "fever\n\nchills"),
        ({"content": None, "reasoning": "fever"}, "", "fever"),
        ({"content": None}, "", ""),
        ({}, "", ""),
        (None, "", ""),
    ],
)
def test_thinking_is_told_apart_from_the_reply(message: Any, text: str, reasoning: str) -> None:
    first = read_completion(reply(message)).first
    assert (first.text, first.reasoning) == (text, reasoning)


@pytest.mark.parametrize(("finish", "cut"), [("length", True), ("stop", False), ("tool_calls", False), (None, False)])
def test_a_cut_reply_is_seen(finish: str | None, cut: bool) -> None:
    assert read_completion(reply({"content": "a"}, finish=finish)).first.cut is cut


def test_tokens_are_counted_by_the_server_or_estimated() -> None:
    told = read_completion(reply({"content": "x" * 400}, usage={"prompt_tokens": 7, "completion_tokens": 11}))
    assert (told.prompt_tokens, told.completion_tokens) == (7, 11)
    for silent in ({}, {"usage": None}, {"usage": {"prompt_tokens": None}}):
        guessed = read_completion(reply({"content": "x" * 400, "reasoning": "y" * 40}, **silent))
        assert (guessed.prompt_tokens, guessed.completion_tokens) == (0, 110)


def test_log_probabilities() -> None:
    tokens = [{"token": "a", "logprob": -0.5, "top_logprobs": []}, {"token": "b", "logprob": -2}]
    told = read_completion(
        reply(
            {"content": "ab"},
            choice={"logprobs": {"content": tokens}},
            prompt_logprobs=[None, {"17": {"logprob": -1.5, "rank": 3}, "4": {"logprob": -0.1, "rank": 1}}],
        )
    )
    assert told.first.logprobs == (-0.5, -2.0)
    assert told.prompt_logprobs == (None, -1.5)  # the token that is there, not the likeliest
    without = read_completion(reply({"content": "ab"}, choice={"logprobs": None}, prompt_logprobs=None))
    assert without.first.logprobs == () and without.prompt_logprobs == ()


def test_all_choices_are_read_in_order() -> None:
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("a", "b", "c")]
    told = read_completion(json.dumps({"choices": choices}).encode())
    assert [choice.text for choice in told.choices] == ["a", "b", "c"]


def test_a_reply_without_choices_is_unusable() -> None:
    with pytest.raises(Malformed, match="no choice"):
        _ = read_completion(b'{"choices": []}').first


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"7", b'"choices"', b"{}", b'{"error": {"message": "no"}}',
        b'{"choices": null}', b'{"choices": [null]}',
        b'{"choices": [{"message": "a"}]}', b'{"choices": [{"message": {"content": [1]}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}', b'{"choices": [], "usage": 3}',
        b'{"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{}]}}]}',
        b'{"choices": [], "prompt_logprobs": [3]}',
    ],
)  # fmt: skip
def test_what_is_no_completion_is_told_so(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a chat completion|invalid literal"):
        read_completion(body)


def fields(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["choices", "message", "content", "reasoning", "logprobs", "logprob", "usage", "x"])
    return st.dictionaries(names, values)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | fields(x)))
def test_reading_raises_nothing_but_value_errors(body: Any) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_completion(json.dumps(body).encode()), Completion)


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "fever", " ", "\n", "Malaria."]))


@given(PIECES)
def test_splitting_loses_nothing_but_tags(pieces: list[str]) -> None:
    thought, rest = split_thought("".join(pieces))
    bare = "".join(piece for piece in pieces if "think" not in piece)
    left = sorted((thought + rest).replace("<think>", "").replace("</think>", ""))
    assert left == sorted(bare)
    assert "</think>" not in rest and not ("<think>" not in pieces and "</think>" not in pieces and thought)
