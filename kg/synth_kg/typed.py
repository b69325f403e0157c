"""A typed graph: its topology, its nodes, and what is said of both, in memory or mapped from disk.

On disk it is a folder:

    manifest.json        what it is: counts, sources, what was dropped, and the sha256 of every other file
    *.npy                the columns of `synth_kg.columns`, mapped and never read whole
    nodes.arrow          type, id, name, synonyms and source of each node
    attributes.arrow     what is said beside some statements, by entry

So a graph opens in milliseconds whatever its size, and processes that use it share its pages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from synth_kg.builder import Built, Dropped, Origin
from synth_kg.columns import Arc, Columns, Ints
from synth_kg.graph import Edge, Key

if TYPE_CHECKING:
    import networkx

FORMAT = 1
MANIFEST = "manifest.json"
NODES, ATTRIBUTES = "nodes.arrow", "attributes.arrow"
_ENTRY = "#entry"
_NEEDED = {"graph", "types", "arcs", "sources", "nodes", "entries", "dropped", "files"}
_CHUNK = 1 << 20


class NotAGraph(ValueError):
    """A folder that is not a built graph, or is damaged; says which."""


class Neighbour(NamedTuple):
    """An entry of a node."""

    arc: Arc
    node: int
    entry: int


class TypedGraph:
    """A graph by numbers, with the names behind them.

    Args:
        columns: the topology.
        ids, names, synonyms, named_by: a value for each node.
        origins: the sources.
        attributes: what is said beside statements: entry -> one mapping for each time it is said.
        dropped: what was left out when it was built.
    """

    def __init__(
        self,
        columns: Columns,
        ids: Sequence[str],
        names: Sequence[str],
        synonyms: Sequence[Sequence[str]],
        named_by: Sequence[int],
        origins: Sequence[Origin],
        attributes: Mapping[int, Sequence[Mapping[str, Any]]],
        dropped: Sequence[Dropped] = (),
    ) -> None:
        self.columns, self.origins, self.attributes, self.dropped = columns, tuple(origins), attributes, tuple(dropped)
        self.ids, self.names, self.synonyms, self.named_by = ids, names, synonyms, named_by

    @classmethod
    def of(cls, built: Built) -> TypedGraph:
        """The graph that a builder finished."""
        attributes: dict[int, list[Mapping[str, Any]]] = {}
        for entry, told in built.attributes:
            attributes.setdefault(entry, []).append(told)
        rows = built.nodes
        return cls(
            built.columns, [row.id for row in rows], [row.name for row in rows], [row.synonyms for row in rows],
            [row.source for row in rows], built.origins, attributes, built.dropped,
        )  # fmt: skip

    # -- nodes

    def __len__(self) -> int:
        return self.columns.nodes

    def type_of(self, node: int) -> str:
        """The type of a node."""
        return self.columns.types[self.columns.type_of(node)]

    def key(self, node: int) -> Key:
        """A node's (type, id)."""
        return (self.type_of(node), str(self.ids[node]))

    def name(self, node: int) -> str:
        """The name of a node; its id where no source names it."""
        return str(self.names[node]) or str(self.ids[node])

    def number(self, kind: str, ident: str) -> int | None:
        """The number of a node by type and id; None if there is none."""
        if kind not in self.columns.types:
            return None
        code = self.columns.types.index(kind)
        low, high = int(self.columns.offsets[code]), int(self.columns.offsets[code + 1])
        end = high
        while low < high:
            middle = (low + high) // 2
            if str(self.ids[middle]) < ident:
                low = middle + 1
            else:
                high = middle
        return low if low < end and str(self.ids[low]) == ident else None

    def find(self, text: str) -> list[int]:
        """Nodes whose id, name or synonym is `text`, case ignored: ids first, then names, then synonyms."""
        wanted = text.casefold().strip()
        return self._by_name.get(wanted, [])

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for texts in (self.ids, self.names):
            for node, text in enumerate(texts):
                if text:
                    index.setdefault(str(text).casefold(), []).append(node)
        for node, several in enumerate(self.synonyms):
            for text in several:
                index.setdefault(str(text).casefold(), []).append(node)
        return {text: list(dict.fromkeys(found)) for text, found in index.items()}

    # -- statements

    def around(self, node: int) -> Iterator[Neighbour]:
        """The entries of a node, in order."""
        for _, arc, where in self.columns.groups_of(node):
            for entry in range(where.start, where.stop):
                yield Neighbour(arc, int(self.columns.neighbours[entry]), entry)

    def between(self, one: int, other: int) -> Iterator[Neighbour]:
        """The entries of `one` at whose other end is `other`."""
        kind = self.columns.type_of(other)
        for code, arc, where in self.columns.groups_of(one):
            if code == kind:
                there = self.columns.neighbours[where]
                low, high = (int(np.searchsorted(there, other, side=side)) for side in ("left", "right"))
                for entry in range(where.start + low, where.start + high):
                    yield Neighbour(arc, other, entry)

    def origin(self, entry: int) -> Origin:
        """Who states an entry."""
        return self.origins[int(self.columns.sources[entry]) if len(self.columns.sources) else 0]

    def edge(self, node: int, found: Neighbour) -> Edge:
        """The statement behind an entry of a node, from head to tail."""
        head, tail = (found.node, node) if found.arc.way == "in" else (node, found.node)
        if found.arc.way == "both":
            head, tail = min(node, found.node), max(node, found.node)
        origin = self.origin(found.entry)
        return Edge(
            self.key(head), found.arc.relation, self.key(tail), origin.name, origin.version, origin.license,
            negated=found.arc.negated,
        )  # fmt: skip

    def said(self, node: int, found: Neighbour) -> Sequence[Mapping[str, Any]]:
        """What is said beside the statement of an entry: frequencies, references."""
        entry = found.entry
        if found.arc.way == "in" or (found.arc.way == "both" and node > found.node):
            arc = found.arc._replace(way="out") if found.arc.way == "in" else found.arc
            origin = self.origin(entry)
            back = [n for n in self.between(found.node, node) if n.arc == arc and self.origin(n.entry) == origin]
            entry = back[0].entry if back else -1
        return self.attributes.get(entry, ())

    def said_of_all(self) -> Mapping[int, Sequence[Mapping[str, Any]]]:
        """What is said beside statements, by the entry that goes out of their head, read at once."""
        return self.attributes.unpacked() if isinstance(self.attributes, Said) else self.attributes

    def edges(self) -> Iterator[Edge]:
        """Every statement once, in order."""
        for node in range(len(self)):
            for found in self.around(node):
                if found.arc.way == "out" or (found.arc.way == "both" and node < found.node):
                    yield self.edge(node, found)

    # -- networkx

    def to_networkx(self, nodes: Sequence[int] | Ints | None = None) -> networkx.MultiDiGraph[Key]:
        """The graph, or the part that some nodes span, by keys; an undirected statement goes both ways.

        Nodes carry name and synonyms. Edges have the key `ref` and carry relation, negated, source, version, license
        and what is said beside them.
        """
        import networkx  # noqa: PLC0415  (a quarter of a second that only this needs)

        chosen = range(len(self)) if nodes is None else sorted({int(node) for node in nodes if node >= 0})
        within = None if nodes is None else set(chosen)
        graph: networkx.MultiDiGraph[Key] = networkx.MultiDiGraph()
        graph.add_nodes_from(
            (self.key(node), {"name": self.name(node), "synonyms": tuple(self.synonyms[node])}) for node in chosen
        )
        for node in chosen:
            for found in self.around(node):
                if found.arc.way != "in" and (within is None or found.node in within):
                    edge = self.edge(node, found)
                    graph.add_edge(
                        self.key(node), self.key(found.node), key=edge.ref, relation=edge.relation,
                        negated=edge.negated, source=edge.source, version=edge.version, license=edge.license,
                        directed=found.arc.way != "both", said=[dict(told) for told in self.said(node, found)],
                    )  # fmt: skip
        return graph

    # -- disk

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the folder described above; what it held before is replaced.

        Returns:
            The manifest.

        Raises:
            ModuleNotFoundError: pyarrow is not installed (the extra `kg`).
        """
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import feather  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)  # written last: without it the folder is no graph
        for name in Columns.ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self.columns, name), allow_pickle=False)
        table = pa.table(
            {
                "type": pa.array([self.columns.types[code] for code in self.columns.node_types]).dictionary_encode(),
                "id": pa.array(self.ids, pa.string()), "name": pa.array(self.names, pa.string()),
                "synonyms": pa.array(list(self.synonyms), pa.list_(pa.string())),
                "source": pa.array(self.named_by, pa.int32()),
            }
        )  # fmt: skip
        feather.write_feather(table, folder / NODES, compression="uncompressed")
        flat = [(entry, told) for entry, several in self.said_of_all().items() for told in several]
        keys = sorted({key for _, told in flat for key in told})
        said = {_ENTRY: pa.array([entry for entry, _ in flat], pa.int64())}
        said |= {key: pa.array(_alike([told.get(key) for _, told in flat])) for key in keys}
        feather.write_feather(pa.table(said), folder / ATTRIBUTES, compression="uncompressed")
        manifest = self._manifest(folder)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
        return manifest

    def _manifest(self, folder: Path) -> dict[str, Any]:
        columns = self.columns
        files = [*(f"{name}.npy" for name in Columns.ARRAYS), NODES, ATTRIBUTES]
        hashes = {name: _sha256(folder / name) for name in files}
        told = {
            "types": list(columns.types), "arcs": [list(arc) for arc in columns.arcs],
            "sources": [origin._asdict() for origin in self.origins],
            "nodes": len(self), "statements": columns.statements, "entries": columns.entries,
            "nodes_by_type": dict(zip(columns.types, np.diff(columns.offsets).tolist(), strict=True)),
            "statements_by_kind": [
                [head, str(arc), tail, n] for (head, arc, tail), n in sorted(columns.counts.items())
            ],
            "dropped": [dropped._asdict() for dropped in self.dropped],
            "files": hashes,
        }  # fmt: skip
        named = {key: value for key, value in told.items() if key != "dropped"}
        name = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]
        return {"format": FORMAT, "graph": name, **told}

    @classmethod
    def open(cls, folder: Path) -> TypedGraph:
        """Open a graph that was written; nothing is read but the manifest.

        Raises:
            NotAGraph: there is none, it was written by a later version, or a file is missing or cut.
            ModuleNotFoundError: pyarrow is not installed (the extra `kg`).
        """
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import feather  # noqa: PLC0415

        told = read_manifest(folder)
        try:
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in Columns.ARRAYS}
            table = feather.read_table(folder / NODES, memory_map=True)
            said = feather.read_table(folder / ATTRIBUTES, memory_map=True)
        except (OSError, ValueError, EOFError, pa.ArrowInvalid) as error:
            raise NotAGraph(f"{folder}: damaged ({error}): build it again") from error
        columns = Columns(tuple(told["types"]), tuple(Arc(*arc) for arc in told["arcs"]), **arrays)
        if columns.nodes != told["nodes"] or columns.entries != told["entries"] or len(table) != told["nodes"]:
            raise NotAGraph(f"{folder}: its files do not belong together: build it again")
        ids, names, synonyms, named = (Mapped(table[name]) for name in ("id", "name", "synonyms", "source"))
        return cls(
            columns, ids, names, synonyms, named, [Origin(**source) for source in told["sources"]], Said(said),
            [Dropped(**{**one, "examples": tuple(one["examples"])}) for one in told["dropped"]],
        )  # fmt: skip


class Mapped(Sequence[Any]):
    """An Arrow column whose values come as Python's, one by one."""

    def __init__(self, column: Any) -> None:
        self.column = column

    def __getitem__(self, at: Any) -> Any:
        return self.column[at].as_py()

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[Any]:
        for chunk in self.column.chunks:
            yield from chunk.to_pylist()


class Said(Mapping[int, Sequence[Mapping[str, Any]]]):
    """What is said beside statements, by entry, from an Arrow table that is ordered by it."""

    def __init__(self, table: Any) -> None:
        self.table = table

    @cached_property
    def _entries(self) -> Ints:
        found: Ints = self.table[_ENTRY].to_numpy()
        return found

    def __getitem__(self, entry: int) -> Sequence[Mapping[str, Any]]:
        low, high = (int(np.searchsorted(self._entries, entry, side=side)) for side in ("left", "right"))
        if low == high:
            raise KeyError(entry)
        rows = self.table.slice(low, high - low).to_pylist()
        return [{key: value for key, value in row.items() if key != _ENTRY and value is not None} for row in rows]

    def unpacked(self) -> dict[int, list[dict[str, Any]]]:
        """All of it."""
        found: dict[int, list[dict[str, Any]]] = {}
        for batch in self.table.to_batches():
            for row in batch.to_pylist():
                found.setdefault(row.pop(_ENTRY), []).append({k: v for k, v in row.items() if v is not None})
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(np.unique(self._entries).tolist())

    def __len__(self) -> int:
        return len(np.unique(self._entries))


def _alike(values: list[Any]) -> list[Any]:
    """Values of one kind: as texts, where sources differ in it."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2 or kinds == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a built graph.

    Raises:
        NotAGraph: there is none that this version reads.
    """
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = told["format"]
        if known == FORMAT and (lacking := _NEEDED - told.keys()):
            raise ValueError(f"no {min(lacking)}")
    except FileNotFoundError as error:
        raise NotAGraph(f"{folder}: not a built graph (no {MANIFEST})") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAGraph(f"{folder / MANIFEST}: not the manifest of a built graph") from error
    if known != FORMAT:
        raise NotAGraph(f"{folder}: format {known}, and this version reads {FORMAT}: build it again")
    return dict(told)


def check_files(folder: Path) -> None:
    """Compare every file with the manifest.

    Raises:
        NotAGraph: one was changed since the graph was built.
    """
    for name, wanted in read_manifest(folder)["files"].items():
        if not (folder / name).is_file() or _sha256(folder / name) != wanted:
            raise NotAGraph(f"{folder / name}: missing, or changed since the graph was built")


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            hasher.update(data)
    return hasher.hexdigest()
