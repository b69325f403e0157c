"""The row of `harness.py` that is ours: the scheduler, the client and the store, without recipes and checks.

    python -m benchmarks.harness_synth (the options of harness_job)

Rows are spilled as they finish and put in order at the end, so memory holds what is in flight and
8 bytes for each row. The store makes it resumable: the same command reads stored replies and asks
for the others, and the output is the same to the byte however often it was killed.
"""

from __future__ import annotations

import argparse
import asyncio
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from benchmarks.harness_job import MAX_TOKENS, SCHEMA, Row, line, parser, read_prompts, valid
from synth.engines.calls import Call, Completion, Malformed
from synth.engines.client import Endpoint
from synth.engines.limits import Limits
from synth.engines.scheduler import Scheduler
from synth.errors import Unanswered
from synth.run import Store

_AHEAD = 8
"""Rows that are ready to be sent when one in flight is answered."""
_MISSING = -1


class Spill:
    """Finished rows in the order they came, and where each of them is."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b")
        self._places = array("q")
        self._end = 0

    def add(self, index: int, written: bytes) -> None:
        """Take a finished row."""
        while len(self._places) <= index:
            self._places.append(_MISSING)
        self._places[index] = self._end
        self._end += self._file.write(written)

    def ordered(self) -> Iterator[bytes]:
        """The rows in the order of the input."""
        for place in self._places:
            if place != _MISSING:
                self._file.seek(place)
                yield self._file.readline()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def accept(completion: Completion) -> dict[str, object]:
    """Read a reply: an exam question that ended by itself."""
    choice = completion.first
    if choice.finish != "stop":
        raise Malformed("it is not whole", "json")
    try:
        value = orjson.loads(choice.text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"it is not JSON: {error}", "json") from None
    if not valid(value):
        raise Malformed("a field is missing", "json")
    found: dict[str, object] = value
    return found


async def work(arguments: argparse.Namespace) -> None:
    """Finish every row, then write the output."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    store, spill = Store(arguments.work), Spill(arguments.work / "rows.part")
    limits = Limits(in_flight=arguments.concurrency, timeout=arguments.timeout)
    todo = read_prompts(arguments.source)
    try:
        async with Scheduler([Endpoint(arguments.base_url)], store, limits) as scheduler, asyncio.TaskGroup() as group:
            for _ in range(arguments.concurrency + _AHEAD):
                group.create_task(_worker(todo, arguments.model, scheduler, spill))
        _write(arguments.out, spill)
    finally:
        spill.close()
        store.close()


async def _worker(todo: Iterator[Row], model: str, scheduler: Scheduler, spill: Spill) -> None:
    for row in todo:
        call = Call(model=model, messages=row.messages, body={"max_tokens": MAX_TOKENS}, schema=SCHEMA)
        try:
            value = await scheduler.ask(call, rank=row.index, accept=accept)
        except Unanswered:
            continue
        spill.add(row.index, line(row, value))


def _write(path: Path, spill: Spill) -> None:
    """Write the output whole or not at all."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.writelines(spill.ordered())
    unfinished.replace(path)


def main() -> None:
    """Run the job."""
    asyncio.run(work(parser(__doc__).parse_args()))


if __name__ == "__main__":
    main()
