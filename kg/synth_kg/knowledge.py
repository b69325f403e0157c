"""The graph behind the reviewed tables: what may be asked, and on what grounds.

`Knowledge` joins a graph with the tables. An edge counts only where the tables keep it: a
finding of a disease needs an edge that states it, a 'keep' line for the finding, and a
'typical' line for the pair. What the tables do not say is unknown, never false: a disease is
ruled out by a finding only on one of the three grounds below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from synth_kg.aliases import share_stem
from synth_kg.annotations import Annotations
from synth_kg.bundle import bundled_graph, bundled_hash
from synth_kg.graph import Edge, Graph
from synth_kg.tables import Finding, RedFlag, Tables, Typical, load_tables

STATES_FINDING = ("has_symptom", "characterized_by", "presents")
"""Relations by which a source states a finding of a disease, the most explicit first."""


_PACE = {
    "hours": (0,), "days": (1,), "weeks": (2,), "months": (3,), "years": (4,), "attacks": (0, 3, 4),
}  # fmt: skip


class Clue(NamedTuple):
    """A finding that a stem may use for a disease: the edge that states it and the line that keeps it."""

    finding: Finding
    typical: Typical
    edge: Edge


class Ground(NamedTuple):
    """Why a disease is not the answer.

    kind:
        'separator': a line of separators.tsv tells the pair apart by this finding.
        'never': typical.tsv says that the finding speaks against the disease.
        'absent': the stem denies a finding that nearly every patient with the disease has.
    """

    kind: str
    disease: str
    finding: str
    refs: tuple[str, ...]
    """Refs of the table lines that it rests on."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """A graph, the reviewed tables and the name of both together."""

    graph: Graph
    tables: Tables
    name: str
    annotations: Annotations | None = None
    """What a source annotates diseases with, where one does; the tables have no say in it."""

    def worded(self, language: str) -> Knowledge:
        """The same with its annotations worded in a language."""
        if self.annotations is None or self.annotations.language == language:
            return self
        return replace(self, annotations=self.annotations.worded(language))

    @cached_property
    def spans(self) -> dict[str, list[Edge]]:
        """Span ref -> the edges that were read in that sentence."""
        found: dict[str, list[Edge]] = {}
        for edge in self.graph.edges.values():
            if edge.span is not None:
                found.setdefault(edge.span.ref, []).append(edge)
        return found

    @cached_property
    def clues(self) -> dict[str, tuple[Clue, ...]]:
        """Disease -> its usable findings, in the order of typical.tsv."""
        return {
            disease: tuple(self._clues_of(disease, entries.values()))
            for disease, entries in self.tables.typical.items()
        }

    def _clues_of(self, disease: str, entries: Iterable[Typical]) -> Iterable[Clue]:
        stated = self.stated(disease)
        for entry in entries:
            edge = stated.get(entry.finding)
            if entry.verdict == "typical" and edge is not None:
                yield Clue(self.tables.findings[entry.finding], entry, edge)

    def stated(self, disease: str) -> dict[str, Edge]:
        """Finding -> the edge by which the graph states it for a disease."""
        found: dict[str, Edge] = {}
        for edge in self.graph.out(("Disease", disease), *STATES_FINDING):
            for finding in self.findings_of(edge):
                found.setdefault(finding, edge)
        return found

    def findings_of(self, edge: Edge) -> tuple[str, ...]:
        """The findings that the table's terms read in an edge's tail."""
        phrase = self.graph.name(edge.tail).casefold()
        return (
            self._terms.get(edge.tail[1], ())
            + self._terms.get(phrase, ())
            + self._terms.get(f"{edge.head[1]}#{phrase}".casefold(), ())
        )

    @cached_property
    def _terms(self) -> dict[str, tuple[str, ...]]:
        index: dict[str, tuple[str, ...]] = {}
        for finding in self.tables.findings.values():
            if finding.verdict != "keep":
                continue
            for term in finding.terms:
                key = term.split(" ", 1)[0] if term.startswith("MESH:") else term.casefold()
                index[key] = (*index.get(key, ()), finding.finding)
        return index

    @cached_property
    def broader(self) -> dict[str, frozenset[str]]:
        """Finding -> every finding that contains it."""

        def above(name: str) -> frozenset[str]:
            parents = self.tables.findings[name].parents
            return frozenset(parents).union(*(above(parent) for parent in parents))

        return {name: above(name) for name in self.tables.findings}

    @cached_property
    def narrower(self) -> dict[str, frozenset[str]]:
        """Finding -> every finding that it contains."""
        found: dict[str, set[str]] = {name: set() for name in self.tables.findings}
        for name, above in self.broader.items():
            for parent in above:
                found[parent].add(name)
        return {name: frozenset(below) for name, below in found.items()}

    def related(self, one: str, other: str) -> bool:
        """Whether two findings are the same or one contains the other."""
        return one == other or one in self.broader[other] or other in self.broader[one]

    def brings(self, rival: str, answer: str, finding: str) -> tuple[Typical, ...]:
        """Lines that make a rival tempting for a finding: it is typical of it, or one that contains it is.

        A finding that tells the answer from the rival tempts nobody.
        """
        entries = self.tables.typical.get(rival, {})
        lines = (entries.get(name) for name in (finding, *sorted(self.broader[finding])))
        return tuple(
            line
            for line in lines
            if line is not None
            and line.verdict == "typical"
            and (answer, rival, line.finding) not in self.tables.separators
            and (answer, rival, finding) not in self.tables.separators
        )

    def of_age(self, disease: str, child: bool) -> bool:
        """Whether a disease may be thought of in a child, or in an adult."""
        entry = self.tables.diseases.get(disease)
        return entry is None or entry.ages in ("any", "children" if child else "adults")

    def explains(self, disease: str, finding: str) -> bool:
        """Whether the tables call the finding, or one broader or narrower, typical or occasional."""
        return finding in self.explained(disease)

    @cache  # noqa: B019
    def explained(self, disease: str) -> frozenset[str]:
        """Every finding that the disease explains, as `explains` has it."""
        entries = self.tables.typical.get(disease, {})
        brought = {entry.finding for entry in entries.values() if entry.verdict != "never ask"}
        near = brought.union(*(self.broader[name] for name in brought), *(self.narrower[name] for name in brought))
        return frozenset(near - entries.keys() | brought)

    def expects(self, disease: str, finding: str) -> bool:
        """Whether the tables call the finding, or one broader or narrower, typical."""
        entries = self.tables.typical.get(disease, {})
        return any(e.verdict == "typical" and self.related(e.finding, finding) for e in entries.values())

    def grounds(
        self, rival: str, answer: str, present: Sequence[str], absent: Sequence[str] = ()
    ) -> tuple[Ground, ...]:
        """Every positive ground on which `rival` is not the answer, strongest kind first."""
        found: list[Ground] = []
        entries = self.tables.typical.get(rival, {})
        for finding in present:
            separator = self.tables.separators.get((answer, rival, finding))
            if separator is not None:
                found.append(Ground("separator", rival, finding, (separator.ref,)))
            elif finding in entries and entries[finding].verdict == "never ask":
                found.append(Ground("never", rival, finding, (entries[finding].ref,)))
        found += [
            Ground("absent", rival, finding, (entries[finding].ref,))
            for finding in absent
            if finding in entries and entries[finding].cardinal
        ]
        order = ("separator", "never", "absent")
        return tuple(sorted(found, key=lambda ground: order.index(ground.kind)))

    def compatible(self, denied: str, stated: str) -> bool:
        """Whether one stem may deny the one finding and state the other."""
        return not self.related(denied, stated) and denied not in self.tables.findings[stated].entails

    def denies(self, disease: str, finding: str) -> bool:
        """Whether a stem about `disease` may say that the patient does not have `finding`.

        Only if the tables say that the finding speaks against it: what they do not say is unknown.
        """
        entry = self.tables.typical.get(disease, {}).get(finding)
        return entry is not None and entry.verdict == "never ask"

    def red_flags(self, disease: str, present: Sequence[str]) -> tuple[RedFlag, ...]:
        """The emergencies that the findings could be and that are not the disease itself."""
        course = self.tables.diseases[disease].course
        return tuple(
            flag
            for flag in self.tables.red_flags
            if any(set(group).issubset(present) for group in flag.triggers)
            and disease not in flag.not_for
            and (not flag.only_for or disease in flag.only_for)
            and (not flag.courses or course in flag.courses)
        )

    @cache  # noqa: B019
    def rivals(self, disease: str) -> tuple[str, ...]:
        """Diseases to weigh against an answer: its differential, then what co-occurs with it.

        Lookalikes, kinds of the answer, diseases of another pace and diseases that share a name
        stem with it are left out.
        """
        own = ("Disease", disease)
        near = self.graph.out(own, "resembles") + self.graph.into(own, "resembles")
        proposed = (
            *self.tables.diseases[disease].differential,
            *(key[1] for edge in near for key in (edge.head, edge.tail)),
        )
        name = self.tables.diseases[disease].name
        return tuple(
            rival
            for rival in dict.fromkeys(proposed)
            if rival in self.tables.diseases
            and not self.kin(disease, rival)
            and self.same_pace(disease, rival)
            and not share_stem(name, self.tables.diseases[rival].name)
        )

    @cache  # noqa: B019
    def foils(self, disease: str) -> tuple[str, ...]:
        """Findings that the tables rule out for a disease and that a disease near it brings.

        Near is what is weighed against it, and what is weighed against that; others are ruled out
        as well, but nobody would think of them.
        """
        weighed = self.tables.diseases[disease].differential
        near = {*weighed, *(other for one in weighed for other in self.tables.diseases[one].differential)}
        entries = self.tables.typical.get(disease, {})
        return tuple(
            entry.finding
            for entry in entries.values()
            if entry.verdict == "never ask" and any(self.typical_in(rival, entry.finding) for rival in near)
        )

    def undecided(self, one: str, other: str, target: str) -> tuple[list[str], list[str]]:
        """Findings that do not tell two diseases apart: those typical of both, and those of neither."""
        shared = [
            clue.finding.finding
            for clue in self.clues[one]
            if self.typical_in(other, clue.finding.finding) and not self.related(clue.finding.finding, target)
        ]
        neither = [
            name
            for name in dict.fromkeys((*self.foils(one), *self.foils(other)))
            if all(self.grounds(disease, "", [name]) for disease in (one, other))
            and not any(self.related(name, taken) for taken in (target, *shared))
        ]
        return shared, neither

    def apart(self, names: Iterable[str], count: int) -> list[str]:
        """The first `count` of `names`, or fewer, of which none contains another."""
        chosen: list[str] = []
        for name in names:
            if len(chosen) < count and not any(self.related(name, other) for other in chosen):
                chosen.append(name)
        return chosen

    def unexplained(self, disease: str, present: Iterable[str]) -> tuple[str, ...]:
        """The findings that the tables do not let the disease explain."""
        return tuple(finding for finding in present if not self.explains(disease, finding))

    @cache  # noqa: B019  (a Knowledge lives as long as the process)
    def kind_of(self, one: str, other: str) -> bool:
        """Whether two diseases are the same, or one is a kind of the other."""
        left, right = ("Disease", one), ("Disease", other)
        return one == other or left in self.graph.ancestors(right) or right in self.graph.ancestors(left)

    def kin(self, one: str, other: str) -> bool:
        """Whether two diseases may not be offered together: lookalikes, or one a kind of the other."""
        return (
            self.kind_of(one, other)
            or other in self.tables.diseases[one].lookalikes
            or one in self.tables.diseases[other].lookalikes
        )

    def same_pace(self, one: str, other: str) -> bool:
        """Whether two diseases can run the same course: at most one step apart from hours to years."""
        left, right = (_PACE[self.tables.diseases[name].course] for name in (one, other))
        return any(abs(a - b) <= 1 for a in left for b in right)

    @cache  # noqa: B019
    def department(self, disease: str) -> str:
        """The department of the nearest term of departments.tsv, upward in the hierarchy."""
        own = self.tables.departments.get(disease)
        if own:
            return own
        distances = self.graph.ancestors(("Disease", disease))
        listed = [(hops, key[1]) for key, hops in distances.items() if key[1] in self.tables.departments]
        return self.tables.departments[min(listed)[1]] if listed else "unknown"

    def agent_edge(self, disease: str) -> Edge | None:
        """The edge that states the agent which the infections table words."""
        return self._infection_edge(disease, "has_material_basis_in", "agent_term")

    def route_edge(self, disease: str) -> Edge | None:
        """The edge that states the route which the infections table words."""
        return self._infection_edge(disease, "transmitted_by", "route_term")

    def _infection_edge(self, disease: str, relation: str, column: str) -> Edge | None:
        infection = self.tables.infections.get(disease)
        wanted = str(getattr(infection, column)).casefold() if infection else ""
        if not wanted:
            return None
        edges = self.graph.out(("Disease", disease), relation)
        return next((edge for edge in edges if wanted in self.graph.name(edge.tail).casefold()), None)

    def route_foils(self, disease: str) -> frozenset[str]:
        """Categories of routes that are wrong for an infection, whichever of its own is meant."""
        own = self.tables.infections[disease].route_category
        foils = (frozenset(self.tables.routes[category].foils) for category in own)
        return frozenset.intersection(*foils).difference(own) if own else frozenset()

    def typical_in(self, disease: str, finding: str) -> bool:
        """Whether the tables call the finding typical of the disease."""
        entry = self.tables.typical.get(disease, {}).get(finding)
        return entry is not None and entry.verdict == "typical"

    def named_alike(self, disease: str, text: str) -> bool:
        """Whether a text shares a name stem with the name of the disease."""
        infection = self.tables.infections.get(disease)
        node = self.graph.nodes.get(("Disease", disease))
        profile = self.tables.diseases.get(disease)
        names = (infection and infection.name, node and node.name, profile and profile.name)
        return any(share_stem(name, text) for name in names if name)

    @cached_property
    def treatable(self) -> tuple[str, ...]:
        """Diseases for which the graph holds a drug of every mainstay class of the table."""
        return tuple(
            disease
            for disease, mainstay in self.tables.mainstays.items()
            if set(mainstay.classes) <= {self.tables.drugs[d].drug_class for d in self.drugs_for(disease)}
        )

    def drugs_for(self, disease: str) -> dict[str, Edge]:
        """Current drugs used in the care of a disease, with the edge that says so."""
        return {
            edge.head[1]: edge
            for edge in self.graph.into(("Disease", disease), "treats", "palliates")
            if self.tables.drugs[edge.head[1]].status == "current"
            and disease not in self.tables.drugs[edge.head[1]].never_for
        }

    def class_edge(self, drug: str) -> Edge | None:
        """An edge of the graph that agrees with the table on a drug's class."""
        group = self.tables.classes.get(self.tables.drugs[drug].drug_class)
        edges = self.graph.into(("Drug", drug), "includes")
        wanted = group.pcic if group else ()
        return next((edge for edge in edges if self.graph.name(edge.head) in wanted), None)

    def aliases(self, disease: str) -> tuple[str, ...]:
        """Every name of a disease: the tables', the ontology's and those synonyms that the tables accept."""
        profile = self.tables.diseases.get(disease)
        names = [profile.name] if profile else []
        node = self.graph.nodes.get(("Disease", disease))
        if node is not None:
            names += [node.name, *node.synonyms]
        barred = profile.not_names if profile else ()
        return tuple(name for name in dict.fromkeys(names) if name not in barred)


@lru_cache(maxsize=1)
def bundled() -> Knowledge:
    """The knowledge that ships with the package, read once."""
    return Knowledge(bundled_graph(), load_tables(), bundled_hash())
