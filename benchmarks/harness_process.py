"""A process that is measured: CPU, memory, times; and killed without a warning. Linux only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_SAMPLE = 0.1
_LOOK = 0.02
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Process:
    """A command in a process group of its own."""

    def __init__(self, command: Sequence[str], folder: Path, log: Path) -> None:
        """Start it.

        Args:
            command: what to run.
            folder: where.
            log: gets its output.
        """
        environment = {name: value for name, value in os.environ.items() if name.lower() not in _PROXIES}
        self.cpu = 0.0
        """CPU seconds of the process and the children that it waited for."""
        self.pss = 0
        """Most memory of it and its children, in MB, each shared page counted in parts."""
        self.started, self.ended = time.time(), 0.0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def until(self, reached: Callable[[], bool], limit: float) -> None:
        """Wait for something, or for the end of the process, or for `limit` seconds."""
        end = time.monotonic() + limit
        while self._running() and time.monotonic() < end and not reached():
            time.sleep(_LOOK)

    def wait(self, limit: float) -> int | str:
        """Wait for the end; kills it after `limit` seconds.

        Returns:
            The exit status, or "timeout".
        """
        self.until(lambda: False, limit)
        if self._running():
            self.kill()
            return "timeout"
        self._watcher.join()
        return self._process.returncode

    def kill(self) -> None:
        """Kill -9 the whole process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        while self._running():
            time.sleep(_LOOK)
        self._watcher.join()

    def _running(self) -> bool:
        """Whether it runs; takes its figures when it does not any more."""
        if self._process.returncode is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self.ended = time.time()
                self.cpu = usage.ru_utime + usage.ru_stime
                self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is None

    def _watch(self) -> None:
        while self._process.returncode is None:
            self.pss = max(self.pss, sum(map(_pss, _family(self._process.pid))) // 1024)
            time.sleep(_SAMPLE)


def _family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _pss(pid: int) -> int:
    """Proportional set size in kB; 0 when it is gone."""
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        return int(found[1]) if found else 0
    return 0
