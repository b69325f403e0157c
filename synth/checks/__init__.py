"""Checks: hard tests that a row passes or fails, each with its reason and place.

A check reads the row as it would be written and the knowledge that it rests on, never the
plan it was made from, so the same checks serve a row that was just drafted and one that was
read from a file. `run_checks` gives every finding; an empty list means that the row passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from synth.checks import form, proof, safety, syndromes, unique
from synth.claims import Claims
from synth.config import Checks as Bounds
from synth.sample import Finding, Sample
from synth_kg.knowledge import Knowledge


class Context(NamedTuple):
    """What checks may consult."""

    knowledge: Knowledge
    claims: Claims
    bounds: Bounds


Check = Callable[[Sample, Context], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "schema": form.schema,
    "options distinct": unique.options_distinct,
    "unique": unique.unique,
    "annotated": syndromes.annotated,
    "language": form.language,
    "leak": form.leak,
    "stem": proof.stem,
    "citations": proof.citations,
    "claimed": proof.claimed,
    "prose": proof.prose,
    "person": proof.person,
    "answered": form.answered,
    "argued": form.argued,
    "length": form.length,
    "repetition": form.repetition,
    "hops": unique.hops,
    "safety": safety.safety,
    "uncited_clinical_quantity": safety.quantity,
}
"""Every check by name, in the order in which they run."""


def run_checks(sample: Sample, context: Context) -> list[Finding]:
    """Every finding of every check, in order."""
    return [
        finding.model_copy(update={"check": name})
        for name, check in CHECKS.items()
        for finding in check(sample, context)
    ]
