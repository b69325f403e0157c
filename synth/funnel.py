"""The funnel: at every step, in = passed + rejected (by reason) + failed (by reason) + pending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from synth.sample import GENRES, WRITTEN, Sample, words

STEPS = ("draft", "check", "admit", "score")
"""Where a sample can end, in order. Reflection mends what `check` and `admit` reject, so a
sample ends there only if no revision was kept that passes."""


LONG = 80
"""Words from which a chain counts as long."""


@dataclass
class Funnel:
    """Counts of a run's samples, taken one at a time."""

    asked: int = 0
    """Samples that the run is to make; those that are not there yet are pending."""
    each: int = 1
    """Samples of a seed: as many as models write on it."""
    done: int = 0
    accepted: int = 0
    ended: dict[str, dict[str, Counter[str]]] = field(
        default_factory=lambda: {step: {"rejected": Counter(), "failed": Counter()} for step in STEPS}
    )
    genres: dict[str, Counter[str]] = field(default_factory=dict)
    topics: Counter[str] = field(default_factory=Counter)
    departments: Counter[str] = field(default_factory=Counter)
    uniqueness: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    chains: int = 0
    """Accepted rows that argue in a chain: all but the written ones."""
    long: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    """Revisions that were kept, by the check whose finding they answered."""
    not_kept: Counter[str] = field(default_factory=Counter)

    def take(self, sample: Sample) -> None:
        """Count a finished sample."""
        self.done += 1
        status, step, reason = sample.verdict.status, sample.verdict.step, sample.verdict.reason
        self.genres.setdefault(sample.genre, Counter())[status] += 1
        for attempt in sample.attempts:
            (self.kept if attempt.kept else self.not_kept)[attempt.finding.check] += 1
        if status != "accepted":
            self.ended[step][status][reason] += 1
            return
        self.accepted += 1
        self.topics[sample.topic] += 1
        self.departments[sample.labels.department] += 1
        self.uniqueness[sample.uniqueness] += 1
        self.shapes[sample.generator.prompt.split(" ", 1)[0]] += 1
        if sample.genre not in WRITTEN:
            self.chains += 1
            self.long += words(sample.reasoning) >= LONG

    def state(self) -> dict[str, Any]:
        """The counts as JSON, from which `of` makes them again."""
        return {name: value for name, value in vars(self).items() if name != "asked"}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """The counts that `state` gave."""
        funnel = cls()
        for name, value in state.items():
            setattr(funnel, name, _NESTED.get(name, _flat)(value))
        return funnel

    def summary(self, commonest_opening: int) -> dict[str, Any]:
        """The counts as JSON; every step adds up, and a step's passed are the next one's in."""
        steps = []
        entering = max(self.asked, self.done)
        pending = entering - self.done
        for step in STEPS:
            rejected, failed = (self.ended[step][status] for status in ("rejected", "failed"))
            passed = entering - pending - rejected.total() - failed.total()
            steps.append(
                {
                    "step": step, "in": entering, "passed": passed, "rejected": _sorted(rejected),
                    "failed": _sorted(failed), "pending": pending,
                }
            )  # fmt: skip
            entering, pending = passed, 0
        order = {genre: place for place, genre in enumerate(GENRES)}
        return {
            "steps": steps,
            "seeds": -(-self.done // self.each),
            "samples": self.done,
            "accepted": self.accepted,
            "yield": round(self.accepted / self.done, 4) if self.done else None,
            "revisions": {"kept": _sorted(self.kept), "not kept": _sorted(self.not_kept)},
            "genres": {g: _sorted(self.genres[g]) for g in sorted(self.genres, key=order.__getitem__)},
            "topics": _sorted(self.topics),
            "departments": _sorted(self.departments),
            "uniqueness": _sorted(self.uniqueness),
            "shapes": _sorted(self.shapes),
            "chains": {
                "without explainers": self.chains,
                f"of {LONG} words or more": self.long,
                "with the commonest eight-word opening": commonest_opening,
            },
        }


def _flat(value: Any) -> Any:
    return Counter(value) if isinstance(value, dict) else value


_NESTED: dict[str, Callable[[Any], Any]] = {
    "ended": lambda steps: {step: {status: Counter(n) for status, n in of.items()} for step, of in steps.items()},
    "genres": lambda genres: {genre: Counter(n) for genre, n in genres.items()},
}
"""How the counts that are counted by something else first are read again."""


def _sorted(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first, ties by name, so that the same run gives the same bytes."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
