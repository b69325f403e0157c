"""A fault-injecting OpenAI-compatible server for tests and benchmarks.

    python -m tests.served.scripted --latency fixed:200 --max-num-seqs 256 --faults 429=0.01,cutbody=0.01

Answers are a function of --seed, the model, the messages and the `seed` of the request, so two
runs or two tries give the same text; faults are one of --seed, the key and the number of the try.

The key is the row that a prompt belongs to: the first match of --key-regex in it (`id=r17`), else
a hash. Every generated string carries it as `<<r17>>`, so that a test can prove that each row was
stored with its own answer.

Endpoints: /v1/chat/completions (n, seed, max_tokens, stream, logprobs, prompt_logprobs, response_format,
guided_json, structured_outputs, forced tools), /v1/completions, /classify, /pooling, /score, /v1/embeddings,
/v1/models, /metrics, /version, /health; /stats counts what came (/stats?keys=1 by key) and /reset forgets it.

A script is a function `(request, key, attempt) -> dict | None`; attempt counts from 0, None leaves the
answer to the server, and the dictionary may hold
    content        text, a value that becomes JSON, or a list with one of these for each choice
    reasoning      the thinking before it
    finish_reason  instead of "stop"
    status, error, retry_after   an error instead of an answer; its text; its Retry-After, a number or any text
    fault          a fault kind, for this request only
    delay          seconds, instead of --latency
    values         numbers for /classify, /pooling and /score
    body           the whole body: a value that becomes JSON, or text as it is
"""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.served.scripted_options import Options, parse
from tests.served.scripted_replies import Script
from tests.served.scripted_server import serve

try:
    import uvloop
except ImportError:
    _loop: Callable[[], asyncio.AbstractEventLoop] | None = None
else:
    _loop = uvloop.new_event_loop

ROOT = Path(__file__).parents[2]


class Scripted:
    """The server as a process of its own; use as a context manager.

    >>> with Scripted(latency="fixed:5", lacks=("n",)) as server:
    ...     server.stats()["requests"]
    0
    """

    def __init__(self, *, script: Script | str = "", python: str = sys.executable, **options: Any) -> None:
        """Start it on a free port.

        Args:
            script: a function at the top of a module, or `FILE.py:function`.
            python: the interpreter.
            options: fields of `Options`.
        """
        if callable(script):
            script = f"{inspect.getsourcefile(script)}:{script.__name__}"
        flags = Options(script=script, stop_on_eof=True, **options).flags()
        self.process = subprocess.Popen(
            [python, "-m", "tests.served.scripted", *flags],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError(f"the scripted server did not start: {' '.join(flags)}")
        self.url = line.split()[-1]
        """The address that a client is given: it ends in /v1."""
        self.root = self.url.removesuffix("/v1")
        self.port = int(self.root.rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stats(self, *, keys: bool = False) -> dict[str, Any]:
        """What came since the start or the last reset; `keys` adds it by key."""
        found: dict[str, Any] = json.loads(self.get("/stats?keys=1" if keys else "/stats"))
        return found

    def reset(self) -> None:
        """Forget what came, so that tries are counted anew."""
        self.get("/reset")

    def get(self, path: str) -> str:
        """The answer to a GET below the root."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.root + path, timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def stop(self) -> None:
        """End the server; connections break, and its port listens no more."""
        self.process.terminate()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.wait()


def main() -> None:
    """Serve."""
    options = parse(None, __doc__ or "")
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(serve(options))


if __name__ == "__main__":
    main()
