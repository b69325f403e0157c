"""Engines: who words a plan.

An engine turns a plan into text. `grounded` does it from templates and the evidence alone;
engines that ask a model come with a later version, behind the same protocol.
"""

from __future__ import annotations

from synth.claims import Claims
from synth.config import Config
from synth.engines.engine import Engine, Reply
from synth.engines.grounded import Grounded
from synth.errors import NotBuiltError

__all__ = ["Engine", "Reply", "open_engine"]


def open_engine(config: Config, claims: Claims) -> Engine:
    """The engine that a configuration names.

    Raises:
        NotBuiltError: this version has only the grounded engine.
    """
    if config.engine != "grounded":
        raise NotBuiltError(
            f"--engine {config.engine}: this version has the grounded engine only (no model needed); "
            "engines that ask a server come in a later version"
        )
    return Grounded(claims)
