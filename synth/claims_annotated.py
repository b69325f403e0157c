"""What annotations let a row say: the claim forms of diseases that are known by them (see `synth.claims`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from synth.syndromes import FEW, MANY, RICH
from synth_kg.annotations import Annotation, Annotations, Closure, Count
from synth_kg.graph import Key
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Mode, Onset, System

Fields = Mapping[str, Any]
OFTEN = {
    "obligate": "nearly all",
    "very frequent": "most",
    "frequent": "many",
    "occasional": "some",
    "very rare": "few",
}


def _named(a: Annotations, key: Key) -> str:
    """A disease by its name, a term as text words it."""
    number = a.graph.number(*key)
    if number is None:
        return ""
    return a.name(number) if key[0] == "Disease" else a.text(number)


def _only(items: Sequence[object], kind: type[Any], *others: type[Any]) -> Any | None:
    """The item of a kind, if there is nothing else but the others that may stand beside it."""
    found = [item for item in items if isinstance(item, kind)]
    beside = all(isinstance(item, others) for item in items if not isinstance(item, kind))
    return found[0] if len(found) == 1 and beside else None


def _phenotype(a: Annotations, items: Sequence[object], *, negated: bool) -> tuple[Annotation, dict[str, Any]] | None:
    told = _only(items, Annotation)
    if told is None or told.edge.relation != "has_phenotype" or told.edge.negated is not negated:
        return None
    return told, {"disease": _named(a, told.edge.head), "finding": _named(a, told.edge.tail)}


def _shows(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    """Findings of one disease that are found as often as each other."""
    told = [item for item in items if isinstance(item, Annotation)]
    kinds = {(one.edge.head, one.edge.relation, one.edge.negated, one.typicality) for one in told}
    if len(told) == len(items) and len(kinds) == 1:
        ((head, relation, negated, typicality),) = kinds
        if relation == "has_phenotype" and not negated and typicality:
            findings = [_named(a, one.edge.tail) for one in told]
            yield {"disease": _named(a, head), "findings": findings, "often": OFTEN[typicality]}


def _counted(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    found = _phenotype(a, items, negated=False)
    if found and found[0].counted:
        yield {**found[1], "found": found[0].found, "counted": found[0].counted}


def _denied(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    found = _phenotype(a, items, negated=True)
    if found:
        yield found[1]


def _system(a: Annotations, knowledge: Knowledge, key: Key) -> Fields:
    row = knowledge.tables.systems.get(key[1])
    if row is None:
        return {}
    return {
        "system": row.named(a.language),
        "plural": " and " in row.name or row.name.endswith("s") or " its " in row.name,
    }


def _kind(a: Annotations, knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    told = [item for item in items if isinstance(item, Closure)]
    if len(told) == len(items) and len({one.above for one in told}) == 1:
        system = _system(a, knowledge, told[0].above)
        if system:
            yield {**system, "findings": [_named(a, one.below) for one in told]}


def _spread(a: Annotations, items: Sequence[object], *, few: bool) -> Iterator[Fields]:
    count = _only(items, Count)
    if (
        count
        and count.head is None
        and len(count.terms) == 1
        and (count.number <= FEW if few else count.number >= MANY)
    ):
        yield {"finding": _named(a, count.terms[0])}


def _few(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    yield from _spread(a, items, few=True)


def _many(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    yield from _spread(a, items, few=False)


def _alone(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    count = _only(items, Count, Annotation)
    told = [item for item in items if isinstance(item, Annotation)]
    if count is None or count.head is not None or count.number != 1 or not told:
        return
    if {one.edge.tail for one in told} == {*count.terms} and len({one.edge.head for one in told}) == 1:
        yield {"disease": _named(a, told[0].edge.head), "findings": [_named(a, one.edge.tail) for one in told]}


def _unknown(a: Annotations, knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    count = _only(items, Count)
    if count and count.head and not count.number and not _system(a, knowledge, count.terms[0]):
        yield {"disease": _named(a, count.head), "finding": _named(a, count.terms[0])}


def _untouched(a: Annotations, knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    count = _only(items, Count)
    system = _system(a, knowledge, count.terms[0]) if count and count.head else {}
    if count and system and not count.number and count.of >= RICH:
        yield {**system, "disease": _named(a, count.head)}


def _of(a: Annotations, items: Sequence[object], relation: str, kind: type[Any], rows: Mapping[str, Any]) -> Fields:
    told = _only(items, Annotation, kind)
    if told is None or told.edge.relation != relation or told.edge.negated:
        return {}
    row = rows.get(told.edge.tail[1])
    if row is None or any(isinstance(item, kind) and item != row for item in items):
        return {}
    return {"disease": _named(a, told.edge.head), "value": row.named(a.language)}


def _inherited(a: Annotations, knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    if found := _of(a, items, "has_inheritance", Mode, knowledge.tables.modes):
        yield found


def _begins(a: Annotations, knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    if found := _of(a, items, "has_onset", Onset, knowledge.tables.onsets):
        yield found


def _mode(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    row = _only(items, Mode)
    if row:
        yield {"mode": row.named(a.language), "why": row.why_zh if a.language == "zh" else row.why}


_READ: dict[str, Callable[[Annotations, Knowledge, Sequence[object]], Iterator[Fields]]] = {
    "shows": _shows, "also": _shows, "counted": _counted, "denied": _denied, "kind": _kind, "few": _few,
    "many": _many, "alone": _alone, "unknown": _unknown, "its_unknown": _unknown, "untouched": _untouched,
    "its_untouched": _untouched, "inherited": _inherited, "begins": _begins, "mode": _mode,
}  # fmt: skip


def _form(name: str) -> Callable[[Knowledge, Sequence[object]], Iterator[Fields]]:
    def fields(knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
        if knowledge.annotations is not None:
            yield from _READ[name](knowledge.annotations, knowledge, items)

    return fields


FORMS = {name: _form(name) for name in _READ}
"""Form -> the fields that fill its wordings, for evidence that says it."""


def about(knowledge: Knowledge, item: object) -> tuple[tuple[str, ...], ...]:
    """What an annotation, a closure, a count, or a line of a table of theirs is about: names."""
    if isinstance(item, Mode | Onset | System):
        return ((item.name,),)
    if knowledge.annotations is None:
        return ()
    keys: tuple[Key, ...] = ()
    if isinstance(item, Annotation):
        keys = (item.edge.head, item.edge.tail)
    elif isinstance(item, Closure):
        keys = (item.below,)
    elif isinstance(item, Count):
        keys = (*item.terms, *((item.head,) if item.head else ()))
    found = []
    for key in keys:
        row = knowledge.tables.systems.get(key[1]) or knowledge.tables.modes.get(key[1])
        name = row.named(knowledge.annotations.language) if row else _named(knowledge.annotations, key)
        found.append(tuple(filter(None, (name, name.removeprefix("a ").removeprefix("an ")))))
    return tuple(found)
