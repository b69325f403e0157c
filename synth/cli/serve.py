"""`synth serve`: vLLM with the right flags, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from tempfile import mkstemp

from synth.config import Config
from synth.engines.opening import profile_for, served_name
from synth.engines.server import OwnedServer
from synth.errors import EndpointError, UsageError

_LOOK = 0.2


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal says to stop."""
    if not arguments.model:
        raise UsageError("serve: name a model with --model PATH|ID; there is no default model in this version")
    if arguments.port is not None and not 0 < arguments.port < 1 << 16:
        raise UsageError(f"--port {arguments.port}: a port is a number from 1 to 65535")
    profile = profile_for(Config(profile=arguments.profile), arguments.model)
    if profile.obligations:
        _say(f"{profile.title}: {profile.license}. {' '.join(profile.obligations.split())}")
    number, log = mkstemp(prefix="synth-serve-", suffix=".log")
    os.close(number)
    server = OwnedServer(
        arguments.model,
        (*profile.serve.flags, *arguments.flags),
        log=Path(log),
        served_name=served_name(arguments.model),
        port=arguments.port,
    )
    failed = False
    try:
        return asyncio.run(_until_asked(server))
    except EndpointError:
        failed = True
        raise
    finally:
        if not failed:  # else the log stays, to be read
            server.log.unlink()


async def _until_asked(server: OwnedServer) -> int:
    """Serve until a signal comes (130) or the server ends (an EndpointError)."""
    from synth.cli import INTERRUPTED

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    wish = asyncio.create_task(asked.wait())
    work = asyncio.create_task(_serve(server))
    copy = asyncio.create_task(_copy(server.log))
    try:
        await asyncio.wait((wish, work), return_when=asyncio.FIRST_COMPLETED)
        if not asked.is_set():
            work.result()
    finally:
        work.cancel()
        await asyncio.wait((work,))
        await server.stop()
        await asyncio.sleep(2 * _LOOK)  # for the end of the log
        for task in (wish, copy):
            task.cancel()
        await asyncio.wait((wish, copy))
    _say("synth: interrupted; the server has been stopped")
    return INTERRUPTED


async def _serve(server: OwnedServer) -> None:
    await server.start(_say)
    print(server.base_url)
    print(
        f"synth generate --seed kg -n 100 --engine openai --base-url {server.base_url} --model {server.served_name}",
        flush=True,
    )
    while server.alive:
        await asyncio.sleep(_LOOK)
    raise EndpointError(f"vLLM ended: {server.reason}")


async def _copy(log: Path) -> None:
    """Copy a log to stderr while it grows."""
    at = 0
    while True:
        with log.open("rb") as file:
            file.seek(at)
            sys.stderr.buffer.write(file.read())
            sys.stderr.flush()
            at = file.tell()
        await asyncio.sleep(_LOOK)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
