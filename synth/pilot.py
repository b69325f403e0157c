"""The pilot: what a few seeds gave, and what the whole run would take by that measure."""

from __future__ import annotations

import math
from typing import NamedTuple

from synth.config import Config
from synth.driver import Driver
from synth.engines.opening import profile_for, served_name

_ALIKE = 1.5
"""Times that differ by less are told as one."""
_Z = 1.959964


class Pilot(NamedTuple):
    """What a pilot gave and the rest would take, by sample: a seed gives one for each model that writes on it."""

    samples: int
    each: int
    """Samples of a seed."""
    accepted: int
    interval: tuple[float, float]
    """Of the accept rate, 95 per cent (Wilson, J Am Stat Assoc 1927;22:209)."""
    tokens: float
    seconds: tuple[float, float]
    """At least and at most."""
    dollars: float | None
    """None where no profile names a price."""
    bytes: float
    """On disk."""
    left: int
    """Samples to come."""

    def told(self) -> str:
        """In words, for a person."""
        low, high = self.interval
        left, of = self.left, "seeds" if self.each == 1 else f"samples of {self.samples // self.each} seeds"
        cost = "no price named" if self.dollars is None else f"US$ {self.dollars * left:,.2f}"
        row = f", {self.tokens * self.samples / self.accepted:,.0f} an accepted row" if self.accepted else ""
        return (
            f"pilot: {self.accepted} of {self.samples} {of} accepted ({self.accepted / self.samples:.0%}, "
            f"95% interval {low:.0%} to {high:.0%}), {self.tokens * self.each:,.0f} tokens a seed{row}\n"
            f"for {left // self.each:,} more seeds: {low * left:,.0f} to {high * left:,.0f} rows, "
            f"{self.tokens * left:,.0f} tokens, {_between(*self.seconds, left)}, {cost}, "
            f"{self.bytes * left / 1e6:,.0f} MB"
        )


def pilot_of(driver: Driver, config: Config) -> Pilot:
    """Measure a driver that has done its pilot."""
    done, funnel, spent = driver.funnel.done, driver.funnel, driver.store.spent
    priced = any(profile_for(config, served_name(model)).prices for model in config.model)
    return Pilot(
        done, driver.each, funnel.accepted, wilson(funnel.accepted, done), spent.tokens / done,
        driver.seconds_each, spent.dollars / done if priced else None, driver.store.size() / done, _left(driver),
    )  # fmt: skip


def _left(driver: Driver) -> int:
    """Samples to come: all that were asked for, or as many as the accepted rows that are wanted take at this rate."""
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


def _between(least: float, most: float, many: int) -> str:
    """How long so many take.

    >>> _between(0.1, 0.11, 10), _between(0.1, 2.0, 1000)
    ('1 s', '100 s to 33 min')
    """
    if most < _ALIKE * least:
        return _duration(most * many)
    return f"{_duration(least * many)} to {_duration(most * many)}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
