"""The wire of the scripted server: HTTP/1.1 by hand, a queue in the order of arrival, and counts.

By hand because it must cost less than any client that it measures: 50 to 80 us of CPU a request.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, cast

from tests.served import scripted_shapes as shapes
from tests.served.scripted_counts import Counts
from tests.served.scripted_options import Options
from tests.served.scripted_replies import ALIASES, PATHS, POOLING, Replies, Reply, repeat
from tests.served.scripted_shapes import dumps, loads

JSON, EVENTS, PLAIN = b"application/json", b"text/event-stream", b"text/plain; version=0.0.4; charset=utf-8"
OPEN = ("/health", "/ping", "/metrics", "/version", "/stats", "/reset")
"""Endpoints that ask for no key."""
LACKING = {"/v1/models": "models", "/metrics": "metrics", "/version": "version", "/v1/embeddings": "embeddings"}
LACKING |= dict.fromkeys(POOLING, "pooling")
_HALVED = ("cutbody", "cutstream", "stall", "streamerror")


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    query: str
    head: bytes
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the client wants the connection closed after the answer."""
        return b"\r\nconnection: close" in self.head.lower()

    def header(self, name: str) -> str:
        """The value of a header, or nothing."""
        for line in self.head.split(b"\r\n")[1:]:
            field, _, value = line.partition(b":")
            if field.decode().lower() == name.lower():
                return value.decode(errors="replace").strip()
        return ""

    @property
    def headers(self) -> str:
        """Every header, in one line."""
        return self.head.partition(b"\r\n")[2].decode(errors="replace").replace("\r\n", " ; ")


def parse(buffer: bytes) -> tuple[Request, bytes] | None:
    """The first request of what came in, and what follows it; None while it is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, start = buffer[:end], end + 4
    low = head.lower()
    at = low.find(b"\r\ncontent-length:")
    if at >= 0:
        stop = low.find(b"\r\n", at + 2)
        rest = start + int(low[at + 17 : stop if stop > 0 else end])
        if len(buffer) < rest:
            return None
        body = buffer[start:rest]
    elif b"\r\ntransfer-encoding: chunked" in low:
        chunked = _chunked(buffer, start)
        if chunked is None:
            return None
        body, rest = chunked
    else:
        body, rest = b"", start
    method, target, _ = head[: head.find(b"\r\n")].decode().split(" ", 2)
    path, _, query = target.partition("?")
    return Request(method, path, query, head, body), buffer[rest:]


def _chunked(buffer: bytes, start: int) -> tuple[bytes, int] | None:
    """A body in chunks, and where it ends."""
    body = b""
    while True:
        line = buffer.find(b"\r\n", start)
        if line < 0:
            return None
        size = int(buffer[start:line].split(b";")[0], 16)
        if len(buffer) < line + 4 + size:
            return None
        body, start = body + buffer[line + 2 : line + 2 + size], line + 4 + size
        if not size:
            return body, start


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time."""

    __slots__ = ("_buffer", "_close", "_counted", "_server", "_timer", "_transport", "reply")

    def __init__(self, server: Server) -> None:
        self._server, self._buffer, self._close, self._counted = server, b"", False, False
        self._timer: asyncio.TimerHandle | None = None
        self.reply: Reply | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted:
            self._server.connections -= 1
        if self.reply is not None:
            running = self._timer is not None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.reply = None
            self._server.abandoned(self, running)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._advance()

    def _advance(self) -> None:
        """Handle what came in, up to the next request that takes time."""
        while self._buffer and self.reply is None and not self._transport.is_closing():
            found = parse(self._buffer)
            if found is None:
                if b"100-continue" in self._buffer and self._buffer.endswith(b"\r\n\r\n"):
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            request, self._buffer = found
            self._close = request.closes
            if request.method == "POST" and not self._counted:
                self._counted = True
                self._server.connected()
            self._server.handle(self, request)

    def start(self, *, queued: bool) -> None:
        """Begin the reply: the server runs the request now."""
        reply = self.reply
        assert reply is not None
        if reply.delay > 0 or queued:  # from the queue, never deeper into the stack
            self._timer = self._server.loop.call_later(reply.delay, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        """Send the reply, or what its fault leaves of it."""
        reply, self._timer = self.reply, None
        assert reply is not None
        if reply.fault in ("drop", "hang"):
            self._transport.abort()
            self._done(reply)
        elif reply.events is not None:
            self._head(reply, EVENTS, b"Transfer-Encoding: chunked")
            self._stream(reply, reply.events, 0)
        elif reply.fault in ("cutbody", "cutstream", "stall"):
            self._head(reply, JSON, b"Content-Length: %d" % len(reply.payload))
            self._transport.write(reply.payload[: len(reply.payload) // 2])
            self._break_off(reply)
        else:
            self.send(reply.status, reply.payload, headers=reply.headers)
            self._done(reply)

    def _stream(self, reply: Reply, events: list[bytes], number: int) -> None:
        """Send the events from `number` on, with pauses between them."""
        self._timer = None
        pause = self._server.options.chunk_ms / 1e3
        end = len(events) // 2 if reply.fault in _HALVED else len(events)
        while number < end:
            self._chunk(events[number])
            number += 1
            if pause and number < end:
                self._timer = self._server.loop.call_later(pause, self._stream, reply, events, number)
                return
        if end < len(events) and reply.fault != "streamerror":
            self._break_off(reply)
            return
        if reply.fault == "streamerror":
            self._chunk(shapes.event(shapes.error(500, "injected streamerror")))
            self._chunk(shapes.DONE)
        self._transport.write(b"0\r\n\r\n")
        self._done(reply)

    def _chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _break_off(self, reply: Reply) -> None:
        """Half is sent: fall silent, or close."""
        if reply.fault == "stall":
            self._timer = self._server.loop.call_later(self._server.options.hang, self._give_up, reply)
            return
        self._transport.close()
        self._done(reply)

    def _give_up(self, reply: Reply) -> None:
        self._timer = None
        self._transport.abort()
        self._done(reply)

    def _done(self, reply: Reply) -> None:
        self.reply = None
        self._server.answered(reply)
        if self._close:
            self._transport.close()
        self._advance()

    def _head(self, reply: Reply, kind: bytes, framing: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n%b\r\n" % (kind, framing, reply.headers))

    def send(self, status: int, payload: bytes, *, headers: bytes = b"", kind: bytes = JSON) -> None:
        """Send an answer in one piece."""
        first = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n" % (status, _PHRASES.get(status, b"Unknown"), kind)
        self._transport.write(b"%bContent-Length: %d\r\n%b\r\n%b" % (first, len(payload), headers, payload))
        if self._close and self.reply is None:
            self._transport.close()


_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


class Server:
    """What the connections share: the queue, the counts, the endpoints."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options, self.loop = options, loop
        self.connections = 0
        self._running = 0
        self._waiting: deque[Connection] = deque()
        self._replies = Replies(options)
        self._counts = Counts()
        self._lacks = {path for path, name in LACKING.items() if name in options.lacks}
        self._asked: dict[str, Callable[[Connection, Request], None]] = {
            "/v1/models": self._models,
            "/metrics": self._metrics,
            "/version": lambda connection, _: connection.send(200, dumps({"version": shapes.VERSION})),
            "/health": lambda connection, _: connection.send(200, b""),
            "/ping": lambda connection, _: connection.send(200, b""),
            "/stats": self._stats,
            "/reset": self._reset,
        }

    def connected(self) -> None:
        """A connection posts for the first time."""
        self.connections += 1
        self._counts.totals["connections"] += 1
        self._counts.most_connections = max(self._counts.most_connections, self.connections)

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, or queue it."""
        path = ALIASES.get(request.path, request.path)
        counts = self._counts
        if path not in ("/stats", "/reset"):
            counts.paths[path] += 1
            counts.totals["bytes_in"] += len(request.head) + 4 + len(request.body)
        posted = request.method == "POST" and path in PATHS
        if posted:
            counts.totals["requests"] += 1
            if counts.first is None:
                counts.first = time.time()
        if not self._admitted(connection, request, path):
            return
        if path in self._lacks or not (posted or path in self._asked):
            self._refuse(connection, request, 404, "Not Found")
        elif posted:
            self._queue(connection, request, path)
        else:
            self._asked[path](connection, request)

    def _admitted(self, connection: Connection, request: Request, path: str) -> bool:
        """Whether the key is right; says so if it is not, as real servers do: with the key."""
        wanted = self.options.require_key
        if not wanted or path in OPEN:
            return True
        sent = request.header("Authorization").removeprefix("Bearer ").strip()
        if sent != wanted:
            self._refuse(connection, request, 401, f"Incorrect API key provided: {sent}.")
        return sent == wanted

    def _refuse(self, connection: Connection, request: Request, status: int, message: str) -> None:
        self._counts.statuses[status] += 1
        connection.send(status, dumps(repeat(shapes.error(status, message), self._aside(request))))

    def _aside(self, request: Request) -> str:
        return f"[{request.headers}] " if self.options.echo_headers else ""

    def _queue(self, connection: Connection, request: Request, path: str) -> None:
        try:
            body = loads(request.body)
        except ValueError:
            self._refuse(connection, request, 400, "the body is not JSON")
            return
        try:
            reply = self._replies.reply(path, body, self._aside(request))
        except Exception as error:  # a bad request must not end the server, and a bad script must be seen
            if self.options.script:
                traceback.print_exc(file=sys.stderr)
            self._refuse(connection, request, 400, f"{type(error).__name__}: {error}")
            return
        counts = self._counts
        counts.arrived(reply)
        connection.reply = reply
        counts.most_in_flight = max(counts.most_in_flight, self._running + len(self._waiting) + 1)
        if self._running < self.options.max_num_seqs:
            self._start(connection, queued=False)
        else:
            self._waiting.append(connection)

    def _start(self, connection: Connection, *, queued: bool) -> None:
        self._running += 1
        self._counts.most_running = max(self._counts.most_running, self._running)
        connection.start(queued=queued)

    def _free(self) -> None:
        self._running -= 1
        while self._waiting and self._running < self.options.max_num_seqs:
            self._start(self._waiting.popleft(), queued=True)

    def answered(self, reply: Reply) -> None:
        """A reply is out: the next in the queue runs."""
        self._counts.answered(reply)
        self._free()

    def abandoned(self, connection: Connection, running: bool) -> None:
        """The client went away before its answer."""
        self._counts.totals["aborted"] += 1
        if running:
            self._free()
        elif connection in self._waiting:
            self._waiting.remove(connection)

    def _models(self, connection: Connection, _: Request) -> None:
        options = self.options
        connection.send(200, shapes.models(options.model, options.root or options.model, options.max_model_len))

    def _metrics(self, connection: Connection, _: Request) -> None:
        usage = self._running / self.options.max_num_seqs
        text = shapes.metrics(self.options.model, self._running, len(self._waiting), usage)
        connection.send(200, text, kind=PLAIN)

    def _stats(self, connection: Connection, request: Request) -> None:
        summary = self._counts.summary()
        summary |= {"in_flight": self._running + len(self._waiting), "connections": self.connections}
        if "keys=1" in request.query:
            summary |= self._counts.keys(self._replies.attempts)
        connection.send(200, dumps(summary))

    def _reset(self, connection: Connection, _: Request) -> None:
        self._counts = Counts()
        self._replies.reset()
        connection.send(200, b"{}")


async def serve(options: Options) -> None:
    """Serve until a signal, or until the parent is gone; the first line of output names the address."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    server = Server(options, loop)
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", options.port, backlog=4096)
    sys.stdout.write(f"listening on http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_on_eof:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    await stop.wait()
    listener.close()
