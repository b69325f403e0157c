"""Claims and relations in words: both directions, singular and plural, negations kept."""

import pytest

from synth.claims import _FORMS, Claims
from synth.prompts import Prompts, bare, listed, load_prompts, ored
from synth.sample import Sample
from synth.verbalise import RELATIONS, sentence, statements
from synth_kg.graph import Edge, Graph, Node
from synth_kg.knowledge import Knowledge


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return load_prompts("en")


def test_every_form_has_a_template_and_every_template_a_form(prompts: Prompts) -> None:
    assert {path.stem for path in (prompts.folder / "claims").glob("*.j2")} == set(_FORMS)


def test_every_relation_of_the_graph_has_a_template(prompts: Prompts, knowledge: Knowledge) -> None:
    assert {edge.relation for edge in knowledge.graph.edges.values()} <= set(RELATIONS)
    assert {path.stem for path in (prompts.folder / "relations").glob("*.j2")} == set(RELATIONS)


A, B, C = Node("Disease", "D:1", "ague"), Node("X", "X:1", "chills"), Node("X", "X:2", "fever")


def edges(relation: str, negated: bool = False) -> tuple[Edge, Edge]:
    first, second = (Edge(A.key, relation, node.key, "s", "1", "CC0-1.0", negated) for node in (B, C))
    return first, second


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("negated", [False, True])
def test_a_relation_reads_both_ways_for_one_and_for_many(
    prompts: Prompts, relation: str, backward: bool, negated: bool
) -> None:
    both = edges(relation, negated)
    graph = Graph([A, B, C], both)
    one = sentence(prompts, graph, both[:1], backward=backward)
    assert one.endswith(".")
    assert "ague" in one.casefold()
    assert "chills" in one.casefold()
    assert ("not" in one.split()) is negated, one
    if not backward:
        many = sentence(prompts, graph, both)
        assert {"chills", "fever"} <= set(many.casefold().replace(".", "").replace(",", "").split())


def test_statements_cover_every_edge_of_a_node_once(knowledge: Knowledge, prompts: Prompts) -> None:
    (node,) = knowledge.graph.find("scrub typhus")
    told = [edge for statement in statements(prompts, knowledge.graph, node) for edge in statement.edges]
    around = [e for e in knowledge.graph.edges.values() if node.key in (e.head, e.tail)]
    assert sorted(edge.ref for edge in told) == sorted(edge.ref for edge in around)


def test_a_claim_is_supported_by_what_it_cites_and_by_nothing_else(claims: Claims, rows: list[Sample]) -> None:
    for row in rows[:60]:
        evidence = {item.id: item for item in row.seed.evidence}
        for claim in (claim for step in row.steps for claim in step.claims):
            cited = [evidence[ident] for ident in claim.evidence]
            assert claims.judge(claim.text, cited) == "supported"
            assert claims.judge(claim.text + " always", cited) == "unknown"
            others = [item for item in row.seed.evidence if item.id not in claim.evidence][:1]
            assert claims.judge(claim.text, others) == "unknown"


def test_plural_findings_take_plural_verbs(claims: Claims, knowledge: Knowledge) -> None:
    for finding in knowledge.tables.findings.values():
        if finding.verdict != "keep" or not finding.suggests:
            continue
        form = "general" if finding.specificity == "general" else "points"
        for wording in claims.wordings(form, (finding.ref,)):
            verb = wording[len(finding.clinical) :].split()[0]
            singular = {"points", "suggests", "makes", "by", "decides"}
            plural = {"point", "suggest", "make", "by", "decide"}
            assert verb in (plural if finding.plural else singular), wording


def test_small_words() -> None:
    assert listed(["a", "b", "c"]) == "a, b, and c"
    assert ored(["a", "b"]) == "a or b"
    assert bare("an eschar") == "eschar"
