"""Which reader takes a source: told by what is in the file, not by what it is called.

A source is a file, a mapping file (YAML), or a folder, whose files are read one by one; a file of a folder that no
reader takes is counted, and the others are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from synth_kg.builder import NOT_TOLD, About, Builder, Built
from synth_kg.readers.files import lines_of, readable
from synth_kg.sniff import ADVICE, UnusableSource, kind_of

Reader = Callable[[Path, Builder, About], None]
_LINES = 200
_KINDS = {"obo": "obo_terms:read_obo_terms", "owl": "owl:read_owl", "graphml": "networks:read_graphml",
          "parquet": "tables:read_table"}  # fmt: skip
"""What a file is by its first bytes -> its reader."""
_COLUMNS: tuple[tuple[set[str], str], ...] = (
    ({"x_index", "x_id", "x_type", "y_index", "y_id", "y_type", "relation"}, "primekg:read_wide"),
    ({"pathway_id", "source_node", "target_node", "relation"}, "primekg_parts:read_paths"),
    ({"node_index", "node_id", "node_type"}, "primekg_parts:read_parts"),
    ({"relation", "x_index", "y_index"}, "primekg_parts:read_parts"),
    ({"id", "name", "kind"}, "hetionet:read_hetionet"),
    ({"source", "metaedge", "target"}, "hetionet:read_hetionet"),
    ({"database_id", "hpo_id", "aspect"}, "hpoa:read_hpoa"),
    ({"databaseid", "hpo_id", "aspect"}, "hpoa:read_hpoa"),
    ({"translation_value", "subject_id"}, "babelon:read_babelon"),
    ({"subject_id", "predicate_id", "object_id"}, "sssom:read_sssom"),
    ({"subject", "predicate", "object"}, "kgx:read_kgx"),
    ({"id", "category"}, "kgx:read_kgx"),
)
"""Columns that only one shape has -> its reader; the first that fits."""
_BESIDE: tuple[set[str], ...] = (
    {"metaedge", "abbreviation"}, {"metanode", "abbreviation"}, {"pathway_id", "node_name"}, {"pathway_id", "drug"},
)  # fmt: skip
"""Columns of tables that describe another file of theirs."""
_CHINESE = {"symptom", "cure_department", "acompany", "cure_way", "get_prob"}


def build(sources: Iterable[Path], about: About = NOT_TOLD) -> Built:
    """Read sources into one graph; their order changes nothing.

    Args:
        sources: files and folders.
        about: what a person says of all of them, in place of what they say of themselves.

    Raises:
        UnusableSource: a file that is named itself cannot be used, or nothing was read at all.
    """
    builder = Builder()
    for path in sources:
        read(path, builder, about)
    built = builder.finish()
    if not len(built.nodes):
        raise UnusableSource("the sources hold no node")
    return built


def read(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a file, or the files of a folder.

    Raises:
        UnusableSource: the file cannot be used, or none of the folder's can; says why and what to do.
    """
    if not path.is_dir():
        with readable(path):
            reader_of(path)(path, builder, about)
        return
    found = 0
    for file in sorted(child for child in path.rglob("*") if child.is_file() and not child.name.startswith(".")):
        before = builder.stated
        try:
            with readable(file):
                reader_of(file)(file, builder, about)
            found += 1
        except UnusableSource as error:
            part = builder.stated > before
            reason = (
                "a file that was cut or damaged; what came before is there" if part else "a file that no reader takes"
            )
            builder.drop(path.name, reason, str(error).replace(str(file), file.name))
    if not found:
        raise UnusableSource(f"{path}: no file in this folder can be read as a graph; name one of them to hear why")


def reader_of(path: Path) -> Reader:
    """The reader for a file.

    Raises:
        UnusableSource: there is none; says what the file is.
    """
    if path.suffix in (".yaml", ".yml"):
        return _loaded("tables:read_mapped")
    kind = kind_of(path)
    if kind in ADVICE and kind != "binary":
        raise UnusableSource(f"{path}: {ADVICE[kind]}")
    if kind in _KINDS:
        return _loaded(_KINDS[kind])
    head = [line for _, line in islice(lines_of(path), _LINES)]
    text = next((line.lstrip("\ufeff ") for line in head if line.strip()), "")
    if text.startswith(("{", "[")):
        return _loaded(_of_json(path, text))
    if text.startswith("<"):
        return _loaded(_of_xml(path, "\n".join(head)))
    if any(line.startswith(("format-version:", "[Term]")) for line in head):
        return _loaded("obo_terms:read_obo_terms")
    return _of_table(path, head)


def _loaded(name: str) -> Reader:
    module, _, function = name.partition(":")
    found: Any = getattr(import_module(f"synth_kg.readers.{module}"), function)
    return found  # type: ignore[no-any-return]


def _of_xml(path: Path, text: str) -> str:
    if "graphml" in text:
        return "networks:read_graphml"
    if any(mark in text for mark in ("rdf:RDF", "<Ontology", "owl#")):
        return "owl:read_owl"
    raise UnusableSource(f"{path}: XML, but neither OWL nor GraphML")


def _of_json(path: Path, first: str) -> str:
    try:
        told = json.loads(first)
    except ValueError:
        return "obograph:read_obograph"  # one document over many lines
    except RecursionError as error:
        raise UnusableSource(f"{path}: JSON that is nested too deep to be a graph") from error
    if not isinstance(told, dict) or "graphs" in told:
        return "obograph:read_obograph"
    if _CHINESE & told.keys():
        return "medical_cn:read_medical_cn"
    if {"subject", "predicate", "object"} <= told.keys() or {"id", "category"} <= told.keys():
        return "kgx:read_kgx"
    return "tables:read_table"


def _of_table(path: Path, head: list[str]) -> Reader:
    said = [line for line in head if line.strip() and not line.startswith("#")]
    old = next((line for line in head if line.lower().startswith("#databaseid")), None)
    header = (old or (said[0] if said else "")).lstrip("#\ufeff")
    names = {cell.strip().strip('"').casefold() for mark in "\t,;|" for cell in header.split(mark)}
    if any(columns <= names for columns in _BESIDE):
        raise UnusableSource(f"{path}: describes other files of its graph; name those")
    for columns, reader in _COLUMNS:
        if columns <= names:
            return _loaded(reader)

    from synth_kg.readers import tables, triples  # noqa: PLC0415
    from synth_kg.readers.blocks import open_table  # noqa: PLC0415

    try:
        table = open_table(path)
        if tables.recognised_edges(table) or tables.recognised_nodes(table):
            return tables.read_table
    except UnusableSource:
        return triples.read_triples
    return triples.read_triples if triples.looks_so(path) else tables.read_table  # which says what columns it saw
