"""OWL in RDF/XML: the same graph as the OBO file."""

import gzip
import itertools
from pathlib import Path

import pytest

from synth_kg.builder import Builder
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.readers.owl import read_owl
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph

OWL = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [ <!ENTITY obo "http://purl.obolibrary.org/obo/" > ]>
<rdf:RDF xml:base="http://purl.obolibrary.org/obo/tiny.owl"
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
    xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:obo="http://purl.obolibrary.org/obo/"
    xmlns:oio="http://www.geneontology.org/formats/oboInOwl#" xmlns:dc="http://purl.org/dc/elements/1.1/">
  <owl:Ontology rdf:about="http://purl.obolibrary.org/obo/tiny.owl">
    <owl:versionIRI rdf:resource="&obo;tiny/releases/2026-01-02/tiny.owl"/>
    <dc:title>Tiny</dc:title>
    <rdfs:comment>Made for a test.</rdfs:comment>
    <rdfs:comment>The license is ours.</rdfs:comment>
  </owl:Ontology>
  <owl:ObjectProperty rdf:about="&obo;BFO_0000050">
    <oio:shorthand>part_of</oio:shorthand>
    <rdfs:label>part of</rdfs:label>
  </owl:ObjectProperty>
  <owl:Class rdf:about="&obo;UBERON_0000001">
    <rdfs:label xml:lang="zh">肢体</rdfs:label>
    <rdfs:label xml:lang="en">limb</rdfs:label>
    <oio:hasExactSynonym>extremity</oio:hasExactSynonym>
    <oio:hasBroadSynonym>member</oio:hasBroadSynonym>
  </owl:Class>
  <owl:Class rdf:about="&obo;UBERON_0000002">
    <rdfs:label>hand</rdfs:label>
    <oio:hasAlternativeId>UBERON:0000009</oio:hasAlternativeId>
    <rdfs:subClassOf rdf:resource="&obo;UBERON_0000001"/>
    <rdfs:subClassOf><owl:Restriction>
      <owl:onProperty rdf:resource="&obo;BFO_0000050"/><owl:someValuesFrom rdf:resource="&obo;UBERON_0000003"/>
    </owl:Restriction></rdfs:subClassOf>
    <rdfs:subClassOf><owl:Restriction>
      <owl:onProperty rdf:resource="&obo;BFO_0000050"/><owl:allValuesFrom rdf:resource="&obo;UBERON_0000001"/>
    </owl:Restriction></rdfs:subClassOf>
    <owl:equivalentClass><owl:Class><owl:intersectionOf rdf:parseType="Collection">
      <rdf:Description rdf:about="&obo;UBERON_0000003"/>
    </owl:intersectionOf></owl:Class></owl:equivalentClass>
  </owl:Class>
  <owl:Axiom><owl:annotatedSource rdf:resource="&obo;UBERON_0000002"/></owl:Axiom>
  <rdf:Description rdf:about="&obo;UBERON_0000003">
    <rdf:type rdf:resource="http://www.w3.org/2002/07/owl#Class"/>
    <rdfs:label>arm</rdfs:label>
    <rdfs:subClassOf rdf:nodeID="b1"/>
    <rdfs:subClassOf><owl:Class rdf:about="&obo;UBERON_0000001"/></rdfs:subClassOf>
  </rdf:Description>
  <rdf:Description rdf:nodeID="b1">
    <rdf:type rdf:resource="http://www.w3.org/2002/07/owl#Restriction"/>
    <owl:onProperty rdf:resource="#grows_from"/>
    <owl:someValuesFrom><owl:Class rdf:about="&obo;UBERON_0000004"/></owl:someValuesFrom>
  </rdf:Description>
  <owl:Class rdf:about="&obo;UBERON_0000004">
    <rdfs:label>obsolete paw</rdfs:label>
    <owl:deprecated rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">true</owl:deprecated>
    <obo:IAO_0100001 rdf:resource="&obo;UBERON_0000002"/>
  </owl:Class>
  <owl:Class rdf:about="&obo;UBERON_0000002"><oio:hasExactSynonym>manus</oio:hasExactSynonym></owl:Class>
  <owl:Class rdf:about="&obo;UBERON_0000005"/>
</rdf:RDF>
"""


def write(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode()), lambda t: t.encode("utf-16")])
def test_what_a_file_says(tmp_path: Path, pack) -> None:
    builder = Builder()
    read_owl(write(tmp_path, "tiny.owl", pack(OWL)), builder)
    graph = TypedGraph.of(builder.finish())
    assert {graph.key(n): (graph.name(n), graph.synonyms[n]) for n in range(len(graph))} == {
        ("Anatomy", "UBERON:0000001"): ("limb", ("extremity", "肢体")),
        ("Anatomy", "UBERON:0000002"): ("hand", ("UBERON:0000004", "UBERON:0000009", "manus")),
        ("Anatomy", "UBERON:0000003"): ("arm", ()),
    }
    assert {(e.head[1], e.relation, e.tail[1]) for e in graph.edges()} == {
        ("UBERON:0000002", "is_a", "UBERON:0000001"),
        ("UBERON:0000002", "part_of", "UBERON:0000003"),
        ("UBERON:0000003", "is_a", "UBERON:0000001"),
        ("UBERON:0000003", "grows_from", "UBERON:0000002"),
    }
    assert graph.origins == (("Tiny", "2026-01-02", "The license is ours."),)
    assert {one.reason: one.times for one in graph.dropped} == {
        "a synonym that is not exact": 1,
        "a term that cannot be read": 1,
        "an obsolete term, replaced by another": 1,
    }


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cut.owl", OWL[:-30].encode(), "not XML, or cut"),
        ("cut.owl.gz", gzip.compress(OWL.encode())[:-30], "damaged"),
        ("turtle.ttl", b"@prefix owl: <http://www.w3.org/2002/07/owl#> .", "not XML"),
        ("functional.owl", b"Prefix(owl:=<http://www.w3.org/2002/07/owl#>)\nOntology()", "not XML"),
        ("xml.owl", b'<Ontology xmlns="http://www.w3.org/2002/07/owl#"/>', "root Ontology, not RDF/XML"),
        ("none.owl", b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>', "without a single class"),
        ("odd.owl", b'<?xml version="1.0" encoding="x-none"?><a/>', "not XML"),
        ("page.owl", b"<html><body>404</body></html>", "HTML page"),
        ("x.json", b'{"graphs": []}', "json, not OWL"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words) as caught:
        read_owl(write(tmp_path, name, data), Builder())
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entities_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    names = "abcdefghij"
    entities = f'<!ENTITY a "{"x" * 1000}">' + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 20}">' for old, new in itertools.pairwise(names)
    )
    bomb = OWL.replace("<!ENTITY obo", f"{entities}<!ENTITY obo").replace("hand", "&j;")
    with pytest.raises(UnusableSource, match="not XML"):
        read_owl(write(tmp_path, "bomb.owl", bomb), Builder())


def test_the_real_file_is_the_same_as_in_obo(shared: Path) -> None:
    found = []
    for name, read in (("symp.obo", read_obo_terms), ("symp.owl", read_owl)):
        builder = Builder()
        read(shared / "ontology" / name, builder)
        aliases = {(builder._keys[old], builder._keys[new]) for old, found in builder._aliases.items() for new in found}
        graph = TypedGraph.of(builder.finish())
        names = list(zip(graph.ids, graph.names, graph.synonyms, strict=True))
        dropped = {(one.reason, one.times) for one in graph.dropped}
        found.append((names, [edge.ref for edge in graph.edges()], graph.origins, aliases, dropped))
    assert found[0] == found[1]
    assert len(found[0][0]) == 895
    assert len(found[0][1]) == 898
    assert len(found[0][3]) == 19
