"""OBO ontologies: names, synonyms, hierarchy and definitions, with fastobo's frame iterator.

Obsolete terms are kept apart and alternative ids lead to the term that has them; Typedef stanzas
name relations, and logical definitions (`intersection_of`) are not edges. A frame that does not
parse is counted with its message and the next one is read.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from synth_kg.sniff import ADVICE, READABLE_LATER, UnusableSource, kind_of

_BATCH = 256
"""Frames given to fastobo at a time."""
PURL = "http://purl.obolibrary.org/obo/"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_COMPACT = re.compile(r"([A-Za-z]\w*)_([A-Za-z0-9]*\d[A-Za-z0-9]*)")


class Synonym(NamedTuple):
    """Another name of a term."""

    text: str
    scope: str
    """EXACT, BROAD, NARROW or RELATED."""
    kind: str = ""
    """Its type where one is given: layperson, abbreviation."""


class Term(NamedTuple):
    """One term of an ontology."""

    id: str
    name: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    """Exact synonyms only."""
    parents: tuple[str, ...] = ()
    alternative_ids: tuple[str, ...] = ()
    near: tuple[Synonym, ...] = ()
    """Synonyms of other scopes: names of something broader, narrower or related."""
    links: tuple[tuple[str, str], ...] = ()
    """(id of the relation, id of the other term), besides the parents."""
    replaced_by: tuple[str, ...] = ()
    """Of an obsolete term: what stands in its place."""
    consider: tuple[str, ...] = ()
    """Of an obsolete term: what may stand in its place."""
    xrefs: tuple[str, ...] = ()
    """Ids in other vocabularies, more or less of the same thing."""


@dataclass
class Ontology:
    """What was read from one file."""

    path: Path
    name: str
    version: str
    license: str
    """What the header says of it, in its own words; 'not stated' if nothing."""
    title: str = ""
    """Its name in words, where it has one."""
    terms: list[Term] = field(default_factory=list)
    retired: list[Term] = field(default_factory=list)
    """Obsolete terms."""
    relations: dict[str, str] = field(default_factory=dict)
    """Id of a relation -> its name."""
    bad_frames: list[str] = field(default_factory=list)
    """One message, with file and place, for each term that could not be read."""

    @property
    def obsolete(self) -> int:
        """How many terms are obsolete."""
        return len(self.retired)


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
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnusableSource(f"{path}:{line}: not UTF-8 text, so names would be damaged; convert it first") from error
    head, *frames = _split_frames(text)
    ontology = Ontology(path, *_header(head, path))
    for line, frame in _parsed([frame for frame in frames if frame[1].startswith(("[Term]", "[Typedef]"))]):
        reason = _reason(frame) if isinstance(frame, Exception) else _add(ontology, frame)
        if reason:
            ontology.bad_frames.append(f"{path}:{line}: {reason}")
    if not ontology.terms:
        first = f" (first error: {ontology.bad_frames[0]})" if ontology.bad_frames else ""
        raise UnusableSource(f"{path}: an OBO file without a single readable term{first}")
    return ontology


def _parsed(frames: list[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    """The line of each frame, with what fastobo makes of it: a frame or an error."""
    for begin in range(0, len(frames), _BATCH):
        batch = frames[begin : begin + _BATCH]
        found = _iterated([text for _, text in batch])
        if len(found) != len(batch):  # one of them looks like several
            found = [_iterated([text])[0] for _, text in batch]
        for (line, _), one in zip(batch, found, strict=True):
            yield line, one


def _iterated(frames: list[str]) -> list[Any]:
    """What fastobo makes of frames; it goes on after one that it cannot parse."""
    import fastobo  # noqa: PLC0415  (only `--source` and the build need it)

    text = "\n\n".join(("format-version: 1.4", *frames, ""))
    iterator = fastobo.iter(io.BytesIO(text.encode()), threads=1)
    found: list[Any] = []
    while len(found) <= len(frames):
        try:
            found.append(next(iterator))
        except StopIteration:
            break
        except (SyntaxError, ValueError) as error:
            found.append(error)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust, on some dates that are none
                raise
            found.append(ValueError("the parser gives up on it"))
            break
    return found or [ValueError("not a frame")]


def _reason(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return (text.splitlines() or [type(error).__name__])[0]


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


def _header(head: tuple[int, str], path: Path) -> tuple[str, str, str, str]:
    """Return (ontology name, version, licence, title) as far as the header states them."""
    fields: dict[str, str] = {}
    said = ""
    for line in head[1].split("\n"):
        tag, _, value = line.partition(": ")
        what, _, rest = value.partition(" ")
        if tag == "property_value" and what.endswith((":license", ":title")):
            quoted = _QUOTED.match(rest)
            fields.setdefault(what.rsplit(":", 1)[1], quoted[1] if quoted else rest.split(" ")[0])
        elif "licen" in value and tag in {"property_value", "remark"}:
            said = value
        fields.setdefault(tag, value)
    name = fields.get("ontology", path.name)
    version = fields.get("data-version", fields.get("date", "undated"))
    return name, version, fields.get("license", said or "not stated"), fields.get("title", "")


def plain(text: object) -> str:
    """A text with every run of white space, tabs and newlines too, as one space."""
    return " ".join(str(text).replace("|", "/").split())


def ident(text: object) -> str:
    """An id as OBO writes it, whichever way a file does.

    >>> ident("http://purl.obolibrary.org/obo/BFO_0000050"), ident("http://purl.obolibrary.org/obo/symp#part_of")
    ('BFO:0000050', 'part_of')
    >>> ident("HP:0000083"), ident("http://www.orpha.net/ORDO/Orphanet_558"), ident("http://example.org/a_b")
    ('HP:0000083', 'Orphanet:558', 'http://example.org/a_b')
    """
    iri = str(text).replace("\\", "").strip()
    if "://" not in iri:
        return iri
    if iri.startswith(PURL) and "#" in iri:
        return iri.rsplit("#", 1)[1] or iri
    found = _COMPACT.fullmatch(iri.rsplit("#", 1)[-1].rsplit("/", 1)[-1])
    return f"{found[1]}:{found[2]}" if found else iri


def _add(ontology: Ontology, frame: Any) -> str:
    """Take a parsed frame down; why it is not taken, if it is not."""
    values: dict[str, list[Any]] = {}
    for clause in frame:
        values.setdefault(type(clause).__name__, []).append(clause)
    names = values.get("NameClause")
    name = plain(names[0].name) if names else ""
    if type(frame).__name__ == "TypedefFrame":
        ontology.relations[ident(frame.id)] = name
        return ""
    term = _term(ident(frame.id), name, values)
    if any(getattr(c, "obsolete", False) for c in values.get("IsObsoleteClause", [])):
        ontology.retired.append(term)
    elif name:
        ontology.terms.append(term)
    else:
        return "a term without a name"
    return ""


def _term(key: str, name: str, values: dict[str, list[Any]]) -> Term:
    synonyms = [
        Synonym(plain(s.desc), s.scope, str(s.type or "")) for s in (c.synonym for c in values.get("SynonymClause", []))
    ]
    definitions = values.get("DefClause")
    return Term(
        id=key,
        name=name,
        definition=str(definitions[0].definition) if definitions else "",
        synonyms=tuple(s.text for s in synonyms if s.scope == "EXACT"),
        parents=_idents(c.term for c in values.get("IsAClause", [])),
        alternative_ids=_idents(c.alt_id for c in values.get("AltIdClause", [])),
        near=tuple(s for s in synonyms if s.scope != "EXACT"),
        links=tuple((ident(c.typedef), ident(c.term)) for c in values.get("RelationshipClause", [])),
        replaced_by=_idents(c.term for c in values.get("ReplacedByClause", [])),
        consider=_idents(c.term for c in values.get("ConsiderClause", [])),
        xrefs=_idents(c.xref.id for c in values.get("XrefClause", [])),
    )


def _idents(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(ident(one) for one in found)
