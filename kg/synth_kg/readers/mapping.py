"""Mapping files: what the columns of somebody's tables hold, written down once.

A mapping file is YAML, and is itself given as the source. All there is to it:

    source: Ward formulary        # the name that every statement carries
    version: "2026-05"
    license: internal use only
    nodes:                        # files that list nodes; there may be none
      - file: things.csv          # beside this file
        type: kind                # a column ...
        id: code
        name: title
        synonyms: [short, other]  # one column or several
        separator: "|"            # between synonyms in a cell; this is the default
    edges:                        # files that state things of nodes
      - file: given_for.tsv.gz    # CSV, TSV, Parquet or JSON Lines; plain, gzip or zstandard
        head:
          type: {value: Drug}     # ... or a constant in place of a column
          id: drug
          name: drug_name
        relation: {value: treats}
        tail:
          type: {value: Disease}
          id: icd
        negated: is_excluded      # true, yes, y, t, 1, not or negated: the statement is that it does not hold
        attributes: [dose, since] # columns that are kept beside the statement
      - file: pairs.txt
        columns: [a, b, weight]   # names for the columns of a file without a header
        delimiter: ";"            # if it cannot be detected
        encoding: gb18030         # likewise
        head: {id: a}
        relation: {value: interacts_with}
        tail: {id: b}
        undirected: [interacts_with]  # relations without direction; `true` for all

Where no type is told for an end, it is that of the node of this id in the mapping's files of nodes; without such
files, what stands before `::` (as in `Compound::DB01050`), or else what the prefix says (see `prefixes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth_kg.readers.blocks import Shape
from synth_kg.sniff import UnusableSource


class Cell(NamedTuple):
    """Where something is told: in a column, or here for every line."""

    column: str = ""
    value: str = ""


@dataclass(frozen=True)
class End:
    """The head or tail of statements."""

    id: Cell
    type: Cell | None = None
    """None where the id tells it."""
    name: Cell | None = None


@dataclass(frozen=True)
class NodeFile:
    """A file that lists nodes."""

    path: Path
    id: Cell
    type: Cell | None = None
    name: Cell | None = None
    synonyms: tuple[str, ...] = ()
    """Columns."""
    separator: str = "|"
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True)
class EdgeFile:
    """A file that states something on every line."""

    path: Path
    head: End
    relation: Cell
    tail: End
    negated: Cell | None = None
    attributes: tuple[str, ...] = ()
    undirected: frozenset[str] | None = frozenset()
    """Relations; None for all."""
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True)
class Mapping:
    """What a mapping file says."""

    source: str
    version: str = ""
    license: str = ""
    nodes: tuple[NodeFile, ...] = ()
    edges: tuple[EdgeFile, ...] = ()


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        UnusableSource: it is not one; names file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UnusableSource(f"{path}: a mapping file is UTF-8 text, and this is not") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        what = getattr(error, "problem", None) or "not YAML"
        raise UnusableSource(f"{path}:{line}: not YAML ({what})") from error
    except RecursionError as error:
        raise UnusableSource(f"{path}: not a mapping file: it is nested without end") from error
    told = _Part(path, root, "mapping")
    keys = told.keys("source", "version", "license", "nodes", "edges")
    nodes = tuple(_node_file(part) for part in keys["nodes"].items()) if "nodes" in keys else ()
    edges = tuple(_edge_file(part) for part in keys["edges"].items()) if "edges" in keys else ()
    if not nodes and not edges:
        told.fail("it names no file: give `nodes`, `edges` or both")
    version, license = (keys[name].text() if name in keys else "" for name in ("version", "license"))
    return Mapping(told.need(keys, "source").text(), version, license, nodes, edges)


class _Part:
    """A part of a mapping file, which knows where it stands."""

    def __init__(self, path: Path, node: Any, name: str) -> None:
        self.path, self.node, self.name = path, node, name

    def fail(self, what: str) -> Any:
        """Say what is wrong.

        Raises:
            UnusableSource: always.
        """
        line = self.node.start_mark.line + 1 if self.node is not None else 1
        raise UnusableSource(f"{self.path}:{line}: {self.name}: {what}")

    def keys(self, *known: str) -> dict[str, _Part]:
        """The values of a mapping, which may have no other keys."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail("keys with values are expected here")
        found: dict[str, _Part] = {}
        for key, value in self.node.value:
            name = str(key.value)
            at = _Part(self.path, key, name)
            if name not in known:
                at.fail(f"no such key; there are {', '.join(known)}")
            if name in found:
                at.fail("told twice")
            found[name] = _Part(self.path, value, name)
        return found

    def need(self, keys: dict[str, _Part], name: str) -> _Part:
        """A value that must be there."""
        if name not in keys:
            self.fail(f"`{name}` is missing")
        return keys[name]

    def items(self) -> list[_Part]:
        """The items of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("a list is expected here")
        return [_Part(self.path, item, self.name) for item in self.node.value]

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            self.fail("a text is expected here")
        return str(self.node.value).strip()

    def texts(self) -> tuple[str, ...]:
        """A text, or a list of them."""
        if isinstance(self.node, yaml.ScalarNode):
            return (self.text(),)
        return tuple(item.text() for item in self.items())

    def cell(self) -> Cell:
        """A column, or `{value: ...}`."""
        if isinstance(self.node, yaml.MappingNode):
            return Cell(value=self.need(self.keys("value"), "value").text())
        return Cell(self.text())


_SHAPE = ("columns", "delimiter", "encoding")


def _file(part: _Part, keys: dict[str, _Part]) -> Path:
    name = part.need(keys, "file")
    path = part.path.parent / name.text()
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        name.fail(f"there is no file {name.text()} beside the mapping file")
    return path


def _shape(keys: dict[str, _Part]) -> Shape:
    columns = keys["columns"].texts() if "columns" in keys else ()
    delimiter = ""
    if "delimiter" in keys:
        told = keys["delimiter"]
        delimiter = str(told.node.value) if isinstance(told.node, yaml.ScalarNode) else ""
        delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n':
            told.fail("one character is expected here, or `tab`")
    encoding = keys["encoding"].text() if "encoding" in keys else ""
    return Shape(columns, delimiter, encoding)


def _optional(keys: dict[str, _Part], name: str) -> Cell | None:
    return keys[name].cell() if name in keys else None


def _node_file(part: _Part) -> NodeFile:
    keys = part.keys("file", "type", "id", "name", "synonyms", "separator", *_SHAPE)
    return NodeFile(
        _file(part, keys), part.need(keys, "id").cell(), _optional(keys, "type"), _optional(keys, "name"),
        keys["synonyms"].texts() if "synonyms" in keys else (),
        keys["separator"].text() if "separator" in keys else "|", _shape(keys),
    )  # fmt: skip


def _edge_file(part: _Part) -> EdgeFile:
    keys = part.keys("file", "head", "relation", "tail", "negated", "attributes", "undirected", *_SHAPE)
    undirected: frozenset[str] | None = frozenset()
    if "undirected" in keys:
        told = keys["undirected"]
        all_of_them = isinstance(told.node, yaml.ScalarNode) and told.node.tag == "tag:yaml.org,2002:bool"
        every = all_of_them and told.text().lower() in {"true", "yes", "on"}
        undirected = None if every else frozenset() if all_of_them else frozenset(told.texts())
    return EdgeFile(
        _file(part, keys), _end(part.need(keys, "head")), part.need(keys, "relation").cell(),
        _end(part.need(keys, "tail")), _optional(keys, "negated"),
        keys["attributes"].texts() if "attributes" in keys else (), undirected, _shape(keys),
    )  # fmt: skip


def _end(part: _Part) -> End:
    keys = part.keys("type", "id", "name")
    return End(part.need(keys, "id").cell(), _optional(keys, "type"), _optional(keys, "name"))


def columns_of(cells: Iterable[Cell | None]) -> list[str]:
    """The columns among places where things are told."""
    return [cell.column for cell in cells if cell is not None and cell.column]
