"""What a piece of evidence lets a row say.

Every claim of a row has a form (`brings`, `why`, `never` ...) whose wordings are a template
under `prompts/LANGUAGE/claims/`. From the evidence alone this module fills the template, so
writing a claim and checking one are the same computation: a claim is supported if it is one
of the wordings of the evidence that it cites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from synth import claims_annotated
from synth.prompts import Prompts, bare, cap, listed
from synth.sample import Evidence, Verdict
from synth.verbalise import sentence as relation_sentence
from synth_kg.aliases import normal
from synth_kg.formulas import FORMULAS, Worked, rounded, show, work
from synth_kg.graph import Edge
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Disease, Drug, DrugClass, Finding, Infection, RedFlag, Separator, Typical

Item = object
"""Evidence resolved to what the graph or the tables hold under its ref."""
Fields = Mapping[str, Any]


class Claims:
    """The wordings that a knowledge and a set of templates allow."""

    def __init__(self, knowledge: Knowledge, prompts: Prompts) -> None:
        self.knowledge = knowledge
        self.prompts = prompts

    @lru_cache(maxsize=200_000)  # noqa: B019  (one Claims a process; wordings repeat across rows)
    def wordings(self, form: str, refs: tuple[str, ...]) -> tuple[str, ...]:
        """Every wording of a form for the evidence with these refs; empty if it does not apply."""
        items = [self.resolve(ref) for ref in refs]
        if any(item is None for item in items):
            return ()
        return self._worded(form, items)

    def calculation(self, form: str, worked: Worked) -> tuple[str, ...]:
        """Every wording of a form for a calculation."""
        return self._worded(form, [worked])

    def _worded(self, form: str, items: Sequence[Item]) -> tuple[str, ...]:
        return tuple(
            text
            for fields in _FORMS[form](self.knowledge, items)
            for text in self.prompts.lines(f"claims/{form}", fields)
        )

    def resolve(self, ref: str) -> Item | None:
        """What the knowledge holds under a ref: a table row or an edge."""
        knowledge = self.knowledge
        found = knowledge.tables.rows.get(ref) or knowledge.graph.edges.get(ref)
        return found if found or knowledge.annotations is None else knowledge.annotations.known(ref)

    def judge(self, text: str, evidence: Sequence[Evidence]) -> Verdict:
        """Say whether cited evidence supports a claim: 'supported', or 'unknown' if it does not say it."""
        return "supported" if same(text) in self.sayable(evidence) else "unknown"

    def sayable(self, evidence: Sequence[Evidence]) -> set[str]:
        """Every wording that these pieces of evidence together support."""
        found = set(self._all(tuple(e.ref for e in evidence if e.type not in {"span", "calculation"})))
        found |= {same(told) for e in evidence if e.type == "edge" and (told := self._told(e.ref))}
        for item in evidence:
            if item.type == "calculation" and item.formula and item.inputs is not None:
                found |= self._computed(item.formula, tuple((q.name, q.value) for q in item.inputs))
        return found

    def told(self, item: Evidence, chance: int = 0) -> str:
        """A piece of evidence in words, for a model to rest on.

        A calculation tells its rule, not its result. Of several wordings `chance` picks one, so that
        texts which quote them do not all sound alike.
        """
        if item.type == "span":
            return item.text or ""
        if item.type == "calculation":
            worked = worked_again(item)
            return sentence(self.calculation("rule", worked)[0]) if worked is not None else ""
        return self._told(item.ref, chance % _VARIANTS)

    @lru_cache(maxsize=100_000)  # noqa: B019
    def _told(self, ref: str, variant: int = 0) -> str:
        edge = self.knowledge.graph.edges.get(ref)
        if edge is not None:
            if edge.relation in _BIBLIOGRAPHIC:
                return ""
            return relation_sentence(self.prompts, self.knowledge.graph, (edge,))
        found = (self.wordings(form, (ref,)) for form in _FORMS if form not in claims_annotated.IN_CONTEXT)
        first = [same(wordings[variant % len(wordings)]) for wordings in found if wordings]
        return " ".join(sentence(one) for one in first if not any(one in other for other in first if other != one))

    def quoted(self, text: str, evidence: Sequence[Evidence]) -> str | None:
        """The longest wording of the evidence that a sentence holds as a whole, as it stands there."""
        low = f" {text.casefold()} "
        held = [wording for wording in self.sayable(evidence) if _whole(wording.casefold(), low)]
        if not held:
            return None
        start = low.index(max(held, key=len).casefold()) - 1
        return text[start : start + len(max(held, key=len))]

    @lru_cache(maxsize=100_000)  # noqa: B019
    def names(self, ref: str) -> tuple[tuple[str, ...], ...]:
        """What a piece of evidence is about: for each thing, the names that it goes by."""
        knowledge, tables = self.knowledge, self.knowledge.tables
        edge, row = knowledge.graph.edges.get(ref), tables.rows.get(ref)
        if edge is not None:
            ends = (knowledge.graph.nodes[key] for key in (edge.head, edge.tail))
            return tuple((node.name, *knowledge.aliases(node.key[1])) for node in ends)
        if annotated := claims_annotated.about(knowledge, self.resolve(ref)):
            return annotated
        things = []
        if (disease := str(getattr(row, "disease", ""))) in tables.diseases:
            things.append(knowledge.aliases(disease))
        if (finding := tables.findings.get(str(getattr(row, "finding", "")))) is not None:
            things.append(tuple(filter(None, (bare(finding.clinical), bare(finding.patient)))))
        others = (str(getattr(row, name, "")) for name in ("agent", "route", "drug", "plural", "statement"))
        return (*things, *((name,) for name in others if name))

    def about(self, text: str, item: Evidence) -> bool:
        """Whether a sentence names something that a piece of evidence is about."""
        if item.type == "calculation":
            return any(figure.isdigit() for figure in text)
        said = f" {normal(text)} "
        if item.type == "span":
            return any(f" {word} " in said for word in normal(item.text or "").split() if len(word) > 5)
        return any(f" {normal(name)} " in said for names in self.names(item.ref) for name in names)

    @lru_cache(maxsize=10_000)  # noqa: B019
    def _computed(self, formula: str, inputs: tuple[tuple[str, float], ...]) -> frozenset[str]:
        worked = computed(formula, dict(inputs))
        if worked is None:
            return frozenset()
        forms = ("rule", "line", "reading", "slip")
        return frozenset(same(wording) for form in forms for wording in self.calculation(form, worked))

    @lru_cache(maxsize=200_000)  # noqa: B019
    def _all(self, refs: tuple[str, ...]) -> frozenset[str]:
        return frozenset(same(wording) for form in _FORMS for wording in self.wordings(form, refs))


_VARIANTS = 12
_BIBLIOGRAPHIC = frozenset({"presents", "resembles"})
"""Relations that say what papers mention together, and nothing of medicine."""


def _whole(wording: str, low: str) -> bool:
    """Whether a wording stands in a text between word bounds."""
    start = low.find(wording)
    return start > 0 and not low[start - 1].isalnum() and not low[start + len(wording)].isalnum()


def sentence(text: str) -> str:
    """A wording as a sentence of its own."""
    return f"{cap(' '.join(text.split())).rstrip('.')}."


def same(text: str) -> str:
    """A wording without what a sentence changes: the case of its first letter, spaces, the full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:]


def inputs_told(item: Evidence) -> tuple[str, ...]:
    """The values of a calculation as its question has to state them."""
    worked = worked_again(item)
    if worked is None:
        return ()
    return tuple(
        f"{given.label} of {show(worked.inputs[given.name], given.decimals)} {given.unit}".strip()
        for given in FORMULAS[worked.formula].inputs
        if given.name not in {"female", "age"}
    )


def worked_again(item: Evidence) -> Worked | None:
    """Recompute a calculation from the inputs that a row states; None if they do not compute."""
    if item.formula is None or item.inputs is None:
        return None
    return computed(item.formula, {quantity.name: quantity.value for quantity in item.inputs})


def computed(formula: str, inputs: Mapping[str, float]) -> Worked | None:
    """Compute a formula by its name; None if there is none, or the inputs are out of its range."""
    known = FORMULAS.get(formula)
    try:
        return work(known, inputs) if known is not None else None
    except ValueError:
        return None


def _only(items: Sequence[Item], *kinds: type) -> tuple[Any, ...] | None:
    """The items in the order of `kinds`, if they are exactly of these kinds; edges are extra proof."""
    rest = [item for item in items if not isinstance(item, Edge) or Edge in kinds]
    if len(rest) != len(kinds):
        return None
    found = []
    for kind in kinds:
        match = next((item for item in rest if isinstance(item, kind)), None)
        if match is None:
            return None
        rest.remove(match)
        found.append(match)
    return tuple(found)


def _of_pair(knowledge: Knowledge, entry: Typical) -> dict[str, Any]:
    finding = knowledge.tables.findings[entry.finding]
    disease = knowledge.tables.diseases[entry.disease]
    return {"finding": finding.clinical, "plural": finding.plural, "disease": disease.name, "why": entry.why}


def _brings(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Typical)
    if found and found[0].verdict == "typical":
        yield _of_pair(knowledge, found[0])


def _why(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Typical) or _only(items, Separator)
    if found:
        yield {"why": found[0].why}


def _points(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Finding)
    if found and found[0].suggests and found[0].specificity != "general":
        yield {"finding": found[0].clinical, "plural": found[0].plural, "suggests": found[0].suggests}


def _general(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Finding)
    if found and found[0].suggests and found[0].specificity == "general":
        yield {"finding": found[0].clinical, "plural": found[0].plural, "suggests": found[0].suggests}


def _never(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Typical)
    if found and found[0].verdict == "never ask":
        yield _of_pair(knowledge, found[0])


def _cardinal(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Typical)
    if found and found[0].cardinal:
        yield _of_pair(knowledge, found[0])


def _separates(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Separator)
    if found:
        finding = knowledge.tables.findings[found[0].finding]
        names = knowledge.tables.diseases
        yield {
            "finding": finding.clinical, "plural": finding.plural, "why": found[0].why,
            "favors": names[found[0].favors].name, "against": names[found[0].against].name,
        }  # fmt: skip


def _flag(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    named = [item.finding for item in items if isinstance(item, Finding)]
    found = _only(items, RedFlag, *(Finding for _ in named))
    group = next((group for group in found[0].triggers if set(group) == set(named)), ()) if found else ()
    if found and group:
        findings = [knowledge.tables.findings[name].clinical for name in group]
        yield {"finding": listed(findings), "emergency": found[0].emergency}


def _gloss(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Disease)
    if found:
        yield {"disease": found[0].name, "gloss": found[0].gloss}


def _infection(relation: str, term: str, items: Sequence[Item], knowledge: Knowledge) -> Infection | None:
    """The infection, if the edge states its agent or route in the words that the table expects."""
    found = _only(items, Infection, Edge)
    if not found:
        return None
    infection, edge = found
    wanted = getattr(infection, term)
    stated = edge.relation == relation and edge.head == ("Disease", infection.disease)
    return infection if stated and wanted and wanted.casefold() in knowledge.graph.name(edge.tail).casefold() else None


def _caused(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    infection = _infection("has_material_basis_in", "agent_term", items, knowledge)
    if infection:
        yield {"disease": infection.name, "agent": infection.agent}


def _habit(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Infection)
    if found:
        yield {"agent": found[0].agent, "habit": found[0].agent_gloss}


def _acquired(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    infection = _infection("transmitted_by", "route_term", items, knowledge)
    if infection:
        yield {"disease": infection.name, "route": infection.route}


def _member(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Drug)
    if found and found[0].drug_class:
        group = knowledge.tables.classes[found[0].drug_class]
        yield {"drug": found[0].drug, "singular": group.singular, "plural": group.plural}


def _acts(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, DrugClass)
    if found:
        yield {"plural": found[0].plural, "mechanism": found[0].mechanism}


def _used(knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    found = _only(items, Edge)
    if found and found[0].relation in {"treats", "palliates"}:
        mainstay = knowledge.tables.mainstays.get(found[0].tail[1])
        if mainstay:
            yield {"drug": knowledge.graph.name(found[0].head), "disease": mainstay.name}


def _worked(items: Sequence[Item]) -> Worked | None:
    return items[0] if len(items) == 1 and isinstance(items[0], Worked) else None


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _rule(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    worked = _worked(items)
    if worked:
        yield {"rule": FORMULAS[worked.formula].rule}


def _line(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    worked = _worked(items)
    if worked:
        values = {**worked.inputs, **worked.steps}
        for step in FORMULAS[worked.formula].steps:
            yield {
                "label": step.label, "expression": step.expression(values),
                "value": show(worked.steps[step.name], step.decimals), "unit": _unit(step.unit),
                "about": abs(step.compute(values) - worked.steps[step.name]) > 1e-9,
            }  # fmt: skip


def _reading(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    worked = _worked(items)
    reading = FORMULAS[worked.formula].reading if worked else None
    if worked and reading:
        yield {"reading": reading({**worked.inputs, **worked.steps})}


def _slip(_knowledge: Knowledge, items: Sequence[Item]) -> Iterator[Fields]:
    worked = _worked(items)
    if worked:
        formula = FORMULAS[worked.formula]
        last = formula.steps[-1]
        for slip, compute in formula.traps:
            value = show(rounded(compute({**worked.inputs, **worked.steps}), last.decimals), last.decimals)
            yield {"slip": slip, "value": value, "unit": _unit(last.unit)}


_FORMS: dict[str, Callable[[Knowledge, Sequence[Item]], Iterator[Fields]]] = {
    "brings": _brings, "why": _why, "points": _points, "general": _general, "never": _never,
    "cardinal": _cardinal, "separates": _separates, "flag": _flag,
    "gloss": _gloss, "caused": _caused, "habit": _habit, "acquired": _acquired, "member": _member,
    "acts": _acts, "used": _used, "rule": _rule, "line": _line, "reading": _reading, "slip": _slip,
    **claims_annotated.FORMS,
}  # fmt: skip
