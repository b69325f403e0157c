"""The typed knowledge graph: nodes keyed by (type, id), directed edges with provenance.

Every edge names its source, the source's version and its licence, and, where the source
is prose, the sentence it was read in. An edge's `ref` is a hash of what it says and who
says it, never of its position, so a proof survives any reordering of the files.

This module knows nothing of tables, questions or files on disk (see `bundle`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import networkx

Key = tuple[str, str]
"""A node's identity: its type and its id within the source."""


def digest(*parts: str) -> str:
    """Hash strings, kept apart from each other, to 32 hexadecimal digits (BLAKE2b, 128 bits)."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()


class Node(NamedTuple):
    """A thing that the graph speaks of."""

    type: str
    """Disease, Symptom, Organism, Route, Site, Anatomy, Drug or DrugClass."""
    id: str
    name: str
    synonyms: tuple[str, ...] = ()
    source: str = ""
    license: str = ""

    @property
    def key(self) -> Key:
        """The node's identity."""
        return (self.type, self.id)


class Span(NamedTuple):
    """A sentence of a document, addressed by content."""

    document: str
    """Hash of the whole document (`digest` of its text)."""
    start: int
    """Offset in characters."""
    end: int
    """Offset just past the last character."""
    text: str

    @property
    def ref(self) -> str:
        """Hash of (document hash, start, end, text)."""
        return digest("span", self.document, str(self.start), str(self.end), self.text)


@dataclass(frozen=True, slots=True)
class Edge:
    """One statement of one source."""

    head: Key
    relation: str
    tail: Key
    source: str
    version: str
    license: str
    negated: bool = False
    span: Span | None = None

    @property
    def ref(self) -> str:
        """Hash of (source, version, head type:id, relation, tail type:id, negated)."""
        return digest(
            "edge",
            self.source,
            self.version,
            ":".join(self.head),
            self.relation,
            ":".join(self.tail),
            str(self.negated),
        )


class Graph:
    """Nodes and directed edges with an index by node and relation.

    Parallel edges of different relations or sources are kept apart; the same statement of
    the same source counts once. Order is that of the input, so a graph read from the same
    files is walked the same way everywhere.
    """

    def __init__(self, nodes: Iterable[Node], edges: Iterable[Edge]) -> None:
        self.nodes: dict[Key, Node] = {node.key: node for node in nodes}
        self.edges: dict[str, Edge] = {}
        self._out: dict[tuple[Key, str], list[Edge]] = {}
        self._in: dict[tuple[Key, str], list[Edge]] = {}
        for edge in edges:
            missing = [key for key in (edge.head, edge.tail) if key not in self.nodes]
            if missing:
                raise ValueError(f"edge {edge.head} {edge.relation} {edge.tail} has no node {missing[0]}")
            if self.edges.setdefault(edge.ref, edge) is edge:
                self._out.setdefault((edge.head, edge.relation), []).append(edge)
                self._in.setdefault((edge.tail, edge.relation), []).append(edge)

    def out(self, key: Key, *relations: str) -> list[Edge]:
        """Edges that leave `key` by any of `relations`, relation by relation."""
        return [edge for relation in relations for edge in self._out.get((key, relation), ())]

    def into(self, key: Key, *relations: str) -> list[Edge]:
        """Edges that arrive at `key` by any of `relations`, relation by relation."""
        return [edge for relation in relations for edge in self._in.get((key, relation), ())]

    def name(self, key: Key) -> str:
        """The name of a node."""
        return self.nodes[key].name

    def of_type(self, kind: str) -> Iterator[Node]:
        """Nodes of one type, in order."""
        return (node for node in self.nodes.values() if node.type == kind)

    @cache  # noqa: B019  (a graph lives as long as the process)
    def ancestors(self, key: Key, relation: str = "is_a") -> Mapping[Key, int]:
        """Every node reachable upward by `relation`, with its distance in hops."""
        distance: dict[Key, int] = {}
        frontier = [key]
        hops = 0
        while frontier:
            hops += 1
            above = [edge.tail for node in frontier for edge in self.out(node, relation)]
            frontier = [node for node in dict.fromkeys(above) if node not in distance]
            distance.update((node, hops) for node in frontier)
        return distance

    def find(self, name: str) -> list[Node]:
        """Nodes whose id, name or synonym equals `name`, case ignored; names before synonyms."""
        wanted = name.casefold().strip()
        return self._by_name.get(wanted, [])

    @cached_property
    def _by_name(self) -> dict[str, list[Node]]:
        index: dict[str, list[Node]] = {}
        for label in (lambda n: (n.id, n.name), lambda n: n.synonyms):
            for node in self.nodes.values():
                for text in label(node):
                    found = index.setdefault(text.casefold(), [])
                    if node not in found:
                        found.append(node)
        return index

    def to_networkx(self, keys: Iterable[Key] | None = None) -> networkx.MultiDiGraph[Key]:
        """Return the graph, or the part induced by `keys`, for use with networkx algorithms."""
        import networkx  # noqa: PLC0415  (a quarter of a second that only this method needs)

        wanted = set(self.nodes if keys is None else keys)
        graph: networkx.MultiDiGraph[Key] = networkx.MultiDiGraph()
        graph.add_nodes_from((key, {"name": self.nodes[key].name}) for key in self.nodes if key in wanted)
        for ref, edge in self.edges.items():
            if edge.head in wanted and edge.tail in wanted:
                graph.add_edge(edge.head, edge.tail, key=ref, relation=edge.relation, negated=edge.negated)
        return graph
