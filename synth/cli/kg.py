"""`synth kg info` and `synth kg ask`."""

from __future__ import annotations

import argparse
from collections import Counter

from synth.cli import graphs
from synth.config import Config
from synth.errors import NotBuiltError, UsageError
from synth.prompts import load_prompts
from synth.seeds.kg import ENDLESS, Seeds
from synth.seeds.source import open_named
from synth.verbalise import statements
from synth_kg.graph import Edge, Graph

_NAMED = 12
"""Partners named in one sentence."""


def info(arguments: argparse.Namespace) -> int:
    """What a graph holds, on what terms, and what can be made of it by genre."""
    if graphs.is_built(arguments.graph):
        return graphs.info(arguments.graph)
    knowledge = open_named(arguments.graph)
    graph, tables = knowledge.graph, knowledge.tables
    print(f"graph {knowledge.name}: {len(graph.nodes):,} nodes, {len(graph.edges):,} edges\n")
    print("nodes by type:     " + _listed(Counter(node.type for node in graph.nodes.values())))
    print("edges by relation: " + _listed(Counter(edge.relation for edge in graph.edges.values())))
    terms = Counter((edge.source, edge.version, edge.license) for edge in graph.edges.values())
    print("\nedges by source, version and licence:")
    for (source, version, license), n in terms.most_common():
        print(f"  {n:>7,}  {source}, {version}, {license}")
    kept = Counter(row.verdict for entries in tables.typical.values() for row in entries.values())
    print(
        f"\nreviewed tables: {len(tables.findings)} findings, {len(tables.diseases)} diseases, "
        f"{kept.total()} pairs ({_listed(kept)}), {len(tables.separators)} separators, "
        f"{len(tables.red_flags)} red flags, {len(tables.infections)} infections, {len(tables.drugs)} drugs"
    )
    seeds = Seeds(knowledge, Config())
    print("\nwhat can be made (evidence sets, anchors, seeds before a set is used too often):")
    for genre, units in seeds.lists.items():
        most = seeds.capacity(genre)
        anchors = len({unit.anchor for unit in iter(units)})
        print(f"  {genre:<12}{len(units):>7}{anchors:>7}{'endless' if most >= ENDLESS else most:>10}")
    return 0


def ask(arguments: argparse.Namespace) -> int:
    """What a graph says of an entity, sentence by sentence, with source and licence."""
    if arguments.html:
        raise NotBuiltError("kg ask --html: not in this version")
    if graphs.is_built(arguments.graph):
        return graphs.ask(arguments)
    if arguments.to is not None:
        raise NotBuiltError("kg ask with two names: on graphs that `synth kg build` made")
    knowledge = open_named(arguments.graph)
    nodes = knowledge.graph.find(arguments.entity)
    if not nodes:
        hint = _near(arguments.entity, knowledge.graph)
        raise UsageError(f"'{arguments.entity}': no node of this name, synonym or id{hint}")
    prompts = load_prompts("en")
    for node in nodes:
        print(f"{node.name} ({node.type} {node.id}; {node.source}, {node.license})")
        if node.synonyms:
            print(f"  also: {', '.join(node.synonyms)}")
        for statement in statements(prompts, knowledge.graph, node):
            shown = statement.edges[:_NAMED]
            text = statement.text
            if len(shown) < len(statement.edges):
                text = f"{text[:160].rsplit(',', 1)[0]} ... ({len(statement.edges)} in all)"
            print(f"  {text}  [{_origin(statement.edges)}]")
    return 0


def _origin(edges: tuple[Edge, ...]) -> str:
    return "; ".join(dict.fromkeys(f"{edge.source} {edge.version}, {edge.license}" for edge in edges))


def _near(text: str, graph: Graph) -> str:
    wanted = text.casefold()
    names = [node.name for node in graph.nodes.values() if wanted in node.name.casefold()]
    return f"; perhaps {', '.join(sorted(names, key=len)[:5])}" if names else ""


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.most_common())
