"""What every engine is: something that words a plan."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from synth.plan import Plan
from synth.sample import Conditioning, Finding, Generator, Step


class Former(NamedTuple):
    """A wording that was found wanting, and what was found."""

    question: str
    steps: tuple[Step, ...]
    response: str
    findings: tuple[Finding, ...]


class Task(NamedTuple):
    """What an engine is to do."""

    plan: Plan
    chance: int
    """Seeds whatever is left to chance."""
    first: int = 0
    """The same of the first wording, so that a revision can know what was asked then."""
    place: int = 0
    """Index of the row; earlier rows go first where they have to wait."""
    writer: int = 0
    """Which of several models writes."""
    former: Former | None = None
    """The wording to mend, if there is one."""


class Reply(NamedTuple):
    """A plan in words."""

    question: str
    steps: tuple[Step, ...]
    response: str
    shape: str
    """Name of the discourse shape."""
    conditioning: Conditioning = "evidence"
    """What the writer of the reasoning was shown."""


class Engine(Protocol):
    """Words plans; the same task and, where a model is asked, the same replies give the same words."""

    @property
    def waits(self) -> bool:
        """Whether wording waits for someone; an engine that does not answers within its first step."""
        ...

    @property
    def cites_all(self) -> bool:
        """Whether a row rests on all evidence of its plan, since the writer was shown all, or on what it cites."""
        ...

    @property
    def conditioning(self) -> Conditioning:
        """What the writer of the reasoning is shown."""
        ...

    def mends(self, finding: Finding) -> bool:
        """Whether wording it again may mend what a check found."""
        ...

    def generator(self, writer: int) -> Generator:
        """Who writes, for the row."""
        ...

    async def word(self, task: Task) -> Reply:
        """Word a plan, or word it again."""
        ...
