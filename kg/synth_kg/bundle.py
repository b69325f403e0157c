"""A knowledge graph as a folder of plain text, and the one that ships with the package.

A folder holds `nodes.tsv`, `edges.tsv`, `documents.tsv` (the definitions that spans point
into) and `manifest.json` (sources, counts, sha256 of each file). The graph's name is the
hash in its manifest; rows name the graph that they rest on by it. The bundled graph's hash
covers the reviewed tables as well, since rows rest on those too.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from synth_kg.graph import Edge, Graph, Node, Span, digest

FILES = ("nodes.tsv", "edges.tsv", "documents.tsv")
_NODE_COLUMNS = ("type", "id", "name", "synonyms", "source", "license")
_EDGE_COLUMNS = (
    "head_type", "head", "relation", "tail_type", "tail", "negated",
    "source", "version", "license", "document", "start", "end",
)  # fmt: skip
_DOCUMENT_COLUMNS = ("document", "owner", "text")


class DamagedGraph(ValueError):
    """A graph folder whose files are not those that its manifest describes."""


def data_folder() -> Path:
    """Where the bundled graph lies."""
    return Path(str(files("synth_kg"))) / "data"


def tables_folder() -> Path:
    """Where the reviewed tables lie."""
    return Path(str(files("synth_kg"))) / "tables"


def read_tsv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a tab-separated file with a header; no quoting, UTF-8.

    Raises:
        ValueError: a row has another number of fields than the header; names file and line.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(reader)
        for number, row in enumerate(reader, 2):
            if len(row) != len(header):
                raise ValueError(f"{path}:{number}: {len(row)} fields where the header has {len(header)}")
            yield dict(zip(header, row, strict=True))


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated file with a header; a field may hold neither tab nor newline."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in (columns, *rows):
            fields = [str(field) for field in row]
            if any("\t" in field or "\n" in field for field in fields):
                raise ValueError(f"{path.name}: a tab or newline inside a field: {fields}")
            file.write("\t".join(fields) + "\n")


def write_graph(
    folder: Path, graph: Graph, documents: Mapping[str, tuple[str, str]], sources: Sequence[Mapping[str, str]]
) -> str:
    """Write a graph folder and return the graph's hash.

    Args:
        folder: created if absent; its files are replaced.
        graph: the graph.
        documents: document hash -> (owner, text) for every span of the graph.
        sources: one mapping a source: name, version, license, and where it was had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tsv(
        folder / "nodes.tsv",
        _NODE_COLUMNS,
        ((n.type, n.id, n.name, "|".join(n.synonyms), n.source, n.license) for n in graph.nodes.values()),
    )
    write_tsv(folder / "edges.tsv", _EDGE_COLUMNS, map(_edge_row, graph.edges.values()))
    write_tsv(
        folder / "documents.tsv",
        _DOCUMENT_COLUMNS,
        ((ref, owner, text) for ref, (owner, text) in documents.items()),
    )
    manifest = {
        "sources": list(sources),
        "nodes": dict(Counter(node.type for node in graph.nodes.values())),
        "edges": dict(Counter(edge.relation for edge in graph.edges.values())),
        "files": {name: _sha256(folder / name) for name in FILES},
    }
    manifest["graph"] = graph_hash(manifest["files"])  # type: ignore[arg-type]
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return str(manifest["graph"])


def _edge_row(edge: Edge) -> tuple[object, ...]:
    span = edge.span or Span("", 0, 0, "")
    place = (span.document, span.start, span.end) if edge.span else ("", "", "")
    return (
        *edge.head, edge.relation, *edge.tail, int(edge.negated),
        edge.source, edge.version, edge.license, *place,
    )  # fmt: skip


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def graph_hash(hashes: Mapping[str, str]) -> str:
    """The name of a graph: the hash of its files' hashes, whatever their order."""
    return digest("graph", *(f"{name}={hashes[name]}" for name in sorted(hashes)))


def manifest_of(folder: Path) -> dict[str, object]:
    """Read a graph folder's manifest.

    Raises:
        DamagedGraph: there is none, or it does not parse.
    """
    try:
        manifest: dict[str, object] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedGraph(f"{folder}: no readable manifest.json, so this is not a built graph") from error
    return manifest


def read_graph(folder: Path) -> Graph:
    """Read a graph folder, every file checked against the manifest.

    Raises:
        DamagedGraph: a file is missing or is not the one that the manifest describes.
    """
    manifest = manifest_of(folder)
    hashes = manifest.get("files")
    for name in FILES:
        path = folder / name
        if not isinstance(hashes, dict) or not path.is_file() or _sha256(path) != hashes.get(name):
            raise DamagedGraph(f"{path}: missing or changed since the graph was built; build it again")
    if manifest.get("graph") != graph_hash({name: str(hashes[name]) for name in FILES if isinstance(hashes, dict)}):
        raise DamagedGraph(f"{folder}: the graph does not have the name that its manifest gives; build it again")
    documents = {row["document"]: row["text"] for row in read_tsv(folder / "documents.tsv")}
    nodes = (
        Node(
            r["type"],
            r["id"],
            r["name"],
            tuple(filter(None, r["synonyms"].split("|"))),
            r["source"],
            r["license"],
        )
        for r in read_tsv(folder / "nodes.tsv")
    )
    return Graph(nodes, (_edge(row, documents) for row in read_tsv(folder / "edges.tsv")))


def _edge(row: Mapping[str, str], documents: Mapping[str, str]) -> Edge:
    span = None
    if row["document"]:
        start, end = int(row["start"]), int(row["end"])
        span = Span(row["document"], start, end, documents[row["document"]][start:end])
    return Edge(
        (row["head_type"], row["head"]),
        row["relation"],
        (row["tail_type"], row["tail"]),
        row["source"],
        row["version"],
        row["license"],
        row["negated"] == "1",
        span,
    )


@lru_cache(maxsize=1)
def bundled_graph() -> Graph:
    """The graph that ships with the package, read once."""
    return read_graph(data_folder())


@lru_cache(maxsize=1)
def bundled_hash() -> str:
    """The name of the bundled graph together with the reviewed tables."""
    return tables_hash(str(manifest_of(data_folder())["graph"]))


def tables_hash(graph: str) -> str:
    """The name of a graph together with the reviewed tables."""
    tables = {path.name: _sha256(path) for path in sorted(tables_folder().glob("*.tsv"))}
    return graph_hash({"graph": graph, **tables})
