"""Build the bundled knowledge graph from its open sources.

    python kg/build_bundled.py --ontology DIR --hetionet DIR

DIR for --ontology holds doid-2026-NCIthesaurus-slim.obo, DO_infectious_disease_slim.obo
(src/ontology/subsets of DiseaseOntology/HumanDiseaseOntology, release 2026-07-31) and symp.obo
(DiseaseOntology/SymptomOntology, release 2026-07-30); DIR for --hetionet holds
hetionet-v1.0-nodes.tsv and hetionet-v1.0-edges-5k.sif.gz (hetio/hetionet, dhimmel/integrate).
What is shipped of each, and on what terms, is in kg/synth_kg/tables/licenses.tsv: a relation
or a name without an open licence there does not enter. Writes kg/synth_kg/data/; the same
inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from synth_kg.bundle import data_folder, read_tsv, tables_folder, write_graph
from synth_kg.graph import Edge, Graph, Node
from synth_kg.obo import Ontology, read_obo
from synth_kg.ontology import Documents, ontology_graph

DO, SYMP = "Disease Ontology", "Symptom Ontology"
HETIONET = {
    "DpS": ("presents", "Hetionet 1.0 (MEDLINE co-occurrence)"),
    "DrD": ("resembles", "Hetionet 1.0 (MEDLINE co-occurrence)"),
    "DlA": ("localizes", "Hetionet 1.0 (MEDLINE co-occurrence)"),
    "CtD": ("treats", "Hetionet 1.0 (PharmacotherapyDB, LabeledIn)"),
    "CpD": ("palliates", "Hetionet 1.0 (PharmacotherapyDB, LabeledIn)"),
    "PCiC": ("includes", "Hetionet 1.0 (DrugCentral)"),
}


def licenses() -> dict[str, str]:
    """Relation or kind of name -> its licence, for what may be shipped."""
    rows = read_tsv(tables_folder() / "licenses.tsv")
    return {row["what"]: row["license"] for row in rows if row["shipped"] == "yes"}


def hetionet(folder: Path, diseases: dict[str, str], terms: dict[str, str]) -> tuple[list[Node], list[Edge]]:
    """Nodes and edges of the six complete relations, as far as they are open.

    `diseases` maps every known Disease Ontology id, current or alternative, to the current one.
    """
    names = {row["id"]: (row["name"], row["kind"]) for row in read_tsv(folder / "hetionet-v1.0-nodes.tsv")}
    open_pairs = {(r["drug"], r["disease"]) for r in read_tsv(tables_folder() / "indications.tsv")}
    drugs = {r["hetionet_name"].lower() or r["drug"]: r["drug"] for r in read_tsv(tables_folder() / "drugs.tsv")}

    def key(identity: str) -> tuple[str, str] | None:
        kind, _, ident = identity.partition("::")
        if kind == "Disease":
            return ("Disease", diseases[ident]) if ident in diseases else None
        if kind == "Symptom":
            return ("Symptom", f"MESH:{ident}")
        if kind == "Compound":
            drug = drugs.get(names[identity][0].lower())
            return ("Drug", drug) if drug else None
        return ("DrugClass" if kind == "Pharmacologic Class" else kind, ident)

    nodes: dict[tuple[str, str], Node] = {}
    edges: list[Edge] = []
    for source, metaedge, target in _sif(folder / "hetionet-v1.0-edges-5k.sif.gz"):
        if metaedge not in HETIONET or metaedge not in terms:
            continue
        head, tail = key(source), key(target)
        if head is None or tail is None:
            continue
        if metaedge in {"CtD", "CpD"} and (head[1], tail[1]) not in open_pairs:
            continue
        relation, origin = HETIONET[metaedge]
        edges.append(Edge(head, relation, tail, origin, "1.0", terms[metaedge]))
        for identity, node in ((source, head), (target, tail)):
            if node[0] != "Disease":
                name = node[1] if node[0] == "Drug" else names[identity][0]
                nodes[node] = Node(*node, name, (), origin, terms[f"{node[0]} name"])
    return [nodes[node] for node in sorted(nodes)], sorted(edges, key=lambda e: (e.relation, e.head, e.tail))


def _sif(path: Path) -> Iterator[tuple[str, str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["source"], row["metaedge"], row["target"]


def named_elsewhere(known: set[str]) -> Iterator[Node]:
    """Diseases outside the slims whose name was read in another open document."""
    for row in read_tsv(tables_folder() / "disease_names.tsv"):
        if row["disease"] not in known:
            yield Node("Disease", row["disease"], row["name"], (), row["source"], row["license"])


def _listed(edge: Edge, nodes: dict[tuple[str, str], Node], listed: set[str]) -> bool:
    """Whether the findings table names this phrase; 'characterized by' governs anything else too."""
    phrase = nodes[edge.tail].name.casefold()
    return phrase in listed or f"{edge.head[1]}#{phrase}".casefold() in listed


def build(ontology_dir: Path, hetionet_dir: Path) -> None:
    """Read every source and write the graph folder."""
    terms = licenses()
    documents: Documents = {}
    parts: list[tuple[list[Node], list[Edge]]] = []
    read: list[Ontology] = []
    for file, kind, source in (
        ("doid-2026-NCIthesaurus-slim.obo", "Disease", DO),
        ("DO_infectious_disease_slim.obo", "Disease", DO),
        ("symp.obo", "Symptom", SYMP),
    ):
        ontology = read_obo(ontology_dir / file)
        read.append(ontology)
        version = ontology.version.removeprefix("doid/").removeprefix("releases/")[:10]
        parts.append(ontology_graph(ontology, kind, source, version, terms[f"{kind} ontology"], documents))
    known = {term.id: term.id for o in read for term in o.terms}
    known |= {other: term.id for o in read for term in o.terms for other in term.alternative_ids}
    elsewhere = list(named_elsewhere(set(known)))
    known |= {node.id: node.id for node in elsewhere}
    parts += [(elsewhere, []), hetionet(hetionet_dir, known, terms)]
    nodes: dict[tuple[str, str], Node] = {}
    for part, _ in parts:
        for node in part:
            nodes.setdefault(node.key, node)
    listed = {t for row in read_tsv(tables_folder() / "findings.tsv") for t in row["terms"].casefold().split("|")}
    edges = [
        edge
        for _, part in parts
        for edge in part
        if edge.head in nodes
        and edge.tail in nodes
        and (edge.relation != "characterized_by" or _listed(edge, nodes, listed))
    ]
    used = {key for edge in edges for key in (edge.head, edge.tail)}
    kept = [node for node in nodes.values() if node.key in used or node.type in {"Disease", "Drug"}]
    graph = Graph(kept, edges)
    documents = {e.span.document: documents[e.span.document] for e in edges if e.span}
    sources = [
        {
            "name": DO,
            "version": "2026-07-31",
            "license": terms["Disease ontology"],
            "had_from": "DiseaseOntology/HumanDiseaseOntology @ 9fbefd6651b7, src/ontology/subsets",
        },
        {
            "name": SYMP,
            "version": "2026-07-30",
            "license": terms["Symptom ontology"],
            "had_from": "DiseaseOntology/SymptomOntology @ 7a295d9856d8",
        },
        {
            "name": "Hetionet",
            "version": "1.0",
            "license": "by relation: see tables/licenses.tsv",
            "had_from": "hetio/hetionet @ 8a6cc0c5604d; dhimmel/integrate @ 93feba176591",
        },
    ]
    name = write_graph(data_folder(), graph, documents, sources)
    print(f"graph {name}: {len(graph.nodes):,} nodes, {len(graph.edges):,} edges, {len(documents):,} definitions")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ontology", type=Path, required=True)
    parser.add_argument("--hetionet", type=Path, required=True)
    arguments = parser.parse_args()
    build(arguments.ontology, arguments.hetionet)


if __name__ == "__main__":
    main()
