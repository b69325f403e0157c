"""The bundled graph is what its script makes of the open sources, byte for byte."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synth_kg.bundle import FILES, data_folder, read_tsv, tables_folder

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_script_makes_the_bundled_bytes(shared: Path, tmp_path: Path) -> None:
    """Runs on a copy of kg/, so that a difference does not overwrite the bundle."""
    shutil.copytree(ROOT / "kg", tmp_path / "kg", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "kg" / "build_bundled.py"
    inputs = ["--ontology", str(shared / "ontology"), "--hetionet", str(shared / "kg" / "hetionet")]
    subprocess.run([sys.executable, script, *inputs], check=True, env={"PATH": "", "PYTHONPATH": ""})
    for name in (*FILES, "manifest.json"):
        assert (tmp_path / "kg/synth_kg/data" / name).read_bytes() == (data_folder() / name).read_bytes(), name


def test_a_relation_ships_only_with_terms_that_were_read() -> None:
    rows = list(read_tsv(tables_folder() / "licenses.tsv"))
    shipped = {row["what"]: row for row in rows if row["shipped"] == "yes"}
    assert {"CtD", "CpD", "DpS", "DlA", "DrD", "PCiC"} <= shipped.keys()
    for row in shipped.values():
        assert row["read_in"], row
        assert row["license"] in {"CC0-1.0", "public domain", "CC-BY-3.0", "CC-BY-4.0"}, row


def test_an_indication_ships_only_with_an_open_source_of_its_own() -> None:
    pairs = {(row["drug"], row["disease"]) for row in read_tsv(tables_folder() / "indications.tsv")}
    edges = [row for row in read_tsv(data_folder() / "edges.tsv") if row["relation"] in {"treats", "palliates"}]
    assert edges
    assert {(row["head"], row["tail"]) for row in edges} <= pairs
