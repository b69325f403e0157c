"""Opening text of any kind: compressed or not, in whatever encoding, with whatever delimiter.

Everything is streamed. What cannot be read is named for what it is before anything is built; a bad line is
counted with its number, and the next one is read.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

from synth_kg.sniff import UnusableSource

_HEAD = 1 << 20
_DELIMITERS = "\t,;|"
_LONGEST = 1 << 24
"""Characters of a cell, at most: beyond it a quote was never closed."""
_CHINESE = range(0x4E00, 0xA000)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Dialect(NamedTuple):
    """How a table is written."""

    encoding: str
    delimiter: str
    quoted: bool
    """Whether cells may be put in double quotes."""


class Line(NamedTuple):
    """A row of a table."""

    number: int
    """Of the line of the file on which it ends, from 1."""
    cells: list[str]


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, plain, gzip or zstandard; told by its first bytes, not by its name."""
    file = path.open("rb")
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        file.close()
        return gzip.open(path)  # type: ignore[return-value]
    if magic == b"(\xb5/\xfd":
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)
        return io.BufferedReader(reader)
    return file


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a compressed or encoded file into words.

    Raises:
        UnusableSource: the file is cut or damaged.
    """
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise UnusableSource(f"{path}: a damaged or cut archive ({error}): copy or download it again") from error
    except UnicodeError as error:
        raise UnusableSource(f"{path}: text that is in no single encoding ({error}): convert it to UTF-8") from error


def encoding_of(head: bytes) -> str:
    """The encoding of a text by its beginning.

    >>> encoding_of("发热".encode("gb18030")), encoding_of("cafés".encode("latin-1")), encoding_of("头".encode())
    ('gb18030', 'latin-1', 'utf-8')
    """
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\x00" in head[:200]:
        return "utf-16-le" if head[1:2] == b"\x00" else "utf-16-be"
    text = _decodes(head, "utf-8") or head.decode("utf-8", "replace")
    if (bad := text.count("\ufffd")) == 0 or sum(char > "\x7f" for char in text) > 20 * bad:
        return "utf-8"  # with a damaged byte here and there
    chinese = _decodes(head, "gb18030")
    if chinese is not None:
        foreign = sum(char > "\x7f" for char in chinese)
        # of a Chinese character both bytes are high, nearly always; of a letter with an accent the only one
        paired = 2 * sum(byte > 0x7F for byte in head) > 3 * foreign
        if paired and sum(ord(char) in _CHINESE for char in chinese) * 4 > foreign:
            return "gb18030"
    return "latin-1"


def _decodes(head: bytes, encoding: str) -> str | None:
    """A beginning decoded, whose last character may be cut; None if it is not in this encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head) or " "
    except UnicodeDecodeError:
        return None


def dialect_of(path: Path) -> Dialect:
    """How a table is written, by its beginning."""
    with readable(path), open_bytes(path) as file:
        head = file.read(_HEAD)
    encoding = encoding_of(head)
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    first = [line for line in text.splitlines()[:200] if line.strip() and not line.startswith("#")][:20]
    counts = {mark: [line.count(mark) for line in first] for mark in _DELIMITERS}
    steady = [mark for mark, found in counts.items() if found and found[0] and min(found) > 0]
    delimiter = max(steady or _DELIMITERS, key=lambda mark: (counts[mark][:1] or [0])[0])
    quoted = delimiter != "\t" or any(f'"{mark}' in text or f'{mark}"' in text for mark in "\t")
    return Dialect(encoding, delimiter, quoted)


def lines_of(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers, without their ends.

    Raises:
        UnusableSource: the file is cut or damaged.
    """
    with readable(path), open_bytes(path) as file:
        head = file.read(_HEAD) if encoding is None else b""
    with readable(path), open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding=encoding or encoding_of(head), errors="replace", newline=None)
        for number, line in enumerate(text, 1):
            yield number, line.rstrip("\n")


def rows_of(path: Path, dialect: Dialect | None = None, *, comment: str = "#") -> Iterator[Line]:
    """The rows of a table, header included; lines that begin with `comment` are left out.

    Raises:
        UnusableSource: the file is cut or damaged, or a cell never ends.
    """
    found = dialect or dialect_of(path)
    csv.field_size_limit(_LONGEST)
    with readable(path), open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding=found.encoding, errors="replace", newline="")
        lines = (line.replace("\x00", "") for line in text)
        reader = csv.reader(
            (line for line in lines if not (comment and line.startswith(comment))), delimiter=found.delimiter,
            quoting=csv.QUOTE_MINIMAL if found.quoted else csv.QUOTE_NONE,
        )  # fmt: skip
        try:
            for cells in reader:
                yield Line(reader.line_num, cells)
        except csv.Error as error:
            raise UnusableSource(f"{path}:{reader.line_num}: not a table ({error})") from error
