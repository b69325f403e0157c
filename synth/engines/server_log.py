"""What the log of a vLLM server says: how far its start is, and why it ended."""

from __future__ import annotations

import re
from pathlib import Path

_TAIL = 1 << 16
_STAGES = (
    (r"Initializing a V\d LLM engine", "starting the engine"),
    (r"\.safetensors: +(\d+%)", "downloading weights"),
    (r"Starting to load model", "loading weights"),
    (r"checkpoint shards: +(\d+%)", "loading weights"),
    (r"Loading weights took", "making room for the cache"),
    (r"Dynamo bytecode|Compiling a graph|Start compiling", "compiling"),
    (r"KV cache size", "warming up"),
    (r"Capturing CUDA graphs?[^:\n]*: +(\d+%)", "capturing CUDA graphs"),
    (r"Starting vLLM server", "opening the port"),
)
"""Words of the log, and what they mean; the last of them in the log counts."""
_PREFIX = re.compile(r"^(\([\w -]+pid=\d+\) *)?((INFO|WARNING|ERROR|CRITICAL) \S+ \S+ \[[^]]*\] *)?")
_ASIDE = re.compile(r"^(\([\w -]+pid=\d+\) *)?INFO\b")
_TELLING = re.compile(
    r"([\w.]*(Error|Exception)|\S+: error|the server ended)(:|$)|\S+: (Error while|No module)|Killed$|"
    r".* died unexpectedly"
)
_ELSEWHERE = re.compile(r"See root cause above|See stack trace|initialization failed due to|^RuntimeError: cancelled$")
_ENDED = "the server ended: exit"
_LONGEST = 300


def read_tail(log: Path, start: int = 0) -> str:
    """The end of a log, at most; from a byte of it on, so that earlier starts do not count."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, 2) - _TAIL))
            return file.read().decode(errors="replace").replace("\r", "\n")
    except OSError:
        return ""


def stage(text: str) -> str:
    """How far a start is.

    >>> stage("Loading safetensors checkpoint shards:  25% Completed | 1/4")
    'loading weights 25%'
    >>> stage("")
    'importing vLLM'
    """
    found, at = "importing vLLM", -1
    for pattern, words in _STAGES:
        for match in re.finditer(pattern, text):
            if match.start() > at:
                found, at = " ".join((words, *match.groups())), match.start()
    return found


def last_words(text: str) -> str:
    r"""Why a server ended: the last line of its log that tells.

    An exception that only points to another does not, nor does an exit status while there is anything else.

    >>> last_words("(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] ValueError: no\nError: See root cause above.")
    'ValueError: no'
    >>> last_words("Worker proc VllmWorker-0 died unexpectedly (exit code: -9).\nRuntimeError: cancelled")
    'Worker proc VllmWorker-0 died unexpectedly (exit code: -9).'
    """
    written = [line for line in text.splitlines() if not _ASIDE.match(line)] or text.splitlines()
    lines = [line for line in (_PREFIX.sub("", line).strip() for line in written) if line]
    told = []
    for line, after in zip(lines, (*lines[1:], ""), strict=True):
        if _TELLING.match(line) and not line.startswith(_ENDED):
            told.append(after.removeprefix("Value error, ") if "validation error" in line else line)
    best = [line for line in told if not _ELSEWHERE.search(line)][-1:] or told[:1]
    said = [line for line in lines if not line.startswith(_ENDED)][-1:]
    return (best or said or lines or ["its log is empty"])[0][:_LONGEST]
