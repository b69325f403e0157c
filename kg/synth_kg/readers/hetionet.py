"""Hetionet (Himmelstein et al., eLife 2017;6:e26726): nodes.tsv, and statements in a .sif.gz that is a table.

Ids like `Gene::2625` tell type and id. The relation is an abbreviation (`CtD`), which `metaedges.tsv` beside the
file turns into a word (`treats`); without that file it stays as it is. A relation within a type has no direction
(`CrC`) unless its abbreviation shows one (`Gr>G`); all others go from source to target.
"""

from __future__ import annotations

import re
from pathlib import Path

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.blocks import blocks_of, open_table, rows_in
from synth_kg.readers.mapping import Cell, EdgeFile, End, NodeFile
from synth_kg.readers.tables import EMPTY, Into, plain_key, take_edges, take_nodes
from synth_kg.sniff import UnusableSource

TITLE = "Hetionet"
NODES, EDGES = ("id", "name", "kind"), ("source", "metaedge", "target")
WORDS = "metaedges.tsv"


def read_hetionet(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read either file of Hetionet.

    Args:
        path: nodes.tsv, or the .sif.gz; its name may tell the version.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is neither, or is cut or damaged.
    """
    columns = open_table(path).columns
    version = re.search(r"(?<![a-z])v\d+(\.\d+)*", path.name)
    origin = builder.told(about, TITLE, version.group() if version else "")
    into = Into(builder, origin, about.name or TITLE)
    if set(NODES) <= set(columns):
        take_nodes(into, NodeFile(path, Cell("id"), name=Cell("name")))
    elif set(EDGES) <= set(columns):
        words = _words(path.parent / WORDS)

        def relate(name: str, head: str, tail: str, negated: bool) -> tuple[int, bool] | str:
            directed = head != tail or ">" in name or "<" in name
            return (builder.relation(words.get(name, name), directed=directed), "<" in name) if name else EMPTY

        ends = (End(Cell(name)) for name in ("source", "target"))
        take_edges(into, EdgeFile(path, next(ends), Cell("metaedge"), next(ends)), key_of=plain_key, relate=relate)
    else:
        raise UnusableSource(
            f"{path}: neither file of Hetionet: its columns are {', '.join(map(repr, columns))}, "
            f"not {', '.join(NODES)} or {', '.join(EDGES)}"
        )


def _words(path: Path) -> dict[str, str]:
    """Abbreviation -> word, where the file is there.

    Raises:
        UnusableSource: it is damaged.
    """
    if not path.is_file():
        return {}
    found = {}
    wanted = ("metaedge", "abbreviation")
    for block in blocks_of(open_table(path), wanted, lambda reason, line: None):
        for _, cells in rows_in(block):
            parts = re.split(r" [-<>] ", cells.get("metaedge", ""))
            if len(parts) == 3:
                found[cells.get("abbreviation", "")] = parts[1].strip()
    return found
