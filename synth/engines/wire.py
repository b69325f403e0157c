"""The short way to a server: whole answers over plain HTTP/1.1, on connections that are kept.

A served model on one's own network is asked without TLS and without a proxy, and answers whole:
for that a protocol class of our own costs a fifth of what a full client does. Parsing is llhttp's
(httptools). What this cannot do (TLS, proxies, streams) goes the long way, through aiohttp.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult

import httptools

_GZIP = 16 + zlib.MAX_WBITS
_INTERIM = 200
"""Statuses below it announce an answer and are none."""


class Broken(Exception):
    """The connection broke before the answer was whole."""


class Whole(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Whole] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, answer: asyncio.Future[Whole]) -> None:
        """Send a request; its answer comes through the future."""
        assert self.transport is not None
        self._answer = answer
        self._parser = httptools.HttpResponseParser(self)
        self._forget()
        self.transport.write(request)

    def close(self) -> None:
        """Drop the connection, whatever is on its way."""
        if self.transport is not None:
            self.transport.abort()

    def _forget(self) -> None:
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._begun = False

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        endless = not {"content-length", "transfer-encoding"} & self._headers.keys() if self._answer else False
        if self._answer is not None and self._begun and endless and exc is None:
            self.on_message_complete()  # an answer that ends with its connection
        self._fail()

    def _fail(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(Broken())

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._begun = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        if status < _INTERIM:
            self._forget()
            return
        answer, self._answer = self._answer, None
        if not self._parser.should_keep_alive():
            self.close()
        if answer is None or answer.done():
            return
        body = b"".join(self._pieces)
        try:
            if self._headers.get("content-encoding") in ("gzip", "x-gzip"):
                body = zlib.decompress(body, _GZIP)
        except zlib.error:
            answer.set_exception(Broken())
            return
        answer.set_result(Whole(status, self._headers, body))


class Wire:
    """Connections to servers, by address; used within one event loop."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Connection]] = {}
        self._heads: dict[tuple[str, str, int], bytes] = {}

    async def ask(
        self, method: str, address: SplitResult, headers: Mapping[str, str], payload: bytes, connecting: float
    ) -> Whole:
        """One request and its whole answer.

        Args:
            method: GET or POST.
            address: an http address.
            headers: besides Host and Content-Length.
            payload: the body.
            connecting: seconds that a connection may take to come about.

        Raises:
            OSError: nobody could be reached there.
            Broken: the answer is not whole.
        """
        request = b"%s%d\r\n\r\n%s" % (self._head(method, address, headers), len(payload), payload)
        connection = self._kept(address.netloc) or await self._connected(address, connecting)
        answer: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
        try:
            connection.send(request, answer)
            whole = await answer
        except BaseException:
            connection.close()
            raise
        if connection.transport is not None and not connection.transport.is_closing():
            self._idle.setdefault(address.netloc, []).append(connection)
        return whole

    def _kept(self, netloc: str) -> _Connection | None:
        """A connection that is open and free."""
        idle = self._idle.get(netloc, [])
        while idle:
            connection = idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    async def _connected(self, address: SplitResult, connecting: float) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connecting):
            _, connection = await loop.create_connection(
                _Connection, address.hostname or "", address.port or 80, happy_eyeballs_delay=0.25
            )
        return connection

    def _head(self, method: str, address: SplitResult, headers: Mapping[str, str]) -> bytes:
        """All of a request before the length of its body."""
        key = (method, address.geturl(), id(headers))
        if key not in self._heads:
            path = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
            lines = [f"{method} {path} HTTP/1.1", f"Host: {address.netloc}", "Accept: */*", "User-Agent: synth"]
            lines += [f"{name}: {' '.join(value.split())}" for name, value in headers.items()]
            self._heads[key] = "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
        return self._heads[key]

    def close(self) -> None:
        """Drop every connection that is free."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
