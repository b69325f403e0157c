"""Where the knowledge comes from: the bundled graph, or files and built graphs named with `--source`.

What is named is read into a graph of its own and kept in the run folder, so that the rows that rest on it can be
verified without the files. There are two kinds of knowledge, and a run may have both:

- ontologies of diseases (DOID and its like) are read by their definitions. The reviewed tables stay in charge: an
  edge that they do not keep makes no row, whatever file it comes from;
- all else is read by the readers of `synth_kg.readers`. Of that, phenotype annotations of diseases (HPO) make rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from synth.errors import UsageError
from synth_kg.annotations import Annotations
from synth_kg.bundle import DamagedGraph, graph_hash, manifest_of, read_graph, tables_hash, write_graph
from synth_kg.graph import Graph, Node
from synth_kg.knowledge import Knowledge, bundled
from synth_kg.obo import Ontology, read_obo
from synth_kg.ontology import Documents, ontology_graph
from synth_kg.readers.files import lines_of, readable
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.readers.sources import build, reader_of
from synth_kg.sniff import UnusableSource
from synth_kg.tables import load_tables
from synth_kg.typed import MANIFEST, NODES, NotAGraph, TypedGraph, check_files, read_manifest

GRAPH = "graph"
"""Folder of a run that holds the graph read from its sources."""
ANNOTATED = "annotated"
"""Folder inside it, of what the reviewed tables have no say in."""
NOT_STATED = "not stated"
_OPEN = {
    "publicdomain/zero": "CC0-1.0",
    "licenses/by/3.0": "CC-BY-3.0",
    "licenses/by/4.0": "CC-BY-4.0",
}


class Source(NamedTuple):
    """What was named, read."""

    graph: Graph
    documents: Documents
    sources: list[dict[str, str]]
    bad_frames: list[str]
    """One message, with file and line, for each frame that could not be read."""
    unlicensed: list[str]
    """Files and sources that state no licence, where none was said for them."""
    annotated: TypedGraph | None = None
    """What the tables have no say in."""


def read_sources(paths: Sequence[str], license: str) -> Source:
    """Read files, folders and built graphs.

    Args:
        paths: in the order given.
        license: of files that state none.

    Raises:
        UsageError: one of them cannot be used at all; says what it is and what to do.
    """
    defined = [path for path in paths if _by_definitions(Path(path))]
    others = [Path(path) for path in paths if path not in defined]
    source = _read_ontologies(defined, license)
    if not others:
        return source
    graph = _read_graph(others, license)
    if not Annotations.there(graph):
        raise UsageError(
            f"{', '.join(map(str, others))}: read ({len(graph):,} nodes, {graph.columns.statements:,} statements), but "
            "rows are made of ontologies of diseases (OBO), and of phenotype annotations together with the ontology of "
            "their terms (HPO: hp.obo and phenotype.hpoa); `synth kg build` and `synth kg walk` take any graph"
        )
    stating = {origin.name for origin in graph.origins if not origin.license}
    return source._replace(annotated=graph, unlicensed=[*source.unlicensed, *sorted(stating)])


def _by_definitions(path: Path) -> bool:
    """Whether a file is an ontology that is read by its definitions: OBO, of other terms than phenotypes."""
    if path.is_dir():
        return False
    try:
        with readable(path):
            if reader_of(path) is not read_obo_terms:
                return False
            lines = (line for _, line in lines_of(path))
            first = next((line for line in lines if line.startswith("id:")), "")
        return not first.removeprefix("id:").strip().startswith("HP:")
    except UnusableSource as error:
        raise UsageError(str(error)) from error


def _read_graph(paths: Sequence[Path], license: str) -> TypedGraph:
    built = [path for path in paths if (path / MANIFEST).is_file()]
    try:
        if len(paths) == 1 and built:
            check_files(built[0])
            return TypedGraph.open(built[0])
        if built:
            raise UsageError(f"{built[0]}: a built graph stands alone; build one of all sources with `synth kg build`")
        graph = build(paths)
    except (UnusableSource, NotAGraph, OSError) as error:
        raise UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is needed for this source: pip install 'synth-med[kg]'") from error
    stated = tuple(origin if origin.license else origin._replace(license=license) for origin in graph.origins)
    return TypedGraph.of(graph._replace(origins=stated))


def _read_ontologies(paths: Sequence[str], license: str) -> Source:
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
    """Keep a source's graph in `folder` and join it with the reviewed tables.

    Raises:
        UsageError: what is needed to write it is not installed.
    """
    if source.graph.nodes or source.annotated is None:
        write_graph(folder, source.graph, source.documents, source.sources)
    if source.annotated is not None:
        try:
            source.annotated.write(folder / ANNOTATED)
        except ModuleNotFoundError as error:
            raise UsageError(f"{error.name} is needed for this source: pip install 'synth-med[kg]'") from error
    return open_graph(folder)


def open_graph(folder: Path) -> Knowledge:
    """The knowledge of a graph folder.

    Raises:
        UsageError: it is not one, or it was changed since it was built.
    """
    inner = next((place for place in (folder, folder / ANNOTATED) if is_built(place)), None)
    named = {}
    graph, annotations = Graph([], []), None
    try:
        if folder != inner and (inner is None or (folder / MANIFEST).is_file()):
            graph, named["graph"] = read_graph(folder), str(manifest_of(folder)["graph"])
        if inner is not None:
            check_files(inner)
            typed, named["annotated"] = TypedGraph.open(inner), str(read_manifest(inner)["graph"])
            annotations = Annotations(typed) if Annotations.there(typed) else None
    except (DamagedGraph, NotAGraph, KeyError) as error:
        raise UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is needed for this graph: pip install 'synth-med[kg]'") from error
    name = named["graph"] if annotations is None and "graph" in named else graph_hash(named)
    return Knowledge(graph, load_tables(), tables_hash(name), annotations)


def is_built(folder: Path) -> bool:
    """Whether a folder is a graph that `synth kg build` made."""
    return (folder / MANIFEST).is_file() and (folder / NODES).is_file()


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
