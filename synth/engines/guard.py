"""Runs a server and takes it down with its owner: `python guard.py COMMAND ...`, standard input a pipe from the owner.

vLLM is several processes. Kill the owner and they stay; kill vLLM's first process and its engine stays, holding the
GPU. So a guard stands between: it leads their process group, waits until the server ends or the pipe closes, which it
does however the owner ends, and leaves nothing of the group. It is run by path, in an interpreter of its own, and
needs the standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

GRACE = 5.0
"""Seconds that a server has to end by itself once it is asked to."""
_LOOK = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(command: Sequence[str]) -> None:
    """Run a command until it ends or its owner is gone; then kill the process group, this process with it."""
    for number in _SIGNALS:
        signal.signal(number, _stop)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_guard)  # noqa: PLW1509
    try:
        while server.poll() is None and not select.select([0], [], [], _LOOK)[0]:
            pass
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _end(server)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


def _end(server: subprocess.Popen[bytes]) -> None:
    code = server.poll()
    if code is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(GRACE)
    else:
        how = f"killed by signal {-code}, as a system short of memory does" if code < 0 else f"exit status {code}"
        print(f"the server ended: {how}", file=sys.stderr, flush=True)  # noqa: T201
    os.killpg(0, signal.SIGKILL)


def _end_with_guard() -> None:
    """Ask the kernel to end this process when the guard is killed."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  (for this only)

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(sys.argv[1:])
