"""What kind of thing an id names, by its prefix."""

from __future__ import annotations

TYPES = {
    "HP": "Phenotype",
    "DOID": "Disease",
    "MONDO": "Disease",
    "OMIM": "Disease",
    "ORPHA": "Disease",
    "ORPHANET": "Disease",
    "DECIPHER": "Disease",
    "SYMP": "Symptom",
    "UBERON": "Anatomy",
    "NCBIGENE": "Gene",
    "HGNC": "Gene",
    "DRUGBANK": "Drug",
    "CHEBI": "Drug",
    "RXNORM": "Drug",
    "RXCUI": "Drug",
}
"""Prefix in capitals -> type. GO is not here: it holds processes, functions and components alike."""
UNKNOWN = "Entity"
"""The type of an id without prefix."""


def type_of(curie: str) -> str:
    """The type of what a CURIE names; its prefix where that says no more, `Entity` where it has none.

    >>> type_of("HP:0000083"), type_of("Orphanet:558"), type_of("GO:0008150"), type_of("fever")
    ('Phenotype', 'Disease', 'GO', 'Entity')
    """
    prefix, colon, _ = curie.partition(":")
    if not colon or not prefix:
        return UNKNOWN
    return TYPES.get(prefix.upper(), prefix)
