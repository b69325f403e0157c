"""Tables as streams of blocks: delimited text, Parquet and JSON Lines, of any size.

Text is cut at ends of lines into pieces of some megabytes. pyarrow parses a piece; one that it refuses, or in which
it finds a bad line, is read again by `csv`, so that a bad line is counted with its number and costs nothing else.
Without pyarrow (the extra `kg`) every piece is read so.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from synth_kg.columns import Ints
from synth_kg.readers.files import Dialect, dialect_of, lines_of, open_bytes, readable
from synth_kg.sniff import ADVICE, UnusableSource, kind_of

Bad = Callable[[str, int], None]
"""Takes why a line was left out, and its number."""
SHORT = "a line of another number of cells"
NOT_JSON = "a line that is not a JSON object"
DAMAGED = "characters in another encoding, read as U+FFFD"
_PIECE = 8 << 20
_OPEN = 1 << 24
"""Bytes for which a quote may stay open; beyond them it was never closed."""
_LONGEST = 1 << 26
"""Bytes of a line, at most."""
_SWALLOWED = 1000
"""Rows of a piece that may turn out to begin with a quote that is never closed."""
_ROWS = 1 << 16
_GATHERED = 1 << 20


class Shape(NamedTuple):
    """What cannot be detected of a table, or need not be."""

    columns: tuple[str, ...] = ()
    """Their names, for a file without a header."""
    delimiter: str = ""
    encoding: str = ""
    comment: str = "#"
    """What lines begin with that are not part of the table."""


class Table(NamedTuple):
    """A file and how it is read."""

    path: Path
    kind: str
    """'text', 'jsonl' or 'parquet'."""
    columns: tuple[str, ...]
    dialect: Dialect
    shape: Shape


class Column(NamedTuple):
    """The cells of a column: `values[codes[row]]`."""

    codes: Ints
    values: Any
    """Texts in a list, or in an Arrow array."""

    def of(self, rows: Ints) -> list[str]:
        """The cells of some rows."""
        codes = self.codes[rows]
        if isinstance(self.values, list):
            return [self.values[code] for code in codes.tolist()]
        return listed(self.values.take(_arrow_array(codes)))

    def texts(self) -> list[str]:
        """The cells."""
        values = listed(self.values)
        return [values[code] for code in self.codes.tolist()]


def listed(values: Any) -> list[str]:
    """The values of a column as a list."""
    found: list[str] = values if isinstance(values, list) else values.to_pylist()
    return found


def place_of(values: Any, text: str) -> int:
    """Where a text is among the values of a column; -1 if it is not."""
    if isinstance(values, list):
        return values.index(text) if text in values else -1
    return int(values.index(text).as_py())


def unified(columns: Sequence[Column]) -> list[Column]:
    """Columns whose codes mean the same in all; the values of the first keep their codes."""
    if any(isinstance(column.values, list) for column in columns):
        known: dict[str, int] = {}
        tables = [[known.setdefault(value, len(known)) for value in listed(column.values)] for column in columns]
        values = list(known)
        return [
            Column(np.array(table, np.int32)[column.codes], values)
            for table, column in zip(tables, columns, strict=True)
        ]
    import pyarrow as pa  # noqa: PLC0415

    chunks = [pa.DictionaryArray.from_arrays(_arrow_array(column.codes), column.values) for column in columns]
    whole = pa.chunked_array(chunks).unify_dictionaries()
    return [Column(chunk.indices.to_numpy(zero_copy_only=False), chunk.dictionary) for chunk in whole.chunks]


def _arrow_array(values: Ints) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array(values, pa.int32())


class Block(NamedTuple):
    """Rows of a table."""

    rows: int
    columns: dict[str, Column]
    """Those that were asked for and are there."""
    line: Callable[[int], int]
    """The number of a row's first line."""


def refuse_other(path: Path, *fit: str) -> str:
    """What a file is.

    Args:
        path: the file.
        fit: kinds that will do; without any, all that are data.

    Raises:
        UnusableSource: it is something else; says what, and what to do.
    """
    with readable(path):
        kind = kind_of(path)
    if kind in ADVICE:
        raise UnusableSource(f"{path}: {ADVICE[kind]}")
    if fit and kind not in fit:
        raise UnusableSource(f"{path}: this is {kind}, where {' or '.join(fit)} is read")
    return kind


def open_table(path: Path, shape: Shape | None = None) -> Table:
    """Find out how a table is written, and its columns.

    Raises:
        UnusableSource: it is no table, has no header, or is damaged.
    """
    shape = shape or Shape()
    kind = refuse_other(path, "csv", "text", "jsonl", "json", "parquet", "zstd")
    if kind == "parquet":
        return Table(path, kind, _parquet_columns(path), Dialect("utf-8", "", quoted=False), shape)
    found = _dialect(path, shape)
    if kind in {"jsonl", "json"} or (kind == "zstd" and _first(path, found.encoding, "").startswith("{")):
        keys = dict.fromkeys(key for _, told in objects_of(path, _quiet) for key in told)
        if not keys:
            raise UnusableSource(f"{path}: no line is a JSON object: JSON Lines has one on every line")
        return Table(path, "jsonl", tuple(keys), found, shape)
    columns = shape.columns or tuple(_header(path, found, shape))
    if len(columns) < 2:
        raise UnusableSource(f"{path}: not a table: its first line has no delimiter (tab, comma, semicolon or bar)")
    return Table(path, "text", columns, found, shape)


def blocks_of(table: Table, wanted: Iterable[str], bad: Bad) -> Iterator[Block]:
    """The rows of a table, some megabytes at a time; white space around cells is taken off.

    Lists (in JSON Lines and Parquet) come as their items with `|` between.

    Args:
        table: see `open_table`.
        wanted: names of columns; those that are not there are left out.
        bad: takes lines that cannot be read.

    Raises:
        UnusableSource: the file is cut or damaged.
    """
    names = [name for name in dict.fromkeys(wanted) if name in table.columns]
    if table.kind == "parquet":
        yield from _parquet(table.path, names)
    elif table.kind == "jsonl":
        rows = ((line, [_text(told.get(name)) for name in names]) for line, told in objects_of(table.path, bad))
        while some := list(islice(rows, _ROWS)):
            yield _block(names, some)
    else:
        yield from _text_blocks(table, names, bad)


def gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks put together to a million rows or so."""
    waiting: list[Block] = []
    for block in blocks:
        waiting.append(block)
        if sum(one.rows for one in waiting) >= _GATHERED:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    columns = {}
    for name in blocks[0].columns:
        found = unified([block.columns[name] for block in blocks])
        columns[name] = Column(np.concatenate([column.codes for column in found]), found[0].values)
    ends = np.cumsum([block.rows for block in blocks]).tolist()

    def line(row: int) -> int:
        place = bisect_right(ends, row)
        return blocks[place].line(row - (ends[place - 1] if place else 0))

    return Block(ends[-1], columns, line)


def objects_of(path: Path, bad: Bad) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON Lines, with the numbers of their lines.

    Raises:
        UnusableSource: the file is cut or damaged.
    """
    for number, line in lines_of(path):
        if line.strip():
            try:
                told = orjson.loads(line)
            except orjson.JSONDecodeError:
                told = None
            if isinstance(told, dict):
                yield number, told
            else:
                bad(NOT_JSON, number)


def rows_in(block: Block) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a block, one by one, with their places in it."""
    names = list(block.columns)
    texts = [column.texts() for column in block.columns.values()]
    for row, *cells in zip(range(block.rows), *texts, strict=True):
        yield row, dict(zip(names, cells, strict=True))


def _quiet(reason: str, number: int) -> None:
    """Count nothing."""


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "|".join(text for text in map(_text, value) if text)
    return str(value)


def _block(names: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> Block:
    columns = {}
    for place, name in enumerate(names):
        codes: dict[str, int] = {}
        coded = [codes.setdefault(cells[place], len(codes)) for _, cells in rows]
        columns[name] = Column(np.array(coded, np.int32), list(codes))
    return Block(len(rows), columns, [line for line, _ in rows].__getitem__)


# -- delimited text


def _dialect(path: Path, shape: Shape) -> Dialect:
    found = dialect_of(path)
    try:
        "".encode(shape.encoding or "utf-8")
        encoding = codecs.lookup(shape.encoding).name if shape.encoding else found.encoding
    except (LookupError, UnicodeError) as error:
        raise UnusableSource(f"{path}: there is no encoding '{shape.encoding}'") from error
    delimiter = shape.delimiter or found.delimiter
    return Dialect(encoding, delimiter, found.quoted if delimiter == found.delimiter else delimiter != "\t")


def _first(path: Path, encoding: str, comment: str) -> str:
    for _, line in lines_of(path, encoding):
        if line.strip() and not (comment and line.startswith(comment)):
            return line.lstrip()
    return ""


def _header(path: Path, dialect: Dialect, shape: Shape) -> list[str]:
    line = _first(path, dialect.encoding, shape.comment)
    try:
        cells: list[str] = next(_reader([line], dialect), [])
    except csv.Error as error:
        raise UnusableSource(f"{path}: not a table ({error})") from error
    return [cell.strip().lstrip("\ufeff") for cell in cells]


def _reader(lines: Iterable[str], dialect: Dialect) -> Any:
    csv.field_size_limit(_OPEN)
    return csv.reader(
        lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    )


def _text_blocks(table: Table, names: list[str], bad: Bad) -> Iterator[Block]:
    parse = _arrow_parser(table, names)
    header = not table.shape.columns
    comment = table.shape.comment.encode()
    for line, piece in _pieces(table.path, table.dialect):
        begin, lines = 0, 0
        while (header or comment) and begin < len(piece):  # comments may precede the header or the rows
            end = piece.find(b"\n", begin) + 1 or len(piece)
            told = piece[begin:end]
            if not (comment and told.startswith(comment)):
                if not told.strip():
                    pass
                elif header:
                    header = False
                else:
                    break
            begin, lines = end, lines + 1
        rest = piece[begin:] if begin else piece
        if rest.strip():
            plain = not (comment and b"\n" + comment in rest)
            if table.dialect.quoted:
                plain = plain and rest.count(b'"') % 2 == 0
            yield (parse(line + lines, rest) if parse and plain else None) or _by_line(
                table, names, (line + lines, rest), bad
            )


def _pieces(path: Path, dialect: Dialect) -> Iterator[tuple[int, bytes]]:
    """Pieces of a text in UTF-8 that end where lines do, with the number of their first line.

    A carriage return that ends no line is a space.
    """
    line, rest = 1, b""
    with readable(path), open_bytes(path) as file:
        for data in chain(_decoded(iter(lambda: file.read(_PIECE), b""), dialect.encoding), [None]):
            if data is None:
                cut = len(rest)
            else:
                rest += data.replace(b"\x00", b"")
                cut = _cut(rest, dialect.quoted)
                if not cut and len(rest) > _LONGEST:
                    raise UnusableSource(f"{path}:{line}: a line of more than {_LONGEST >> 20} MiB")
            if cut:
                piece = rest[:cut]
                if piece.count(b"\r") != piece.count(b"\r\n"):
                    piece = re.sub(rb"\r(?!\n)", b" ", piece)
                yield line, piece
                line += piece.count(b"\n")
                rest = rest[cut:]


def _decoded(parts: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Bytes in UTF-8, without a byte order mark; where lines end in carriage returns alone, in line feeds."""
    fresh = True
    old = False
    plain = encoding in {"utf-8", "utf-8-sig", "ascii"}
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for part in parts:
        data = part if plain else decoder.decode(part).encode("utf-8", "replace")
        if fresh:
            data, old, fresh = data.removeprefix(codecs.BOM_UTF8), b"\r" in data and b"\n" not in data, False
        yield data.replace(b"\r", b"\n") if old else data
    if not plain:
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _cut(data: bytes, quoted: bool) -> int:
    """Where the last line ends that ends outside quotes."""
    cut = data.rfind(b"\n") + 1
    if not quoted or data.count(b'"', 0, cut) % 2 == 0:
        return cut
    last, odd = cut, True
    while odd:
        before = data.rfind(b"\n", 0, data.rfind(b'"', 0, cut)) + 1
        odd = data.count(b'"', before, cut) % 2 == 0
        cut = before
    return cut or (last if len(data) > _OPEN else 0)


def _arrow_parser(table: Table, names: list[str]) -> Callable[[int, bytes], Block | None] | None:
    """What parses a piece from a line on, or gives it up; None without pyarrow, or where it cannot."""
    try:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv as arrow  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    if len(table.dialect.delimiter) != 1 or not table.dialect.delimiter.isascii():
        return None
    at = {name: f"f{table.columns.index(name)}" for name in names}
    coded = pa.dictionary(pa.int32(), pa.string())
    # invalid_row_handler is left out: a bad row makes an error of the piece, which is then read line by line
    parse = arrow.ParseOptions(
        delimiter=table.dialect.delimiter, quote_char='"' if table.dialect.quoted else False,
        newlines_in_values=table.dialect.quoted,
    )  # fmt: skip
    convert = arrow.ConvertOptions(
        include_columns=list(at.values()) or ["f0"], column_types=dict.fromkeys(at.values(), coded)
    )
    labels = [f"f{place}" for place in range(len(table.columns))]

    def parsed(line: int, piece: bytes) -> Block | None:
        read = arrow.ReadOptions(column_names=labels, use_threads=False, block_size=len(piece) + 1)
        try:
            found = arrow.read_csv(pa.BufferReader(piece), read, parse, convert)
        except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowCapacityError):
            return None
        columns = {name: _column(found[label]) for name, label in at.items()}
        return Block(found.num_rows, columns, _numbers(line, piece, found.num_rows, table.dialect))

    return parsed


def _numbers(line: int, piece: bytes, rows: int, dialect: Dialect) -> Callable[[int], int]:
    """The numbers of the lines of rows of a piece; they are looked for where lines are empty or cells have several."""
    if rows == piece.count(b"\n") + (not piece.endswith(b"\n")):
        return lambda row: line + row
    found: list[int] = []

    def number(row: int) -> int:
        if not found:
            found.extend(begin for begin, _ in _careful(piece.decode(), line, dialect, "", 0))
        return found[min(row, len(found) - 1)]

    return number


def _column(found: Any) -> Column:
    """A dictionary column of Arrow."""
    from pyarrow import compute  # noqa: PLC0415

    whole = found.combine_chunks() if found.num_chunks != 1 else found.chunk(0)
    codes: Ints = whole.indices.to_numpy(zero_copy_only=False)
    return Column(codes, compute.utf8_trim_whitespace(whole.dictionary))


def _by_line(table: Table, names: list[str], piece: tuple[int, bytes], bad: Bad) -> Block:
    """Read a piece line by line."""
    first, data = piece
    text = data.decode("utf-8", "replace")
    places = [table.columns.index(name) for name in names]
    rows = []
    width = len(table.columns)
    for number, cells in _careful(text, first, table.dialect, table.shape.comment, width):
        if len(cells) != width:
            bad(SHORT, number)
            continue
        if any("\ufffd" in cell for cell in cells):
            bad(DAMAGED, number)
        rows.append((number, [cells[place].strip() for place in places]))
    return _block(names, rows)


def _careful(text: str, first: int, dialect: Dialect, comment: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of a text with the numbers of their first lines.

    Where a row that spans lines has not `width` cells (0: as many as it will), or ends with the text and not with a
    quote, a quote was never closed: its first line is read as it stands. So is all that follows where that happens
    again and again.
    """
    lines = io.StringIO(text, newline="").readlines()
    begin, swallowed = 0, 0
    while begin < len(lines):
        end = begin
        if swallowed < _SWALLOWED:
            reader = _reader(islice(lines, begin, None), dialect)
            try:
                for cells in reader:
                    start, end = end, begin + reader.line_num
                    open_end = end == len(lines) and "".join(lines[start:end]).count('"') % 2
                    if width and end - start > 1 and (len(cells) != width or open_end):
                        end = start
                        break
                    if not _left_out(cells, lines[start], comment):
                        yield first + start, cells
            except csv.Error:
                pass  # a cell that never ends
        if end < len(lines):
            swallowed += 1
            cells = lines[end].rstrip("\r\n").split(dialect.delimiter)
            if not _left_out(cells, lines[end], comment):
                yield first + end, cells
            end += 1
        begin = end


def _left_out(cells: list[str], line: str, comment: str) -> bool:
    """Whether a row is an empty line or a comment."""
    return not cells or (len(cells) == 1 and not cells[0].strip()) or bool(comment and line.startswith(comment))


# -- Parquet


def _parquet_columns(path: Path) -> tuple[str, ...]:
    with _parquet_file(path) as file:
        return tuple(file.schema_arrow.names)


def _parquet_file(path: Path) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnusableSource(f"{path}: Parquet needs pyarrow: pip install 'synth-med[kg]'") from error
    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnusableSource(f"{path}: a damaged or cut Parquet file ({_short(error)}): copy it again") from error


def _parquet(path: Path, names: list[str]) -> Iterator[Block]:
    import pyarrow as pa  # noqa: PLC0415

    row = 1
    with _parquet_file(path) as file:
        try:
            for batch in file.iter_batches(batch_size=_ROWS * 4, columns=names):
                columns = {name: _coded(batch[name]) for name in names}
                yield Block(batch.num_rows, columns, range(row, row + batch.num_rows).__getitem__)
                row += batch.num_rows
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnusableSource(f"{path}: a damaged or cut Parquet file ({_short(error)}): copy it again") from error


def _coded(array: Any) -> Column:
    """A column of any type of Arrow, as text."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_integer(array.type):
        array = array.dictionary_encode()
    if pa.types.is_dictionary(array.type):
        found: Ints = array.indices.fill_null(len(array.dictionary)).to_numpy(zero_copy_only=False)
        return Column(found.astype(np.int32), [*map(_text, array.dictionary.to_pylist()), ""])
    codes: dict[str, int] = {}
    coded = [codes.setdefault(_text(value), len(codes)) for value in array.to_pylist()]
    return Column(np.array(coded, np.int32), list(codes))


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
