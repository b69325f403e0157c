"""KGX, the exchange format of Biolink graphs: files of nodes and of edges, as TSV or JSON Lines.

`biolink:Disease` becomes the type `Disease`; a few categories are called as elsewhere here, so that nodes of several
sources meet. Only a file of nodes tells the categories, so the edges look for the one beside them (`x_edges.tsv`,
`x_nodes.tsv`); an end that it does not list is of the type that its prefix says. Who knows a statement first is kept
beside it.
"""

from __future__ import annotations

from pathlib import Path

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.graph import Key
from synth_kg.readers.blocks import Table, open_table
from synth_kg.readers.mapping import Cell, EdgeFile, End, NodeFile
from synth_kg.readers.primekg_parts import beside
from synth_kg.readers.tables import EMPTY, Into, Relate, listed_key, plain_key, take_edges, take_nodes, title_of
from synth_kg.sniff import UnusableSource

TYPES = {
    "PhenotypicFeature": "Phenotype",
    "AnatomicalEntity": "Anatomy",
    "GrossAnatomicalStructure": "Anatomy",
}
"""Category -> what it is called here, if otherwise."""
VAGUE = frozenset(
    {
        "NamedThing", "Entity", "OntologyClass", "BiologicalEntity", "ThingWithTaxon", "PhysicalEssence",
        "PhysicalEssenceOrOccurrent", "Occurrent", "GenomicEntity", "MacromolecularMachineMixin", "GeneOrGeneProduct",
        "ChemicalEntityOrGeneOrGeneProduct", "ChemicalEntityOrProteinOrPolypeptide", "ChemicalOrDrugOrTreatment",
        "DiseaseOrPhenotypicFeature",
    }
)  # fmt: skip
"""Categories that are passed over where another is told."""
SYMMETRIC = frozenset(
    {
        "related_to", "related_to_at_concept_level", "related_to_at_instance_level", "associated_with", "same_as",
        "close_match", "exact_match", "opposite_of", "interacts_with", "physically_interacts_with",
        "directly_physically_interacts_with", "binds", "indirectly_physically_interacts_with",
        "genetically_interacts_with", "pharmacologically_interacts_with", "gene_fusion_with",
        "genetic_neighborhood_of", "homologous_to", "paralogous_to", "orthologous_to", "xenologous_to",
        "coexists_with", "in_pathway_with", "in_complex_with", "in_cell_population_with", "colocalizes_with",
        "genetic_association", "genetically_associated_with", "correlated_with", "positively_correlated_with",
        "negatively_correlated_with", "occurs_together_in_literature_with", "coexpressed_with", "similar_to",
        "chemically_similar_to", "overlaps", "temporally_related_to", "related_condition",
        "in_linkage_disequilibrium_with",
    }
)  # fmt: skip
"""Predicates that Biolink Model 4.4.4 declares symmetric."""
EDGES = ("subject", "predicate", "object")
ATTRIBUTES = ("primary_knowledge_source", "provided_by", "publications")


def read_kgx(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a file of nodes, or one of edges.

    Args:
        path: the file.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is neither, or is cut or damaged.
    """
    table = open_table(path)
    title = title_of(path).removesuffix("_edges").removesuffix("_nodes")
    into = Into(builder, builder.told(about, title), about.name or title)
    if set(EDGES) <= set(table.columns):
        _edges(table, into)
    elif "id" in table.columns:
        take_nodes(into, _node_file(table), typed=category)
    else:
        raise UnusableSource(
            f"{path}: not KGX: its columns are {', '.join(map(repr, table.columns[:20]))}, "
            f"not {', '.join(EDGES)} or id, category"
        )


def category(told: str) -> str:
    """The type of categories with `|` between: the first that says something.

    >>> category("biolink:NamedThing|biolink:PhenotypicFeature")
    'Phenotype'
    """
    found = [text.strip().removeprefix("biolink:") for text in told.split("|") if text.strip()]
    best = next((text for text in found if text not in VAGUE), found[0] if found else "")
    return TYPES.get(best, best)


def _node_file(table: Table) -> NodeFile:
    kind, name = (Cell(column) if column in table.columns else None for column in ("category", "name"))
    return NodeFile(table.path, Cell("id"), kind, name, ("synonym",) if "synonym" in table.columns else ())


def _edges(table: Table, into: Into) -> None:
    path, columns = table.path, table.columns
    nodes = beside(path, "edges", "nodes")
    listed: dict[str, str] = {}
    if nodes is not None:
        take_nodes(into, _node_file(open_table(nodes)), typed=category, given=listed)
    known = listed_key(listed)

    def key_of(ident: str) -> Key | str:
        return known(ident) if ident in listed else plain_key(ident)

    edges = EdgeFile(
        path, End(Cell("subject")), Cell("predicate"), End(Cell("object")),
        Cell("negated") if "negated" in columns else None, tuple(name for name in ATTRIBUTES if name in columns),
    )  # fmt: skip
    take_edges(into, edges, key_of=key_of, relate=_relate(into.builder))


def _relate(builder: Builder) -> Relate:
    def relate(name: str, head: str, tail: str, negated: bool) -> tuple[int, bool] | str:
        word = name.removeprefix("biolink:")
        return (builder.relation(word, directed=word not in SYMMETRIC, negated=negated), False) if word else EMPTY

    return relate
