"""This machine: seeds flow side by side, up to a limit, and come out in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable

from synth.pipeline import Memory, Pipeline
from synth.plan import Spot
from synth.sample import Sample


async def execute(
    pipeline: Pipeline, spots: Iterable[Spot], memory: Memory, concurrency: int = 1
) -> AsyncGenerator[tuple[int, Sample], None]:
    """Yield (seed index, finished sample) in the order of the seeds.

    At most `concurrency` seeds are in flight; the gate that looks at earlier rows sees them in
    order, so the outcome does not depend on it.
    """
    flying: deque[tuple[Spot, asyncio.Task[Sample]]] = deque()
    waiting = iter(spots)
    try:
        while True:
            while len(flying) < concurrency and (spot := next(waiting, None)) is not None:
                flying.append((spot, asyncio.create_task(pipeline.flow(spot))))
            if not flying:
                return
            spot, task = flying.popleft()
            yield spot.place, await pipeline.admit(await task, memory)
    finally:
        for _, task in flying:
            task.cancel()
