"""Which of these tests are left to `make test`, so that `make test-fast` stays under a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

_SLOW = ("test_reader_", "test_linking", "test_paths", "test_egos", "test_shapes", "test_walks", "test_typed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads whole graphs, or draws from them until chance shows."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.path.stem.startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
