"""An ontology as graph: its hierarchy, and the facts that its definitions state.

Each fact becomes an edge from the term to a node named by the definition's own phrase, with
the sentence as its span. Two phrases that differ only in case are one node. Merging phrases
that mean the same finding is the reviewed tables' business, not this module's.
"""

from __future__ import annotations

import re

from synth_kg.definitions import parse_definition
from synth_kg.graph import Edge, Node, Span, digest
from synth_kg.obo import Ontology, Term

Documents = dict[str, tuple[str, str]]
"""Document hash -> (owner, text)."""

_TAIL_TYPES = {
    "has_symptom": "Symptom",
    "characterized_by": "Symptom",
    "has_material_basis_in": "Organism",
    "transmitted_by": "Route",
    "located_in": "Site",
}


def ontology_graph(
    ontology: Ontology, kind: str, source: str, version: str, license: str, documents: Documents
) -> tuple[list[Node], list[Edge]]:
    """Return the nodes and edges of an ontology; definitions used by a span go to `documents`.

    Args:
        ontology: as read by `read_obo`.
        kind: the node type of its terms.
        source: what the edges name as their source.
        version: of the source.
        license: of names and statements.
        documents: filled with the definitions that edges point into.
    """
    nodes: dict[tuple[str, str], Node] = {}
    edges: list[Edge] = []
    present = {term.id for term in ontology.terms}
    for term in ontology.terms:
        node = Node(kind, term.id, term.name, term.synonyms, source, license)
        nodes[node.key] = node
        edges += [
            Edge(node.key, "is_a", (kind, parent), source, version, license)
            for parent in term.parents
            if parent in present
        ]
        for edge, tail in _facts(term, node, source, version, license):
            nodes.setdefault(tail.key, tail)
            edges.append(edge)
            if edge.span:
                documents[edge.span.document] = (term.id, term.definition)
    return list(nodes.values()), edges


def phrase_id(phrase: str) -> str:
    """The id of a node that is named only by a phrase."""
    return re.sub(r"[^a-z0-9]+", "-", phrase.casefold()).strip("-")


def _facts(term: Term, node: Node, source: str, version: str, license: str) -> list[tuple[Edge, Node]]:
    text = term.definition
    if not text or "\t" in text or "\n" in text:
        return []
    document = digest(text)
    found: list[tuple[Edge, Node]] = []
    for fact in parse_definition(text):
        ident = phrase_id(fact.phrase)
        if not ident:
            continue
        tail = Node(_TAIL_TYPES[fact.relation], ident, fact.phrase, (), source, license)
        span = Span(document, fact.start, fact.end, text[fact.start : fact.end])
        edge = Edge(node.key, fact.relation, tail.key, source, version, license, span=span)
        found.append((edge, tail))
    return found
