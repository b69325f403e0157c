"""synth: synthetic medical reasoning data in which every row carries its own proof.

    import synth

    run = synth.generate(synth.Config(random_seed=7), n=200, out="runs/first")
    rows = list(synth.load("runs/first"))
    assert synth.verify(rows).ok

The names below are loaded when they are first used; `import synth` itself loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Config", "Run", "Sample", "content_id", "generate", "load", "score", "verify"]

if TYPE_CHECKING:
    from synth.api import generate, load, score, verify
    from synth.config import Config
    from synth.run import Run
    from synth.sample import Sample, content_id

_WHERE = {
    "Config": "synth.config",
    "Run": "synth.run",
    "Sample": "synth.sample",
    "content_id": "synth.sample",
    "generate": "synth.api",
    "load": "synth.api",
    "score": "synth.api",
    "verify": "synth.api",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'synth' has no attribute '{name}'")
    return getattr(importlib.import_module(_WHERE[name]), name)
