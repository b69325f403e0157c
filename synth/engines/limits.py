"""How hard servers may be driven, and what that has cost so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How hard a server may be driven, and how long it is waited for. None of it changes a row."""

    in_flight: int = 256
    start: int | None = None
    """Requests in flight at the beginning; as many as are allowed if None."""
    timeout: float = 300.0
    """Seconds that an unstreamed reply may take, at least; ten times the run's p99 if that is more."""
    silence: float = 60.0
    """Seconds between two pieces of a streamed reply."""
    stream: bool = False
    tries: int = 5
    re_asks: int = 2
    patience: float = 300.0
    """Seconds that a server may be away before the run stops."""
    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    """US dollars."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    gauges: bool = False
    """Whether the servers are vLLM's, whose /metrics tell their load."""


@dataclass
class Spent:
    """What a run has cost so far, over all its attempts."""

    calls: int = 0
    """Requests sent, answered or not."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    """By the prices of the profiles that name any."""

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens
