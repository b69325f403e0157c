"""The scripted server does what its options say: tests of everything else lean on it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.served.scripted import Scripted
from tests.served.scripted_options import FAULTS, Options, parse

SCHEMA = {
    "type": "object",
    "properties": {
        "short": {"type": "string", "maxLength": 20},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "letter": {"enum": ["x", "y"]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 3},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
    "$defs": {"item": {"type": "object", "properties": {"name": {"type": "string"}}}},
}
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}}
CHAT = "/v1/chat/completions"


class Answer(NamedTuple):
    status: int | str
    """Or the name of the error that came instead."""
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def choices(self) -> list[dict[str, Any]]:
        return self.json["choices"]

    @property
    def message(self) -> dict[str, Any]:
        return self.choices[0]["message"]

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line]
        return [json.loads(line) for line in lines if line != "[DONE]"]


def ask(server: Scripted, path: str, body: Any = None, *, timeout: float = 10, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except (OSError, http.client.HTTPException) as error:
        return Answer(type(error).__name__, {}, "")
    finally:
        connection.close()


def chat(server: Scripted, row: int | str = 1, *, timeout: float = 10, **body: Any) -> Answer:
    messages = [{"role": "user", "content": f"id=k{row} hello"}]
    return ask(server, CHAT, {"model": "m", "messages": messages, **body}, timeout=timeout)


@pytest.fixture(scope="module")
def plain() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


def test_answers_are_deterministic_and_name_their_row(plain: Scripted) -> None:
    first = chat(plain, 1, **FORM)
    assert first.choices == chat(plain, 1, **FORM).choices
    assert chat(plain, 1).message != chat(plain, 1, seed=5).message != chat(plain, 1, seed=6).message
    value = json.loads(first.message["content"])
    assert len(value["short"]) <= 20 and 3 <= value["count"] <= 5 and value["letter"] in ("x", "y")
    assert len(value["list"]) == 3 and "<<k1>>" in value["list"][0]["name"] and value["maybe"] in (None, True, False)
    several = chat(plain, 2, n=3).choices
    assert len({choice["message"]["content"] for choice in several}) == 3
    assert "<think>" in several[0]["message"]["content"]


@pytest.mark.parametrize(
    "form",
    [{"guided_json": SCHEMA}, {"structured_outputs": {"json": SCHEMA}}, {"response_format": {"type": "json_object"}}],
)
def test_every_form_of_structured_output(plain: Scripted, form: dict[str, Any]) -> None:
    assert isinstance(json.loads(chat(plain, 1, **form).message["content"]), dict)


def test_tools(plain: Scripted) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
    (call,) = chat(plain, 3, tools=tools, tool_choice="required").message["tool_calls"]
    assert json.loads(call["function"]["arguments"])["count"] >= 3


def test_lengths(plain: Scripted) -> None:
    cut = chat(plain, 4, max_tokens=5)
    assert cut.choices[0]["finish_reason"] == "length" and cut.json["usage"]["completion_tokens"] == 5
    with Scripted(max_model_len=100) as server:
        long = ask(server, CHAT, {"messages": [{"role": "user", "content": "word " * 100}]})
        assert long.status == 400 and long.json["error"]["code"] == 400
        assert long.json["error"]["type"] == "BadRequestError" and "maximum context length is 100" in long.text
        assert chat(server, max_tokens=101).status == 400
        clamped = chat(server, max_tokens=100)
        assert clamped.choices[0]["finish_reason"] == "length" and clamped.json["usage"]["total_tokens"] == 100
        assert json.loads(server.get("/v1/models"))["data"][0]["max_model_len"] == 100


def test_logprobs_belong_to_the_tokens(plain: Scripted) -> None:
    answer = chat(plain, 5, logprobs=True, top_logprobs=2, prompt_logprobs=1, max_tokens=8)
    tokens = answer.choices[0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == answer.message["content"]
    assert len(tokens) == answer.json["usage"]["completion_tokens"]
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in tokens)
    prompt = answer.json["prompt_logprobs"]
    assert prompt[0] is None and len(prompt) == answer.json["usage"]["prompt_tokens"]
    assert {"logprob", "rank", "decoded_token"} == set(next(iter(prompt[1].values())))
    (choice,) = ask(plain, "/v1/completions", {"prompt": "hello", "logprobs": 1, "max_tokens": 4}).choices
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]


def test_other_endpoints(plain: Scripted) -> None:
    assert len(ask(plain, "/v1/completions", {"prompt": ["a", "b"], "n": 2}).choices) == 4
    assert len(ask(plain, "/pooling", {"input": ["a", "b"]}).json["data"]) == 2
    assert 0 <= ask(plain, "/classify", {"input": "a"}).json["data"][0]["probs"][1] <= 1
    assert ask(plain, "/v1/score", {"text_1": "a", "text_2": ["b"]}).json["data"][0]["score"] >= 0
    assert len(ask(plain, "/v1/embeddings", {"input": "a"}).json["data"][0]["embedding"]) == 16
    assert ask(plain, "/version").json["version"] and ask(plain, "/health").status == 200
    assert 'vllm:num_requests_running{engine="0",model_name="scripted"} 0.0' in plain.get("/metrics")
    assert ask(plain, CHAT, {"messages": 3}).status == 400 and ask(plain, "/nope", {}).status == 404


def test_streams_hold_what_an_answer_in_one_piece_holds(plain: Scripted) -> None:
    whole = chat(plain, 6, n=2)
    with Scripted(chunk_ms=30, reasoning="reasoning") as server:
        start = time.monotonic()
        streamed = chat(server, 6, n=2, stream=True, stream_options={"include_usage": True})
        assert time.monotonic() - start >= 0.03 * 8
    assert streamed.text.endswith("data: [DONE]\n\n") and streamed.headers["Transfer-Encoding"] == "chunked"
    assert streamed.events[-1]["usage"] == whole.json["usage"]
    for choice in whole.choices:
        pieces = [c for event in streamed.events for c in event["choices"] if c["index"] == choice["index"]]
        reasoning = "".join(piece["delta"].get("reasoning", "") for piece in pieces)
        content = "".join(piece["delta"].get("content", "") for piece in pieces)
        assert f"<think>\n{reasoning}\n</think>\n\n{content}" == choice["message"]["content"]
        assert pieces[-1]["finish_reason"] == "stop"


def test_ways_to_carry_thinking() -> None:
    for field in ("reasoning", "reasoning_content"):
        with Scripted(reasoning=field) as server:
            message = chat(server).message
            assert message[field] and message["content"].startswith("<<k1>>")
            assert chat(server, max_tokens=4).message["content"] is None
    with Scripted(reasoning="none") as server:
        assert chat(server).message.keys() == {"role", "content"} and "<think>" not in chat(server).text


def test_what_it_lacks_and_ignores() -> None:
    lacks = "n,logprobs,json_schema,structured_outputs,guided_json,prompt_logprobs,models,metrics,pooling,usage"
    with Scripted(lacks=lacks, ignores="json_object") as server:
        answer = chat(server, n=3, logprobs=True, prompt_logprobs=1)
        assert len(answer.choices) == 1 and answer.choices[0]["logprobs"] is None
        assert "usage" not in answer.json and "prompt_logprobs" not in answer.json
        assert [ask(server, path).status for path in ("/v1/models", "/metrics")] == [404, 404]
        assert ask(server, "/pooling", {"input": "a"}).status == 404
        for form in (FORM, {"guided_json": SCHEMA}, {"structured_outputs": {"json": SCHEMA}}):
            assert chat(server, **form).status == 400
        assert "<think>" in chat(server, response_format={"type": "json_object"}).message["content"]


def test_keys_and_headers_are_repeated() -> None:
    with Scripted(require_key="right", echo_headers=True) as server:
        wrong = ask(server, CHAT, {"messages": []}, Authorization="Bearer s3cret")
        assert wrong.status == 401 and wrong.text.count("s3cret") == 2
        assert server.stats()["requests"] == 1 and server.stats()["unique_keys"] == 0
        right = ask(server, CHAT, {"messages": [], **FORM}, Authorization="Bearer right")
        assert "Bearer right" in json.loads(right.message["content"])["list"][0]["name"]
        assert "Bearer right" in ask(server, "/nope", {}, Authorization="Bearer right").text


def test_the_queue_is_in_the_order_of_arrival_and_counts() -> None:
    with Scripted(latency="fixed:100", max_num_seqs=2) as server:
        start = time.monotonic()
        threads = [threading.Thread(target=chat, args=(server, row)) for row in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - start >= 0.29
        stats = server.stats(keys=True)
        assert stats["max_running"] == 2 and stats["unique_ok"] == 6 and stats["max_in_flight"] > 2
        assert sorted(stats["order"]) == sorted(stats["arrivals"]) == [f"k{row}" for row in range(6)]
        assert stats["paths"] == {CHAT: 6} and stats["bytes_in"] > 6 * 50 and stats["statuses"] == {"200": 6}
        assert chat(server, 9, timeout=0.03).status != 200
        time.sleep(0.05)
        assert server.stats()["aborted_by_client"] == 1 and server.stats()["in_flight"] == 0
        server.reset()
        assert server.stats()["requests"] == 0


def test_faults_come_again_and_every_kind_occurs() -> None:
    kinds = ["429", "503", *FAULTS]
    seen = []
    for _ in range(2):
        with Scripted(faults=[f"{kind}=0.06" for kind in kinds], hang=0.02, poison=0.05, retry_after=7) as server:
            seen.append([chat(server, row, stream=row % 2 > 0, **FORM) for row in range(250)])
            stats = server.stats()
    assert seen[0] == seen[1] and set(stats["faults"]) == {*kinds, "poison"}
    busy = [answer for answer in seen[0] if answer.status == 429]
    assert busy and all(answer.headers["Retry-After"] == "7" for answer in busy)
    assert stats["answered_ok"] < sum(answer.status == 200 for answer in seen[0])


@pytest.mark.parametrize("kind", ["cutstream", "stall"])
def test_half_a_stream_comes(kind: str) -> None:
    with Scripted(faults=(f"{kind}=1",), max_faults=1, hang=30) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
        body = json.dumps({"messages": [{"role": "user", "content": "id=k1"}], "stream": True})
        connection.request("POST", CHAT, body)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read1().startswith(b"data: ")
        with pytest.raises(TimeoutError if kind == "stall" else http.client.IncompleteRead):
            answer.read()
        connection.close()
        assert chat(server, stream=True).text.endswith("[DONE]\n\n")
        assert server.stats()["in_flight"] == 0


def answers(request: dict[str, Any], key: str, attempt: int) -> dict[str, Any] | None:
    """The script of the test below."""
    scripts: dict[str, dict[str, Any]] = {
        "k1": {"content": {"a": request["model"]}, "reasoning": "thought", "finish_reason": "length"},
        "k2": {"content": ["first", "second"]},
        "k3": {"status": 503, "error": "loading", "retry_after": "soon"},
        "k4": {"fault": "drop"},
        "k5": {"body": "{not JSON"},
    }
    return scripts.get(key) if attempt == 0 else None


def test_a_script_gives_answers() -> None:
    with Scripted(script=answers, reasoning="reasoning") as server:
        first = chat(server, 1).choices[0]
        assert json.loads(first["message"]["content"]) == {"a": "m"} and first["message"]["reasoning"] == "thought"
        assert first["finish_reason"] == "length" and "<<k1>>" in chat(server, 1).text
        assert [choice["message"]["content"] for choice in chat(server, 2, n=2).choices] == ["first", "second"]
        away = chat(server, 3)
        assert away.status == 503 and "loading" in away.text and away.headers["Retry-After"] == "soon"
        assert chat(server, 4).status == "RemoteDisconnected" and chat(server, 4).status == 200
        assert chat(server, 5).text == "{not JSON"


def test_options_come_through_the_command_line() -> None:
    options = Options(faults=("429=0.1", "drop=.2"), lacks="n,usage", echo_headers=True, poison=0.5)  # type: ignore[arg-type]
    assert parse(options.flags(), "") == options
    for wrong in ({"lacks": ("x",)}, {"faults": ("x=1",)}, {"latency": "fixed"}, {"reasoning": "x"}):
        with pytest.raises(ValueError, match=r"unknown|none of"):
            Options(**wrong)


def test_it_ends_with_its_owner() -> None:
    server = Scripted()
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(timeout=10) == 0
    server.stop()
