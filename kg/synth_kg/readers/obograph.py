"""Ontologies in the OBO-graph JSON format (https://github.com/geneontology/obographs).

Ids and relations are IRIs there; they are given the names that the OBO format has for them. Objects of
type PROPERTY name relations and are not terms; `logicalDefinitionAxioms` and the like are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.obo import Ontology, Synonym, Term, ident, plain
from synth_kg.readers.obo_terms import give, ontology_name, whole
from synth_kg.sniff import UnusableSource

SCOPES = {
    "hasExactSynonym": "EXACT",
    "hasBroadSynonym": "BROAD",
    "hasNarrowSynonym": "NARROW",
    "hasRelatedSynonym": "RELATED",
}
REPLACED, CONSIDER, ALTERNATIVE, SHORTHAND = "IAO_0100001", "consider", "hasAlternativeId", "shorthand"
"""Annotations, by the last part of their IRI: of obsolete terms, of merged ones, of relations."""
_NO_STATEMENTS = {"subPropertyOf", "inverseOf", "type"}


def read_obograph(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read an OBO-graph JSON file.

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is not OBO-graph JSON, or holds no term.
    """
    data = whole(path, "an ontology in OBO-graph JSON", {"json", "jsonl"})
    try:
        told = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise UnusableSource(f"{path}: not JSON, or cut ({error})") from error
    graphs = [graph for graph in _list(told, "graphs") if isinstance(graph, dict)]
    if not any(_list(graph, "nodes") for graph in graphs):
        raise UnusableSource(f"{path}: JSON, but not of an OBO graph: it has no graphs with nodes")
    for graph in graphs:
        ontology = _ontology(graph, path)
        if ontology.terms:
            give(ontology, builder, about)
        elif len(graphs) == 1:
            raise UnusableSource(f"{path}: an OBO graph without a single readable term")


def _ontology(graph: dict[str, Any], path: Path) -> Ontology:
    values = _values(graph)
    version = _text(graph.get("meta"), "version") or _first(values, "versionInfo") or _first(values, "date")
    comments = [text for text in _list(graph.get("meta"), "comments") if isinstance(text, str) and "licen" in text]
    ontology = Ontology(
        path, ontology_name(_text(graph, "id")) or path.name, version or "undated",
        _first(values, "license") or (comments or ["not stated"])[0], _first(values, "title"),
    )  # fmt: skip
    parents, links = _links(graph, ontology)
    for node in _list(graph, "nodes"):
        key = ident(_text(node, "id"))
        kind = _text(node, "type")
        if not key:
            ontology.bad_frames.append(f"{path}: a node without an id")
        elif kind == "PROPERTY":
            ontology.relations[key] = _first(_values(node), SHORTHAND) or plain(_text(node, "lbl"))
        elif kind in {"CLASS", ""}:
            _add(ontology, _term(node, key, parents, links))
    known = {term.id for terms in (ontology.terms, ontology.retired) for term in terms}
    ontology.bad_frames += [
        f"{path}:{key}: states something, and is no term" for key in sorted((parents.keys() | links.keys()) - known)
    ]
    return ontology


def _add(ontology: Ontology, found: tuple[Term, bool]) -> None:
    term, obsolete = found
    if obsolete:
        ontology.retired.append(term)
    elif term.name:
        ontology.terms.append(term)
    else:
        ontology.bad_frames.append(f"{ontology.path}:{term.id}: a term without a name")


def _term(
    node: Any, key: str, parents: dict[str, list[str]], links: dict[str, list[tuple[str, str]]]
) -> tuple[Term, bool]:
    """A term, and whether it is obsolete."""
    meta = node.get("meta")
    values = _values(node)
    synonyms = [
        Synonym(plain(_text(one, "val")), SCOPES.get(_last(_text(one, "pred")), ""), ident(_text(one, "synonymType")))
        for one in _list(meta, "synonyms")
    ]
    term = Term(
        key, plain(_text(node, "lbl")), synonyms=tuple(one.text for one in synonyms if one.scope == "EXACT"),
        parents=tuple(parents.get(key, ())), alternative_ids=_idents(values, ALTERNATIVE),
        near=tuple(one for one in synonyms if one.scope != "EXACT"), links=tuple(links.get(key, ())),
        replaced_by=_idents(values, REPLACED), consider=_idents(values, CONSIDER),
        xrefs=tuple(_text(one, "val") for one in _list(meta, "xrefs")),
    )  # fmt: skip
    return term, isinstance(meta, dict) and meta.get("deprecated") in (True, "true")


def _links(graph: dict[str, Any], ontology: Ontology) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    """Parents and other links of each term."""
    parents: dict[str, list[str]] = {}
    links: dict[str, list[tuple[str, str]]] = {}
    for number, edge in enumerate(_list(graph, "edges"), 1):
        head, relation, tail = (_text(edge, part) for part in ("sub", "pred", "obj"))
        if not (head and relation and tail):
            ontology.bad_frames.append(f"{ontology.path}: edge {number} without sub, pred or obj")
        elif relation == "is_a":
            parents.setdefault(ident(head), []).append(ident(tail))
        elif relation not in _NO_STATEMENTS:
            links.setdefault(ident(head), []).append((ident(relation), ident(tail)))
    return parents, links


def _values(owner: Any) -> dict[str, list[str]]:
    """Annotations of a node or a graph, by the last part of their IRI."""
    found: dict[str, list[str]] = {}
    for one in _list(owner.get("meta") if isinstance(owner, dict) else None, "basicPropertyValues"):
        found.setdefault(_last(_text(one, "pred")), []).append(_text(one, "val"))
    return found


def _idents(values: dict[str, list[str]], what: str) -> tuple[str, ...]:
    return tuple(found for found in map(ident, values.get(what, ())) if found)


def _first(values: dict[str, list[str]], what: str) -> str:
    return values.get(what, [""])[0]


def _last(iri: str) -> str:
    return iri.rsplit("#", 1)[-1].rsplit("/", 1)[-1]


def _list(owner: Any, key: str) -> list[Any]:
    """A list in a JSON object; empty where there is none."""
    found = owner.get(key) if isinstance(owner, dict) else None
    return found if isinstance(found, list) else []


def _text(owner: Any, key: str) -> str:
    """A text in a JSON object; empty where there is none."""
    found = owner.get(key) if isinstance(owner, dict) else None
    return found if isinstance(found, str) else ""
