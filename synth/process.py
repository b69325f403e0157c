"""What differs between operating systems: one driver a folder, and an orderly end on a signal.

All locking and all signal handling of the package is here.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

from synth.errors import ConflictError

LOCK = ".lock"
NO_SPACE = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What an operating system says when nothing more can be written."""


@contextmanager
def sole_driver(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock goes with the process, however it ends.

    Raises:
        ConflictError: another process holds it.
    """
    with (folder / LOCK).open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            owner = file.read(200).decode(errors="replace").strip()
            raise ConflictError(
                f"{folder}: another process is working in this folder{f' ({owner})' if owner else ''}"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
        file.flush()
        yield


if os.name == "nt":  # pragma: no cover  (not run where the tests run)
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Drain:
    """Turns the first SIGINT or SIGTERM into a wish to stop; a second one ends at once.

    Use as a context manager and look at `asked` between two pieces of work, or have `wish` called.
    Outside the main thread, where signals cannot be caught, it never asks.
    """

    def __init__(self) -> None:
        self.asked = False
        self.wish: Callable[[], None] | None = None
        """Called at the first signal, from its handler."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Drain:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self.wish is not None:
            self.wish()
