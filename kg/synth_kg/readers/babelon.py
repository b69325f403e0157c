"""Translations of ontologies in babelon tables (https://github.com/monarch-initiative/babelon).

A translated label, or exact synonym, becomes another name of the term; definitions are left out, and so is what
has a status other than OFFICIAL or a precision other than exact. The table makes no statements.
"""

from __future__ import annotations

from pathlib import Path

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.hpoa import LICENSE, unicode_lines
from synth_kg.readers.prefixes import type_of
from synth_kg.sniff import UnusableSource

TITLE = "translations"
_NAMES = {"rdfs:label", "oboinowl:hasexactsynonym", "oio:hasexactsynonym", "oio:exactsynonym"}
_NEEDED = ("subject_id", "predicate_id", "translation_value")


def read_babelon(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a babelon table; its source is named for the ontology and the language: "HP translations (zh)".

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is something else, cut or damaged, or holds no translation.
    """
    rows = ((number, line.split("\t")) for number, line in unicode_lines(path) if line.strip() and line[0] != "#")
    header = [name.strip() for name in next(rows, (0, [""]))[1]]
    if not all(name in header for name in _NEEDED):
        raise UnusableSource(f"{path}: not a babelon table: no header with {', '.join(_NEEDED)}")
    names: dict[str, dict[str, None]] = {}
    languages: set[str] = set()
    dropped: list[tuple[str, int]] = []
    for number, cells in rows:
        row = dict(zip(header, map(_unquoted, cells), strict=False))
        reason = _reason(row) if len(cells) == len(header) else "a row of another number of cells"
        if reason:
            dropped.append((reason, number))
        else:
            names.setdefault(row["subject_id"], {})[row["translation_value"]] = None
            languages.add(row.get("translation_language", ""))
    if not names:
        raise UnusableSource(f"{path}: a babelon table without a single translation")
    prefixes = {ident.partition(":")[0] for ident in names}
    title = " ".join(filter(None, (*sorted(prefixes), TITLE, f"({', '.join(sorted(languages))})")))
    builder.told(about, title, "", LICENSE if prefixes == {"HP"} else "")
    for reason, number in dropped:
        builder.drop(about.name or title, reason, f"{path.name}:{number}")
    for ident, texts in names.items():
        builder.also(builder.number(type_of(ident), ident), texts)


def _reason(row: dict[str, str]) -> str:
    """Why a row is left out; empty if it is not."""
    if "\ufffd" in row["translation_value"]:
        return "a translation with characters in another encoding"
    if not row["subject_id"] or not row["translation_value"]:
        return "a row without term or translation"
    if row["predicate_id"].lower() not in _NAMES:
        return "a translation that is no name"
    if row.get("translation_status", "").upper() not in {"", "OFFICIAL"}:
        return "a translation that is not official"
    if row.get("translation_precision", "").lower() not in {"", "exact"}:
        return "a translation that is not exact"
    return ""


def _unquoted(cell: str) -> str:
    """A cell without the quotes that some programs put around it."""
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"').strip()
    return text
