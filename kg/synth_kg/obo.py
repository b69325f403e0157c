"""OBO ontologies: names, synonyms, hierarchy and definitions, with fastobo's frame iterator.

Obsolete terms are dropped and alternative ids kept as synonyms of identity; Typedef stanzas
and logical definitions (`intersection_of`) are not edges. A frame that does not parse is
counted with its message and the next one is read.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from synth_kg.sniff import ADVICE, READABLE_LATER, UnusableSource, kind_of


class Term(NamedTuple):
    """One term of an ontology."""

    id: str
    name: str
    definition: str
    synonyms: tuple[str, ...]
    """Exact synonyms only."""
    parents: tuple[str, ...]
    alternative_ids: tuple[str, ...]


@dataclass
class Ontology:
    """What was read from one OBO file."""

    path: Path
    name: str
    version: str
    license: str
    """What the header says of it, in its own words; 'not stated' if nothing."""
    terms: list[Term] = field(default_factory=list)
    obsolete: int = 0
    bad_frames: list[str] = field(default_factory=list)
    """One message a frame that could not be parsed."""


def read_obo(path: Path) -> Ontology:
    """Read an OBO file, plain or gzipped.

    Raises:
        UnusableSource: the file is not OBO; the message says what it is and what to do.
    """
    kind = kind_of(path)
    if kind in READABLE_LATER:
        raise UnusableSource(
            f"{path}: this is {kind}; this version reads OBO ontologies only "
            "(other graph formats come with the readers of a later version)"
        )
    if kind != "obo":
        advice = ADVICE.get(kind, f"this is {kind}, not an OBO ontology")
        raise UnusableSource(f"{path}: {advice}")
    try:
        data = gzip.decompress(path.read_bytes()) if _gzipped(path) else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnusableSource(f"{path}: a damaged gzip file ({error}): copy or download it again") from error
    return parse_obo(data, path)


def _gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def parse_obo(data: bytes, path: Path) -> Ontology:
    """Parse the bytes of an OBO file, frame by frame.

    Raises:
        UnusableSource: it is not UTF-8, or not one term could be read.
    """
    import fastobo  # noqa: PLC0415  (only `--source` and the build need it)

    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnusableSource(f"{path}:{line}: not UTF-8 text, so names would be damaged; convert it first") from error
    head, *frames = _split_frames(text)
    ontology = Ontology(path, *_header(head, path))
    for line, frame in frames:
        if not frame.startswith("[Term]"):
            continue
        try:
            parsed = next(iter(fastobo.iter(io.BytesIO(f"format-version: 1.4\n\n{frame}\n".encode()))))
        except (SyntaxError, ValueError, StopIteration) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            ontology.bad_frames.append(f"{path}:{line}: {reason}")
            continue
        _add(ontology, parsed)
    if not ontology.terms:
        first = f" (first error: {ontology.bad_frames[0]})" if ontology.bad_frames else ""
        raise UnusableSource(f"{path}: an OBO file without a single readable term{first}")
    return ontology


def _split_frames(text: str) -> list[tuple[int, str]]:
    """Cut a file into its header and its frames, each with the line on which it starts."""
    frames: list[tuple[int, str]] = []
    current: list[str] = []
    start = 1
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("[") and line.rstrip().endswith("]"):
            frames.append((start, "\n".join(current).strip()))
            current, start = [], number
        current.append(line)
    frames.append((start, "\n".join(current).strip()))
    return frames


def _header(head: tuple[int, str], path: Path) -> tuple[str, str, str]:
    """Return (ontology name, version, licence) as far as the header states them."""
    fields: dict[str, str] = {}
    for line in head[1].split("\n"):
        tag, _, value = line.partition(": ")
        fields.setdefault(tag, value)
        if "licen" in value and tag in {"property_value", "remark"}:
            fields["license"] = value
    name = fields.get("ontology", path.name)
    version = fields.get("data-version", fields.get("date", "undated"))
    return name, version, fields.get("license", "not stated")


def _plain(text: object) -> str:
    """A text with every run of white space, tabs and newlines too, as one space."""
    return " ".join(str(text).replace("|", "/").split())


def _add(ontology: Ontology, frame: object) -> None:
    """Turn a parsed frame into a `Term`, or count it as obsolete."""
    values: dict[str, list[object]] = {}
    for clause in frame:  # type: ignore[attr-defined]
        values.setdefault(type(clause).__name__, []).append(clause)
    if any(getattr(c, "obsolete", False) for c in values.get("IsObsoleteClause", [])):
        ontology.obsolete += 1
        return
    names = values.get("NameClause")
    if not names:
        return
    synonyms = [c.synonym for c in values.get("SynonymClause", [])]  # type: ignore[attr-defined]
    definitions = values.get("DefClause")
    ontology.terms.append(
        Term(
            id=str(frame.id),  # type: ignore[attr-defined]
            name=_plain(names[0].name),  # type: ignore[attr-defined]
            definition=str(definitions[0].definition) if definitions else "",  # type: ignore[attr-defined]
            synonyms=tuple(_plain(s.desc) for s in synonyms if s.scope == "EXACT"),
            parents=tuple(str(c.term) for c in values.get("IsAClause", [])),  # type: ignore[attr-defined]
            alternative_ids=tuple(str(c.alt_id) for c in values.get("AltIdClause", [])),  # type: ignore[attr-defined]
        )
    )
