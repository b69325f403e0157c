"""What tests share: the bundled knowledge, one small run, and where larger real inputs lie."""

from __future__ import annotations

from pathlib import Path

import pytest

import synth
from synth.checks import Context
from synth.claims import Claims
from synth.config import Checks, Config
from synth.prompts import load_prompts
from synth.run import Run
from synth.sample import Sample
from synth_kg.knowledge import Knowledge, bundled

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
"""Real inputs too large for the repository; continuous integration has them, a bare clone does not."""


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: it holds the real inputs, and continuous integration has it")
    return SHARED


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    return bundled()


@pytest.fixture(scope="session")
def claims(knowledge: Knowledge) -> Claims:
    return Claims(knowledge, load_prompts("en"))


@pytest.fixture(scope="session")
def context(knowledge: Knowledge, claims: Claims) -> Context:
    return Context(knowledge, claims, Checks())


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 300 seeds with the defaults."""
    return synth.generate(Config(), n=300, out=tmp_path_factory.mktemp("run") / "r")


@pytest.fixture(scope="session")
def rows(run: Run) -> list[Sample]:
    return list(run.accepted())


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that asks for long reasoning, so that some rows are rejected by a check."""
    config = Config(checks=Checks(min_reasoning_words=150))
    return synth.generate(config, n=60, out=tmp_path_factory.mktemp("strict") / "r")


@pytest.fixture
def one(rows: list[Sample]) -> Sample:
    """An accepted vignette."""
    return next(row for row in rows if row.genre == "vignette")
