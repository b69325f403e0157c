"""The wire: what goes out, what comes back, which fault is which, and that no key is ever seen."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from synth.config import Config
from synth.engines.calls import Completion, read_completion
from synth.engines.client import Away, Busy, Client, Endpoint, Refused, Trouble
from synth.engines.opening import endpoints_of
from synth.errors import SynthError, UsageError
from tests.served.scripted import Scripted

T = TypeVar("T")
CHAT = "/chat/completions"
KEY = "sk-planted-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}}
HELLO = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}


def payload(row: str = "1", **body: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": f"id=k{row}"}], **body}).encode()


async def post(endpoint: Endpoint, body: bytes, *, ca: str | None = None, stream: bool = False) -> bytes:
    async with Client(ca=ca) as client:
        return await client.post(endpoint, CHAT, body, (lambda: None) if stream else None)


def chat(url: str, row: str = "1", *, stream: bool = False, **body: Any) -> Completion:
    """Ask, in one piece or in a stream."""
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return read_completion(asyncio.run(post(Endpoint(url), payload(row, **body), stream=stream)))


def failure(doing: Awaitable[Any]) -> Exception:
    """What is raised."""

    async def caught() -> Exception:
        try:
            await doing
        except (Trouble, Refused, SynthError) as error:
            return error
        raise AssertionError("nothing was raised")

    return asyncio.run(caught())


class Raw:
    """A server that gives prepared bytes, and remembers what came."""

    def __init__(self, answers: tuple[bytes, ...]) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next((line for line in head.splitlines() if line.lower().startswith("content-length:")), ":0")
        await reader.readexactly(int(length.partition(":")[2]))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()
        writer.close()


@asynccontextmanager
async def raw(*answers: bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    server = Raw(answers)
    listener = await asyncio.start_server(server.serve, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def answer(body: Any, status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data


def events(*pieces: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """An answer in a stream."""
    lines = (piece if isinstance(piece, bytes) else b"data: " + json.dumps(piece).encode() for piece in pieces)
    return answer(b"".join(line + b"\n\n" for line in lines) + end, kind="text/event-stream")


def delta(finish: str | None = None, index: int = 0, logprobs: Any = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": said, "finish_reason": finish, "logprobs": logprobs}]}


def told(prepared: bytes, *, stream: bool = False, **endpoint: Any) -> bytes:
    """What the client makes of an answer."""

    async def ask() -> bytes:
        async with raw(prepared) as server:
            return await post(Endpoint(f"http://127.0.0.1:{server.port}/v1", **endpoint), payload(), stream=stream)

    return asyncio.run(ask())


def trouble(prepared: bytes, *, stream: bool = False, **endpoint: Any) -> Exception:
    """What the client raises at an answer."""

    async def ask() -> None:
        async with raw(prepared) as server:
            await post(Endpoint(f"http://127.0.0.1:{server.port}/v1", **endpoint), payload(), stream=stream)

    return failure(ask())


@pytest.fixture(scope="module")
def plain() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


# -- chat


def repeat(request: dict[str, Any], _key: str, _attempt: int) -> dict[str, Any]:
    """Answers with the request."""
    return {"content": json.dumps(request)}


def test_the_request_goes_out_as_it_is() -> None:
    body = {"n": 2, "seed": 7, "stop": ["\n\n"], "max_tokens": 99999, "temperature": 0.5, **FORM}
    with Scripted(script=repeat, max_model_len=200_000) as server:
        said = json.loads(chat(server.url, **body).choices[0].text)
    assert said == json.loads(payload(**body))


def test_several_replies_of_a_seed_and_a_schema(plain: Scripted) -> None:
    several = chat(plain.url, n=3, seed=1)
    assert len({choice.text for choice in several.choices}) == 3
    assert several == chat(plain.url, n=3, seed=1) != chat(plain.url, n=3, seed=2)
    assert isinstance(json.loads(chat(plain.url, **FORM).first.text)["a"], int)
    assert chat(plain.url, max_tokens=3).first.cut
    assert several.completion_tokens > 0 and several.prompt_tokens > 0


@pytest.mark.parametrize("reasoning", ["tags", "reasoning", "reasoning_content", "none"])
def test_streamed_or_not_a_completion_is_the_same(reasoning: str) -> None:
    with Scripted(reasoning=reasoning, chunks=7) as server:
        for body in ({}, {"n": 3}, {"max_tokens": 5}, FORM):
            whole = chat(server.url, **body)
            assert chat(server.url, stream=True, **body) == whole
            assert whole.completion_tokens and (whole.first.text or whole.first.reasoning)


def test_a_stream_without_usage_is_read_too() -> None:
    with Scripted(lacks="usage") as server:
        assert chat(server.url, stream=True).first == chat(server.url).first


def test_pieces_of_several_choices_and_their_log_probabilities_are_put_together() -> None:
    prepared = events(
        delta(role="assistant", content=""),
        delta(index=1, role="assistant", content=""),
        delta(index=1, content="x", logprobs={"content": [{"logprob": -9}]}),
        delta(content="a", logprobs={"content": [{"logprob": -1}]}),
        b": a comment",
        b"event: ping",
        delta(content="b", logprobs={"content": [{"logprob": -2}]}),
        delta("length", index=1),
        delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}, "error": None},
    )
    found = read_completion(told(prepared, stream=True))
    assert [(c.text, c.finish, c.logprobs) for c in found.choices] == [
        ("ab", "stop", (-1.0, -2.0)),
        ("x", "length", (-9.0,)),
    ]
    assert (found.prompt_tokens, found.completion_tokens) == (3, 4)


def test_a_piece_of_a_stream_may_be_long() -> None:
    text = "long " * 200_000
    assert read_completion(told(events(delta("stop", content=text)), stream=True)).first.text == text.strip()


def test_a_stream_may_end_without_its_mark_if_it_is_whole() -> None:
    assert read_completion(told(events(delta("stop", content="a"), end=b""), stream=True)).first.text == "a"


def test_a_server_that_does_not_stream_is_read_too() -> None:
    assert read_completion(told(answer(HELLO), stream=True)).first.text == "hello"


def test_every_piece_of_a_stream_is_heard() -> None:
    heard: list[None] = []

    async def ask(server: Scripted) -> None:
        async with Client() as client:
            await client.post(Endpoint(server.url), CHAT, payload(stream=True), lambda: heard.append(None))

    with Scripted(chunks=5, chunk_ms=30) as server:
        asyncio.run(ask(server))
    assert len(heard) >= 5


# -- faults


@pytest.mark.parametrize("kind", ["drop", "cutbody"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_connection_is_trouble(kind: str, stream: bool) -> None:
    with Scripted(faults=("drop=1" if kind == "drop" else "cutstream=1",), max_faults=1) as server:
        error = failure(post(Endpoint(server.url), payload(stream=stream), stream=stream))
        assert type(error) is Trouble and "broke" in str(error)
        assert server.stats()["requests"] == 1  # the wire itself never asks twice
        assert chat(server.url, stream=stream).first.text


@pytest.mark.parametrize(
    "prepared",
    [
        events(delta(content="a"), end=b""),
        events(delta("stop", content="a"), delta(index=1, content="b"), end=b""),
        events({"error": {"message": "out of memory"}}),
        events(delta(content="a"), b"data: {"),
        events(b"data: 3"),
        events(b'data: {"choices": [3]}'),
        events(b'data: {"choices": [{"delta": {"content": ["a"]}}]}', delta("stop", content="b")),
        answer(b"<html>a portal</html>", kind="text/html"),
    ],
)  # fmt: skip
def test_a_stream_that_is_no_whole_completion_is_trouble(prepared: bytes) -> None:
    assert type(trouble(prepared, stream=True)) is Trouble


def test_nobody_listens() -> None:
    with Scripted() as server:
        pass
    error = failure(post(Endpoint(server.url), payload()))
    assert type(error) is Away and str(error).startswith("cannot connect (")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Busy), (408, Trouble), (500, Trouble), (502, Trouble), (503, Trouble), (529, Trouble), (400, Refused),
     (401, Refused), (404, Refused), (422, Refused), (301, Refused), (307, Refused)],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_status_means(status: int, kind: type, stream: bool) -> None:
    error = trouble(answer({"error": {"message": "because"}}, status, Location="http://127.0.0.1:1/"), stream=stream)
    assert type(error) is kind and str(status) in str(error)


@pytest.mark.parametrize(
    ("header", "wait"),
    [("3", 3.0), ("0.5", 0.5), ("0", 0.0), ("-2", 0.0), ("soon", None), ("inf", None), ("nan", None), ("", None),
     ("Fri, 21 Nov 2025 07:28:00 GMT", 0.0), ("Wed, 21 Oct 2099 07:28:00 GMT", None), ("Wed, 21 Oct 2099", None)],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status: int, header: str, wait: float | None) -> None:
    error = trouble(answer({}, status, Retry_After=header))
    assert isinstance(error, Trouble) and error.wait == wait
    assert error.reason == f"HTTP {status}"


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "too  long\n for me"}}, {"error": "too long for me"}, {"message": "too long for me"},
     {"detail": "too long for me"}, "too long for me", b"too long for me"],
)  # fmt: skip
def test_what_an_error_body_says_is_one_line(body: Any) -> None:
    assert str(trouble(answer(body, 400))) == "HTTP 400: too long for me"


def test_an_error_body_of_any_size_is_cut() -> None:
    assert len(str(trouble(answer(b"x" * 100_000, 400)))) < 400


# -- addresses


@pytest.mark.parametrize(
    ("given", "url", "root"),
    [
        ("http://h:8000/v1", "http://h:8000/v1", "http://h:8000"),
        ("h:8000/v1/", "http://h:8000/v1", "http://h:8000"),
        ("https://h/api/v3", "https://h/api/v3", "https://h/api"),
        ("http://h", "http://h", "http://h"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1", "http://[::1]:80"),
        ("http://me:hidden-1@h/v1", "http://h/v1", "http://h"),
        ("me:hidden-1@h:80/v1", "http://h:80/v1", "http://h:80"),
        ("http://me:hid/den@h/v1".replace("hid/den", "hid%2Fden-1"), "http://h/v1", "http://h"),
        ("http://me:hidden-1@2@h/v1", "http://h/v1", "http://h"),
    ],
)
def test_addresses(given: str, url: str, root: str) -> None:
    endpoint = Endpoint(given)
    assert (endpoint.url, endpoint.root, repr(endpoint), str(endpoint)) == (url, root, url, url)


@pytest.mark.parametrize(
    "given",
    ["ftp://me:hidden-1@h/v1", "http://", "me:hidden-1@", "http://me:hidden-1@h:99999999/", "http://me:hidden-1@[::1",
     "http://me:hidden-1@:80", "http://h/v1?key=hidden-1", "", "http://me:1@hidden@h:x/"],
)  # fmt: skip
def test_what_is_no_address_is_told_without_its_password(given: str) -> None:
    with pytest.raises(UsageError, match="not an http or https address") as found:
        Endpoint(given)
    assert "hidden" not in str(found.value) and "\n" not in str(found.value)


# -- keys and headers


def sent(endpoint: Endpoint) -> dict[str, str]:
    """The headers that reach a server."""

    async def ask() -> str:
        async with raw(answer(HELLO)) as server:
            endpoint.url = f"http://127.0.0.1:{server.port}/v1"
            await post(endpoint, payload())
            return server.heads[0]

    lines = (line.partition(": ") for line in asyncio.run(ask()).splitlines()[1:] if line)
    return {name: value for name, _, value in lines}


def test_a_key_and_extra_headers_are_sent() -> None:
    found = sent(Endpoint("h", key=f" {KEY}\n", headers={"X-Team": "cardiology\r\n"}))
    assert found["Authorization"] == f"Bearer {KEY}" and found["X-Team"] == "cardiology"
    assert found["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("user", "pair"),
    [
        ("me:hidden-1", "me:hidden-1"),
        ("me:p%40ss%2Fword", "me:p@ss/word"),
        ("me:a@b", "me:a@b"),
        ("token-1", "token-1:"),
    ],
)
def test_a_user_in_the_address_goes_out_in_a_header(user: str, pair: str) -> None:
    found = sent(Endpoint(f"http://{user}@h/v1"))
    assert base64.b64decode(found["Authorization"].removeprefix("Basic ")).decode() == pair
    assert user not in found["Host"]


def configured(server: Scripted, **serving: Any) -> Endpoint:
    return endpoints_of(Config(engine="openai", serving={"base_url": [server.url], **serving}))[0]


def test_the_key_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-wrong-wrong")
    with Scripted(require_key=KEY) as server:
        assert asyncio.run(post(configured(server, api_key_env="OTHER_KEY"), payload()))
        error = failure(post(configured(server), payload()))
    assert isinstance(error, Refused) and error.status == 401


def test_headers_take_variables_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY", KEY)
    with Scripted(require_key=KEY) as server:
        assert asyncio.run(post(configured(server, headers={"Authorization": "$GATEWAY"}), payload()))
        assert asyncio.run(post(configured(server, headers={"Authorization": "${GATEWAY}"}), payload()))
        monkeypatch.delenv("GATEWAY")
        with pytest.raises(UsageError, match="the variable GATEWAY is not set"):
            configured(server, headers={"Authorization": "$GATEWAY"})


# -- no key is seen


SECRETIVE: dict[str, Callable[[], dict[str, Any]]] = {
    "key": lambda: {"key": KEY},
    "header": lambda: {"headers": {"X-Api-Key": KEY}},
    "any header": lambda: {"headers": {"X-Gate": KEY}},
    "bearer": lambda: {"headers": {"Authorization": f"Bearer {KEY}"}},
    "cookie": lambda: {"headers": {"Cookie": f"a=b; {KEY}"}},
}


@pytest.mark.parametrize("how", SECRETIVE)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_a_body_that_repeats_a_key_is_cleared(how: str, status: int) -> None:
    prepared = answer({**HELLO, "error": {"message": f"wrong key: {KEY}."}}, status)
    if status == 200:
        body = told(prepared, **SECRETIVE[how]())
        assert KEY.encode() not in body and b"wrong key: [redacted]." in body
        return
    error = trouble(prepared, **SECRETIVE[how]())
    assert_hidden(error, KEY)
    assert "wrong key: [redacted]." in str(error) or status in (429, 500)


def test_a_stream_that_repeats_a_key_in_pieces_is_cleared() -> None:
    body = told(events(delta(content=KEY[:9]), delta("stop", content=KEY[9:])), stream=True, key=KEY)
    assert read_completion(body).first.text == "[redacted]"


def test_a_password_that_is_repeated_is_cleared() -> None:
    spelled = "p%40ss-word-1"

    async def ask(said: str) -> None:
        async with raw(answer({"error": said}, 401)) as server:
            await post(Endpoint(f"http://me:{spelled}@127.0.0.1:{server.port}/v1"), payload())

    for form in (spelled, "p@ss-word-1", base64.b64encode(b"me:p@ss-word-1").decode()):
        error = failure(ask(f"who is {form}?"))
        assert str(error) == "HTTP 401: who is [redacted]?"
        assert_hidden(error, form)


def test_a_key_that_json_spells_otherwise_is_cleared() -> None:
    error = trouble(answer({"error": 'is "quoted\\key-1" right?'}, 401), key='"quoted\\key-1"')
    assert "quoted" not in str(error)


@pytest.mark.parametrize("word", [{"key": "none"}, {"key": "EMPTY"}, {"headers": {"X-Team": "cardiology"}}])
def test_words_that_are_no_keys_stay_in_replies(word: dict[str, Any]) -> None:
    said = {"choices": [{"message": {"content": "none EMPTY cardiology"}, "finish_reason": "stop"}]}
    assert read_completion(told(answer(said), **word)).first.text == "none EMPTY cardiology"


def test_a_server_that_repeats_every_header_shows_no_key() -> None:
    with Scripted(require_key=KEY, echo_headers=True) as server:
        endpoint = Endpoint(server.url, key=KEY)
        body = asyncio.run(post(endpoint, payload()))
        assert b"Authorization" in body and KEY.encode() not in body
        assert_hidden(failure(post(Endpoint(server.url + "/no", key=KEY), payload())), KEY)
        wrong = failure(post(Endpoint(server.url, key="sk-another-0123456789"), payload()))
        assert "Incorrect API key provided: [redacted]" in str(wrong)
        assert_hidden(wrong, "sk-another-0123456789")


@pytest.mark.parametrize("fault", ["drop", "cutbody", "cutstream", "500", "429"])
def test_no_exception_holds_a_key(fault: str) -> None:
    with Scripted(faults=(f"{fault}=1",), echo_headers=True) as server:
        assert_hidden(failure(post(Endpoint(server.url, key=KEY), payload(stream=True), stream=True)), KEY)
    assert_hidden(failure(post(Endpoint(server.url, key=KEY), payload())), KEY)  # nobody listens any more


def test_an_answer_that_is_no_http_shows_no_key() -> None:
    error = trouble(b"HTTP/1.1 nonsense\r\n\r\n", key=KEY)  # such an error of aiohttp carries the request's headers
    assert type(error) is Trouble
    assert_hidden(error, KEY)


def assert_hidden(error: BaseException, secret: str) -> None:
    told = [repr(error), str(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    assert not [text for text in told if secret in text or secret[3:] in text]


# -- proxies


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without the proxies and certificates of whoever runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


ELSEWHERE = "127.0.0.2"
"""An address that is not taken for this machine's own, and needs no name service."""


def through(environment: pytest.MonkeyPatch, url: str, name: str = "HTTP_PROXY", form: str = "http://{}") -> list[str]:
    """The first lines of what reaches a proxy that the environment names."""

    async def ask() -> list[str]:
        async with raw(answer(HELLO)) as proxy:
            environment.setenv(name, form.format(f"127.0.0.1:{proxy.port}"))
            async with Client() as client:
                await client.post(Endpoint(url), CHAT, payload())
            return [head.splitlines()[0] for head in proxy.heads]

    return asyncio.run(ask())


@pytest.mark.parametrize("form", ["http://{}", "{}", "http://user:password@{}"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_honoured(environment: pytest.MonkeyPatch, name: str, form: str) -> None:
    assert through(environment, "http://models.invalid/v1", name, form) == [
        "POST http://models.invalid/v1/chat/completions HTTP/1.1"
    ]


@pytest.mark.parametrize("excepted", [ELSEWHERE, "*", "{place}"])
def test_no_proxy_is_honoured(environment: pytest.MonkeyPatch, excepted: str) -> None:
    async def ask() -> tuple[int, int]:
        async with raw(answer(HELLO)) as proxy, raw(answer(HELLO), host=ELSEWHERE) as server:
            environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
            url = f"http://{ELSEWHERE}:{server.port}/v1"
            await post(Endpoint(url), payload())
            environment.setenv("NO_PROXY", excepted.format(place=f"{ELSEWHERE}:{server.port}"))
            await post(Endpoint(url), payload())
            return len(proxy.heads), len(server.heads)

    assert asyncio.run(ask()) == (1, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_a_proxy(environment: pytest.MonkeyPatch, plain: Scripted, host: str) -> None:
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert chat(f"http://{host}:{plain.port}/v1").first.text


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALL_PROXY", "socks5://user:password@h:1")
    error = failure(post(Endpoint("http://models.invalid/v1"), payload()))
    assert isinstance(error, UsageError) and str(error) == "socks5://h:1: only http proxies can be used here"


def test_a_proxy_that_is_away_shows_no_password(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", "http://user:password@127.0.0.1:1")
    error = failure(post(Endpoint("http://models.invalid/v1"), payload()))
    assert isinstance(error, Away)
    assert_hidden(error, "password")


# -- certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(folder: Path) -> Path:
    """A certificate that nobody trusts; its key is beside it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = folder / "cert.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", path.with_name("key.pem"), "-out", path], check=True, capture_output=True)
    return path


def secured(certificate: Path, ca: str | None) -> bytes:
    async def ask() -> bytes:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
        async with raw(answer(HELLO), tls=tls) as server:
            return await post(Endpoint(f"https://127.0.0.1:{server.port}/v1", key=KEY), payload(), ca=ca)

    return asyncio.run(ask())


def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(
    environment: pytest.MonkeyPatch, certificate: Path
) -> None:
    assert secured(certificate, str(certificate))
    environment.setenv("SSL_CERT_FILE", str(certificate))
    assert secured(certificate, None)


def test_it_is_trusted_besides_those_of_the_system(
    environment: pytest.MonkeyPatch, certificate: Path, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path)
    environment.setenv("SSL_CERT_FILE", str(certificate))
    assert secured(certificate, str(other)) and secured(other, str(other))


def test_it_is_refused_otherwise_in_one_line(environment: pytest.MonkeyPatch, certificate: Path) -> None:
    with pytest.raises(UsageError, match="its certificate is not trusted here") as found:
        secured(certificate, None)
    assert "\n" not in str(found.value) and "self-signed certificate" in str(found.value)
    assert len(str(found.value)) < 160
    assert_hidden(found.value, KEY)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_that_holds_no_certificate_is_told(
    environment: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match="not a file of certificates"):
        asyncio.run(post(Endpoint("https://127.0.0.1:1/v1"), payload(), ca=str(path)))


def test_a_folder_of_certificates_will_do(environment: pytest.MonkeyPatch, certificate: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = [openssl, "x509", "-subject_hash", "-noout", "-in", certificate]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(certificate, tmp_path / f"{name}.0")
    assert secured(certificate, str(tmp_path))


def test_a_server_without_tls_is_no_certificate_that_is_not_trusted() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            await post(Endpoint(f"https://127.0.0.1:{port}/v1"), payload())

    assert isinstance(failure(ask()), Away)
