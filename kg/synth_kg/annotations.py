"""Phenotype annotations of diseases, as the Human Phenotype Ontology gives them: what is said, and what follows.

Köhler et al., Nucleic Acids Research 2021;49:D1207. A disease is annotated with terms, each with how often it is
found; by the true-path rule a disease with a term has every broader one. What is not annotated is unknown, so
`Annotations` counts three ways: who brings a term (it or one below it is annotated), who may bring it (a broader one
is annotated, too), and who is not known to bring it (the rest).

A disease or a term is a number of the graph here; ids and names are for what leaves this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth_kg.aliases import normal
from synth_kg.builder import Origin
from synth_kg.graph import Edge, Key, digest
from synth_kg.labels import chinese, english
from synth_kg.typed import Neighbour, TypedGraph

Diseases = NDArray[np.bool_]
"""One mark for each disease."""

ROOT = "HP:0000118"
"""Phenotypic abnormality: its children are the organ systems."""
MALE = ("HP:0010461", "HP:0000771")
"""Abnormality of the male genitalia, and gynecomastia."""
FEMALE = ("HP:0010460", "HP:0000140", "HP:0010311")
"""Abnormality of the female genitalia and of the menstrual cycle, and small or absent breasts."""
ALMOST_ALWAYS = frozenset(("obligate", "very frequent"))
OFTEN = ALMOST_ALWAYS | {"frequent"}
DESCRIBED = "described"
"""The typicality of what is stated without a frequency that can be relied on."""
PATIENTS, SERIES = 5, 3
"""Patients that a frequency has to rest on, and those of whom a feature may be told at all, if all had it."""
_ORDER = ("very rare", "occasional", "frequent", "very frequent", "obligate")
_STEPS = ((1.0, "obligate"), (0.8, "very frequent"), (0.3, "frequent"), (0.05, "occasional"))


class Said(NamedTuple):
    """What one reference says of a statement."""

    frequency: str
    """As the source has it: '7/13', '45%', 'HP:0040281', or nothing."""
    reference: str


class Annotation(NamedTuple):
    """A statement about a disease, with what is said beside it."""

    edge: Edge
    said: tuple[Said, ...]
    typicality: str
    """obligate, very frequent, frequent, occasional, very rare or described; empty where nothing can be relied on."""
    found: int
    """Patients who have it, of all who were counted."""
    counted: int

    @property
    def ref(self) -> str:
        """That of the statement."""
        return self.edge.ref


class Count(NamedTuple):
    """How many diseases bring all of some terms; or, for one disease, how many of its features are of a term."""

    head: Key | None
    terms: tuple[Key, ...]
    number: int
    of: int
    origin: Origin

    @property
    def ref(self) -> str:
        """Hash of what is counted and in which source; the number follows from it."""
        head = ":".join(self.head) if self.head else ""
        return digest("count", self.origin.name, self.origin.version, head, *(":".join(key) for key in self.terms))


Known = Annotation | Count


class _Feature(NamedTuple):
    typicality: str
    place: Neighbour


class Annotations:
    """The annotations of a graph.

    Args:
        graph: holds diseases with `has_phenotype`, and the hierarchy of the terms.
        language: in which terms are worded: 'en' or 'zh'.
    """

    def __init__(self, graph: TypedGraph, language: str = "en") -> None:
        self.graph = graph
        self.language = language
        self._said = graph.said_of_all()
        self._known: dict[str, Known] = {}
        code = graph.columns.types.index("Disease")
        self.first, self.end = (int(graph.columns.offsets[code + at]) for at in (0, 1))
        self._features: dict[int, dict[int, _Feature]] = {}
        self._denied: dict[int, dict[int, Neighbour]] = {}
        self._others: dict[tuple[int, str], list[Neighbour]] = {}
        self._read()

    @staticmethod
    def there(graph: TypedGraph) -> bool:
        """Whether a graph holds annotations of diseases and the hierarchy of their terms."""
        relations = {arc.relation for arc in graph.columns.arcs}
        root = graph.number("Phenotype", ROOT)
        return {"has_phenotype", "is_a"} <= relations and "Disease" in graph.columns.types and root is not None

    def worded(self, language: str) -> Annotations:
        """The same in another language."""
        if language == self.language:
            return self
        other = object.__new__(Annotations)
        other.__dict__.update({k: v for k, v in self.__dict__.items() if not k.startswith("_worded")})
        other.language, other._known = language, {}
        return other

    def _read(self) -> None:
        """Sort what the graph states of diseases; a phenotype both asserted and denied is neither."""
        graph = self.graph
        for disease in range(self.first, self.end):
            features: dict[int, _Feature] = {}
            denied: dict[int, Neighbour] = {}
            for found in graph.around(disease):
                relation, way, negated = found.arc
                if way != "out":
                    continue
                if relation != "has_phenotype":
                    if not negated:
                        self._others.setdefault((disease, relation), []).append(found)
                elif negated:
                    denied[found.node] = found
                else:
                    features[found.node] = _Feature(pooled(self._said.get(found.entry, ()))[0], found)
            above = {node: self.above(node) for node in features}
            for node in list(denied):
                clash = [term for term in features if term == node or node in above[term]]
                for term in clash:
                    features.pop(term)
                if clash:
                    denied.pop(node)
            self._features[disease], self._denied[disease] = features, denied

    # -- terms

    @cached_property
    def _above(self) -> dict[int, frozenset[int]]:
        return {}

    def above(self, term: int) -> frozenset[int]:
        """Every broader term, itself left out."""
        found = self._above.get(term)
        if found is None:
            parents = self.parents(term)
            found = frozenset(parents).union(*(self.above(parent) for parent in parents))
            self._above[term] = found
        return found

    def parents(self, term: int) -> tuple[int, ...]:
        """The terms right above."""
        found = self._parents.get(term)
        if found is None:
            around = (n for n in self.graph.around(term) if n.arc.relation == "is_a" and n.arc.way == "out")
            found = self._parents[term] = tuple(neighbour.node for neighbour in around if not neighbour.arc.negated)
        return found

    @cached_property
    def _parents(self) -> dict[int, tuple[int, ...]]:
        return {}

    def related(self, one: int, other: int) -> bool:
        """Whether two terms are the same, or one is a kind of the other."""
        return one == other or one in self.above(other) or other in self.above(one)

    @cached_property
    def systems(self) -> frozenset[int]:
        """The organ systems: what stands right below the root."""
        root = self.term(ROOT)
        return frozenset(n.node for n in self.graph.around(root) if n.arc.relation == "is_a" and n.arc.way == "in")

    def systems_of(self, term: int) -> tuple[int, ...]:
        """The organ systems that a term belongs to, in the order of their ids."""
        return tuple(sorted((self.above(term) | {term}) & self.systems))

    def term(self, ident: str) -> int:
        """The number of a term.

        Raises:
            KeyError: there is none.
        """
        found = self.graph.number("Phenotype", ident)
        if found is None:
            raise KeyError(ident)
        return found

    def text(self, term: int) -> str:
        """A term as running text words it; empty where it cannot be worded."""
        return self._worded.setdefault(term, self._text(term))

    @cached_property
    def _worded(self) -> dict[int, str]:
        return {}

    def _text(self, term: int) -> str:
        if self.language == "zh":
            return chinese(self.graph.synonyms[term])
        return english(self.graph.name(term))

    # -- diseases

    def disease(self, ident: str) -> int | None:
        """The number of a disease; None if there is none."""
        return self.graph.number("Disease", ident)

    def ident(self, node: int) -> str:
        """The id of a disease or a term."""
        return str(self.graph.ids[node])

    def name(self, disease: int) -> str:
        """The name of a disease."""
        return self._names[disease - self.first]

    @cached_property
    def _names(self) -> list[str]:
        return [self.graph.name(disease) for disease in range(self.first, self.end)]

    def named(self, text: str) -> tuple[int, ...]:
        """The diseases of a name: the same one may stand under several ids."""
        return self._by_name.get(normal(text), ())

    @cached_property
    def _by_name(self) -> dict[str, tuple[int, ...]]:
        index: dict[str, tuple[int, ...]] = {}
        for disease in range(self.first, self.end):
            key = normal(self.name(disease))
            index[key] = (*index.get(key, ()), disease)
        return index

    def features(self, disease: int) -> Mapping[int, str]:
        """Term -> typicality, for what is annotated and not denied; empty where it is not said how often."""
        return {term: feature.typicality for term, feature in self._features[disease].items()}

    def typicality(self, disease: int, term: int) -> str:
        """How often a disease brings a term that it is annotated with."""
        feature = self._features[disease].get(term)
        return feature.typicality if feature else ""

    def denied(self, disease: int) -> Iterable[int]:
        """The terms that a disease is said not to bring."""
        return self._denied[disease]

    def denies(self, disease: int, term: int) -> int | None:
        """The denied term by which a disease does not bring `term`: it, or a broader one; None if there is none."""
        told = self._denied[disease]
        return next((node for node in (term, *sorted(self.above(term))) if node in told), None) if told else None

    def values(self, disease: int, relation: str) -> tuple[int, ...]:
        """What a disease is said to have by `has_inheritance` or `has_onset`."""
        return tuple(found.node for found in self._others.get((disease, relation), ()))

    # -- who brings what

    @property
    def size(self) -> int:
        """How many diseases there are."""
        return self.end - self.first

    @cached_property
    def _annotated(self) -> dict[int, list[int]]:
        """Term -> the diseases that are annotated with it itself."""
        found: dict[int, list[int]] = {}
        for disease, features in self._features.items():
            for term in features:
                found.setdefault(term, []).append(disease - self.first)
        return found

    @cached_property
    def _bringing(self) -> dict[int, NDArray[np.int32]]:
        """Term -> the diseases that bring it, in order."""
        found: dict[int, set[int]] = {}
        for term, diseases in self._annotated.items():
            for node in (term, *self.above(term)):
                found.setdefault(node, set()).update(diseases)
        return {term: np.fromiter(sorted(several), np.int32, len(several)) for term, several in found.items()}

    def bringing(self, term: int) -> NDArray[np.int32]:
        """The diseases, counted from 0, that are annotated with a term or one below it."""
        return self._bringing.get(term, _NOBODY)

    def may_bring(self, term: int) -> NDArray[np.int32]:
        """The diseases, counted from 0, annotated with a term, one below it, or one above that is no organ system."""
        found = self._may.get(term)
        if found is None:
            broader = (self._annotated.get(node, []) for node in self.above(term) - self.systems)
            several = {*self.bringing(term).tolist(), *chain.from_iterable(broader)}
            found = self._may[term] = np.fromiter(sorted(several), np.int32, len(several))
        return found

    @cached_property
    def _may(self) -> dict[int, NDArray[np.int32]]:
        return {}

    def stated(self, term: int) -> list[int]:
        """The diseases, counted from 0, that are annotated with a term itself."""
        return self._annotated.get(term, [])

    def untouched(self, system: int) -> Diseases:
        """The diseases that no feature of is of an organ system."""
        found = self._untouched.get(system)
        if found is None:
            found = np.ones(self.size, np.bool_)
            found[self.bringing(system)] = False
            self._untouched[system] = found
        return found

    @cached_property
    def _untouched(self) -> dict[int, Diseases]:
        return {}

    def brings(self, disease: int, term: int) -> bool:
        """Whether a disease is annotated with a term or one below it."""
        return self.among(disease, self.bringing(term))

    def among(self, disease: int, places: NDArray[np.int32]) -> bool:
        """Whether a disease is among some, counted from 0 and in order."""
        at = int(np.searchsorted(places, disease - self.first))
        return at < len(places) and int(places[at]) == disease - self.first

    # -- statements, for proofs

    def annotation(self, disease: int, term: int, relation: str = "has_phenotype") -> Annotation:
        """The statement that a disease has a term, or for a denied one that it has not.

        Raises:
            KeyError: nothing is said of it.
        """
        if relation != "has_phenotype":
            place = next(found for found in self._others[disease, relation] if found.node == term)
        elif term in self._features[disease]:
            place = self._features[disease][term].place
        else:
            place = self._denied[disease][term]
        return self._annotation(disease, place)

    def _annotation(self, disease: int, place: Neighbour) -> Annotation:
        told = self._said.get(place.entry, ())
        said = tuple(Said(str(one.get("frequency_raw", "")), str(one.get("reference", ""))) for one in told)
        made = Annotation(self.graph.edge(disease, place), said, *pooled(told))
        self._known[made.ref] = made
        return made

    def count(self, terms: Sequence[int], disease: int | None = None) -> Count:
        """Count the diseases that bring all terms; or the features of one disease that are a kind of the one term."""
        keys = tuple(sorted(self.graph.key(term) for term in terms))
        if disease is None:
            kept = self.bringing(terms[0])
            for term in terms[1:]:
                kept = np.intersect1d(kept, self.bringing(term), assume_unique=True)
            made = Count(None, keys, len(kept), self.size, self._annotating)
        else:
            (term,) = terms
            features = self._features[disease]
            number = sum(term == node or term in self.above(node) for node in features)
            made = Count(self.graph.key(disease), keys, number, len(features), self._annotating)
        self._known[made.ref] = made
        return made

    @cached_property
    def _annotating(self) -> Origin:
        """Who annotates."""
        place = next(f.place for features in self._features.values() for f in features.values())
        return self.graph.origin(place.entry)

    def known(self, ref: str) -> Known | None:
        """What was cited under a ref since the annotations were opened; None if nothing was."""
        return self._known.get(ref)

    def statement(self, ref: str) -> Annotation | None:
        """The annotation of a ref; None if there is none."""
        return self._annotation(*self._refs[ref]) if ref in self._refs else None

    @cached_property
    def _refs(self) -> dict[str, tuple[int, Neighbour]]:
        """Ref of every annotation -> where it stands. Two seconds for the whole of HPO, so only when asked."""
        return {self.graph.edge(disease, place).ref: (disease, place) for disease, place in self._places()}

    def _places(self) -> Iterator[tuple[int, Neighbour]]:
        for disease in range(self.first, self.end):
            yield from ((disease, feature.place) for feature in self._features[disease].values())
            yield from ((disease, place) for place in self._denied[disease].values())
        for (disease, _), places in self._others.items():
            yield from ((disease, place) for place in places)


_NOBODY = np.empty(0, np.int32)


def pooled(told: Sequence[Mapping[str, object]]) -> tuple[str, int, int]:
    """Typicality, patients with a feature and patients counted, over all references.

    Counts are added up; of bands and counts that differ, the most cautious stands. A count of few patients gives no
    frequency: if all of three or four had the feature, or if nothing at all is said of how often it is found, the
    disease is 'described' with it; of one or two patients, nothing follows.
    """
    bands = [str(one["typicality"]) for one in told if one.get("typicality") in _ORDER and not one.get("patients")]
    counts = [one for one in told if one.get("patients")]
    counted = sum(int(str(one["patients"])) for one in counts)
    found = round(sum(int(str(one["patients"])) * float(str(one["frequency"])) for one in counts))
    if counted >= PATIENTS:
        band = next((name for least, name in _STEPS if found >= least * counted), "very rare")
        bands.append(band if found > 1 or band not in OFTEN else "occasional")
        return min(bands, key=_ORDER.index), found, counted
    if bands:
        return min(bands, key=_ORDER.index), 0, 0
    return (DESCRIBED if not counts or found == counted >= SERIES else ""), 0, 0
