"""The graph: identity by content, typed and directed edges, parallel edges kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_kg.aliases import normal
from synth_kg.bundle import DamagedGraph, read_graph, write_graph
from synth_kg.graph import Edge, Graph, Node, Span, digest
from synth_kg.knowledge import Knowledge

A, B = Node("Disease", "D:1", "ague"), Node("Symptom", "S:1", "fever", ("pyrexia",))


def edge(relation: str = "has_symptom", negated: bool = False, source: str = "x") -> Edge:
    return Edge(A.key, relation, B.key, source, "1", "CC0-1.0", negated)


def test_a_ref_names_what_is_said_and_by_whom() -> None:
    refs = {edge().ref, edge("treats").ref, edge(negated=True).ref, edge(source="y").ref}
    assert len(refs) == 4
    assert edge().ref == edge().ref


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_digest_keeps_its_parts_apart(parts: list[str]) -> None:
    joined = digest("".join(parts[:2]), *parts[2:])
    assert digest(*parts) != joined


def test_parallel_edges_are_kept_and_repeats_are_not() -> None:
    graph = Graph([A, B], [edge(), edge("presents"), edge(source="y"), edge()])
    assert len(graph.edges) == 3
    assert len(graph.out(A.key, "has_symptom")) == 2
    assert graph.out(B.key, "has_symptom") == []
    assert [e.relation for e in graph.into(B.key, "presents")] == ["presents"]


def test_an_edge_needs_its_nodes() -> None:
    with pytest.raises(ValueError, match="has no node"):
        Graph([A], [edge()])


def test_find_prefers_names_to_synonyms_and_ignores_case() -> None:
    other = Node("Symptom", "S:2", "Pyrexia")
    graph = Graph([A, B, other], [])
    assert graph.find("PYREXIA") == [other, B]
    assert graph.find("nothing") == []


def test_to_networkx_keeps_direction_type_and_parallel_edges() -> None:
    found = Graph([A, B], [edge(), edge("presents")]).to_networkx()
    assert found.number_of_edges(A.key, B.key) == 2
    assert not found.has_edge(B.key, A.key)
    assert found.nodes[A.key]["name"] == "ague"


def test_a_written_graph_reads_back_the_same_and_shows_damage(tmp_path) -> None:
    text = "Ague has_symptom fever."
    span = Span(digest(text), 0, len(text), text)
    stated = Edge(A.key, "has_symptom", B.key, "x", "1", "CC0-1.0", False, span)
    name = write_graph(tmp_path, Graph([A, B], [stated]), {span.document: (A.id, text)}, [])
    again = read_graph(tmp_path)
    assert list(again.edges.values()) == [stated]
    assert again.nodes == {A.key: A, B.key: B}
    assert write_graph(tmp_path / "b", again, {span.document: (A.id, text)}, []) == name
    nodes = tmp_path / "nodes.tsv"
    nodes.write_text(nodes.read_text().replace("fever", "Fever"))
    with pytest.raises(DamagedGraph, match=r"nodes\.tsv"):
        read_graph(tmp_path)
    with pytest.raises(DamagedGraph, match=r"manifest\.json"):
        read_graph(tmp_path / "nothing")


def test_every_bundled_edge_names_source_version_and_an_open_licence(knowledge: Knowledge) -> None:
    for found in knowledge.graph.edges.values():
        assert found.source
        assert found.version
        assert found.license in {"CC0-1.0", "public domain", "CC-BY-4.0"}


def test_every_span_of_a_bundled_edge_holds_its_fact(knowledge: Knowledge) -> None:
    spans = [e for e in knowledge.graph.edges.values() if e.span]
    assert len(spans) > 3000
    for found in spans:
        assert found.span
        assert normal(knowledge.graph.name(found.tail)).split()[0] in normal(found.span.text)


def test_the_hierarchy_has_no_cycle(knowledge: Knowledge) -> None:
    for node in knowledge.graph.of_type("Disease"):
        assert node.key not in knowledge.graph.ancestors(node.key)
