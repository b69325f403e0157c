"""Tables of nodes and of statements: any columns with a mapping, the usual ones without.

Statements go to the builder in blocks of some hundred thousand; only ids, types and relations that are new to a block
are looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.columns import SMALL, Ints
from synth_kg.graph import Key
from synth_kg.readers.blocks import (
    Bad,
    Block,
    Column,
    Table,
    blocks_of,
    gathered,
    listed,
    open_table,
    place_of,
    rows_in,
    unified,
)
from synth_kg.readers.mapping import Cell, EdgeFile, End, NodeFile, columns_of, read_mapping
from synth_kg.readers.prefixes import type_of
from synth_kg.sniff import UnusableSource

EMPTY = "a line without relation, type or id"
UNLISTED = "an end that no file of nodes lists"
AMBIGUOUS = "an end whose id is that of nodes of several types"
NEGATED = frozenset({"true", "yes", "y", "t", "1", "1.0", "not", "negated", "negative"})
STATED = frozenset({"", "false", "no", "n", "f", "0", "0.0", "affirmed", "positive", "none"})
UNTOLD = "a negation told in a way that is not known"
_ENDINGS = frozenset(
    {
        "csv", "tsv", "txt", "tab", "sif", "sssom", "json", "jsonl", "ndjson", "parquet", "graphml", "xml", "gz",
        "zst", "zstd",
    }
)  # fmt: skip
KeyOf = Callable[[str], Key | str]
"""The key of an id, or why it has none."""
Relate = Callable[[str, str, str, bool], tuple[int, bool] | str]
"""Of a relation, the types of head and tail, and whether it is negated: the relation's number and whether head and
tail are to change places, or why there is none."""


class Into(NamedTuple):
    """Where what is read goes."""

    builder: Builder
    origin: int
    title: str

    def drop(self, path: Path, reason: str, line: int, count: int = 1) -> None:
        """Count lines that were left out."""
        self.builder.drop(self.title, reason, f"{path.name}:{line}", count)

    def bad(self, path: Path) -> Bad:
        """What takes bad lines of a file."""
        return lambda reason, line: self.drop(path, reason, line)


def read_table(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a table whose columns go by usual names.

    Of statements: a pair of ends (source and target, subject and object, head and tail, start and end, from and to,
    x and y; alone or with `_id`, `_type`, `_name`) and a relation. Of nodes: id, name and type.

    Args:
        path: CSV, TSV, Parquet or JSON Lines, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is no table, or its columns have other names; says which, and what to do.
    """
    table = open_table(path)
    edges, nodes = recognised_edges(table), recognised_nodes(table)
    if edges is None and nodes is None:
        raise UnusableSource(
            f"{path}: cannot tell nodes and relations by its columns ({', '.join(map(repr, table.columns[:20]))}): "
            "write a mapping file, a few lines of YAML that say which column holds what "
            "(see synth_kg.readers.mapping), and give that as the source"
        )
    title = title_of(path)
    into = Into(builder, builder.told(about, title), about.name or title)
    if edges is not None:
        take_edges(into, edges)
    elif nodes is not None:
        take_nodes(into, nodes)


def read_mapped(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read the files that a mapping file names.

    Args:
        path: the mapping file; see `synth_kg.readers.mapping`.
        builder: takes what is found.
        about: what a person says of the source, in place of what the mapping file says.

    Raises:
        UnusableSource: the mapping file is wrong, or a file that it names cannot be used.
    """
    mapping = read_mapping(path)
    origin = builder.told(about, mapping.source, mapping.version, mapping.license)
    into = Into(builder, origin, about.name or mapping.source)
    types: dict[str, str] = {}
    for nodes in mapping.nodes:
        take_nodes(into, nodes, given=types)
    key_of = listed_key(types) if mapping.nodes else plain_key
    for edges in mapping.edges:
        take_edges(into, edges, key_of=key_of)


def title_of(path: Path) -> str:
    """What a file is called when nobody says: its name without endings, or its folder's where it is a split of it."""
    name = path.name
    while (cut := name.rpartition("."))[0] and cut[2].lower() in _ENDINGS:
        name = cut[0]
    return path.absolute().parent.name or name if name.lower() in {"train", "valid", "test", "dev"} else name


# -- what usual names say

_PAIRS = (("x", "y"), ("subject", "object"), ("head", "tail"), ("source", "target"), ("start", "end"), ("from", "to"))
_RELATIONS = (
    "relation", "predicate", "relationship", "relation_type", "edge_type", "rel", "rela", "predicate_id", "edge",
    "type", "label", "interaction",
)  # fmt: skip
_NEGATIONS = ("negated", "is_negated", "negation", "predicate_modifier", "qualifier")
_IDS, _NAMES = ("id", "node_id", "curie", "code"), ("name", "node_name", "label", "title", "term")
_TYPES = ("type", "kind", "node_type", "category", "semantic_type")


def _plain(column: str) -> str:
    """A column's name in small letters, and without what Neo4j puts around it."""
    bare = re.sub(r"\(.*?\)$", "", column.strip().lower()).lstrip(":")
    return re.sub(r":\w+(\[\])?$", "", bare).replace(" ", "_")


def _found(named: Mapping[str, str], *wanted: str) -> Cell | None:
    return next((Cell(named[name]) for name in wanted if name in named), None)


def recognised_edges(table: Table) -> EdgeFile | None:
    """Which columns hold what, if it is a table of statements."""
    named = {_plain(column): column for column in reversed(table.columns)}
    relation = _found(named, *_RELATIONS)
    for pair in _PAIRS:
        ids = [_found(named, f"{end}_id", f"{end}id", end) for end in pair]
        if relation is None or ids[0] is None or ids[1] is None:
            continue
        ends = []
        for end, ident in zip(pair, ids, strict=True):
            assert ident is not None
            kind = _found(named, f"{end}_type", f"{end}_kind", f"{end}_category")
            name = _found(named, f"{end}_name", f"{end}_label", f"{end}_node", end)
            ends.append(End(ident, kind, name if name != ident else None))
        return EdgeFile(table.path, ends[0], relation, ends[1], _found(named, *_NEGATIONS), shape=table.shape)
    return None


def recognised_nodes(table: Table) -> NodeFile | None:
    """Which columns hold what, if it is a table of nodes."""
    named = {_plain(column): column for column in reversed(table.columns)}
    ident, name = _found(named, *_IDS), _found(named, *_NAMES)
    if ident is None or name is None:
        return None
    also = _found(named, "synonyms", "synonym", "aliases")
    return NodeFile(
        table.path, ident, _found(named, *_TYPES), name, (also.column,) if also else (), shape=table.shape
    )  # fmt: skip


# -- keys


def plain_key(ident: str) -> Key | str:
    """The key of an id that tells the type: before `::`, or by its prefix.

    >>> plain_key("Side Effect::C0000727"), plain_key("HP:0000083")
    (('Side Effect', 'C0000727'), ('Phenotype', 'HP:0000083'))
    """
    kind, mark, rest = ident.partition("::")
    if mark and kind.strip() and rest.strip():
        return kind.strip(), rest.strip()
    return (type_of(ident), ident) if ident else EMPTY


def listed_key(types: Mapping[str, str]) -> KeyOf:
    """Keys of ids that were listed with their types; '' where with several."""

    def key_of(ident: str) -> Key | str:
        if not ident:
            return EMPTY
        kind = types.get(ident)
        return (kind, ident) if kind else UNLISTED if kind is None else AMBIGUOUS

    return key_of


# -- nodes


def take_nodes(
    into: Into,
    file: NodeFile,
    *,
    key_of: KeyOf = plain_key,
    typed: Callable[[str], str] = str,
    given: dict[str, str] | None = None,
) -> None:
    """Declare the nodes of a table.

    Args:
        into: takes them.
        file: the table, and which columns hold what.
        key_of: the key of an id, where no type is told.
        typed: the type that a cell names.
        given: is given the type of each id, '' where there are several.

    Raises:
        UnusableSource: it cannot be read, or a column is not there.
    """
    table = open_table(file.path, file.shape)
    wanted = [*columns_of((file.id, file.type, file.name)), *file.synonyms]
    need_columns(table, wanted)
    for block in blocks_of(table, wanted, into.bad(file.path)):
        for row, cells in rows_in(block):
            ident = _told(cells, file.id)
            kind = typed(_told(cells, file.type)) if file.type else ""
            key = (kind, ident) if kind and ident else EMPTY if file.type else key_of(ident)
            if isinstance(key, str):
                into.drop(file.path, key, block.line(row))
                continue
            also = [text.strip() for column in file.synonyms for text in cells[column].split(file.separator)]
            into.builder.node(into.origin, *key, _told(cells, file.name), also)
            if given is not None and given.setdefault(ident, key[0]) != key[0]:
                given[ident] = ""


def _told(cells: Mapping[str, str], cell: Cell | None) -> str:
    return "" if cell is None else cells[cell.column] if cell.column else cell.value


def need_columns(table: Table, wanted: list[str]) -> None:
    """See that columns are there.

    Raises:
        UnusableSource: one is not; says which, and which are.
    """
    for name in wanted:
        if name not in table.columns:
            raise UnusableSource(f"{table.path}: no column '{name}'; there are {', '.join(map(repr, table.columns))}")


# -- statements


def take_edges(into: Into, file: EdgeFile, *, key_of: KeyOf = plain_key, relate: Relate | None = None) -> None:
    """State what a table states.

    Args:
        into: takes it.
        file: the table, and which columns hold what.
        key_of: the key of an id, where no type is told.
        relate: what a relation becomes; without it, it keeps its name, with a direction unless `file.undirected`.

    Raises:
        UnusableSource: it cannot be read, or a column is not there.
    """
    table = open_table(file.path, file.shape)
    ends = (file.head, file.tail)
    wanted = columns_of([file.relation, file.negated, *(cell for end in ends for cell in (end.id, end.type, end.name))])
    wanted += file.attributes
    need_columns(table, wanted)
    taker = _Taker(into, file, key_of, relate or _as_named(into.builder, file))
    for block in gathered(blocks_of(table, wanted, into.bad(file.path))):
        taker.take(block)


def _as_named(builder: Builder, file: EdgeFile) -> Relate:
    def relate(name: str, head: str, tail: str, negated: bool) -> tuple[int, bool] | str:
        directed = file.undirected is not None and name not in file.undirected
        return (builder.relation(name, directed=directed, negated=negated), False) if name else EMPTY

    return relate


class _Ids:
    """The ids of a file by codes, and what was found out of each once.

    Args:
        key_of: the key of an id; None where types are told beside ids.
        types: type -> code.
    """

    def __init__(self, key_of: KeyOf | None, types: dict[str, int]) -> None:
        self.key_of, self.types = key_of, types
        self.column = Column(np.zeros(0, np.int32), [])
        self.type_at: Ints = np.zeros(0, np.int32)
        """Code -> type with which the id was first met; -1 if it has no key, -2 if that was not asked."""
        self.number_at: Ints = np.zeros(0, np.int64)
        """Code -> provisional number of the node of that type; -1 if that was not asked."""

    def codes(self, columns: Sequence[Column]) -> list[Ints]:
        """Codes that hold for the whole file, of the cells of columns."""
        before = self.column if len(self.type_at) else columns[0]
        self.column, *found = unified([before._replace(codes=np.zeros(0, np.int32)), *columns])
        more = len(self.column.values) - len(self.type_at)
        self.type_at = np.concatenate([self.type_at, np.full(more, -2, np.int32)])
        self.number_at = np.concatenate([self.number_at, np.full(more, -1, np.int64)])
        if (empty := place_of(self.column.values, "")) >= 0:
            self.type_at[empty] = -1
        return [column.codes for column in found]

    def texts(self, codes: Ints) -> list[str]:
        """The ids of codes, as they were read."""
        return self.column._replace(codes=codes).of(np.arange(len(codes)))

    def idents(self, codes: Ints) -> list[str]:
        """The ids of codes, as they are in keys."""
        texts = self.texts(codes)
        return texts if self.key_of is None else [self.key_of(text)[1] for text in texts]

    def why(self, code: int) -> str:
        """Why an id has no key."""
        found = self.key_of(self.texts(np.array([code]))[0]) if self.key_of else EMPTY
        return found if isinstance(found, str) else EMPTY

    def find_types(self, codes: Ints) -> Ints:
        """The types of ids that tell them."""
        assert self.key_of is not None
        fresh = np.flatnonzero((np.bincount(codes, minlength=len(self.type_at)) > 0) & (self.type_at == -2))
        keys = [self.key_of(text) for text in self.texts(fresh)]
        types = self.types
        self.type_at[fresh] = [-1 if isinstance(key, str) else types.setdefault(key[0], len(types)) for key in keys]
        return self.type_at[codes]

    def meet_types(self, codes: Ints, types: Ints) -> Ints:
        """The types that are told beside ids; -1 where there is no id."""
        fresh = np.flatnonzero((self.type_at[codes] == -2) & (types >= 0))
        self.type_at[codes[fresh]] = types[fresh]
        return np.where(self.type_at[codes] == -1, -1, types)


class _Keys(NamedTuple):
    """An end of the statements of a block."""

    ids: _Ids
    codes: Ints
    """(rows) code of the id."""
    types: Ints
    """(rows) code of the type; -1 where there is no key."""


class _Taker:
    """Hands the statements of one file over, block by block."""

    def __init__(self, into: Into, file: EdgeFile, key_of: KeyOf, relate: Relate) -> None:
        self.into, self.file, self.relate = into, file, relate
        self.types: dict[str, int] = {}
        told, untold = _Ids(None, self.types), _Ids(key_of, self.types)
        self.ids = [told if end.type else untold for end in (file.head, file.tail)]
        self.named: Ints = np.zeros(0, bool)
        """Provisional number -> whether it was named."""
        self.related: dict[tuple[str, str, str, bool], tuple[int, bool] | str] = {}

    def take(self, block: Block) -> None:
        """Hand over the statements of a block."""
        ends = (self.file.head, self.file.tail)
        head, tail = self._keys(block)
        fit = self._usable(block, tail, self._usable(block, head, np.ones(block.rows, bool)))
        relations, turned, fit = self._relations(block, head, tail, fit)
        rows = np.flatnonzero(fit)
        if not len(rows):
            return
        heads, tails = (self._numbers(block, end, keys, rows) for end, keys in zip(ends, (head, tail), strict=True))
        relations, turned = relations[rows], turned[rows]
        if turned.any():
            heads, tails = np.where(turned, tails, heads), np.where(turned, heads, tails)
        if not self.file.attributes:
            self.into.builder.edges(self.into.origin, heads, relations, tails)
        else:
            self._say(block, rows, heads, relations, tails)

    def _say(self, block: Block, rows: Ints, heads: Ints, relations: Ints, tails: Ints) -> None:
        names = self.file.attributes
        said = zip(*(block.columns[name].of(rows) for name in names), strict=True)
        edge, origin = self.into.builder.edge, self.into.origin
        for h, r, t, values in zip(heads.tolist(), relations.tolist(), tails.tolist(), said, strict=True):
            edge(origin, h, r, t, **{name: value for name, value in zip(names, values, strict=True) if value})

    def _keys(self, block: Block) -> list[_Keys]:
        ends = (self.file.head, self.file.tail)
        columns = [_cells(block, end.id) for end in ends]
        one, other = self.ids
        codes = one.codes(columns) if one is other else [*one.codes(columns[:1]), *other.codes(columns[1:])]
        found = []
        for end, ids, code in zip(ends, self.ids, codes, strict=True):
            if end.type is None:
                found.append(_Keys(ids, code, ids.find_types(code)))
                continue
            kinds = _cells(block, end.type)
            numbers = [self.types.setdefault(kind, len(self.types)) if kind else -1 for kind in listed(kinds.values)]
            found.append(_Keys(ids, code, ids.meet_types(code, np.array(numbers, np.int32)[kinds.codes])))
        return found

    def _usable(self, block: Block, keys: _Keys, fit: Ints) -> Ints:
        """Rows among `fit` whose end has a key; the others are counted."""
        good: Ints = keys.types >= 0
        if good.all():
            return fit
        self._drop(block, np.flatnonzero(fit & ~good), lambda row: keys.ids.why(int(keys.codes[row])))
        return fit & good

    def _drop(self, block: Block, rows: Ints, why: Callable[[int], str]) -> None:
        for row in rows.tolist():
            self.into.drop(self.file.path, why(row), block.line(row))

    def _relations(self, block: Block, head: _Keys, tail: _Keys, fit: Ints) -> tuple[Ints, Ints, Ints]:
        """Of each row: the relation, whether the ends change places; and the rows that are fit."""
        named = _cells(block, self.file.relation)
        negated = _cells(block, self.file.negated) if self.file.negated else Column(np.zeros(1, np.int8), [""])
        lenient = self.file.negated is not None and _plain(self.file.negated.column or "") == "qualifier"
        ways = np.array([_negation(value.lower(), lenient=lenient) for value in listed(negated.values)], np.int64)
        no = ways[negated.codes]
        if (no < 0).any():
            self._drop(block, np.flatnonzero(fit & (no < 0)), lambda _row: UNTOLD)
            fit, no = fit & (no >= 0), np.maximum(no, 0)
        many = max(1, len(self.types))
        kind = named.codes.astype(np.int64) * 2 + no
        for keys in (head, tail):
            kind = kind * many + np.maximum(keys.types, 0)
        there, at = _present(kind, len(named.values) * 2 * many * many)
        names, types = listed(named.values), list(self.types) or [""]
        found: list[tuple[int, bool] | str] = []
        for code in there.tolist():
            rest, tail_type = divmod(code, many)
            rest, head_type = divmod(rest, many)
            name, negative = names[rest // 2], bool(rest % 2)
            found.append(self._related(name, types[head_type], types[tail_type], negative) if name else EMPTY)
        numbers = np.array([-1 if isinstance(one, str) else one[0] for one in found], np.int32)[at]
        turned = np.array([not isinstance(one, str) and one[1] for one in found], bool)[at]
        if (numbers < 0).any():
            self._drop(block, np.flatnonzero(fit & (numbers < 0)), lambda row: str(found[at[row]]))
            fit = fit & (numbers >= 0)
        return numbers.astype(np.uint16) if numbers.max(initial=0) < 2**16 else numbers, turned, fit

    def _related(self, name: str, head: str, tail: str, negated: bool) -> tuple[int, bool] | str:
        key = (name, head, tail, negated)
        if key not in self.related:
            self.related[key] = self.relate(*key)
        return self.related[key]

    def _numbers(self, block: Block, end: End, keys: _Keys, rows: Ints) -> Ints:
        """The provisional numbers of an end of rows; what is new is named."""
        ids, codes, types = keys
        if len(rows) < block.rows:
            codes, types = codes[rows], types[rows]
        usual = types == ids.type_at[codes]
        used = np.bincount(codes if usual.all() else codes[usual], minlength=len(ids.number_at)) > 0
        fresh = np.flatnonzero(used & (ids.number_at < 0))
        ids.number_at[fresh] = self._asked(ids, fresh, ids.type_at[fresh])
        found: Ints = ids.number_at[codes]
        if not usual.all():  # an id of several types
            odd, many = np.flatnonzero(~usual), len(self.types)
            both, at = np.unique(codes[odd].astype(np.int64) * many + types[odd], return_inverse=True)
            found[odd] = self._asked(ids, *np.divmod(both, many))[at]
        if end.name is not None:
            self._name(_cells(block, end.name), found, _Keys(ids, codes, types), rows)
        return found.astype(np.int32) if found.max(initial=0) < SMALL else found

    def _asked(self, ids: _Ids, codes: Ints, types: Ints) -> Ints:
        """The numbers of nodes by code of the id and type."""
        found: Ints = np.zeros(len(codes), np.int64)
        idents = np.array(ids.idents(codes), object)
        names = list(self.types)
        for kind in np.unique(types).tolist():
            places = np.flatnonzero(types == kind)
            found[places] = self.into.builder.numbers(names[kind], idents[places].tolist())
        return found

    def _name(self, names: Column, numbers: Ints, keys: _Keys, rows: Ints) -> None:
        """Give names to nodes that were not named before."""
        most = int(numbers.max(initial=0))
        if most >= len(self.named):
            self.named = np.concatenate([self.named, np.zeros(most + 1, bool)])
        unnamed = np.flatnonzero(~self.named[numbers])
        _, first = np.unique(numbers[unnamed], return_index=True)
        some = unnamed[first]
        types, found = list(self.types), names.of(rows[some])
        idents = keys.ids.idents(keys.codes[some])
        for kind, ident, name in zip(keys.types[some].tolist(), idents, found, strict=True):
            if name:
                self.into.builder.node(self.into.origin, types[kind], ident, name)
        self.named[numbers[some]] = [bool(name) for name in found]


def _negation(told: str, *, lenient: bool) -> int:
    """1 if a statement is denied, 0 if not, -1 if that is not known; qualifiers may say other things.

    >>> _negation("not", lenient=False), _negation("", lenient=False), _negation("maybe", lenient=False)
    (1, 0, -1)
    >>> _negation("not|involved_in", lenient=True), _negation("involved_in", lenient=True)
    (1, 0)
    """
    if told in NEGATED or (lenient and told.startswith("not")):
        return 1
    return 0 if told in STATED or lenient else -1


def _cells(block: Block, cell: Cell) -> Column:
    """The cells of a column, or a constant as one."""
    return block.columns[cell.column] if cell.column else Column(np.zeros(block.rows, np.int8), [cell.value])


def _present(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """The codes that are there, in order, and the place of each row's among them."""
    if size > 1 << 20:
        return np.unique(codes, return_inverse=True)
    there = np.flatnonzero(np.bincount(codes, minlength=size))
    place = np.zeros(size, np.int32)
    place[there] = np.arange(len(there))
    return there, place[codes]
