"""Replaying proofs: does a row still follow from the graph and the tables that it names?

A matching id or ref alone proves nothing. Each piece of evidence is looked up by its ref and
compared with what stands there, word for word; calculations are worked again; then the checks
that let the row in are run again on the text as it is now. No model is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from synth.checks import Context, run_checks
from synth.claims import Claims, worked_again
from synth.config import Checks
from synth.plan import EvidenceBook, kind_of
from synth.prompts import Prompts, load_prompts
from synth.sample import Evidence, Finding, Lineage, Sample, content_id, license_of
from synth.steps.score import scored
from synth_kg.aliases import normal
from synth_kg.formulas import FORMULAS
from synth_kg.knowledge import Knowledge

_PROMPTS = re.compile(r"\bprompts ([0-9a-f]{32})\b")


class Fault(NamedTuple):
    """A row whose proof does not replay, and why."""

    row: str
    """The row's id, or 'line N' where it has none."""
    place: str
    reason: str


@dataclass
class Verification:
    """The outcome of replaying the proofs of some rows."""

    replayed: int = 0
    not_replayed: list[Fault] = field(default_factory=list)
    """Rows whose graph or templates are not at hand."""
    faults: list[Fault] = field(default_factory=list)
    """Rows whose proof does not hold; one fault a row, the first found."""

    @property
    def ok(self) -> bool:
        """Whether every row was replayed and held."""
        return not self.faults and not self.not_replayed


class Shelf:
    """The graphs and templates that are at hand, by the names under which rows know them."""

    def __init__(self, graphs: Iterable[Knowledge], prompt_folders: Sequence[Path] = ()) -> None:
        self.graphs: dict[str, Knowledge] = {}
        for knowledge in graphs:
            self.graphs.setdefault(knowledge.name, knowledge)
        self._folders = (None, *prompt_folders)
        self._contexts: dict[tuple[str, str, str], Context | None] = {}

    def context(self, sample: Sample) -> Context | str:
        """What the row's checks consult, or which part of it is missing."""
        named = _PROMPTS.search(sample.generator.prompt)
        key = (sample.seed.graph, sample.language, named.group(1) if named else "")
        if key not in self._contexts:
            self._contexts[key] = self._open(*key)
        found = self._contexts[key]
        if found is not None:
            return found
        missing = "graph" if sample.seed.graph not in self.graphs else "templates"
        return f"its {missing} ({key[0] if missing == 'graph' else key[2] or 'unnamed'}) are not at hand"

    def _open(self, graph: str, language: str, prompts: str) -> Context | None:
        knowledge = self.graphs.get(graph)
        found = next((p for p in self._prompts(language) if not prompts or p.hash == prompts), None)
        if knowledge is None or found is None:
            return None
        return Context(knowledge, Claims(knowledge, found), Checks())

    def _prompts(self, language: str) -> Iterator[Prompts]:
        for folder in self._folders:
            yield load_prompts(language, folder)


def replay(rows: Iterable[Sample | Mapping[str, Any]], shelf: Shelf) -> Verification:
    """Replay the proof of every row.

    Args:
        rows: samples, or rows as read from JSON.
        shelf: the graphs and templates at hand.
    """
    outcome = Verification()
    seen: Counter[str] = Counter()
    for number, row in enumerate(rows, 1):
        name = _name(row, number)
        try:
            sample = row if isinstance(row, Sample) else Sample.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            outcome.faults.append(Fault(name, place, f"not a row of this format: {first['msg']}"))
            continue
        context = shelf.context(sample)
        if isinstance(context, str):
            outcome.not_replayed.append(Fault(name, "seed.graph", context))
            continue
        outcome.replayed += 1
        fault = next(_faults(sample, context), None) or _repeated(sample, seen)
        if fault is not None:
            outcome.faults.append(Fault(name, *fault))
    return outcome


def _name(row: Sample | Mapping[str, Any], number: int) -> str:
    ident = row.id if isinstance(row, Sample) else row.get("id") if isinstance(row, Mapping) else None
    return str(ident) if ident else f"line {number}"


def _repeated(sample: Sample, seen: Counter[str]) -> tuple[str, str] | None:
    question = normal(sample.question)
    seen[question] += bool(question)
    return ("question", "another row asks the same") if seen[question] > 1 else None


def _faults(sample: Sample, context: Context) -> Iterator[tuple[str, str]]:
    """(place, reason) for whatever of a row does not hold."""
    if content_id(sample) != sample.id:
        yield "id", "the row was changed since its id was given"
    for item in sample.seed.evidence:
        for reason in _evidence_faults(item, context.knowledge):
            yield f"seed.evidence.{item.id}", reason
    yield from _outcome_faults(sample, run_checks(sample, context) if sample.question else [])
    if sample.verdict.status == "accepted":
        yield from _derived(sample, context)


def _outcome_faults(sample: Sample, found: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """What the checks find now and the row does not own up to: an accepted row has no finding."""
    known = {finding.check for finding in sample.verdict.findings} if sample.verdict.step == "check" else set()
    for finding in found:
        if finding.check not in known:
            quote = f" ('{finding.quote}')" if finding.quote else ""
            yield finding.place, f"{finding.check}: {finding.reason}{quote}"


def _evidence_faults(item: Evidence, knowledge: Knowledge) -> Iterator[str]:
    standing = _standing(item, knowledge)
    if standing is None:
        yield "nothing in the graph or the tables has this ref"
        return
    for name, value in item.model_dump().items():
        if name != "id" and standing[name] != value:
            yield f"{name} is not what stands there"


def _standing(item: Evidence, knowledge: Knowledge) -> Mapping[str, Any] | None:
    """The evidence as the graph, the tables or the formula give it under the item's ref."""
    book = EvidenceBook(knowledge)
    if item.type == "edge" and item.ref in knowledge.graph.edges:
        book.edge(knowledge.graph.edges[item.ref])
    elif item.type == "span" and item.ref in knowledge.spans:
        book.edge(knowledge.spans[item.ref])
    elif item.type == "record" and item.ref in knowledge.tables.lines:
        book.record(item.ref)
    elif item.type == "calculation":
        worked = worked_again(item)
        if worked is not None:
            book.calculation(worked)
    found = book.items.get(item.ref)
    return found.model_dump() if found else None


def _derived(sample: Sample, context: Context) -> Iterator[tuple[str, str]]:
    """What follows from the rest of the row and must agree with it."""
    lineage = dict.fromkeys(
        Lineage(source=item.source, version=item.version, license=item.license) for item in sample.seed.evidence
    )
    if sample.lineage != tuple(lineage):
        yield "lineage", "the lineage is not that of the evidence"
    if sample.license != license_of(sample.lineage, sample.generator.license):
        yield "license", "the licence does not follow from the lineage"
    if scored(sample).scores != sample.scores:
        yield "scores", "the scores are not those of this text"
    anchor = sample.seed.anchor
    department = FORMULAS[anchor].department if anchor in FORMULAS else context.knowledge.department(anchor)
    if sample.labels.department != department:
        yield "labels.department", "the department is not that of the anchor"
    kind = kind_of(sample.genre, sample.topic)
    if (sample.labels.content, sample.stage, sample.uniqueness) != kind:
        yield "uniqueness", f"a row of this kind has {', '.join(kind)} as content, stage and uniqueness"
    if sample.conditioning != "evidence":
        yield "conditioning", "the embedded engine writes from evidence"
