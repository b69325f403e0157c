"""Tables as blocks: the same rows whatever the encoding, the compression, the delimiter and the parser."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_kg.readers import blocks
from synth_kg.readers.blocks import Column, Shape, blocks_of, gathered, open_table, rows_in, unified
from synth_kg.sniff import UnusableSource

ROWS = [["a", "头痛", "x y"], ["b", "café", "1,5"], ["c", 'the "c"', ""]]
HEADER = ["id", "name", "note"]


def rows(
    path: Path, wanted: list[str] | None = None, shape: Shape | None = None
) -> tuple[list[tuple[int, ...]], Counter[tuple[str, int]]]:
    """(line, cells...) of every row, and what was bad."""
    bad: Counter[tuple[str, int]] = Counter()
    table = open_table(path, shape)
    found = [
        (block.line(row), *cells.values())
        for block in blocks_of(table, wanted or table.columns, lambda why, line: bad.update([(why, line)]))
        for row, cells in rows_in(block)
    ]
    return found, bad


def cell(text: str, mark: str) -> str:
    return '"' + text.replace('"', '""') + '"' if mark in text or '"' in text else text


def text_of(mark: str, end: str) -> str:
    return end.join(mark.join(cell(text, mark) for text in row) for row in [HEADER, *ROWS]) + end


@pytest.fixture(params=["pyarrow", "csv"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With pyarrow, and as if it were not installed."""
    if request.param == "csv":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return str(request.param)


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_however_a_table_is_written_its_rows_are_the_same(
    tmp_path: Path, parser: str, mark: str, end: str, encoding: str
) -> None:
    lines = text_of(mark, end)
    if mark == "\t":
        lines = lines.replace('"the ""c"""', 'the "c"')  # tables with tabs have no quotes
    if encoding == "gb18030":
        lines = lines.replace("é", "饮")
    (tmp_path / "t").write_bytes(lines.encode(encoding))
    found, bad = rows(tmp_path / "t")
    expected = [(n, *row) for n, row in enumerate(ROWS, 2)]
    if encoding == "gb18030":
        expected = [(n, *(text.replace("é", "饮") for text in row)) for n, *row in expected]  # type: ignore[misc]
    assert found == expected and not bad


def test_latin_1_is_read_as_it_was_meant(tmp_path: Path, parser: str) -> None:
    (tmp_path / "t").write_bytes("id;name;n\n1;Ménière;x\n".encode("latin-1"))
    assert rows(tmp_path / "t")[0] == [(2, "1", "Ménière", "x")]


def test_a_damaged_byte_makes_no_other_encoding(tmp_path: Path, parser: str) -> None:
    (tmp_path / "t").write_bytes(b"id,name\n1,\xff\n" + "2,头痛\n".encode() * 20)
    found, bad = rows(tmp_path / "t")
    assert found[0] == (2, "1", "\ufffd") and found[1] == (3, "2", "头痛") and bad == {(blocks.DAMAGED, 2): 1}


def test_compressed_files_are_told_by_their_bytes(tmp_path: Path, parser: str) -> None:
    plain = text_of(",", "\n").encode()
    for name, data in (("a.csv", gzip.compress(plain)), ("b.gz", zstandard.compress(plain))):
        (tmp_path / name).write_bytes(data)
        assert [row[1:] for row in rows(tmp_path / name)[0]] == [tuple(row) for row in ROWS]


def test_lines_are_numbered_past_comments_empty_lines_and_cells_of_several_lines(tmp_path: Path, parser: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text('# a\n\nid,name,note\n1,"x\ny",\n\n2,b,\n3,c\n4,d,\n# e\n5,e,\n')
    found, bad = rows(path)
    assert [(row[0], row[1]) for row in found] == [(4, "1"), (7, "2"), (9, "4"), (11, "5")]
    assert found[0][2] == "x\ny"
    assert bad == {(blocks.SHORT, 8): 1}


def test_pyarrow_and_csv_number_rows_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,name\n1,"x\ny"\n\n2,b\n   \n3,"c"\n')
    with_pyarrow = rows(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert rows(path) == with_pyarrow
    assert [row[0] for row in with_pyarrow[0]] == [2, 5, 7]


def test_a_quote_that_is_never_closed_costs_its_line_alone(tmp_path: Path, parser: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,name\n1,a\n2,"b\n3,c\n' + "".join(f"{n},d\n" for n in range(4, 500)))
    found, bad = rows(path)
    assert [row[1] for row in found] == [str(n) for n in range(1, 500)] and not bad
    assert found[1] == (3, "2", '"b')


def test_many_stray_quotes_end_in_time(tmp_path: Path, parser: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name,more\n" + "".join(f'{n},"b,x\n{n},c,y\n' for n in range(20_000)))
    found, bad = rows(path)
    assert len(found) + sum(bad.values()) >= 20_000


def test_pieces_cut_within_quotes_lose_nothing(tmp_path: Path, parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name\n" + "".join(f'{n},"line\nof ""{n}"", and more"\n' for n in range(400)))
    whole = rows(path)
    for size in (7, 64, 1000):
        monkeypatch.setattr(blocks, "_PIECE", size)
        assert rows(path) == whole
    assert len(whole[0]) == 400 and not whole[1]


def test_a_cell_of_ten_megabytes_is_a_cell(tmp_path: Path, parser: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'id,name\n1,"{"x" * 5_000_000}\n{"y" * 5_000_000}"\n2,b\n')
    found, bad = rows(path)
    assert [(row[0], row[1], len(str(row[2]))) for row in found] == [(2, "1", 10_000_001), (4, "2", 1)] and not bad


def test_bytes_of_another_encoding_are_counted_and_the_line_kept(tmp_path: Path, parser: str) -> None:
    path = tmp_path / "t.csv"
    good = "".join(f"{n},头痛\n" for n in range(200_000)).encode()
    path.write_bytes(b"id,name\n" + good + b"x,caf\xe9\n")
    found, bad = rows(path, ["id", "name"])
    assert len(found) == 200_001 and found[-1] == (200_002, "x", "caf\ufffd")
    assert bad == {(blocks.DAMAGED, 200_002): 1}


def test_cut_archives_are_named(tmp_path: Path) -> None:
    data = text_of(",", "\n").encode() * 400
    for name, whole in (("a.gz", gzip.compress(data, 1)), ("b.zst", zstandard.compress(data, 1))):
        (tmp_path / name).write_bytes(whole[: len(whole) - 9])
        with pytest.raises(UnusableSource, match="cut"):
            rows(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\x80\x04\x95", "pickle"),
        (b"", "empty"),
        (b"one word a line\nand no more\n", "delimiter"),
        (b"[1, 2]\n", "JSON object"),
        (b"PAR1 and nothing", "Parquet"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UnusableSource, match=says):
        open_table(tmp_path / "t.csv")


def test_json_lines_and_parquet_are_tables_too(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "t.jsonl").write_text(
        '{"id": 1, "also": ["a", "b"], "no": null}\n{"id": "2", "x": true}\n{"id": }\n[]\n'
    )
    found, bad = rows(tmp_path / "t.jsonl", ["id", "also", "no", "x"])
    assert found == [(1, "1", "a|b", "", ""), (2, "2", "", "", "true")]
    assert bad == {(blocks.NOT_JSON, 3): 1, (blocks.NOT_JSON, 4): 1}
    table = pa.table({"id": [1, 2], "also": [["a", "b"], None], "name": ["x ", None], "f": [0.5, 2.0]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet")[0] == [(1, "1", "a|b", "x", "0.5"), (2, "2", "", "", "2.0")]


def test_columns_are_unified_with_their_first_codes_kept() -> None:
    import pyarrow as pa

    for kind in (list, pa.array):
        one, other = unified(
            [Column(np.array([0, 1], np.int32), kind(["a", "b"])), Column(np.array([1, 0], np.int32), kind(["c", "b"]))]
        )
        assert one.codes.tolist() == [0, 1] and other.codes.tolist() == [1, 2]
        assert other.texts() == ["b", "c"] and other.of(np.array([1])) == ["c"]


def test_gathered_blocks_keep_rows_and_line_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name\n" + "".join(f"{n},{n % 7}\n" for n in range(500)))
    monkeypatch.setattr(blocks, "_PIECE", 256)
    monkeypatch.setattr(blocks, "_GATHERED", 180)
    table = open_table(path)
    found = list(gathered(blocks_of(table, table.columns, lambda why, line: None)))
    assert len(found) > 1 and all(block.rows >= 180 for block in found[:-1])
    told = [(block.line(row), cells["id"], cells["name"]) for block in found for row, cells in rows_in(block)]
    assert told == [(n + 2, str(n), str(n % 7)) for n in range(500)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='ab,,"\n\n\r é#', max_size=60))
def test_both_parsers_read_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"x,y\n" + text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        expected = rows(path)
    assert rows(path) == expected
