"""Replaying proofs: does a row still follow from the graph and the tables that it names?

A matching id or ref alone proves nothing. Each piece of evidence is looked up by its ref and
compared with what stands there, word for word; calculations are worked again; then the checks
that let the row in are run again on the text as it is now. No model is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from synth.checks import Context, run_checks
from synth.checks.proof import GROUNDED
from synth.claims import Claims, worked_again
from synth.config import Checks
from synth.engines.engine import Engine
from synth.engines.grounded import Echo, Grounded
from synth.plan import EvidenceBook
from synth.prompts import Prompts, load_prompts
from synth.sample import WORDED, Evidence, Finding, Sample, content_id
from synth.steps.draft import Draft, origin_of
from synth.steps.score import ACCEPTED, scored
from synth_kg.aliases import normal
from synth_kg.annotations import Annotations
from synth_kg.knowledge import Knowledge

LANGUAGES = ("en", "zh")
"""Of rows."""
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
    modelled: int = 0
    """Rows that a model worded."""
    worded: int = 0
    """Of these, rows whose wording was made again from the replies that their run keeps."""
    other_templates: int = 0
    """Rows that are worded by templates other than the bundled ones: these say what their author wrote."""

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
        worded = sample.language if sample.generator.engine == GROUNDED else WORDED
        key = (sample.seed.graph, worded, named.group(1) if named else "")
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
        worded = knowledge.worded(language)
        return Context(worded, Claims(worded, found), Checks())

    def _prompts(self, language: str) -> Iterator[Prompts]:
        for folder in self._folders if language in LANGUAGES else ():
            yield load_prompts(language, folder)


def replay(
    rows: Iterable[Sample | Mapping[str, Any]],
    shelf: Shelf,
    reword: Callable[[Sample], Sample | None] | None = None,
) -> Verification:
    """Replay the proof of every row.

    Args:
        rows: samples, or rows as read from JSON.
        shelf: the graphs and templates at hand.
        reword: gives a row that a model worded as the stored replies word it, or None without them.
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
        modelled = sample.generator.engine != GROUNDED
        outcome.modelled += modelled
        again = reword(sample) if modelled and reword is not None else None
        outcome.worded += again is not None
        outcome.other_templates += not context.claims.prompts.bundled
        fault = _first_fault(sample, context) or _other_words(sample, again) or _repeated(sample, seen)
        if fault is not None:
            outcome.faults.append(Fault(name, *fault))
    return outcome


def _name(row: Sample | Mapping[str, Any], number: int) -> str:
    ident = row.id if isinstance(row, Sample) else row.get("id") if isinstance(row, Mapping) else None
    return str(ident) if ident else f"line {number}"


def _other_words(sample: Sample, again: Sample | None) -> tuple[str, str] | None:
    """Where a row says something else than the replies that it was made from."""
    differing = (name for name in _MADE if again is not None and getattr(again, name) != getattr(sample, name))
    return next(((name, "is not what the stored replies say") for name in differing), None)


def _repeated(sample: Sample, seen: Counter[str]) -> tuple[str, str] | None:
    question = normal(sample.question)
    seen[question] += bool(question)
    return ("question", "another row asks the same") if seen[question] > 1 else None


def _first_fault(sample: Sample, context: Context) -> tuple[str, str] | None:
    """The first thing that does not hold; whatever a row from elsewhere breaks is a fault of that row."""
    try:
        return next(_faults(sample, context), None)
    except Exception as error:
        return ("row", f"its parts do not fit together ({type(error).__name__}: {error})")


def _faults(sample: Sample, context: Context) -> Iterator[tuple[str, str]]:
    """(place, reason) for whatever of a row does not hold."""
    if content_id(sample) != sample.id:
        yield "id", "the row was changed since its id was given"
    for item in sample.seed.evidence:
        for reason in _evidence_faults(item, context.knowledge):
            yield f"seed.evidence.{item.id}", reason
    if sample.question or sample.verdict.status == "accepted":
        yield from _made_again(sample, context)
    yield from _outcome_faults(sample, run_checks(sample, context) if sample.question else [])
    if sample.verdict.status == "accepted":
        if sample.verdict != ACCEPTED:
            yield "verdict", "an accepted row has no reason and no finding"
        if scored(sample).scores != sample.scores:
            yield "scores", "the scores are not those of this text"


_MADE = (
    "seed", "genre", "topic", "language", "question", "options", "answer", "uniqueness", "conditioning",
    "reasoning", "response", "steps", "labels", "difficulty", "stage", "flags", "generator", "lineage", "license",
)  # fmt: skip
"""What the embedded engine gives a row: all but its id, verdict, attempts and scores."""


def _made_again(sample: Sample, context: Context) -> Iterator[tuple[str, str]]:
    """The row is drafted once more from what it says of its making, and has to come out the same.

    The wording of a row that a model wrote is taken from the row: its stored reply alone could
    prove it (see `Verification.worded`). All else is made again.
    """
    origin, config = origin_of(sample.generator.sampling)
    config = config.model_copy(update={"lang": sample.language})
    engine: Engine = Grounded(context.claims) if sample.generator.engine == GROUNDED else Echo(sample)
    draft = Draft(context.knowledge, config, engine)
    again = _now(draft(origin.spot, origin.directives))
    for name in _MADE:
        if getattr(again, name) != getattr(sample, name):
            yield name, "is not what comes of making the row again"


def _now(made: Coroutine[Any, Any, Sample]) -> Sample:
    """Run what awaits nothing: the embedded engine asks no one."""
    try:
        made.send(None)
    except StopIteration as done:
        sample: Sample = done.value
        return sample
    raise RuntimeError("the embedded engine waited for something")


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


def _stand(book: EvidenceBook, item: Evidence, annotations: Annotations) -> None:
    """Book what annotations give for an item: the statement of its ref, or what is counted anew."""
    if item.type == "edge":
        found = annotations.statement(item.ref)
        if found is not None:
            book.annotation(found)
        return
    number = annotations.graph.number
    head = number(item.head.type, item.head.id) if item.head else None
    if item.type == "count" and item.terms and (item.head is None) == (head is None):
        terms = [number(node.type, node.id) for node in item.terms]
        known = [term for term in terms if term is not None]
        if len(known) == len(terms) and (head is None or len(terms) == 1):
            book.count(annotations.count(known, head))


def _standing(item: Evidence, knowledge: Knowledge) -> Mapping[str, Any] | None:
    """The evidence as the graph, the tables or the formula give it under the item's ref."""
    book = EvidenceBook(knowledge)
    if item.type == "edge" and item.ref in knowledge.graph.edges:
        book.edge(knowledge.graph.edges[item.ref])
    elif knowledge.annotations is not None and item.type in ("edge", "count"):
        _stand(book, item, knowledge.annotations)
    elif item.type == "span" and item.ref in knowledge.spans:
        edges = knowledge.spans[item.ref]  # of one sentence in two sources, that of the row's
        book.edge(
            next((edge for edge in edges if (edge.source, edge.version) == (item.source, item.version)), edges[0])
        )
    elif item.type == "record" and item.ref in knowledge.tables.lines:
        book.record(item.ref)
    elif item.type == "calculation":
        worked = worked_again(item)
        if worked is not None:
            book.calculation(worked)
    found = book.items.get(item.ref)
    return found.model_dump() if found else None
