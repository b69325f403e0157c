"""Two hand-written rows of `harness.py`: what a careful programmer writes without a harness.

    python -m benchmarks.harness_clients --client raw|aiohttp (and the options of harness_job)

Workers over the streamed input, four tries for transport and content alike, one write for each
finished row, names that are in the output are not asked for again. `raw` is an asyncio.Protocol
on uvloop and next to nothing: the floor. `aiohttp` is the floor with a real client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import orjson

from benchmarks.harness_job import MAX_TOKENS, SCHEMA, Row, line, parser, read_prompts, valid

TRIES = 4
BACKOFF = 0.2
FORM = {"type": "json_schema", "json_schema": {"name": "qa", "strict": True, "schema": SCHEMA}}


class Answer(NamedTuple):
    """What a server sent."""

    status: int
    body: bytes
    retry_after: float | None


Post = Callable[[bytes], Awaitable[Answer]]


class RawConnection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, answers with a Content-Length only."""

    __slots__ = ("_buffer", "_head", "_needs", "future", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.future: asyncio.Future[Answer] | None = None
        self._buffer, self._head, self._needs = b"", b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready for a request."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Put the answer together, and hand it over when it is whole."""
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if self._needs < 0:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = buffer[: end + 2].lower()
            self._needs = end + 4 + int(_header(self._head, b"content-length") or 0)
        if len(buffer) >= self._needs:
            head, body = self._head, buffer[len(self._head) + 2 : self._needs]
            self._buffer, self._needs = b"", -1
            wait = _header(head, b"retry-after")
            self._settle(Answer(int(head[9:12]), body, float(wait) if wait else None))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that is under way."""
        self.transport = None
        self._settle(exc or ConnectionError("closed before the answer was whole"))

    def give_up(self) -> None:
        """Fail the request that took too long."""
        self._settle(TimeoutError())
        if self.transport is not None:
            self.transport.abort()

    def _settle(self, outcome: Answer | Exception) -> None:
        future, self.future = self.future, None
        if future is None or future.done():
            return
        if isinstance(outcome, Answer):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


def _header(head: bytes, name: bytes) -> bytes:
    start = head.find(b"\r\n" + name + b":")
    return head[start + len(name) + 3 : head.find(b"\r\n", start + 2)].strip() if start >= 0 else b""


class RawPool:
    """Connections that are opened when none is idle."""

    def __init__(self, base_url: str, timeout: float) -> None:
        parts = urlsplit(base_url)
        self._host, self._port, self._timeout = parts.hostname or "", parts.port or 80, timeout
        first = f"POST {parts.path.rstrip('/')}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._head = f"{first}Content-Type: application/json\r\nContent-Length: ".encode()
        self._idle: list[RawConnection] = []
        self._loop = asyncio.get_running_loop()

    async def post(self, payload: bytes) -> Answer:
        """Post a request and wait for its answer."""
        connection = await self._connection()
        assert connection.transport is not None
        future = connection.future = self._loop.create_future()
        timer = self._loop.call_later(self._timeout, connection.give_up)
        connection.transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(payload), payload))
        try:
            answer = await future
        finally:
            timer.cancel()
        self._idle.append(connection)
        return answer

    async def _connection(self) -> RawConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                return connection
        _, connection = await self._loop.create_connection(RawConnection, self._host, self._port)
        return connection

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()


@asynccontextmanager
async def _raw(base_url: str, timeout: float) -> AsyncIterator[Post]:
    pool = RawPool(base_url, timeout)
    try:
        yield pool.post
    finally:
        pool.close()


@asynccontextmanager
async def _aiohttp(base_url: str, timeout: float) -> AsyncIterator[Post]:
    import aiohttp  # noqa: PLC0415  (the raw row measures a process without it)

    url = base_url.rstrip("/") + "/chat/completions"
    limits = aiohttp.ClientTimeout(total=timeout)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=limits, headers=headers
    ) as session:

        async def post(payload: bytes) -> Answer:
            async with session.post(url, data=payload) as response:
                wait = response.headers.get("Retry-After")
                return Answer(response.status, await response.read(), float(wait) if wait else None)

        yield post


async def finish(row: Row, model: str, post: Post) -> bytes | None:
    """Ask for a row until it is there; None when the tries are used up."""
    body = {"model": model, "messages": row.messages, "response_format": FORM, "max_tokens": MAX_TOKENS}
    payload = orjson.dumps(body)
    for attempt in range(TRIES):
        try:
            answer = await post(payload)
            if answer.status != 200:
                await asyncio.sleep(BACKOFF * 2**attempt if answer.retry_after is None else answer.retry_after)
                continue
            choice = orjson.loads(answer.body)["choices"][0]
            value = orjson.loads(choice["message"]["content"])
        except Exception:  # whatever the client raises: transport, silence, a body that is no JSON
            continue
        if choice["finish_reason"] == "stop" and valid(value):
            return line(row, value)
    return None


async def work(arguments: argparse.Namespace, opened: AbstractAsyncContextManager[Post]) -> None:
    """Finish every row that is not in the output yet."""
    done = finished(arguments.out)
    todo: Iterator[Row] = (row for row in read_prompts(arguments.source) if row.name not in done)
    with arguments.out.open("ab", buffering=0) as out:
        async with opened as post:

            async def worker() -> None:
                for row in todo:
                    written = await finish(row, arguments.model, post)
                    if written is not None:
                        out.write(written)

            await asyncio.gather(*(worker() for _ in range(arguments.concurrency)))


def finished(path: Path) -> set[str]:
    """The names in an output; a torn last line is cut off."""
    if not path.exists():
        return set()
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return {orjson.loads(text)["id"] for text in whole.splitlines()}


def main() -> None:
    """Run one of the two clients."""
    options = parser(__doc__)
    options.add_argument("--client", choices=("raw", "aiohttp"), required=True)
    arguments = options.parse_args()
    factory = None
    if arguments.client == "raw":
        import uvloop  # noqa: PLC0415  (the aiohttp row measures a process without it)

        factory = uvloop.new_event_loop
    opened = (_raw if arguments.client == "raw" else _aiohttp)(arguments.base_url, arguments.timeout)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work(arguments, opened))


if __name__ == "__main__":
    main()
