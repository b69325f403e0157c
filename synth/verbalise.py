"""Knowledge in words: what the graph says of a node, relation by relation, in both directions.

The wordings are files, `prompts/LANGUAGE/relations/RELATION.j2`: one line for the direction
of the edge and one against it, each for one or many partners, negations kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from synth.prompts import Prompts, cap
from synth_kg.graph import Edge, Graph, Node

RELATIONS = (
    "is_a", "has_symptom", "characterized_by", "presents", "has_material_basis_in", "transmitted_by",
    "located_in", "localizes", "treats", "palliates", "includes", "resembles",
)  # fmt: skip
"""Every relation of the bundled graph, in the order in which a reader wants them."""


class Statement(NamedTuple):
    """A sentence, and the edges that say it."""

    text: str
    edges: tuple[Edge, ...]


def statements(prompts: Prompts, graph: Graph, node: Node) -> Iterator[Statement]:
    """What the graph says of a node: a sentence for each relation, direction and polarity."""
    for relation in RELATIONS:
        for backward in (False, True):
            edges = graph.into(node.key, relation) if backward else graph.out(node.key, relation)
            for negated in (False, True):
                told = tuple(edge for edge in edges if edge.negated is negated)
                if told:
                    yield Statement(sentence(prompts, graph, told, backward=backward), told)


def sentence(prompts: Prompts, graph: Graph, edges: tuple[Edge, ...], *, backward: bool = False) -> str:
    """One sentence for edges of one relation and polarity that share their head, or backward their tail.

    Args:
        prompts: the templates.
        graph: names the nodes.
        edges: at least one.
        backward: speak of the tail first.
    """
    first = edges[0]
    subject = graph.name(first.tail if backward else first.head)
    objects = tuple(dict.fromkeys(graph.name(edge.head if backward else edge.tail) for edge in edges))
    forward_text, backward_text = prompts.lines(
        f"relations/{first.relation}",
        {
            "subject": subject,
            "objects": objects,
            "negated": first.negated,
            "joint": "or" if first.negated else "and",
        },
    )
    return cap(backward_text if backward else forward_text) + "."
