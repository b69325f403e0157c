"""The reviewed tables: whole, consistent, and honest about where a statement comes from."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from synth_kg.bundle import read_tsv, tables_folder
from synth_kg.knowledge import Knowledge
from synth_kg.tables import EDITOR, TableError, load_tables


def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tables_folder(), tmp_path / "tables"))


def append(folder: Path, table: str, line: str) -> None:
    with (folder / f"{table}.tsv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


STATED = ("typical", "separators", "red_flags", "infections", "drugs", "classes", "mainstays", "patients", "routes")


@pytest.mark.parametrize("table", STATED)
def test_every_statement_names_its_source_and_date(table: str) -> None:
    for row in read_tsv(tables_folder() / f"{table}.tsv"):
        assert row["source"], row
        assert row["date"].startswith("2026-"), row


def test_a_patient_range_never_rests_on_judgement_alone() -> None:
    for row in read_tsv(tables_folder() / "patients.tsv"):
        assert row["source"] != EDITOR
        named = ("http", "Disease Ontology", "OpenStax", "anatomy:")
        assert any(mark in row["source"] for mark in named), row["source"]


def test_a_disease_has_one_reason_a_finding(knowledge: Knowledge) -> None:
    for disease, entries in knowledge.tables.typical.items():
        reasons = Counter(row.why for row in entries.values() if row.verdict == "typical")
        repeated = [why for why, n in reasons.items() if n > 1]
        assert not repeated, f"{disease}: {repeated}"


def test_no_finding_suggests_a_disease_that_rows_may_ask_for(knowledge: Knowledge) -> None:
    names = {name.casefold() for disease in knowledge.tables.diseases for name in knowledge.aliases(disease)}
    for finding in knowledge.tables.findings.values():
        padded = f" {finding.suggests.casefold()} "
        named = [name for name in names if len(name) > 4 and f" {name} " in padded]
        assert not named, f"{finding.finding} suggests {named}"


def test_no_statement_of_a_red_flag_reads_as_a_denial(knowledge: Knowledge) -> None:
    for flag in knowledge.tables.red_flags:
        assert not flag.statement.startswith(("There is no ", "The patient has no "))
        assert flag.statement.endswith(".")


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("typical", "DOID:0\tnothing\tfever\ttypical\t\tbecause\teditor\t2026-11-21", "unknown DOID:0"),
        ("typical", "DOID:6364\tmigraine\tfever\tperhaps\t\tbecause\teditor\t2026-11-21", "'perhaps' is none of"),
        ("typical", "DOID:6364\tmigraine\theadache\ttypical\t\tother\teditor\t2026-11-21", "two verdicts"),
        ("separators", "DOID:6364\tm\tDOID:6364\tm\tno-such\twhy\teditor\t2026-11-21", "unknown no-such"),
        ("routes", "sky\tground\teditor\t2026-11-21", "unknown ground"),
        ("patients", "DOID:6364\tmigraine\t1\t2\tany\t\t\t2026-11-21", "needs a source"),
    ],
)
def test_a_wrong_line_is_refused_with_its_fault(tmp_path: Path, table: str, line: str, message: str) -> None:
    folder = copy(tmp_path)
    append(folder, table, line)
    with pytest.raises(TableError, match=message):
        load_tables(folder)


def test_a_line_with_too_few_fields_names_file_and_line(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    append(folder, "routes", "tick")
    with pytest.raises(ValueError, match=r"routes\.tsv:\d+: 1 fields where the header has 4"):
        load_tables(folder)


def test_the_departments_cover_every_disease(knowledge: Knowledge) -> None:
    assert all(knowledge.department(disease) != "unknown" for disease in knowledge.tables.diseases)
