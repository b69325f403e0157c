"""The wire: HTTP to OpenAI-compatible servers, thin, with the faults of the wire told apart.

No SDK: at 256 requests in flight aiohttp costs about 0.2 ms of CPU a request, SDKs 2 to 6 ms.
Secrets live in an `Endpoint` and go out in headers only; whatever comes back is cleared of
them before anyone sees it, since servers repeat keys in their error messages.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, Self
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from synth.errors import UsageError

_CONNECT = 30.0
"""Seconds that a connection may take to come about."""
_HIDDEN = b"[redacted]"
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class Endpoint:
    """A server, and what it asks of who speaks to it. Its text forms name no secret."""

    def __init__(self, base_url: str, *, key: str = "", headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(base_url if "//" in base_url else f"http://{base_url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--base-url {_without_user(base_url)}: not an http or https address")
        self.url = _without_user(urlunsplit(parts)).rstrip("/")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._secrets = [value for value in (key, *(headers or {}).values()) if value]
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        if parts.password:
            user = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
            token = base64.b64encode(user.encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
            self._secrets += [parts.password, unquote(parts.password), token]
        self._secrets.sort(key=len, reverse=True)

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
            if secret.encode() in body:
                body = body.replace(secret.encode(), _HIDDEN)
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
        self._ca = ca or os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
        self._proxies = getproxies()
        self._via: dict[str, str | None] = {}

    async def __aenter__(self) -> Self:
        self._connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, ssl=_context(self._ca))
        self._sessions: dict[Endpoint, aiohttp.ClientSession] = {}
        return self

    async def __aexit__(self, *_: object) -> None:
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
        if answer.status < _CLIENT_ERROR:
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
        try:
            async with self._session(endpoint).request(
                method, url, data=payload, proxy=self._proxy(url), allow_redirects=False
            ) as response:
                if heard is None or response.status >= _CLIENT_ERROR:
                    body = await response.read()
                else:
                    body = await _streamed(response, heard)
                return Answer(response.status, endpoint.clear(body), response.headers.get("Retry-After"))
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise UsageError(f"{endpoint}: its certificate is not trusted here ({_ssl_reason(error)})") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Away(f"cannot connect ({_reason(error)})") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # from None: an aiohttp error carries the request, and with it the key
            raise Trouble(f"the connection broke ({type(error).__name__})") from None

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host not in self._via:
            named = self._proxies.get(parts.scheme) or self._proxies.get("all")
            direct = host in _LOOPBACK or proxy_bypass(host)
            self._via[host] = None if direct else named
        return self._via[host]


def _context(ca: str | None) -> ssl.SSLContext | bool:
    if not ca:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca}: not a file of certificates ({error})") from error


def _complain(answer: Answer) -> NoReturn:
    """Raise what a bad status means."""
    text = _said(answer.body)
    if answer.status == 429:
        raise Busy("HTTP 429", wait=_seconds(answer.retry_after))
    if answer.status >= _SERVER_ERROR or answer.status == 408:
        raise Trouble(f"HTTP {answer.status}", wait=_seconds(answer.retry_after))
    raise Refused(answer.status, text)


def _said(body: bytes) -> str:
    """What an error body says, in one line."""
    try:
        data = orjson.loads(body)
        error = data.get("error", data)
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    except (orjson.JSONDecodeError, AttributeError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:300]


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date, which servers of models do not send, counts as none."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    inner = getattr(error, "os_error", None)
    return getattr(inner, "strerror", None) or type(inner or error).__name__


def _ssl_reason(error: BaseException) -> str:
    return str(getattr(error, "certificate_error", "") or getattr(error, "os_error", "") or type(error).__name__)


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url, count=1)


async def _streamed(response: aiohttp.ClientResponse, heard: Callable[[], None]) -> bytes:
    """Put the pieces of a streamed completion together.

    Raises:
        Trouble: the stream ended before it was done.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
    async for line in response.content:
        heard()
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            done = True
            continue
        try:
            piece = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Trouble("the stream broke") from None
        if "error" in piece:
            raise Trouble("the stream ended in an error")
        whole |= {key: value for key, value in piece.items() if key != "choices" and value is not None}
        for choice in piece.get("choices") or ():
            _add(choices.setdefault(int(choice.get("index") or 0), {}), choice)
    if not done and not (choices and all(choice.get("finish_reason") for choice in choices.values())):
        raise Trouble("the stream broke")
    whole["choices"] = [{"index": index, **choices[index]} for index in sorted(choices)]
    return orjson.dumps(whole)


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
