"""What annotations let a row say: the claim forms of diseases that are known by them (see `synth.claims`).

No form says that a disease does not bring what nobody has described in it: it says that it is not described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from synth.syndromes import FEW
from synth_kg.annotations import Annotation, Annotations, Count
from synth_kg.graph import Key
from synth_kg.knowledge import Knowledge
from synth_kg.tables import Mode, Onset

Fields = Mapping[str, Any]


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


def _phenotypes(items: Sequence[object], *, negated: bool) -> list[Annotation]:
    """Phenotypes of one disease, all asserted or all denied; none if there is anything else."""
    told = [item for item in items if isinstance(item, Annotation)]
    kinds = {(one.edge.head, one.edge.relation, one.edge.negated) for one in told}
    right = len(told) == len(items) and len(kinds) == 1
    return told if right and {kind[1:] for kind in kinds} == {("has_phenotype", negated)} else []


def _shows(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    """Findings that a disease is described with, without a word on how often: where nobody counted, that is a guess."""
    told = _phenotypes(items, negated=False)
    if told and all(one.typicality for one in told):
        yield {"disease": _named(a, told[0].edge.head), "findings": [_named(a, one.edge.tail) for one in told]}


def _counted(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    """Findings by the patients who had them, of all who were looked at."""
    told = _phenotypes(items, negated=False)
    if told and all(one.counted for one in told):
        found = [(one.found, one.counted, _named(a, one.edge.tail)) for one in told]
        yield {"disease": _named(a, told[0].edge.head), "found": found}


def _denied(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    told = _phenotypes(items, negated=True)
    if len(told) == 1:
        yield {"disease": _named(a, told[0].edge.head), "finding": _named(a, told[0].edge.tail)}


def _few(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    count = _only(items, Count)
    if count and count.head is None and len(count.terms) == 1 and count.number <= FEW:
        yield {"finding": _named(a, count.terms[0])}


def _narrows(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    """How many diseases bring a finding, how many of these another as well, and so on."""
    counts = [item for item in items if isinstance(item, Count)]
    if len(counts) != len(items) or len(counts) < 2 or any(one.head is not None for one in counts):
        return
    steps = [(counts[0].number, counts[0].terms)]
    for before, after in pairwise(counts):
        new = {*after.terms} - {*before.terms}
        if not {*before.terms} < {*after.terms} or len(new) != 1:
            return
        steps.append((after.number, tuple(new)))
    if len(counts[0].terms) == 1:
        yield {"steps": [(number, _named(a, terms[0])) for number, terms in steps]}


def _alone(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    count = _only(items, Count, Annotation)
    told = [item for item in items if isinstance(item, Annotation)]
    if count is None or count.head is not None or count.number != 1 or not told:
        return
    if {one.edge.tail for one in told} == {*count.terms} and len({one.edge.head for one in told}) == 1:
        yield {"disease": _named(a, told[0].edge.head)}


def _unknown(a: Annotations, _k: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
    """Findings that a disease is not described with."""
    counts = [item for item in items if isinstance(item, Count)]
    heads = {one.head for one in counts}
    if len(counts) == len(items) and len(heads) == 1 and (head := heads.pop()) and not any(c.number for c in counts):
        yield {"disease": _named(a, head), "findings": [_named(a, one.terms[0]) for one in counts]}


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
    "shows": _shows, "also": _shows, "counted": _counted, "also_counted": _counted, "denied": _denied, "few": _few,
    "narrows": _narrows, "alone": _alone, "unknown": _unknown, "its_unknown": _unknown,
    "inherited": _inherited, "begins": _begins, "mode": _mode,
}  # fmt: skip


IN_CONTEXT = frozenset(("also", "also_counted", "its_unknown"))
"""Forms that do not name their disease: the sentence before has to."""


def _form(name: str) -> Callable[[Knowledge, Sequence[object]], Iterator[Fields]]:
    def fields(knowledge: Knowledge, items: Sequence[object]) -> Iterator[Fields]:
        if knowledge.annotations is not None:
            yield from _READ[name](knowledge.annotations, knowledge, items)

    return fields


FORMS = {name: _form(name) for name in _READ}
"""Form -> the fields that fill its wordings, for evidence that says it."""


def about(knowledge: Knowledge, item: object) -> tuple[tuple[str, ...], ...]:
    """What an annotation, a count, or a line of a table of theirs is about: names."""
    if isinstance(item, Mode | Onset):
        return ((item.name,),)
    if knowledge.annotations is None:
        return ()
    keys: tuple[Key, ...] = ()
    if isinstance(item, Annotation):
        keys = (item.edge.head, item.edge.tail)
    elif isinstance(item, Count):
        keys = (*item.terms, *((item.head,) if item.head else ()))
    found = []
    for key in keys:
        mode = knowledge.tables.modes.get(key[1])
        name = mode.named(knowledge.annotations.language) if mode else _named(knowledge.annotations, key)
        found.append(tuple(filter(None, (name, name.removeprefix("a ").removeprefix("an ")))))
    return tuple(found)
