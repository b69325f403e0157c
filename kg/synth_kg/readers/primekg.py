"""PrimeKG (Chandak, Huang and Zitnik, Scientific Data 2023;10:67): kg.csv, or nodes.csv with edges.csv.

Every statement is listed twice, from either end, so the file itself no longer tells head from tail.
Between two types the relation's name does (`drug_protein` is of a drug), or else the alphabet; within one
type a relation has no direction here, and a hierarchy is a mere neighbourhood. A node is its (type, id): ids alone are
used again across types. Statements of an absence come as negated ones of what is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.columns import Ints
from synth_kg.readers.files import Line, rows_of

TITLE = "PrimeKG"
HEADER = (
    "relation", "display_relation", "x_index", "x_id", "x_type", "x_name", "x_source",
    "y_index", "y_id", "y_type", "y_name", "y_source",
)  # fmt: skip
NEGATIVE = {
    "disease_phenotype_negative": "disease_phenotype_positive",
    "anatomy_protein_absent": "anatomy_protein_present",
}
HEADS = {
    "anatomy": "anatomy", "bioprocess": "biological_process", "cellcomp": "cellular_component", "disease": "disease",
    "drug": "drug", "exposure": "exposure", "molfunc": "molecular_function", "pathway": "pathway",
    "phenotype": "effect/phenotype", "protein": "gene/protein",
    "indication": "drug", "contraindication": "drug", "off-label use": "drug",
}  # fmt: skip
"""First word of a relation's name -> type of its head."""
_BLOCK = 8 << 20
_ENDS = ("x", "y")


def read_wide(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read kg.csv.

    The fast way takes the indexes for what they are, numbers of nodes. A file in which they are not, or in which
    a line cannot be read, is read again line by line.

    Args:
        path: the file.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it cannot be read at all.
    """
    origin = builder.told(about, TITLE)
    fast = _Fast()
    if fast.read(path):
        fast.give(builder, origin)
    else:
        _read_lines(path, builder, origin)


class Relations:
    """What a relation between two types becomes: its number, and whether the ends are to be turned."""

    def __init__(self) -> None:
        self._heads: dict[tuple[str, frozenset[str]], str] = {}

    def of(self, builder: Builder, name: str, x_type: str, y_type: str) -> tuple[int, bool]:
        """The number of a relation between two types, and whether y is the head."""
        named = HEADS.get(name) or HEADS.get(name.partition("_")[0])
        first = named if named in (x_type, y_type) else min(x_type, y_type)
        head = self._heads.setdefault((name, frozenset((x_type, y_type))), first)
        number = builder.relation(NEGATIVE.get(name, name), directed=x_type != y_type, negated=name in NEGATIVE)
        return number, head != x_type


class _Nodes(NamedTuple):
    """First lines of nodes."""

    indexes: Ints
    types: Ints
    ids: list[str]
    names: list[str]


class _Fast:
    """Reads blocks into arrays, and hands them over at the end."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.type_at: Ints = np.full(1 << 16, -1, np.int16)
        """Index -> type."""
        self.nodes: list[_Nodes] = []
        self.place: Ints = np.zeros(1 << 16, np.int32)
        """Index -> where its id is among those met."""
        self.met: Any = None
        """The ids of nodes in the order in which they were met."""
        self.edges: list[tuple[Ints, Ints, Ints]] = []
        """(x_index, relation, y_index) of each block."""

    def read(self, path: Path) -> bool:
        """Read all of it; whether that was possible."""
        import pyarrow as pa  # noqa: PLC0415

        try:
            return all(self._take(batch) for batch in _blocks(path))
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, ValueError):
            return False

    def _take(self, batch: Any) -> bool:
        x, y = (batch[f"{end}_index"].to_numpy(zero_copy_only=False) for end in _ENDS)
        if x.dtype.kind != "i" or y.dtype.kind != "i" or min(x.min(initial=0), y.min(initial=0)) < 0:
            return False  # an empty cell makes floats of them
        most = int(max(x.max(initial=0), y.max(initial=0)))
        if most >= len(self.type_at):
            self.type_at = np.concatenate([self.type_at, np.full(most + 1, -1, np.int16)])
            self.place = np.concatenate([self.place, np.zeros(most + 1, np.int32)])
        for end, index in zip(_ENDS, (x, y), strict=True):
            kinds = _coded(batch[f"{end}_type"], self.types)
            self._meet(batch, end, index, kinds)
            if (self.type_at[index] != kinds).any() or not self._same_ids(batch[f"{end}_id"], index):
                return False
        self.edges.append((x, _coded(batch["relation"], self.names), y))
        return "" not in self.names and "" not in self.types

    def _same_ids(self, ids: Any, index: Ints) -> bool:
        """Whether every index goes with the id with which it was first met."""
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import compute  # noqa: PLC0415

        known = self.met.take(pa.array(self.place[index]))
        return bool(compute.all(compute.equal(known, ids)).as_py()) and not ids.null_count

    def _meet(self, batch: Any, end: str, index: Ints, kinds: Ints) -> None:
        """Take down the nodes that were not seen before."""
        import pyarrow as pa  # noqa: PLC0415

        fresh = np.flatnonzero(self.type_at[index] < 0)
        if not len(fresh):
            return
        found, at = np.unique(index[fresh], return_index=True)
        rows = pa.array(fresh[at])
        kept, names = (batch[f"{end}_{what}"].take(rows) for what in ("id", "name"))
        ids, names = kept.to_pylist(), names.to_pylist()
        if not all(ids):
            raise ValueError("an empty id")
        before = 0 if self.met is None else len(self.met)
        self.met = kept if self.met is None else pa.concat_arrays([self.met, kept])
        self.place[found] = np.arange(before, before + len(found))
        self.type_at[found] = kinds[fresh[at]]
        self.nodes.append(_Nodes(found, kinds[fresh[at]], ids, names))

    def give(self, builder: Builder, origin: int) -> None:
        """Hand over what was read; the arrays are let go of one by one."""
        types, names = list(self.types), list(self.names)
        number: Ints = np.zeros(len(self.type_at), np.int32)
        for met in self.nodes:
            for index, kind, ident, name in zip(
                met.indexes.tolist(), met.types.tolist(), met.ids, met.names, strict=True
            ):
                number[index] = builder.node(origin, types[kind], ident, name)
        many = len(types)
        relations = Relations()
        became = np.full(len(names) * many * many, -1, np.int32)
        turned = np.zeros(len(became), bool)
        for x, relation, y in self.edges:
            kind = (relation.astype(np.int32) * many + self.type_at[x]) * many + self.type_at[y]
            for code in np.flatnonzero(np.bincount(kind, minlength=len(became))).tolist():
                if became[code] < 0:
                    rest, y_type = divmod(code, many)
                    which, x_type = divmod(rest, many)
                    became[code], turned[code] = relations.of(builder, names[which], types[x_type], types[y_type])
            turn = turned[kind]
            heads, tails = np.where(turn, y, x), np.where(turn, x, y)
            builder.edges(origin, number[heads], became[kind].astype(np.uint16), number[tails])
        self.edges = []


def _blocks(path: Path) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    coded = pa.dictionary(pa.int32(), pa.string())
    kinds = {"relation": coded}
    for end in _ENDS:
        kinds |= {
            f"{end}_index": pa.int32(),
            f"{end}_type": coded,
            f"{end}_id": pa.string(),
            f"{end}_name": pa.string(),
        }
    with csv.open_csv(
        path, read_options=csv.ReadOptions(block_size=_BLOCK),
        convert_options=csv.ConvertOptions(include_columns=list(kinds), column_types=kinds),
    ) as reader:  # fmt: skip
        yield from reader


def _coded(column: Any, codes: dict[str, int]) -> Ints:
    """A dictionary column by codes that hold for all blocks."""
    known = [codes.setdefault(value, len(codes)) for value in column.dictionary.to_pylist()]
    if column.null_count:
        raise ValueError("an empty cell")
    table: Ints = np.array(known, np.int16)
    found: Ints = table[column.indices.to_numpy()]
    return found


def _read_lines(path: Path, builder: Builder, origin: int) -> None:
    """Read kg.csv line by line; a line that cannot be used is counted."""
    rows = rows_of(path, comment="")
    header = [name.strip().casefold() for name in next(rows, Line(1, [])).cells]
    at = {name: place for place, name in enumerate(header)}
    relations = Relations()
    for row in rows:
        if len(row.cells) != len(header):
            builder.drop(TITLE, "a line of another number of cells", f"{path.name}:{row.number}")
            continue
        told = {name: row.cells[place].strip() for name, place in at.items()}
        ends = [(told[f"{end}_type"], told[f"{end}_id"], told.get(f"{end}_name", "")) for end in _ENDS]
        if not told["relation"] or not all(kind and ident for kind, ident, _ in ends):
            builder.drop(TITLE, "a line without relation, type or id", f"{path.name}:{row.number}")
            continue
        x, y = (builder.node(origin, *end) for end in ends)
        relation, turn = relations.of(builder, told["relation"], ends[0][0], ends[1][0])
        builder.edge(origin, y if turn else x, relation, x if turn else y)
