"""The one row that flows: frozen types, content ids and JSON, and nothing else.

A `Sample` is written as it is documented in the README, key by key, so that every row of a
file has the same keys. Every change makes a new sample (`model_copy`). `content_id` names a
row by what it says; two rows that say the same have the same id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from synth_kg.aliases import normal

Status = Literal["pending", "accepted", "rejected", "failed"]
Verdict = Literal["supported", "contradicted", "unknown"]
Uniqueness = Literal["proved", "source_relative"]
Conditioning = Literal["none", "evidence", "answer"]
Genre = Literal[
    "vignette", "choice", "open", "reverse", "multihop", "compare", "calculation", "explainer", "abstract", "dialogue"
]
GENRES = (
    "vignette", "choice", "open", "reverse", "multihop", "compare", "calculation", "explainer", "abstract", "dialogue",
)  # fmt: skip
"""What a row is, in the order in which reports list them."""
WRITTEN = frozenset({"explainer", "abstract", "dialogue"})
"""Genres whose response is a text; the others ask for an answer and argue for it."""
WORDED = "en"
"""Language in which names stand, and in which evidence is worded for a model."""
ANNOTATED = frozenset({"syndrome", "inheritance", "onset", "feature"})
"""Topics of rows about diseases that are known by their annotations, and not by the reviewed tables."""

CAVEAT = (
    "'Verified' means faithful to the cited source, not clinically true. "
    "This is training and research data, not medical advice."
)
"""Printed wherever a row is called verified."""


class Frozen(BaseModel):
    """Immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeRef(Frozen):
    """A node of the graph, named."""

    type: str
    id: str
    name: str


class Quantity(Frozen):
    """A number with its unit."""

    name: str
    value: float
    unit: str


class Said(Frozen):
    """What a reference says beside a statement."""

    frequency: str
    """As the source has it: '7/13', '45%' or a term such as HP:0040281."""
    reference: str


class Evidence(Frozen):
    """One thing that a row rests on; which keys are filled depends on `type`."""

    id: str
    type: Literal["edge", "span", "calculation", "record", "count"]
    ref: str
    """Content hash of what it says: see `synth_kg.graph` and `synth_kg.tables`."""
    head: NodeRef | None = None
    relation: str | None = None
    tail: NodeRef | None = None
    negated: bool | None = None
    said: tuple[Said, ...] | None = None
    """How often it is so, by each reference of an annotation."""
    terms: tuple[NodeRef, ...] | None = None
    """What a count is of: diseases that bring all of these, or features of `head` that are a kind of this one."""
    document: str | None = None
    start: int | None = None
    end: int | None = None
    text: str | None = None
    """The sentence of a span, or the line of a reviewed table, fields separated by tabs."""
    table: str | None = None
    formula: str | None = None
    inputs: tuple[Quantity, ...] | None = None
    result: Quantity | None = None
    source: str
    version: str
    license: str


class Seed(Frozen):
    """Where a sample started."""

    kind: Literal["kg", "textbook", "case"]
    anchor: str
    group: str
    """Names the evidence set; rows of one group never cross data splits."""
    graph: str
    """Name of the graph that the evidence stands in."""
    evidence: tuple[Evidence, ...]


class Answer(Frozen):
    """The gold answer."""

    text: str
    option: str | None
    aliases: tuple[str, ...]
    concept: str | None


class Claim(Frozen):
    """A statement inside a step, with the evidence that says it."""

    text: str
    evidence: tuple[str, ...]
    verdict: Verdict


class Step(Frozen):
    """A step of the reasoning."""

    text: str
    claims: tuple[Claim, ...]


class Finding(Frozen):
    """What a check found wrong: reason, place and evidence."""

    check: str
    reason: str
    """The same words for the same fault, so that a funnel can count it."""
    place: str
    quote: str = ""
    """The words or the name at fault."""
    evidence: tuple[str, ...] = ()


class Outcome(Frozen):
    """Where a sample ended, and why."""

    status: Status
    step: str
    reason: str
    findings: tuple[Finding, ...]


class Attempt(Frozen):
    """One revision: the finding that caused it and whether it was kept."""

    round: int
    finding: Finding
    kept: bool
    why: str


class Labels(Frozen):
    """What a curriculum balances by."""

    department: str
    content: str
    value: int | None
    long_tail: str | None


class Difficulty(Frozen):
    """Pass rate over k attempts of a student model; k = 0 until one is measured."""

    k: int
    correct: int
    band: str


class Generator(Frozen):
    """Who wrote the row."""

    engine: str
    model: str
    revision: str
    license: str
    prompt: str
    """Template and its hash."""
    sampling: str


class Lineage(Frozen):
    """A source that the row rests on."""

    source: str
    version: str
    license: str


class Scores(Frozen):
    """Scores of what passed; None where nothing was scored."""

    reward: float | None = None
    """What rows are ranked by; this version ranks by the rule scorer."""
    rule: float | None = None
    parts: dict[str, float] | None = None
    """The rule scorer's parts: see `synth_reward.rule`."""


class Sample(Frozen):
    """A row: see the README for one shown in full."""

    id: str
    verdict: Outcome
    seed: Seed
    genre: Genre
    topic: str
    """What is asked: diagnosis, pathogen, route, finding, drug class, comparison, a formula, mechanism."""
    language: str
    question: str
    options: dict[str, str] | None
    answer: Answer
    uniqueness: Uniqueness
    conditioning: Conditioning
    reasoning: str
    response: str
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    scores: Scores
    labels: Labels
    difficulty: Difficulty
    stage: Literal["general", "basic", "advanced"]
    flags: tuple[str, ...]
    generator: Generator
    lineage: tuple[Lineage, ...]
    license: str

    plan: Any = Field(default=None, exclude=True, repr=False)
    """How the row was composed; lives only while it flows and is never written."""

    def evidence(self, ident: str) -> Evidence | None:
        """The evidence of this id, or None."""
        return next((item for item in self.seed.evidence if item.id == ident), None)


_NAMED = ("seed", "genre", "language", "question", "options", "answer", "reasoning", "steps")


def content_id(row: Sample | Mapping[str, Any]) -> str:
    """Return the id of a row: a hash over what it asks, answers, argues and rests on.

    Args:
        row: a sample, or a row as read from a file.

    Returns:
        32 hexadecimal digits (BLAKE2b, 128 bits) over the canonical JSON of seed, genre,
        language, question, options, answer, reasoning and steps.

    Raises:
        KeyError: the row lacks one of these.
    """
    data = row.model_dump(mode="json", include=set(_NAMED)) if isinstance(row, Sample) else row
    canonical = orjson.dumps({key: data[key] for key in _NAMED}, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


_HAN = re.compile(r"[\u4e00-\u9fff]")


def words(text: str) -> int:
    """How long a text is; two Chinese characters count as a word."""
    return len(_HAN.sub(" ", text).split()) + len(_HAN.findall(text)) // 2


def opening(sample: Sample) -> str:
    """The first eight words of the reasoning; two Chinese characters count as a word."""
    told = normal(sample.reasoning).split()
    weights = accumulate(0.5 if _HAN.match(word) else 1.0 for word in told)
    return " ".join(word for word, weight in zip(told, weights, strict=True) if weight <= 8)


def to_json(sample: Sample) -> bytes:
    """The sample as one line of JSON, without its newline."""
    return sample.model_dump_json().encode()


def from_json(line: bytes | str) -> Sample:
    """Read a row.

    Raises:
        pydantic.ValidationError: the line is not a row.
    """
    return Sample.model_validate_json(line)


_RANK = {"CC0-1.0": 0, "public domain": 0, "CC-BY-3.0": 1, "CC-BY-4.0": 1}


def license_of(lineage: tuple[Lineage, ...], generator: str) -> str:
    """The licence of a row: the strictest of its sources' and its generator's.

    CC0 and public domain ask nothing; attribution licences are named; a licence that is not
    known to be open makes the row 'mixed' with every licence named.
    """
    names = sorted({item.license for item in lineage} | ({generator} if generator else set()))
    if all(_RANK.get(name) == 0 for name in names):
        return "CC0-1.0"
    asking = [name for name in names if _RANK.get(name) != 0]
    if all(name in _RANK for name in asking):
        return " AND ".join(asking)
    return "mixed: " + ", ".join(names)
