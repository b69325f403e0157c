"""What a file really is, whatever its name says.

Half of all 'corrupt graph' reports are a Git LFS pointer, an HTML error page or an archive
saved under a data file's name. This module names those, so that a reader can say what to do.
"""

from __future__ import annotations

import gzip
from pathlib import Path

_LFS = b"version https://git-lfs"
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"(\xb5/\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"%PDF", "pdf"),
    (b"PAR1", "parquet"),
    (b"SQLite format 3", "sqlite"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x03", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
    (b"\x89HDF", "hdf5"),
    (b"\x7fELF", "executable"),
)
ADVICE = {
    "empty": "the file is empty: copy or download it again",
    "lfs": "this is a Git LFS pointer, not the data: run `git lfs pull` where it came from",
    "html": "this is an HTML page, most likely an error or login page saved under a data file's name: "
    "download the data itself",
    "pickle": "this is a Python pickle, which can run code when loaded and is never opened: "
    "ask for the data in an open format",
    "zip": "this is a zip archive: unpack it and name the file inside",
    "executable": "this is a program, not data",
    "binary": "this is binary data of no format that is read here",
}
"""What to tell a person, for kinds that no reader here or later will take."""
READABLE_LATER = {"csv", "json", "jsonl", "owl", "graphml", "parquet", "zstd"}
"""Kinds that are data, and that a later version reads as a knowledge graph."""


class UnusableSource(ValueError):
    """A source that cannot be read as what it was given for; the text says why and what to do."""


def kind_of(path: Path) -> str:
    """Name what `path` holds: 'obo', 'csv', 'lfs', 'html', 'pickle', 'empty' and so on.

    A gzip file is judged by what is inside it.

    Raises:
        UnusableSource: there is no such file, or it is a folder.
        OSError: the file cannot be read.
    """
    if not path.exists():
        raise UnusableSource(f"{path}: no such file")
    if path.is_dir():
        raise UnusableSource(f"{path}: is a folder; name the file in it")
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as file:
                head = file.read(4096)
        except (OSError, EOFError) as error:
            raise UnusableSource(f"{path}: damaged gzip file ({error}): copy it again") from error
    return _kind_of_bytes(head)


def _kind_of_bytes(head: bytes) -> str:
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not stripped:
        return "empty"
    if head.startswith(_LFS):
        return "lfs"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    lower = stripped[:2048].lower()
    if lower.startswith(b"<!doctype html") or b"<html" in lower:
        return "html"
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "binary"
    return _kind_of_text(stripped.decode("utf-8", errors="replace"))


def _kind_of_text(text: str) -> str:
    first = text.split("\n", 1)[0].strip()
    if first.startswith(("format-version:", "[Term]", "ontology:", "data-version:")) or "\n[Term]" in text:
        return "obo"
    if first.startswith("{"):
        return "jsonl" if first.endswith("}") and "\n{" in text else "json"
    if first.startswith("["):
        return "json"
    if first.startswith("<"):
        return "graphml" if "graphml" in text else "owl" if "owl" in text.lower() else "xml"
    if "\t" in first or first.count(",") >= 2 or first.count(";") >= 2:
        return "csv"
    return "text"
