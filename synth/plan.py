"""A plan: everything that a row will say, before it is worded.

A recipe composes a plan from a unit of evidence; an engine words it. The plan names its
evidence once, in an `EvidenceBook`, and its facts carry the ids under which they stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synth.sample import Answer, Evidence, NodeRef, Quantity, Said, Uniqueness
from synth_kg.annotations import Annotation, Annotations, Count
from synth_kg.builder import Origin
from synth_kg.formulas import FORMULAS, Worked, calculation_ref
from synth_kg.graph import Edge, Key
from synth_kg.knowledge import Knowledge

TABLES_SOURCE = "synth reviewed tables"
TABLES_LICENSE = "CC0-1.0"


class NoPlan(Exception):
    """The evidence does not admit a row of this kind; the text says why."""


def annotated(knowledge: Knowledge) -> Annotations:
    """The annotations of a knowledge.

    Raises:
        NoPlan: there are none.
    """
    if knowledge.annotations is None:
        raise NoPlan("the graph holds no annotations")
    return knowledge.annotations


def _of(origin: Origin) -> dict[str, str]:
    return {"source": origin.name, "version": origin.version, "license": origin.license}


class Unit(NamedTuple):
    """An evidence set and what is asked of it: the grain of sampling."""

    genre: str
    topic: str
    anchor: str
    picks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Names the evidence set: units of different genres on the same evidence share it."""
        return "|".join((self.anchor, *sorted(self.picks)))


class Kind(NamedTuple):
    """What every row of a genre and topic has in common."""

    content: str
    stage: str
    uniqueness: Uniqueness


def kind_of(genre: str, topic: str) -> Kind:
    """The kind of a row.

    A choice is proved unique by what rules out its other options. What is asked openly, a route
    (a definition that names one does not deny the others) and an explainer hold relative to
    their source, and their questions say so.
    """
    return _KINDS.get((genre, topic)) or _KINDS[genre, ""]


_KINDS: dict[tuple[str, str], Kind] = {
    ("vignette", ""): Kind("diagnosis", "advanced", "proved"),
    ("open", ""): Kind("diagnosis", "advanced", "source_relative"),
    ("multihop", ""): Kind("mechanism", "advanced", "proved"),
    ("compare", ""): Kind("diagnosis", "advanced", "proved"),
    ("reverse", ""): Kind("diagnosis", "basic", "source_relative"),
    ("choice", "pathogen"): Kind("mechanism", "basic", "proved"),
    ("choice", "route"): Kind("prevention", "basic", "source_relative"),
    ("choice", "finding"): Kind("diagnosis", "basic", "proved"),
    ("choice", "drug class"): Kind("treatment", "basic", "proved"),
    ("calculation", ""): Kind("calculation", "basic", "proved"),
    ("explainer", ""): Kind("mechanism", "basic", "source_relative"),
    ("vignette", "syndrome"): Kind("diagnosis", "advanced", "source_relative"),
    ("multihop", "inheritance"): Kind("mechanism", "advanced", "source_relative"),
    ("choice", "inheritance"): Kind("mechanism", "basic", "source_relative"),
    ("choice", "onset"): Kind("prognosis", "basic", "source_relative"),
    ("choice", "feature"): Kind("diagnosis", "basic", "source_relative"),
    ("compare", "feature"): Kind("diagnosis", "advanced", "source_relative"),
    ("abstract", ""): Kind("mechanism", "advanced", "source_relative"),
    ("dialogue", ""): Kind("communication", "basic", "source_relative"),
}


class Spot(NamedTuple):
    """One place in the sequence of seeds."""

    place: int
    """Index of the seed, from 0."""
    unit: Unit
    variant: int
    """Which of the rows made from this evidence set, from 0."""
    writer: int = 0
    """Which of a run's models writes it, where models do."""


class Directive(NamedTuple):
    """What a revision must do differently, and because of which finding."""

    kind: str
    """'drop option' or 'reword'."""
    value: str


@dataclass(frozen=True)
class Plan:
    """What a row asks, answers and argues, with its evidence."""

    recipe: str
    """Folder of templates."""
    genre: str
    topic: str
    anchor: str
    department: str
    answer: Answer
    options: tuple[str, ...]
    """Texts in order; empty where the question is open."""
    facts: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    concepts: tuple[str, ...] = ()
    """What each option stands for: a disease, an agent's disease, a finding, a drug."""


@dataclass
class EvidenceBook:
    """Collects evidence and numbers it; the same thing asked for twice has one id."""

    knowledge: Knowledge
    items: dict[str, Evidence] = field(default_factory=dict)

    def _add(self, ref: str, **fields: Any) -> str:
        if ref not in self.items:
            self.items[ref] = Evidence(id=f"e{len(self.items) + 1}", ref=ref, **fields)
        return self.items[ref].id

    def _node(self, key: Key) -> NodeRef:
        return NodeRef(type=key[0], id=key[1], name=self.knowledge.graph.name(key))

    def _named(self, key: Key) -> NodeRef:
        """A node of the annotated graph, named."""
        graph = annotated(self.knowledge).graph
        number = graph.number(*key)
        return NodeRef(type=key[0], id=key[1], name=graph.name(number) if number is not None else key[1])

    def edge(self, edge: Edge) -> str:
        """Cite an edge, and the sentence that it was read in where it has one."""
        return self._edge(edge)

    def _edge(self, edge: Edge, said: tuple[Said, ...] | None = None) -> str:
        name = self._node if said is None else self._named
        ident = self._add(
            edge.ref,
            type="edge",
            head=name(edge.head),
            relation=edge.relation,
            tail=name(edge.tail),
            negated=edge.negated,
            said=said,
            source=edge.source,
            version=edge.version,
            license=edge.license,
        )
        if edge.span:
            self._add(
                edge.span.ref,
                type="span",
                document=edge.span.document,
                start=edge.span.start,
                end=edge.span.end,
                text=edge.span.text,
                source=edge.source,
                version=edge.version,
                license=edge.license,
            )
        return ident

    def annotation(self, told: Annotation) -> str:
        """Cite what a source annotates a disease with, and what is said beside it."""
        return self._edge(told.edge, tuple(Said(frequency=s.frequency, reference=s.reference) for s in told.said))

    def count(self, count: Count) -> str:
        """Cite how many diseases, or how many features of a disease, are of some terms."""
        unit = f"of {count.of} {'features' if count.head else 'diseases'}"
        return self._add(
            count.ref, type="count", head=self._named(count.head) if count.head else None,
            terms=tuple(self._named(key) for key in count.terms),
            result=Quantity(name="features" if count.head else "diseases", value=count.number, unit=unit),
            **_of(count.origin),
        )  # fmt: skip

    def record(self, ref: str) -> str:
        """Cite a line of a reviewed table."""
        table, line = self.knowledge.tables.lines[ref]
        return self._add(
            ref,
            type="record",
            table=table,
            text=line,
            source=TABLES_SOURCE,
            version=self.knowledge.name,
            license=TABLES_LICENSE,
        )

    def calculation(self, worked: Worked) -> str:
        """Cite a calculation."""
        formula = FORMULAS[worked.formula]
        units = {item.name: item.unit for item in formula.inputs}
        inputs = tuple(Quantity(name=n, value=v, unit=units[n]) for n, v in worked.inputs.items())
        return self._add(
            calculation_ref(worked.formula, worked.inputs),
            type="calculation",
            formula=worked.formula,
            inputs=inputs,
            result=Quantity(name=formula.steps[-1].name, value=worked.result, unit=worked.unit),
            source=f"synth formulas, after {formula.source}",
            version="as published",
            license=TABLES_LICENSE,
        )

    def all(self) -> tuple[Evidence, ...]:
        """The evidence in the order in which it was first cited."""
        return tuple(self.items.values())
