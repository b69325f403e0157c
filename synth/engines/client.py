"""The wire: HTTP to OpenAI-compatible servers, thin, with the faults of the wire told apart.

No SDK: at 256 requests in flight aiohttp costs about 0.2 ms of CPU a request, SDKs 2 to 6 ms.
Secrets live in an `Endpoint` and go out in headers only; whatever comes back is cleared of
them before anyone sees it, since servers repeat keys in their error messages.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from synth.engines.wire import Broken, Wire
from synth.errors import UsageError

_DAY = 86400
_CONNECT = 30.0
"""Seconds that a connection may take to come about."""
_HIDDEN = b"[redacted]"
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|pass|credential", re.I)
_SHORT = 8
"""Characters below which a key is none, but 'EMPTY', 'none' or 'x': replies are not cleared of such words."""
_TELLING = 12
"""Characters from which a value with a digit counts as a secret, whatever its header is called."""


class Endpoint:
    """A server, and what it asks of who speaks to it. Its text forms name no secret."""

    def __init__(self, base_url: str, *, key: str = "", headers: Mapping[str, str] | None = None) -> None:
        whole = base_url if "//" in base_url else f"http://{base_url}"
        parts = _parts(whole)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise UsageError(f"--base-url {_without_user(whole)}: not an http or https address")
        self.url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")
        key, given = key.strip(), {name: value.strip() for name, value in (headers or {}).items()}
        self._headers = {"Content-Type": "application/json", **given}
        secrets = {key, *(part for name, value in given.items() for part in _secrets_in(name, value))}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        if parts.username is not None:
            user, password = parts.username, parts.password or ""
            token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
            secrets |= {token, password or user, unquote(password or user)}
        spelled = {form for secret in secrets if len(secret) >= _SHORT for form in (secret, json.dumps(secret)[1:-1])}
        self._secrets = [secret.encode() for secret in sorted(spelled, key=len, reverse=True)]

    def __repr__(self) -> str:
        return self.url

    @property
    def root(self) -> str:
        """The address without its version: where /health and /metrics are."""
        return re.sub(r"/v\d+$", "", self.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request carries; holds secrets."""
        return self._headers

    def clear(self, body: bytes) -> bytes:
        """A body without the secrets of this endpoint."""
        for secret in self._secrets:
            if secret in body:
                body = body.replace(secret, _HIDDEN)
        return body


class Trouble(Exception):
    """A request that brought no reply; asking again may."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        """The same words for the same trouble, so that it can be counted."""
        self.wait = wait
        """Seconds after which the server wants to be asked again, where it says so."""


class Busy(Trouble):
    """The server has too much to do (429)."""


class Away(Trouble):
    """Nobody listens there."""


class Refused(Exception):
    """A request that the server will never answer (4xx)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class Answer(NamedTuple):
    """A body, whatever its status."""

    status: int
    body: bytes
    retry_after: str | None = None


class Client:
    """Speaks to servers; one for a run. Use as an async context manager."""

    def __init__(self, *, ca: str | None = None) -> None:
        self._ca = ca or os.environ.get("REQUESTS_CA_BUNDLE")  # SSL_CERT_FILE is the system's by itself
        self._trust: ssl.SSLContext | None = None
        self._proxies = getproxies()
        self._via: dict[str, str | None] = {}
        self._addresses: dict[str, SplitResult] = {}

    async def __aenter__(self) -> Self:
        self._connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
        self._sessions: dict[Endpoint, aiohttp.ClientSession] = {}
        self._wire = Wire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wire.close()
        for session in self._sessions.values():
            await session.close()
        await self._connector.close()

    def _session(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        """A session for an endpoint, whose headers it holds ready; connections are shared."""
        if endpoint not in self._sessions:
            self._sessions[endpoint] = aiohttp.ClientSession(
                connector=self._connector, connector_owner=False, headers=endpoint.headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT), cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._sessions[endpoint]

    async def post(
        self, endpoint: Endpoint, path: str, payload: bytes, heard: Callable[[], None] | None = None
    ) -> bytes:
        """Post JSON and return the whole body of a good answer.

        Args:
            endpoint: the server.
            path: below its address.
            payload: the JSON.
            heard: given for a streamed answer, and called for every piece of it.

        Returns:
            The body; a streamed chat completion is put together to what it would be unstreamed.

        Raises:
            Trouble: no reply came; asking again may help.
            Refused: the server will never answer this.
        """
        answer = await self.ask(endpoint, "POST", endpoint.url + path, payload, heard)
        if answer.status < _REDIRECT:
            return answer.body
        _complain(answer)

    async def ask(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        payload: bytes | None = None,
        heard: Callable[[], None] | None = None,
    ) -> Answer:
        """One request and its answer, whatever its status.

        Raises:
            Trouble: nothing whole came back.
        """
        if heard is None and url.startswith("http:") and self._proxy(url) is None:
            return await self._direct(endpoint, method, url, payload or b"")
        try:
            async with self._session(endpoint).request(
                method, url, data=payload, ssl=self._tls(url), proxy=self._proxy(url), allow_redirects=False
            ) as response:
                if heard is None or response.status >= _REDIRECT or response.content_type == "application/json":
                    body = await response.read()
                else:
                    body = await _streamed(response, heard)
                return Answer(response.status, endpoint.clear(body), response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorCertificateError as error:
            raise UsageError(f"{endpoint}: its certificate is not trusted here ({_ssl_reason(error)})") from None
        except aiohttp.ConnectionTimeoutError:
            hint = "; does it speak https, or plain http?" if url.startswith("https:") else ""
            raise Away(f"cannot connect (no answer in {_CONNECT:.0f} s{hint})") from None
        except aiohttp.ClientConnectorError as error:
            raise Away(f"cannot connect ({_reason(error)})") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # from None: an aiohttp error carries the request, and with it the key
            raise Trouble(f"the connection broke ({type(error).__name__})") from None

    async def _direct(self, endpoint: Endpoint, method: str, url: str, payload: bytes) -> Answer:
        """The short way; see `synth.engines.wire`."""
        if url not in self._addresses:
            self._addresses[url] = urlsplit(url)
        try:
            whole = await self._wire.ask(method, self._addresses[url], endpoint.headers, payload, _CONNECT)
        except Broken:
            raise Trouble("the connection broke") from None
        except TimeoutError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise Away("cannot connect (no answer)") from None
        except OSError as error:
            raise Away(f"cannot connect ({error.strerror or type(error).__name__})") from None
        return Answer(whole.status, endpoint.clear(whole.body), whole.headers.get("retry-after"))

    def _tls(self, url: str) -> ssl.SSLContext | bool:
        """What an address is trusted by; made when it is needed, since it takes a while."""
        if not url.startswith("https:"):
            return True
        if self._trust is None:
            self._trust = _context(self._ca)
        return self._trust

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._via:
            named = self._proxies.get(parts.scheme) or self._proxies.get("all")
            direct = parts.hostname in _LOOPBACK or proxy_bypass(parts.netloc)
            self._via[place] = None if direct or not named else _http_proxy(named)
        return self._via[place]


def _context(ca: str | None) -> ssl.SSLContext:
    """What trusts a file of certificates besides those of the system."""
    context = ssl.create_default_context()
    try:
        if ca:
            folder = Path(ca).is_dir()
            context.load_verify_locations(cafile=None if folder else ca, capath=ca if folder else None)
        return context
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca}: not a file of certificates ({error})") from error


def _complain(answer: Answer) -> NoReturn:
    """Raise what a bad status means."""
    if answer.status < _CLIENT_ERROR:
        raise Refused(answer.status, "the server sends elsewhere; give the address that it sends to")
    if answer.status == 429:
        raise Busy("HTTP 429", wait=_seconds(answer.retry_after))
    if answer.status >= _SERVER_ERROR or answer.status == 408:
        raise Trouble(f"HTTP {answer.status}", wait=_seconds(answer.retry_after))
    raise Refused(answer.status, _said(answer.body))


def _said(body: bytes) -> str:
    """What an error body says, in one line."""
    try:
        data = orjson.loads(body)
        error = data.get("error", data) if isinstance(data, dict) else data
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:300]


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date of another day counts as none."""
    try:
        seconds = float(header or "nan")
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header or "") - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # TypeError: without a time zone
            return None
        if seconds > _DAY:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _reason(error: BaseException) -> str:
    inner = getattr(error, "os_error", None)
    return getattr(inner, "strerror", None) or type(inner or error).__name__


def _ssl_reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    inner = error.certificate_error
    return getattr(inner, "verify_message", "") or type(inner).__name__


def _parts(url: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port  # which is read only now
        return parts
    return None


def _without_user(url: str) -> str:
    """An address as it may be shown: without user, password and query."""
    return re.sub(r"//[^/]*@", "//", url, count=1).partition("?")[0]


def _secrets_in(name: str, value: str) -> Iterator[str]:
    """What must not be shown of a header: all that its name or its look makes a key, also without 'Bearer'.

    Not any value: replies are cleared of secrets, and 'X-Team: cardiology' must not clear them of a word.
    """
    for word in {value, *re.split(r"[\s;,]+", value)}:
        telling = len(word) >= _TELLING and any(character.isdigit() for character in word)
        if telling or _SECRET_NAME.search(name):
            yield word


def _http_proxy(proxy: str) -> str:
    """A proxy that can be used, with its scheme."""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise UsageError(f"{_without_user(proxy)}: only http proxies can be used here")
    return proxy


async def _streamed(response: aiohttp.ClientResponse, heard: Callable[[], None]) -> bytes:
    """Put the pieces of a streamed completion together.

    Raises:
        Trouble: the stream ended before it was done.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
    async for line in _lines(response):
        if not line.startswith(b"data:"):
            continue  # a comment, which gateways send to hold a connection open, is no sign of life
        heard()
        data = line[5:].strip()
        if data == b"[DONE]":
            done = True
            continue
        try:
            piece = orjson.loads(data)
            if piece.get("error"):
                raise Trouble("the stream ended in an error")
            whole |= {key: value for key, value in piece.items() if key != "choices" and value is not None}
            for choice in piece.get("choices") or ():
                _add(choices.setdefault(int(choice.get("index") or 0), {}), choice)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            raise Trouble("the stream broke") from None
    if not done and not (choices and all(choice.get("finish_reason") for choice in choices.values())):
        raise Trouble("the stream broke")
    whole["choices"] = [{"index": index, **choices[index]} for index in sorted(choices)]
    return orjson.dumps(whole)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a body, however long: a piece with log probabilities may be."""
    rest = b""
    async for data in response.content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _add(so_far: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Add one piece of a choice to what came before it."""
    message = so_far.setdefault("message", {"role": "assistant", "content": ""})
    for key, value in (piece.get("delta") or {}).items():
        if key in ("content", "reasoning", "reasoning_content") and value:
            message[key] = message.get(key, "") + value
    if piece.get("finish_reason"):
        so_far["finish_reason"] = piece["finish_reason"]
    tokens = (piece.get("logprobs") or {}).get("content")
    if tokens:
        so_far.setdefault("logprobs", {"content": []})["content"].extend(tokens)
