"""Triples without a header: head, relation and tail on every line, as link prediction sets have them.

An id like `Compound::DB01050` (DRKG) carries its node's type, and one like `HP:0000083` the prefix it goes by; all
others are of the type `Entity`. Several files (train, valid, test) of one folder are one source.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.blocks import Shape, refuse_other
from synth_kg.readers.files import dialect_of, lines_of
from synth_kg.readers.mapping import Cell, EdgeFile, End
from synth_kg.readers.tables import Into, take_edges, title_of
from synth_kg.sniff import UnusableSource

_MARKS = "\t,;| "
_SEEN = 20
_LOOKED, _FEW = 1000, 2


def looks_so(path: Path) -> bool:
    """Whether a file reads as triples: the middle cell comes again and again, and the third is no number."""
    dialect = dialect_of(path)
    cells = [
        line.split(dialect.delimiter) for _, line in islice(lines_of(path, dialect.encoding), _LOOKED) if line.strip()
    ]
    whole = [row for row in cells if len(row) == 3]
    if len(whole) < len(cells) / 2 or not whole:
        return False
    relations = {row[1].strip() for row in whole}
    numbers = sum(row[2].strip().replace(".", "", 1).isdigit() for row in whole)
    return len(relations) <= max(_FEW, len(whole) / 2) and numbers < len(whole) / 2


def read_triples(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a file of triples.

    Args:
        path: the file, with tabs, commas, semicolons, bars or spaces between the three.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: its lines have not three cells, or it is cut or damaged.
    """
    refuse_other(path, "csv", "text", "zstd")
    dialect = dialect_of(path)
    first = [line for _, line in islice(lines_of(path, dialect.encoding), _SEEN) if line.strip()]
    fit = {mark: sum(line.count(mark) == 2 for line in first) for mark in _MARKS}
    mark = max(_MARKS, key=lambda mark: fit[mark])
    needed = len(first) if mark == " " else len(first) / 2  # prose has spaces as well
    if fit[mark] < needed or not first:
        raise UnusableSource(f"{path}: not triples: its lines have not three cells (head, relation, tail)")
    columns = ("head", "relation", "tail")
    shape = Shape(columns, mark, dialect.encoding, comment="")
    head, relation, tail = (Cell(name) for name in columns)
    title = title_of(path)
    into = Into(builder, builder.told(about, title), about.name or title)
    take_edges(into, EdgeFile(path, End(head), relation, End(tail), shape=shape))
