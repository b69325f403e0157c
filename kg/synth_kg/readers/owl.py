"""Ontologies in OWL as RDF/XML, read class by class.

Ids and relations are IRIs there; they are given the names that the OBO format has for them. `subClassOf` is
`is_a`; `subClassOf` a restriction with `someValuesFrom` is a relationship; equivalent classes and axioms
about axioms are not read. A label in another language than English is a synonym.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.obo import Ontology, Synonym, Term, ident, plain
from synth_kg.readers.files import open_bytes, readable
from synth_kg.readers.obo_terms import give, ontology_name
from synth_kg.readers.obograph import ALTERNATIVE, CONSIDER, REPLACED, SCOPES, SHORTHAND
from synth_kg.sniff import ADVICE, UnusableSource, kind_of

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_RDFS = "{http://www.w3.org/2000/01/rdf-schema#}"
_OWL = "{http://www.w3.org/2002/07/owl#}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_CLASSES = {f"{_OWL}Class", f"{_RDFS}Class"}
_RELATIONS = {f"{_OWL}ObjectProperty"}


def read_owl(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read an OWL file in RDF/XML.

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is not RDF/XML, it is cut, or holds no term.
    """
    with readable(path):
        kind = kind_of(path)
    if kind not in {"owl", "xml", "text", "zstd"}:
        advice = ADVICE.get(kind, f"this is {kind}, not OWL in RDF/XML; convert other forms of OWL to it, or to OBO")
        raise UnusableSource(f"{path}: {advice}")
    reading = _Reading(path)
    try:
        with readable(path):
            for element in reading.described():
                reading.take(element)
    except UnusableSource:
        raise
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise UnusableSource(f"{path}: not XML, or cut ({error})") from error
    ontology = reading.ontology()
    if not ontology.terms:
        raise UnusableSource(f"{path}: RDF/XML without a single class that has a label")
    give(ontology, builder, about)


class _Class:
    """What is said of a class, in one place or several."""

    def __init__(self) -> None:
        self.labels: list[tuple[str, str]] = []
        """(language, text)."""
        self.synonyms: list[Synonym] = []
        self.parents: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.blank: list[str] = []
        """Restrictions that are described elsewhere."""
        self.ids: dict[str, list[str]] = {}
        self.xrefs: list[str] = []
        self.obsolete = False


class _Reading:
    """A file as far as it has been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base = ""
        self.header: dict[str, str] = {}
        self.classes: dict[str, _Class] = {}
        self.relations: dict[str, str] = {}
        self.restrictions: dict[str, tuple[str, str]] = {}
        """Those with a name of their own: name -> (relation, class)."""

    def described(self) -> Iterator[Element]:
        """The elements below the root, one by one; none is kept.

        Raises:
            UnusableSource: the root is not that of RDF/XML.
        """
        root: Element | None = None
        depth = 0
        with open_bytes(self.path) as file:
            for event, element in ElementTree.iterparse(file, events=("start", "end")):
                if root is None:
                    root = element
                    if element.tag != f"{_RDF}RDF":
                        name = element.tag.rsplit("}", 1)[-1]
                        raise UnusableSource(
                            f"{self.path}: XML with the root {name}, not RDF/XML; convert other forms of OWL to it"
                        )
                    self.base = element.get(f"{_XML}base", "")
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 1:
                    yield element
                    root.clear()

    def take(self, element: Element) -> None:
        """Take down what an element describes, if it is of use."""
        kinds = {element.tag, *(_tag(self._iri(one)) for one in element.findall(f"{_RDF}type"))}
        name = element.get(f"{_RDF}nodeID", "")
        if f"{_OWL}Ontology" in kinds:
            self._head(element)
        elif f"{_OWL}Restriction" in kinds and name:
            if link := self._restriction(element):
                self.restrictions[name] = link
        elif (iri := self._iri(element, "about", "ID")) and kinds & _CLASSES:
            self._class(element, self.classes.setdefault(ident(iri), _Class()))
        elif iri and kinds & _RELATIONS:
            names = {one.tag.rsplit("}", 1)[-1]: plain(one.text or "") for one in reversed(element)}
            self.relations[ident(iri)] = names.get(SHORTHAND) or names.get("label", "")

    def _head(self, element: Element) -> None:
        self.header["about"] = self._iri(element, "about")
        for one in element:
            text = self._iri(one) or plain(one.text or "")
            what = one.tag.rsplit("}", 1)[-1]
            if what != "comment" or "licen" in text:
                self.header.setdefault(what, text)

    def _class(self, element: Element, found: _Class) -> None:
        for one in element:
            what = one.tag.rsplit("}", 1)[-1]
            text = plain(one.text or "")
            if one.tag == f"{_RDFS}label":
                found.labels.append((one.get(f"{_XML}lang", ""), text))
            elif what in SCOPES:
                found.synonyms.append(Synonym(text, SCOPES[what]))
            elif one.tag == f"{_RDFS}subClassOf":
                self._parent(one, found)
            elif what in {ALTERNATIVE, REPLACED, CONSIDER}:
                found.ids.setdefault(what, []).append(ident(self._iri(one) or text))
            elif what == "hasDbXref":
                found.xrefs.append(text)
            elif one.tag == f"{_OWL}deprecated":
                found.obsolete = found.obsolete or text.lower() in {"true", "1"}

    def _parent(self, element: Element, found: _Class) -> None:
        """Take down one `subClassOf`."""
        if iri := self._iri(element):
            found.parents.append(ident(iri))
        elif blank := element.get(f"{_RDF}nodeID"):
            found.blank.append(blank)
        for inner in element:
            if inner.tag == f"{_OWL}Restriction":
                if link := self._restriction(inner):
                    found.links.append(link)
            elif inner.tag in _CLASSES and (iri := self._iri(inner, "about", "ID")):
                found.parents.append(ident(iri))

    def _restriction(self, element: Element) -> tuple[str, str] | None:
        """(relation, class) of "has some"; None for what is no statement about a single named class."""
        ends = []
        for tag in ("onProperty", "someValuesFrom"):
            one = element.find(f"{_OWL}{tag}")
            if one is None:
                return None
            ends.append(self._iri(one) or next((self._iri(inner, "about", "ID") for inner in one), ""))
        relation, other = ends
        return (ident(relation), ident(other)) if relation and other else None

    def _iri(self, element: Element, *names: str) -> str:
        """The IRI that an element points to, or else describes."""
        for name in names or ("resource",):
            found = element.get(f"{_RDF}{name}", "")
            if found:
                relative = "#" + found if name == "ID" else found
                return self.base.rstrip("#") + relative if relative.startswith("#") else relative
        return ""

    def ontology(self) -> Ontology:
        """What was read."""
        head = self.header
        version = head.get("versionIRI") or head.get("versionInfo") or head.get("date") or "undated"
        license = head.get("license") or head.get("comment") or "not stated"
        name = ontology_name(head.get("about", "")) or self.path.name
        ontology = Ontology(self.path, name, version, license, head.get("title", ""), relations=self.relations)
        for key, found in self.classes.items():
            term = self._term(key, found)
            if found.obsolete:
                ontology.retired.append(term)
            elif term.name:
                ontology.terms.append(term)
            else:
                ontology.bad_frames.append(f"{self.path}:{key}: a term without a name")
        return ontology

    def _term(self, key: str, found: _Class) -> Term:
        ordered = sorted(found.labels, key=lambda label: not (not label[0] or label[0].lower().startswith("en")))
        labels = [text for _, text in ordered if text]
        return Term(
            key, labels[0] if labels else "",
            synonyms=(*labels[1:], *(one.text for one in found.synonyms if one.scope == "EXACT")),
            parents=tuple(found.parents), alternative_ids=tuple(found.ids.get(ALTERNATIVE, ())),
            near=tuple(one for one in found.synonyms if one.scope != "EXACT"),
            links=(*found.links, *(self.restrictions[name] for name in found.blank if name in self.restrictions)),
            replaced_by=tuple(found.ids.get(REPLACED, ())), consider=tuple(found.ids.get(CONSIDER, ())),
            xrefs=tuple(found.xrefs),
        )  # fmt: skip


def _tag(iri: str) -> str:
    """An IRI as ElementTree writes tags."""
    space, mark, name = iri.rpartition("#")
    return f"{{{space}{mark}}}{name}"
