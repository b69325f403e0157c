"""What every engine is: something that words a plan."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from synth.plan import Plan
from synth.sample import Generator, Step


class Reply(NamedTuple):
    """A plan in words."""

    question: str
    steps: tuple[Step, ...]
    response: str
    shape: str
    """Name of the discourse shape."""


class Engine(Protocol):
    """Words a plan; the same plan and chance give the same words."""

    @property
    def generator(self) -> Generator:
        """Who writes, for the row."""
        ...

    async def word(self, plan: Plan, chance: int) -> Reply:
        """Word a plan; `chance` seeds whatever is left to chance."""
        ...
