"""HPO annotations: what is stated, what is denied, and how often."""

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_kg.builder import About, Builder
from synth_kg.obo import parse_obo
from synth_kg.readers.hpoa import LICENSE, ONSETS, TYPICALITY, frequency_of, read_hpoa
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

HEADER = (
    "database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\t"
    "biocuration"
)
NAMES = HEADER.split("\t")


def row(hpo: str = "HP:0000001", aspect: str = "P", **cells: str) -> str:
    told = {"database_id": "OMIM:1", "disease_name": "AGUE", "hpo_id": hpo, "aspect": aspect, **cells}
    return "\t".join(told.get(name, "") for name in NAMES)


def file_of(*rows: str, header: str = HEADER) -> str:
    return "\n".join(('#description: "made up"', "#version: 2025-01-16", "#tracker: none", header, *rows, ""))


def write(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def graph_of(path: Path, about: About = About()) -> TypedGraph:  # noqa: B008  (it is a tuple)
    builder = Builder()
    read_hpoa(path, builder, about)
    return TypedGraph.of(builder.finish())


def stated(graph: TypedGraph) -> list[tuple[str, str, str]]:
    return sorted((e.head[1], f"{'not ' * e.negated}{e.relation}", e.tail[1]) for e in graph.edges())


def test_aspects_and_negation(tmp_path: Path) -> None:
    graph = graph_of(
        write(
            tmp_path,
            "phenotype.hpoa",
            file_of(
                row("HP:0000001"),
                row("HP:0000002", qualifier="NOT"),
                row("HP:0000003", frequency="0/7"),
                row("HP:0000004", frequency="0%"),
                row("HP:0000005", frequency="HP:0040285"),
                row("HP:0000006", "I"),
                row("HP:0003577", "C"),
                row("HP:0003676", "C"),
                row("HP:0012823", "M"),
                row("HP:0009800", "H", database_id="ORPHA:2", disease_name="Ague two"),
            ),
        )
    )
    assert stated(graph) == sorted(
        [
            ("OMIM:1", "has_phenotype", "HP:0000001"),
            ("OMIM:1", "not has_phenotype", "HP:0000002"),
            ("OMIM:1", "not has_phenotype", "HP:0000003"),
            ("OMIM:1", "not has_phenotype", "HP:0000004"),
            ("OMIM:1", "not has_phenotype", "HP:0000005"),
            ("OMIM:1", "has_inheritance", "HP:0000006"),
            ("OMIM:1", "has_onset", "HP:0003577"),
            ("OMIM:1", "has_course", "HP:0003676"),
            ("OMIM:1", "has_modifier", "HP:0012823"),
            ("ORPHA:2", "has_history", "HP:0009800"),
        ]
    )
    assert graph.columns.types == ("Disease", "Phenotype")
    assert [graph.name(n) for n in graph.find("OMIM:1") + graph.find("ague two")] == ["AGUE", "Ague two"]
    assert graph.origins == (("HPO annotations", "2025-01-16", LICENSE),)


def test_what_stands_beside_a_statement(tmp_path: Path) -> None:
    whole = row(
        frequency="3/12", onset="HP:0003577", sex="FEMALE", modifier="HP:0012825;HP:0012828", evidence="PCS",
        reference="PMID:1;PMID:2", biocuration="HPO:a[2021-06-21];HPO:b[2019-01-02]",
    )  # fmt: skip
    graph = graph_of(write(tmp_path, "x.hpoa", file_of(whole, row(frequency="HP:0040281"), row("HP:0000002"))))
    disease = graph.number("Disease", "OMIM:1")
    first, second = graph.around(disease)
    twice = graph.said(disease, first)
    assert len(twice) == 2
    assert {
        "frequency_raw": "3/12", "frequency": 0.25, "patients": 12, "typicality": "occasional", "onset": "HP:0003577",
        "sex": "FEMALE", "modifier": "HP:0012825;HP:0012828", "evidence": "PCS", "reference": "PMID:1;PMID:2",
        "curated": "2021-06-21",
    } in twice  # fmt: skip
    assert {"frequency_raw": "HP:0040281", "typicality": "very frequent"} in twice
    assert graph.said(disease, second) in ((), [{}])
    assert ("OMIM:1", "has_onset", "HP:0003577") not in stated(graph), "the onset of a feature is not the disease's"


@pytest.mark.parametrize(
    ("text", "typicality", "share", "patients"),
    [
        ("HP:0040280", "obligate", None, None),
        ("HP:0040285", "excluded", None, None),
        ("1/1", "obligate", 1.0, 1),
        ("99/100", "very frequent", 0.99, 100),
        ("4/5", "very frequent", 0.8, 5),
        ("79%", "frequent", 0.79, None),
        ("79.6%", "frequent", 0.796, None),
        ("30%", "frequent", 0.3, None),
        ("3/10", "frequent", 0.3, 10),
        ("29%", "occasional", 0.29, None),
        ("5%", "occasional", 0.05, None),
        ("1/20", "occasional", 0.05, 20),
        ("4.9%", "very rare", 0.049, None),
        ("1/1000", "very rare", 0.001, 1000),
        ("0/3", "excluded", 0.0, 3),
    ],
)
def test_frequencies(text: str, typicality: str, share: float | None, patients: int | None) -> None:
    found = frequency_of(text)
    assert found is not None
    assert (found.typicality, found.patients) == (typicality, patients)
    assert found.share == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "3/0", "0/0", "5/3", "-1/2", "101%", "often", "HP:0003577", "1/", "%", "٣/٤"])
def test_no_frequencies(text: str) -> None:
    assert frequency_of(text) is None


@given(st.text(max_size=20) | st.from_regex(r"\d{1,40}(/\d{1,40}|(\.\d{1,400})? *%)", fullmatch=True))
def test_any_text_is_a_frequency_or_not(text: str) -> None:
    found = frequency_of(text)
    if found is not None and found.share is not None:
        assert 0 <= found.share <= 1
        assert (found.typicality == "excluded") == (found.share == 0)


def test_what_is_amiss_is_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "x.hpoa",
        file_of(
            row(),
            "OMIM:1\tAGUE",
            row(database_id=""),
            row("nothing"),
            row(aspect="X"),
            row(qualifier="MAYBE"),
            row("HP:0000009", frequency="5/3"),
            "",
            "# a remark",
        ),
    )
    graph = graph_of(path, About(name="Ours", license="free"))
    assert stated(graph) == [(("OMIM:1"), "has_phenotype", "HP:0000001"), ("OMIM:1", "has_phenotype", "HP:0000009")]
    assert {(one.source, one.reason, one.examples) for one in graph.dropped} == {
        ("Ours", "a frequency that cannot be read", ("x.hpoa:11",)),
        ("Ours", "a row of an unknown aspect", ("x.hpoa:9",)),
        ("Ours", "a row of another number of cells", ("x.hpoa:6",)),
        ("Ours", "a row with an unknown qualifier", ("x.hpoa:10",)),
        ("Ours", "a row without the id of a disease", ("x.hpoa:7",)),
        ("Ours", "a row without the id of a term", ("x.hpoa:8",)),
    }
    assert graph.origins == (("Ours", "2025-01-16", "free"),)


def test_a_damaged_character_costs_its_row_alone(tmp_path: Path) -> None:
    rows = [row(f"HP:{n:07}", disease_name="Maladie d'été") for n in range(2000)]
    data = file_of(*rows).encode() + row("HP:1", disease_name="été").encode("latin-1")
    graph = graph_of(write(tmp_path, "x.hpoa", data))
    assert [(one.reason, one.examples) for one in graph.dropped] == [
        ("a row with characters in another encoding", ("x.hpoa:2005",))
    ]
    assert graph.name(graph.find("OMIM:1")[0]) == "Maladie d'été"


def test_the_header_of_older_files(tmp_path: Path) -> None:
    header = "#DatabaseID\tDiseaseName\tQualifier\tHPO_ID\tReference\tEvidence\tOnset\tFrequency\tSex\tModifier\tAspect"
    old = file_of(row().rsplit("\t", 1)[0], header=header).replace("#version", "#date")
    graph = graph_of(write(tmp_path, "x.hpoa", "\ufeff" + old.replace("\n", "\r\n")))
    assert stated(graph) == [("OMIM:1", "has_phenotype", "HP:0000001")]
    assert graph.origins[0].version == "2025-01-16"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"a,b,c\n1,2,3\n", "no header"),
        ("b.hpoa", file_of().encode(), "without a single readable row"),
        ("c.hpoa", b"", "empty"),
        ("d.hpoa.gz", gzip.compress(file_of(*[row()] * 99).encode())[:-9], "damaged"),
        ("e.hpoa", b"\x80\x04\x95", "pickle"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words) as caught:
        graph_of(write(tmp_path, name, data))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frequencies_and_onsets_are_as_hpo_defines_them(shared: Path) -> None:
    path = shared / "ontology" / "hp.obo.gz"
    terms = {term.id: term for term in parse_obo(gzip.decompress(path.read_bytes()), path).terms}
    for ident, name in TYPICALITY.items():
        assert terms[ident].name.lower() == name
        bounds = [int(number) for number in re.findall(r"([0-9]+)%", terms[ident].definition)]
        for percent in range(min(bounds), max(bounds) + 1):
            found = frequency_of(f"{percent}%")
            assert found is not None
            assert found.typicality == name
    below: set[str] = {"HP:0003674"}
    while more := {term.id for term in terms.values() if below & set(term.parents)} - below:
        below |= more
    assert below == ONSETS


def test_the_real_file(shared: Path) -> None:
    path = shared / "ontology" / "phenotype.hpoa.gz"
    builder = Builder()
    read_obo_terms(shared / "ontology" / "hp.obo.gz", builder)
    read_hpoa(path, builder)
    graph = TypedGraph.of(builder.finish())
    assert len(graph) == 19_034 + 12_687
    assert all(graph.names), "every term that is annotated stands in the ontology"
    assert sum(map(len, graph.attributes.values())) == 271_702
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[5:]]
    assert sum(r[2] == "NOT" for r in rows) == 711
    denied = {(r[0], r[3]) for r in rows if r[2] == "NOT" or r[7].startswith("0/")}
    assert denied == {
        (graph.ids[node], graph.ids[other])
        for node in range(12_687)
        for _, arc, where in graph.columns.groups_of(node)
        if arc.negated
        for other in graph.columns.neighbours[where]
    }
    counts: Counter[str] = Counter()
    for (_, arc, _), count in graph.columns.counts.items():
        counts[arc.relation] += count
    assert counts == {
        "is_a": 23_392, "has_phenotype": 254_066, "has_inheritance": 8_854, "has_onset": 6_831, "has_course": 1_187,
        "has_history": 130, "has_modifier": 77,
    }  # fmt: skip
    assert {one.reason: one.times for one in graph.dropped if one.source == "HPO annotations"} == {
        "states again what it stated": 557
    }
