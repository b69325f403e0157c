"""Ontologies in the OBO format, and what is common to those in its other forms (`obograph`, `owl`).

The same ontology gives the same graph whichever form it is in:

- a term is a node, its type told from the prefix of its id; an obsolete one is not;
- `is_a` and `relationship` are statements, named as in OBO; logical definitions are not;
- exact synonyms are names of the same thing, those of other scopes are not, and are left out;
- an alternative id, and an obsolete one with a single successor, lead to the term that stands;
- a statement that leads to no term of the file is left out.

Whatever is left out is counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.obo import PURL, Ontology, Term, parse_obo
from synth_kg.readers.files import open_bytes, readable
from synth_kg.readers.prefixes import type_of
from synth_kg.sniff import ADVICE, UnusableSource, kind_of

_RELEASE = re.compile(r"releases/([^/]+)")
_FILE = re.compile(r"\.(?:owl|json|obo)$")
_KNOWN = {"BFO:0000050": "part_of", "BFO:0000051": "has_part"}
"""Relations by the names that OBO files have for them, where a file does not say."""


def read_obo_terms(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read an OBO file.

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is not OBO, or not one of its terms can be read.
    """
    data = whole(path, "an OBO ontology", {"obo"})
    with readable(path):
        ontology = parse_obo(data, path)
    give(ontology, builder, about)


def whole(path: Path, wanted: str, kinds: Collection[str]) -> bytes:
    """All bytes of a file, unpacked.

    Args:
        path: the file, plain or compressed.
        wanted: what it should be, in words.
        kinds: what `kind_of` may say of it.

    Raises:
        UnusableSource: it is something else, cut or damaged; says which.
    """
    with readable(path):
        kind = kind_of(path)
        if kind not in {*kinds, "zstd"}:
            raise UnusableSource(f"{path}: {ADVICE.get(kind, f'this is {kind}, not {wanted}')}")
        with open_bytes(path) as file:
            return file.read()


def ontology_name(iri: str) -> str:
    """The name of an ontology as the header of an OBO file has it.

    >>> ontology_name("http://purl.obolibrary.org/obo/symp.owl")
    'symp'
    """
    return _FILE.sub("", iri.removeprefix(PURL))


def give(ontology: Ontology, builder: Builder, about: About) -> None:
    """Hand an ontology to a builder."""
    title = ontology.title or ontology_name(ontology.name)
    release = _RELEASE.search(ontology.version)
    origin = builder.told(about, title, release[1] if release else ontology.version, ontology.license)
    source = about.name or title
    for message in ontology.bad_frames:
        builder.drop(source, "a term that cannot be read", message.replace(str(ontology.path), ontology.path.name, 1))
    file = _Terms(ontology)
    for term in file.again:
        builder.drop(source, "a term whose id was given before", f"{ontology.path.name}:{term.id}")
    for term in file.live.values():
        builder.node(origin, type_of(term.id), term.id, term.name, term.synonyms)
    for old in file.leads:
        new = file.standing(old)
        if new is None:
            builder.drop(source, "an id that leads to no term", f"{ontology.path.name}:{old}")
        else:
            builder.alias((type_of(old), old), (type_of(new), new))
    relations: dict[str, int] = {}
    for head, name, target in file.links():
        new = file.standing(target)
        if new is None:
            what = "is obsolete" if target in file.retired else "is not there"
            builder.drop(source, f"{name} of a term that {what}", f"{ontology.path.name}:{head}")
            continue
        if name not in relations:
            relations[name] = builder.relation(name)
        one, other = (builder.number(type_of(end), end) for end in (head, new))
        builder.edge(origin, one, relations[name], other)
    _left_out(file, builder, source, ontology.path.name)


def _left_out(file: _Terms, builder: Builder, source: str, name: str) -> None:
    """Count what is no part of a graph."""
    for ident in file.owned_twice:
        builder.drop(source, "an alternative id of two terms, or of one that stands", f"{name}:{ident}")
    for term in file.retired.values():
        replaced = file.standing(term.id) is not None
        reason = "an obsolete term, replaced by another" if replaced else "an obsolete term, replaced by none"
        builder.drop(source, reason, f"{name}:{term.id}")
    for term in file.live.values():
        if term.near:
            builder.drop(source, "a synonym that is not exact", f"{name}:{term.id}", len(term.near))
        if term.xrefs:
            builder.drop(source, "a cross-reference", f"{name}:{term.id}", len(term.xrefs))


class _Link(NamedTuple):
    head: str
    relation: str
    tail: str


class _Terms:
    """The terms of a file by id; the first of an id stands."""

    def __init__(self, ontology: Ontology) -> None:
        self.relations: Mapping[str, str] = ontology.relations
        self.live: dict[str, Term] = {}
        self.retired: dict[str, Term] = {}
        self.again: list[Term] = []
        for terms, to in ((ontology.terms, self.live), (ontology.retired, self.retired)):
            for term in terms:
                if term.id in self.live or term.id in self.retired:
                    self.again.append(term)
                else:
                    to[term.id] = term
        self.owned_twice: list[str] = []
        self.leads = self._owners()
        """Id that is no longer used -> the one in its place, which may itself have gone."""
        self.leads |= {
            term.id: term.replaced_by[0] for term in self.retired.values() if len(set(term.replaced_by)) == 1
        }

    def _owners(self) -> dict[str, str]:
        """Alternative id -> the term that has it."""
        owners: dict[str, str] = {}
        for terms in (self.live, self.retired):
            for _, term in sorted(terms.items()):
                for ident in dict.fromkeys(term.alternative_ids):
                    if ident in self.live or ident in owners:
                        self.owned_twice.append(ident)
                    else:
                        owners[ident] = term.id
        return owners

    def standing(self, ident: str) -> str | None:
        """The term that an id leads to; None if there is none."""
        seen = set()
        while ident not in self.live:
            seen.add(ident)
            ident = self.leads.get(ident, "")
            if not ident or ident in seen:
                return None
        return ident

    def links(self) -> Iterator[_Link]:
        """What terms that stand state of others."""
        for term in self.live.values():
            for parent in term.parents:
                yield _Link(term.id, "is_a", parent)
            for relation, other in term.links:
                yield _Link(term.id, self._named(relation), other)

    def _named(self, relation: str) -> str:
        """A relation as OBO names it: its id there if that is a word, or else its name as one."""
        if ":" not in relation:
            return relation
        return self.relations.get(relation, "").replace(" ", "_") or _KNOWN.get(relation, relation)
