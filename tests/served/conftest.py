"""What tests against a real vLLM share: a tiny model, and turns at the machine."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth.engines.server import vllm_python

MAKE_TINY = Path(__file__).with_name("make_tiny.py")
collect_ignore = [MAKE_TINY.name]  # it imports what vLLM's environment has


_QUICK = frozenset(("test_calls", "test_pace", "test_parse"))
"""Modules here that need no server of any kind; the others are left to `make test`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks a server as slow, so that `make test-fast` stays under a minute."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.path.stem not in _QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_model(common: Path) -> Path:
    """The folder of a tiny chat model with random weights; one for all workers."""
    python = vllm_python()
    if python is None:
        pytest.skip("there is no .venv-vllm: `make vllm` builds it, and so does `make test`")
    model = common / "tiny-model"
    with (common / "tiny-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not model.exists():
            made = common / "tiny-model.new"
            done = subprocess.run([python, MAKE_TINY, made], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            made.rename(model)
    return model


@pytest.fixture(scope="module")
def one_server(common: Path) -> Iterator[None]:
    """Whoever starts a real server waits for its turn: two at a time are slower than one after the other."""
    with (common / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
