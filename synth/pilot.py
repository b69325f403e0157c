"""The pilot: what a few seeds gave, and what the whole run would take by that measure."""

from __future__ import annotations

import math
from typing import NamedTuple

from synth.config import Config
from synth.driver import Driver
from synth.engines.opening import profile_for

_Z = 1.959964


class Pilot(NamedTuple):
    """What a pilot gave, and what the rest would take."""

    seeds: int
    accepted: int
    interval: tuple[float, float]
    """Of the accept rate, 95 per cent (Wilson, J Am Stat Assoc 1927;22:209)."""
    tokens: float
    """A seed."""
    seconds: float
    """A seed."""
    dollars: float | None
    """A seed; None where the profile names no price."""
    bytes: float
    """A seed, on disk."""
    seeds_left: int

    def told(self) -> str:
        """In words, for a person."""
        low, high = self.interval
        left = self.seeds_left
        cost = "no price named" if self.dollars is None else f"US$ {self.dollars * left:,.2f}"
        return (
            f"pilot: {self.accepted} of {self.seeds} seeds accepted ({self.accepted / self.seeds:.0%}, "
            f"95% interval {low:.0%} to {high:.0%}), {self.tokens:,.0f} tokens a seed\n"
            f"for {left:,} more seeds: {low * left:,.0f} to {high * left:,.0f} rows, {self.tokens * left:,.0f} tokens, "
            f"{_duration(self.seconds * left)}, {cost}, {self.bytes * left / 1e6:,.0f} MB"
        )


def pilot_of(driver: Driver, config: Config) -> Pilot:
    """Measure a driver that has done its pilot."""
    done, funnel, spent = driver.funnel.done, driver.funnel, driver.store.spent
    prices = profile_for(config, config.model[0]).prices if config.model else None
    dollars = None
    if prices is not None:
        dollars = (spent.prompt_tokens * prices.prompt + spent.completion_tokens * prices.completion) / 1e6 / done
    return Pilot(
        done, funnel.accepted, wilson(funnel.accepted, done), spent.tokens / done,
        driver.seconds_each, dollars, driver.store.size() / done,
        _left(driver),
    )  # fmt: skip


def _left(driver: Driver) -> int:
    """Seeds to come: all that were asked for, or as many as the accepted rows that are wanted take at this rate."""
    funnel, left = driver.funnel, driver.most - driver.funnel.done
    if driver.wanted.accepted is None or not funnel.accepted:
        return left
    missing = driver.wanted.accepted - funnel.accepted
    return min(left, math.ceil(missing * funnel.done / funnel.accepted))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 per cent score interval of a proportion.

    >>> [round(bound, 3) for bound in wilson(8, 10)]
    [0.49, 0.943]
    """
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z * _Z
    middle = share + square / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    whole = 1 + square / trials
    return (middle - spread) / whole, (middle + spread) / whole


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
