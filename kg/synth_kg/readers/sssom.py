"""SSSOM mappings: terms of one vocabulary that are those of another.

Nodes are not merged. A mapping is a statement between the two terms (`exact_match` and `close_match` have no
direction; `broad_match` and the like do), and where the match is exact, each term takes the other's label as a
synonym. The YAML in the `#` lines at the head tells title, version and licence.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.blocks import Block, blocks_of, open_table, rows_in
from synth_kg.readers.files import lines_of
from synth_kg.readers.tables import EMPTY, NEGATED, Into, plain_key, title_of
from synth_kg.sniff import UnusableSource

NEEDED = ("subject_id", "predicate_id", "object_id")
LABELS = ("subject_label", "object_label")
ATTRIBUTES = ("mapping_justification", "confidence")
EXACT = "exact_match"
UNDIRECTED = frozenset({EXACT, "close_match", "related_match", "same_as"})
NO_TERM = "sssom:NoTermFound"


def read_sssom(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a set of mappings.

    Args:
        path: the TSV.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it has not the columns of SSSOM, or is cut or damaged.
    """
    table = open_table(path)
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise UnusableSource(f"{path}: not SSSOM: no column {', '.join(map(repr, missing))}")
    head = head_of(path, table.dialect.encoding)
    title = str(head.get("mapping_set_title") or title_of(path))
    version = str(head.get("mapping_set_version") or head.get("mapping_set_date") or "")
    dated = re.search(r"\d{4}-\d{2}-\d{2}", version)
    origin = builder.told(about, title, dated.group() if dated else version, str(head.get("license") or ""))
    into = Into(builder, origin, about.name or title)
    for block in blocks_of(table, (*NEEDED, *LABELS, "predicate_modifier", *ATTRIBUTES), into.bad(path)):
        _take(block, path, into)


def head_of(path: Path, encoding: str) -> dict[str, Any]:
    """What the `#` lines at the head say; nothing where they are not YAML."""
    told = []
    for _, line in lines_of(path, encoding):
        if not line.startswith("#"):
            break
        told.append(line[1:])
    cut = min((len(line) - len(line.lstrip()) for line in told if line.strip()), default=0)
    try:
        found = yaml.safe_load("\n".join(line[cut:] for line in told))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def word(predicate: str) -> str:
    """A predicate's name, in words.

    >>> word("skos:exactMatch"), word("oboInOwl:hasDbXref")
    ('exact_match', 'has_db_xref')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", predicate.rpartition(":")[2]).lower()


def _take(block: Block, path: Path, into: Into) -> None:
    for row, cells in rows_in(block):
        ids = cells["subject_id"], cells["object_id"]
        keys = [plain_key(ident) for ident in ids]
        relation = word(cells["predicate_id"])
        if NO_TERM in ids:
            into.drop(path, "a term that is told to have no match", block.line(row))
            continue
        if isinstance(keys[0], str) or isinstance(keys[1], str) or not relation:
            into.drop(path, EMPTY, block.line(row))
            continue
        negated = cells.get("predicate_modifier", "").lower() in NEGATED
        labels = [cells.get(name, "") for name in LABELS]
        same = relation == EXACT and not negated
        head, tail = (
            into.builder.node(into.origin, *key, label, (other,) if same and other != label else ())
            for key, label, other in ((keys[0], labels[0], labels[1]), (keys[1], labels[1], labels[0]))
        )  # fmt: skip
        number = into.builder.relation(relation, directed=relation not in UNDIRECTED, negated=negated)
        said = {name: cells[name] for name in ATTRIBUTES if cells.get(name)}
        into.builder.edge(into.origin, head, number, tail, **said)
