"""What a server can do counts only where it was seen; a server that can do little works too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from synth.engines.calls import Call
from synth.engines.client import Client, Endpoint
from synth.engines.probe import DIALECTS, Capabilities, models_of, probe
from synth.errors import EndpointError
from synth.profiles import Profile, load_profile
from tests.served.scripted import Scripted

MOST = 10
"""Requests for replies that a probe may take."""
WHOLE = Capabilities(
    structured="json_schema", n=True, logprobs=True, prompt_logprobs=True, reasoning="tags", pooling="pooling",
    context=32768, vllm="0.32.0", gauges=True,
)  # fmt: skip
LACKING: dict[str, dict[str, Any]] = {
    "n": {"n": False},
    "logprobs": {"logprobs": False},
    "prompt_logprobs": {"prompt_logprobs": False},
    "models": {"context": None},
    "metrics": {"gauges": False},
    "version": {"vllm": None},
    "pooling": {"pooling": "none"},
    "usage": {},
    "json_schema": {"structured": "structured_outputs"},
    "json_schema,structured_outputs": {"structured": "guided_json"},
    "json_schema,structured_outputs,guided_json": {"structured": "json_object"},
    "json_schema,structured_outputs,guided_json,json_object": {"structured": "none"},
}
POOR = ("n", "logprobs", "prompt_logprobs", "usage", *DIALECTS, "models", "metrics", "version", "pooling")


def probed(server: Scripted | str, profile: str | Profile = "plain", *, key: str = "") -> Capabilities:
    async def ask() -> Capabilities:
        async with Client() as client:
            used = load_profile(profile) if isinstance(profile, str) else profile
            return await probe(client, Endpoint(getattr(server, "url", server), key=key), "scripted", used)

    return asyncio.run(ask())


def test_a_server_that_can_do_everything() -> None:
    with Scripted() as server:
        assert probed(server) == WHOLE
        assert server.stats()["requests"] == 6  # plain, JSON, n, logprobs, prompt_logprobs, pooling
        assert sum(server.stats()["paths"].values()) == 9  # models, version, metrics


@pytest.mark.parametrize("lacking", LACKING)
def test_what_a_server_lacks_is_not_found(lacking: str) -> None:
    with Scripted(lacks=lacking) as server:
        assert probed(server) == WHOLE.model_copy(update=LACKING[lacking])
        assert server.stats()["requests"] <= MOST


@pytest.mark.parametrize("number", range(1, len(DIALECTS) + 1))
def test_what_a_server_passes_over_in_silence_is_not_found(number: int) -> None:
    with Scripted(ignores=DIALECTS[:number]) as server:
        assert probed(server).structured == (*DIALECTS, "none")[number]
        assert server.stats()["requests"] <= MOST


def test_a_server_that_can_do_nothing_but_answer_works() -> None:
    with Scripted(lacks=POOR, reasoning="none") as server:
        assert probed(server) == Capabilities()
        assert server.stats()["requests"] <= MOST


def polite(_request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    """Answers in JSON of its own, whatever the schema."""
    return {"content": {"greeting": "hello"}}


def test_json_that_comes_by_itself_is_not_taken_for_the_schema() -> None:
    with Scripted(script=polite) as server:
        assert probed(server).structured == "json_object"


def choosy(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any] | None:
    """Ends at what small local servers do not know."""
    unknown = {"n", "logprobs", "prompt_logprobs", "top_logprobs"} & request.keys()
    return {"status": 500, "error": f"unknown: {unknown}"} if unknown else None


def test_what_a_profile_says_is_lacking_is_not_asked_for() -> None:
    with Scripted(script=choosy, lacks=("models", "metrics", "version")) as server:
        found = probed(server, "local")
        assert found == Capabilities(structured="json_schema", reasoning="tags")
        assert server.stats()["statuses"] == {"200": 2, "404": 3}
        assert "/pooling" not in server.stats()["paths"]


def test_what_a_server_fails_at_it_does_not_have() -> None:
    with Scripted(script=choosy) as server:
        assert probed(server) == WHOLE.model_copy(update={"n": False, "logprobs": False, "prompt_logprobs": False})


def test_a_profile_may_name_the_dialect() -> None:
    with Scripted() as server:
        named = load_profile("plain").model_copy(update={"structured": "guided_json", "lacks": ("n", "pooling")})
        assert probed(server, named).structured == "guided_json"
        assert server.stats()["requests"] == 3


@pytest.mark.parametrize(
    ("reasoning", "found"),
    [("tags", "tags"), ("reasoning", "field"), ("reasoning_content", "field"), ("none", "text")],
)
def test_where_thinking_is_seen(reasoning: str, found: str) -> None:
    with Scripted(reasoning=reasoning) as server:
        assert probed(server).reasoning == found


def escaping(_request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    """Spells tags as servers in Go do."""
    message = r'{"role": "assistant", "content": "\u003cthink\u003eso\u003c/think\u003e{}"}'
    return {"body": f'{{"choices": [{{"message": {message}, "finish_reason": "stop"}}]}}'}


def test_tags_are_seen_however_they_are_spelled() -> None:
    with Scripted(script=escaping) as server:
        assert probed(server).reasoning == "tags"


def test_a_profile_adds_to_every_question() -> None:
    with Scripted(script=wants) as server:
        extended = load_profile("plain").model_copy(update={"body": {"chat_template_kwargs": {"thinking": True}}})
        assert probed(server, extended).structured == "json_schema"
        with pytest.raises(EndpointError, match="refuses scripted: HTTP 400: say how"):
            probed(server)


def wants(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any] | None:
    return None if "chat_template_kwargs" in request else {"status": 400, "error": "say how"}


# -- servers that do not answer


def test_nobody_listens() -> None:
    with Scripted() as server:
        pass
    with pytest.raises(EndpointError, match=r"cannot connect .*; is a server running there\?"):
        probed(server)


def test_credentials_that_are_refused_are_not_shown() -> None:
    with (
        Scripted(require_key="right") as server,
        pytest.raises(EndpointError, match=r"refuses the credentials \(HTTP 401\)") as found,
    ):
        probed(server, key="sk-planted-0123456789")
    assert "planted" not in str(found.value)


def no_such_model(_request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    return {"status": 404, "error": "the model `scripted` does not exist"}


def test_a_model_that_is_not_there_is_told() -> None:
    with (
        Scripted(script=no_such_model) as server,
        pytest.raises(EndpointError, match="HTTP 404: the model `scripted` does not exist"),
    ):
        probed(server)


def test_a_fault_on_the_way_takes_nothing_away() -> None:
    with Scripted(script=stumbles) as server:
        assert probed(server) == WHOLE


def stumbles(_request: dict[str, Any], _key: str, attempt: int) -> dict[str, Any] | None:
    """Fails every other time."""
    return {"status": 503} if attempt % 2 == 0 else None


def broken(_request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    return {"status": 500}


def test_a_server_that_fails_at_everything_is_told() -> None:
    with Scripted(script=broken) as server:
        with pytest.raises(EndpointError, match=r"cannot answer a plain question \(HTTP 500\)"):
            probed(server)
        assert server.stats()["requests"] == 3


def test_the_models_of_a_server() -> None:
    async def ask(server: Scripted) -> list[str]:
        async with Client() as client:
            return list(await models_of(client, Endpoint(server.url)))

    with Scripted(model="org/one") as server:
        assert asyncio.run(ask(server)) == ["org/one"]
    with Scripted(lacks="models") as server:
        assert asyncio.run(ask(server)) == []


# -- what is made of it


SCHEMA = {"type": "object"}
ASKED = Call("m", ({"role": "user", "content": "x" * 300},), {"max_tokens": 1000, "seed": 1}, SCHEMA)


@pytest.mark.parametrize(
    ("dialect", "form"),
    [
        ("json_schema", {"response_format": {
            "type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA}}}),
        ("structured_outputs", {"structured_outputs": {"json": SCHEMA}}),
        ("guided_json", {"guided_json": SCHEMA}),
        ("json_object", {"response_format": {"type": "json_object"}}),
        ("none", {}),
    ],
)  # fmt: skip
def test_a_call_is_put_in_the_dialect_of_its_server(dialect: str, form: dict[str, Any]) -> None:
    plain = {"model": "m", "messages": ASKED.messages, "max_tokens": 1000, "seed": 1}
    assert Capabilities(structured=dialect).dress(ASKED) == plain | form
    assert Capabilities(structured=dialect).dress(ASKED._replace(schema=None)) == plain


@pytest.mark.parametrize(("context", "room"), [(None, 1000), (4096, 1000), (1000, 836), (300, 256)])
def test_a_call_is_cut_to_the_context(context: int | None, room: int) -> None:
    assert Capabilities(context=context).dress(ASKED)["max_tokens"] == room
    assert "max_tokens" not in Capabilities(context=context).dress(ASKED._replace(body={}))


def test_a_call_that_is_cut_to_the_context_is_answered() -> None:
    with Scripted(max_model_len=500) as server:
        body = probed(server).dress(ASKED._replace(schema=None))
        assert body["max_tokens"] < 500


def test_it_is_told_in_words() -> None:
    assert WHOLE.told() == "vLLM 0.32.0; context 32768; JSON by json_schema; thinking in tags"
    assert Capabilities(n=True).told() == (
        "not vLLM; context not told; no structured output: JSON asked for in words; "
        "thinking in text; without logprobs, prompt_logprobs"
    )


def test_it_is_stored_and_read_again() -> None:
    assert Capabilities(**{**WHOLE.model_dump(mode="json"), "of a later version": 1}) == WHOLE
