"""PrimeKG in parts: nodes.csv with edges.csv, and the paths that were made of PrimeKG and DrugMechDB.

In edges.csv an end is the index of a node, which only nodes.csv turns into type and id; it is looked for beside it.
The paths (maxxyhc/PrimeKG-Pathfinding-Algorithm-Benchmark-Laboratory) name their nodes on every line, as DrugMechDB
does. All follow the rules of `primekg`: the same statements in either form give the same graph.
"""

from __future__ import annotations

from pathlib import Path

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.graph import Key
from synth_kg.readers.blocks import blocks_of, open_table, rows_in
from synth_kg.readers.mapping import Cell, EdgeFile, End
from synth_kg.readers.primekg import TITLE, Relations
from synth_kg.readers.tables import EMPTY, UNLISTED, Into, Relate, take_edges
from synth_kg.sniff import UnusableSource

NODES = ("node_index", "node_id", "node_type", "node_name")
EDGES = ("relation", "x_index", "y_index")
PATHS = ("pathway_id", "source_node", "source_id", "source_type", "target_node", "target_id", "target_type", "relation")
PATHS_TITLE = "PrimeKG paths of DrugMechDB"
DIFFERENT = "an index that was given to another node before"


def read_parts(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read nodes.csv, or edges.csv with the nodes.csv beside it.

    Args:
        path: either file; one called like the other but for `nodes` in place of `edges` is its nodes.csv.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is neither, there is no nodes.csv beside it, or one is cut or damaged.
    """
    columns = open_table(path).columns
    into = Into(builder, builder.told(about, TITLE), about.name or TITLE)
    if set(NODES) <= set(columns):
        _nodes(path, into)
    elif set(EDGES) <= set(columns):
        nodes = beside(path, "edges", "nodes")
        if nodes is None:
            raise UnusableSource(f"{path}: its ends are indexes of nodes, and there is no nodes.csv beside it")
        keys = _nodes(nodes, into)

        def key_of(index: str) -> Key | str:
            return keys.get(index, UNLISTED) if index else EMPTY

        edges = EdgeFile(path, End(Cell("x_index")), Cell("relation"), End(Cell("y_index")))
        take_edges(into, edges, key_of=key_of, relate=_relate(builder))
    else:
        raise UnusableSource(
            f"{path}: neither nodes.csv nor edges.csv of PrimeKG: its columns are {', '.join(map(repr, columns))}"
        )


def read_paths(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read the edges of paths; each statement keeps its path's id as `pathway_id`.

    Args:
        path: benchmark_pathways_edges.csv.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is another file, or is cut or damaged.
    """
    columns = open_table(path).columns
    if not set(PATHS) <= set(columns):
        missing = ", ".join(repr(name) for name in PATHS if name not in columns)
        raise UnusableSource(f"{path}: not the edges of paths in PrimeKG: no column {missing}")
    into = Into(builder, builder.told(about, PATHS_TITLE), about.name or PATHS_TITLE)
    head, tail = (
        End(Cell(f"{end}_id"), Cell(f"{end}_type"), Cell(f"{end}_node")) for end in ("source", "target")
    )  # fmt: skip
    edges = EdgeFile(path, head, Cell("relation"), tail, attributes=("pathway_id",))
    take_edges(into, edges, relate=_relate(builder))


def _relate(builder: Builder) -> Relate:
    relations = Relations()
    return lambda name, head, tail, negated: relations.of(builder, name, head, tail)


def beside(path: Path, part: str, other: str) -> Path | None:
    """The file that is called like this one, but for `other` in place of `part`; None if there is none."""
    at = path.name.rfind(part)
    found = path.with_name(path.name[:at] + other + path.name[at + len(part) :]) if at >= 0 else None
    return found if found is not None and found.is_file() else None


def _nodes(path: Path, into: Into) -> dict[str, Key]:
    """Declare the nodes of nodes.csv; index -> key."""
    table = open_table(path)
    if not set(NODES) <= set(table.columns):
        raise UnusableSource(f"{path}: not nodes.csv of PrimeKG: its columns are {', '.join(map(repr, table.columns))}")
    keys: dict[str, Key] = {}
    for block in blocks_of(table, NODES, into.bad(path)):
        for row, cells in rows_in(block):
            index, ident, kind, name = (cells[column] for column in NODES)
            if not (index and ident and kind):
                into.drop(path, EMPTY, block.line(row))
            elif keys.setdefault(index, (kind, ident)) != (kind, ident):
                into.drop(path, DIFFERENT, block.line(row))
            else:
                into.builder.node(into.origin, kind, ident, name)
    return keys
