"""Where the knowledge comes from: the bundled graph, or ontologies named with `--source`.

A named ontology is read into a graph of its own and kept in the run folder, so that the rows
that rest on it can be verified without the file. The reviewed tables stay in charge: an edge
that they do not keep makes no row, whatever file it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from synth.errors import UsageError
from synth_kg.bundle import DamagedGraph, manifest_of, read_graph, tables_hash, write_graph
from synth_kg.graph import Graph, Node
from synth_kg.knowledge import Knowledge, bundled
from synth_kg.obo import Ontology, read_obo
from synth_kg.ontology import Documents, ontology_graph
from synth_kg.sniff import UnusableSource
from synth_kg.tables import load_tables

GRAPH = "graph"
"""Folder of a run that holds the graph read from its sources."""
NOT_STATED = "not stated"
_OPEN = {
    "publicdomain/zero": "CC0-1.0",
    "licenses/by/3.0": "CC-BY-3.0",
    "licenses/by/4.0": "CC-BY-4.0",
}


class Source(NamedTuple):
    """Ontologies read into one graph."""

    graph: Graph
    documents: Documents
    sources: list[dict[str, str]]
    bad_frames: list[str]
    """One message, with file and line, for each frame that could not be read."""
    unlicensed: list[str]
    """Files that state no licence, where none was said for them."""


def read_sources(paths: Sequence[str], license: str) -> Source:
    """Read OBO files into one graph.

    Args:
        paths: the files, in the order given.
        license: of files that state none.

    Raises:
        UsageError: one of them cannot be used at all; says what it is and what to do.
    """
    documents: Documents = {}
    nodes: dict[tuple[str, str], Node] = {}
    edges = []
    sources = []
    bad: list[str] = []
    unlicensed: list[str] = []
    for path in paths:
        try:
            ontology = read_obo(Path(path))
        except (UnusableSource, OSError) as error:
            raise UsageError(str(error)) from error
        terms = _license(ontology, license)
        found, stated = ontology_graph(ontology, _kind(ontology), _title(ontology), ontology.version, terms, documents)
        for node in found:
            nodes.setdefault(node.key, node)
        edges += stated
        bad += ontology.bad_frames
        unlicensed += [path] if terms == NOT_STATED else []
        sources.append({"name": ontology.name, "version": ontology.version, "license": terms})
    return Source(Graph(nodes.values(), edges), documents, sources, bad, unlicensed)


def knowledge_of(source: Source, folder: Path) -> Knowledge:
    """Keep a source's graph in `folder` and join it with the reviewed tables."""
    name = write_graph(folder, source.graph, source.documents, source.sources)
    return Knowledge(source.graph, load_tables(), tables_hash(name))


def open_graph(folder: Path) -> Knowledge:
    """The knowledge of a graph folder.

    Raises:
        UsageError: it is not one, or it was changed since it was built.
    """
    try:
        return Knowledge(read_graph(folder), load_tables(), tables_hash(str(manifest_of(folder)["graph"])))
    except (DamagedGraph, KeyError) as error:
        raise UsageError(str(error)) from error


def open_named(name: str) -> Knowledge:
    """The bundled knowledge for the word 'bundled', else that of a graph folder."""
    return bundled() if name == "bundled" else open_graph(Path(name))


def _title(ontology: Ontology) -> str:
    """An ontology by the name that rows call it by."""
    known = {"DOID": "Disease Ontology", "SYMP": "Symptom Ontology"}
    return known.get(ontology.terms[0].id.split(":")[0], ontology.name)


def _kind(ontology: Ontology) -> str:
    """The node type of an ontology's terms, told from their prefix."""
    return "Symptom" if ontology.terms[0].id.startswith("SYMP:") else "Disease"


def _license(ontology: Ontology, fallback: str) -> str:
    return next((name for mark, name in _OPEN.items() if mark in ontology.license), fallback)
