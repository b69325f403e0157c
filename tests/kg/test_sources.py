"""Reading OBO, and telling what a file really is."""

import gzip
from pathlib import Path

import pytest

from synth_kg.obo import read_obo
from synth_kg.sniff import UnusableSource, kind_of

OBO = """format-version: 1.4
data-version: releases/2026-01-01
ontology: tiny
property_value: terms:license https://creativecommons.org/publicdomain/zero/1.0/

[Term]
id: T:1
name: ague
def: "A fever that has_symptom chills." []
synonym: "marsh fever" EXACT []
synonym: "fever" BROAD []

[Term]
id: T:2
name: gone
is_obsolete: true

[Term]
id: T:3
name: tertian ague
alt_id: T:9
is_a: T:1 ! ague

[Typedef]
id: part_of
"""


def write(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress, lambda b: b"\xef\xbb\xbf" + b.replace(b"\n", b"\r\n")])
def test_obo_plain_gzipped_and_with_the_marks_of_windows(tmp_path: Path, pack) -> None:
    ontology = read_obo(write(tmp_path, "tiny.obo", pack(OBO.encode())))
    assert [term.id for term in ontology.terms] == ["T:1", "T:3"]
    assert ontology.obsolete == 1
    assert ontology.terms[0].synonyms == ("marsh fever",)
    assert ontology.terms[1].parents == ("T:1",)
    assert ontology.terms[1].alternative_ids == ("T:9",)
    assert "publicdomain/zero" in ontology.license


def test_a_bad_frame_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    bad = OBO.replace("id: T:3\n", "id: T:3\nis_a: \n")
    ontology = read_obo(write(tmp_path, "bad.obo", bad))
    assert [term.id for term in ontology.terms] == ["T:1"]
    assert len(ontology.bad_frames) == 1
    assert "bad.obo:" in ontology.bad_frames[0]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.obo", b"", "empty"),
        ("blank.obo", b"\n \n", "empty"),
        ("pointer.obo", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS pointer"),
        ("page.obo", b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        ("x.pkl", b"\x80\x04\x95\x00", "pickle"),
        ("x.zip", b"PK\x03\x04rest", "zip"),
        ("x.bin", b"\x00\x01\x02\x00", "binary"),
        ("edges.csv", b"a,b,c\n1,2,3\n", "csv; this version reads OBO"),
        ("graph.json", b'{"nodes": []}', "json; this version reads OBO"),
        ("onto.owl", b"<?xml version='1.0'?><rdf:RDF xmlns:owl='x'>", "owl; this version reads OBO"),
        ("notes.txt", b"plain words", "not an OBO ontology"),
        ("header.obo", b"format-version: 1.4\n", "without a single readable term"),
    ],
)
def test_what_is_no_ontology_is_recognized_for_what_it_is(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words) as caught:
        read_obo(write(tmp_path, name, data))
    assert name in str(caught.value)


def test_a_missing_file_a_folder_and_a_broken_archive(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="no such file"):
        kind_of(tmp_path / "nothing.obo")
    with pytest.raises(UnusableSource, match="is a folder"):
        kind_of(tmp_path)
    with pytest.raises(UnusableSource, match="damaged gzip"):
        kind_of(write(tmp_path, "x.gz", gzip.compress(OBO.encode())[:20]))


def test_real_ontologies(shared: Path) -> None:
    ontology = read_obo(shared / "ontology" / "hp.obo.gz")
    assert len(ontology.terms) > 15_000
    assert not ontology.bad_frames
    with pytest.raises(UnusableSource, match="json"):
        read_obo(shared / "ontology" / "symp.json")
