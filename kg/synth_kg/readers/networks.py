"""Graphs of networkx, and GraphML files.

What a node or an edge is called differs from graph to graph; these are the attributes that are looked for, in order:
of a node its type (`TYPES`) and name (`NAMES`), of an edge its relation (`RELATIONS`), `negated`, and `directed`,
which else is as the graph is. An edge may name its `source`, `version` and `license`, as `TypedGraph.to_networkx`
has it; other attributes are kept beside the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.graph import Key
from synth_kg.readers.blocks import refuse_other
from synth_kg.readers.files import open_bytes, readable
from synth_kg.readers.tables import EMPTY, NEGATED, UNLISTED, Into, plain_key, title_of
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

if TYPE_CHECKING:
    import networkx

TITLE = "networkx"
TYPES = ("type", "kind", "node_type", "category", "labels")
NAMES = ("name", "label", "title", "preferred_name")
SYNONYMS = ("synonyms", "aliases")
RELATIONS = ("relation", "predicate", "relationship", "type", "label", "rel")
UNNAMED = "related_to"
"""The relation of an edge that names none."""
_SOURCE = ("source", "version", "license")
_NOT_KEPT = frozenset({*_SOURCE, "negated", "directed"})


def from_networkx(graph: networkx.Graph[Any], about: About = NOT_TOLD) -> TypedGraph:
    """The typed graph of any graph of networkx.

    A node that is a pair of texts is (type, id); any other goes by its text, and its type is that of its attributes, or
    what its id tells. Self loops go, and so does what is stated twice.

    Raises:
        ValueError: it is too large (see `columns.assemble`).
    """
    builder = Builder()
    read_networkx(graph, builder, about)
    return TypedGraph.of(builder.finish())


def read_networkx(graph: networkx.Graph[Any], builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a graph of networkx; see `from_networkx`.

    Args:
        graph: directed or not, with or without parallel edges.
        builder: takes what is found.
        about: what a person says of the source.
    """
    title = str(graph.graph.get("name") or TITLE)
    into = Into(builder, builder.told(about, title), about.name or title)
    giver = _Giver(into, about)
    for node, told in graph.nodes(data=True):
        giver.node(node, told)
    for head, tail, told in graph.edges(data=True):
        giver.edge(head, tail, told, directed=graph.is_directed())


def read_graphml(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a GraphML file, node by node and edge by edge.

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is not GraphML, or is cut or damaged.
    """
    refuse_other(path, "graphml", "xml", "text", "zstd")
    title = title_of(path)
    into = Into(builder, builder.told(about, title), about.name or title)
    giver = _Giver(into, about)
    waiting: list[tuple[str, str, dict[str, Any], bool]] = []
    for what, (one, other), told, directed in _graphml(path, into.drop):
        if what == "node":
            giver.node(one, told)
        elif one in giver.numbers and other in giver.numbers:
            giver.edge(one, other, told, directed=directed)
        else:
            waiting.append((one, other, told, directed))  # an edge may come before its nodes
    for one, other, told, directed in waiting:
        if one in giver.numbers and other in giver.numbers:
            giver.edge(one, other, told, directed=directed)
        else:
            builder.drop(into.title, UNLISTED, f"{path.name}: {one} {other}"[:200])


class _Giver:
    """Hands nodes and edges over."""

    def __init__(self, into: Into, about: About) -> None:
        self.into, self.about = into, about
        self.numbers: dict[Any, int] = {}

    def node(self, node: Any, told: Mapping[str, Any]) -> None:
        """Declare a node."""
        key = _key(node, told)
        if key is None:
            self.into.builder.drop(self.into.title, EMPTY, repr(node)[:200])
            return
        also = next((told[name] for name in SYNONYMS if name in told), ())
        synonyms = also.split("|") if isinstance(also, str) else also if isinstance(also, list | tuple) else ()
        names = [text for text in map(_text, synonyms) if text]
        self.numbers[node] = self.into.builder.node(self.into.origin, *key, _first(told, NAMES), names)

    def edge(self, head: Any, tail: Any, told: Mapping[str, Any], *, directed: bool) -> None:
        """State an edge between nodes that were declared."""
        if head not in self.numbers or tail not in self.numbers:
            self.into.builder.drop(self.into.title, EMPTY, f"{head!r} {tail!r}"[:200])
            return
        called = next((name for name in RELATIONS if _text(told.get(name))), "")
        relation = self.into.builder.relation(
            _text(told.get(called)) or UNNAMED,
            directed=directed and _text(told.get("directed", True)).lower() not in {"false", "0"},
            negated=_text(told.get("negated")).lower() in NEGATED,
        )
        said = {
            str(name): _text(value)
            for name, value in told.items()
            if name != called and name not in _NOT_KEPT and _text(value)
        }
        self.into.builder.edge(self._origin(told), self.numbers[head], relation, self.numbers[tail], **said)

    def _origin(self, told: Mapping[str, Any]) -> int:
        name, version, license = (_text(told.get(part)) for part in _SOURCE)
        if not (name and version and license):
            return self.into.origin
        return self.into.builder.told(self.about, name, version, license)


def _key(node: Any, told: Mapping[str, Any]) -> Key | None:
    if isinstance(node, tuple) and len(node) == 2 and all(isinstance(part, str) and part for part in node):
        return node
    ident = _text(node)
    kind = _first(told, TYPES).removeprefix(":")
    key = (kind, ident) if kind and ident else plain_key(ident)
    return None if isinstance(key, str) else key


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((text for text in (_text(told.get(name)) for name in names) if text), "")


def _text(value: Any) -> str:
    """A value as text without lone surrogates; '' for none."""
    return "" if value is None else str(value).strip().encode("utf-8", "replace").decode()


_Found = tuple[str, tuple[str, str], dict[str, Any], bool]


def _graphml(path: Path, drop: Callable[[Path, str, int], None]) -> Iterator[_Found]:
    """('node' or 'edge', ends or (id, ''), attributes, directed) of each node and edge."""
    names: dict[str, dict[str, str]] = {"node": {}, "edge": {}}
    presets: dict[str, dict[str, str]] = {"node": {}, "edge": {}}
    directed = [True]
    found = 0
    with readable(path), open_bytes(path) as file:
        try:
            for event, element in ElementTree.iterparse(file, events=("start", "end")):
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    if tag == "graph":
                        found += 1
                        directed.append(element.get("edgedefault", "directed") != "undirected")
                    continue
                if tag == "graph":
                    directed.pop()
                elif tag == "key":
                    _declare(element, names, presets)
                elif tag in names:
                    told = {**presets[tag], **_data(element, names[tag])}
                    ends = ("id", "") if tag == "node" else ("source", "target")
                    way = element.get("directed")
                    yield (
                        tag, (element.get(ends[0], "").strip(), element.get(ends[1], "").strip()), told,
                        directed[-1] if way is None else way in {"true", "1"},
                    )  # fmt: skip
                    element.clear()
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise UnusableSource(f"{path}: damaged or cut GraphML ({error})") from error
    if not found:
        raise UnusableSource(f"{path}: not GraphML: it has no graph")


def _declare(element: Any, names: dict[str, dict[str, str]], presets: dict[str, dict[str, str]]) -> None:
    """Take down what an attribute is called, and what it is where nothing is told."""
    ident, name = element.get("id", ""), element.get("attr.name") or element.get("id", "")
    preset = next((child.text for child in element if child.tag.rpartition("}")[2] == "default"), None)
    for what in names if element.get("for", "all") == "all" else [element.get("for")]:
        if what in names:
            names[what][ident] = name
            if preset and preset.strip():
                presets[what][name] = preset.strip()


def _data(element: Any, names: Mapping[str, str]) -> dict[str, Any]:
    children = (child for child in element if child.tag.rpartition("}")[2] == "data")
    return {names.get(child.get("key", ""), child.get("key", "")): (child.text or "").strip() for child in children}
