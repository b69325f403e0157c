"""Uniqueness: one option is right, every other is wrong on positive ground, and every hop is needed.

An edge that the graph lacks is unknown, not false. So a wrong option needs more than a
missing edge: a disease must leave two findings unexplained and be ruled out by a line of the
tables; a drug must stand in another class of a complete table; a finding must be one that
the tables rule out, or for a comparison one that both diseases share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from synth.checks.concepts import concepts, denied_findings, fault, is_child, stem_findings, wrong_options
from synth.claims import inputs_told, worked_again
from synth.differential import MISSED, doubles
from synth.sample import ANNOTATED, Finding, Sample
from synth_kg.aliases import same_name, share_stem, share_word
from synth_kg.formulas import FORMULAS, show

if TYPE_CHECKING:
    from synth.checks import Context


def options_distinct(sample: Sample, context: Context) -> Iterator[Finding]:
    """No option is an alias of the answer or of another option."""
    knowledge = context.knowledge
    options = dict(sample.options or {})
    for (_, one), (other_letter, other) in combinations(options.items(), 2):
        shared = set(concepts(knowledge, sample.topic, one)) & set(concepts(knowledge, sample.topic, other))
        if same_name(one, other) or (shared and sample.topic != "route"):
            yield fault("two options are the same", f"options.{other_letter}", quote=other)
    for letter, text in wrong_options(sample).items():
        if any(same_name(text, alias) for alias in sample.answer.aliases):
            yield fault("an option is an alias of the answer", f"options.{letter}", quote=text)


def unique(sample: Sample, context: Context) -> Iterator[Finding]:
    """The answer is right and every other option is wrong, by the rules of the topic."""
    if sample.topic in ANNOTATED:
        return  # a check of its own
    yield from _answer_named(sample, context)
    rule = _RULES.get(sample.topic, _calculation if sample.genre == "calculation" else None)
    if rule is not None:
        yield from rule(sample, context)


def _answer_named(sample: Sample, context: Context) -> Iterator[Finding]:
    """The answer's concept and aliases are those that the knowledge gives for its text."""
    knowledge, anchor, text = context.knowledge, sample.seed.anchor, sample.answer.text
    names: tuple[str, ...] = ()
    if sample.topic == "diagnosis":
        names = tuple(name for name in knowledge.aliases(anchor) if name != text)
    if sample.answer.aliases != names:
        yield fault("the aliases are not those of the answer", "answer.aliases")
    meant = {
        "diagnosis": (anchor,), "mechanism": (anchor,),
        "pathogen": (f"agent of {anchor}",), "process": (f"process of {anchor}",), "route": (f"route of {anchor}",),
    }.get(sample.topic) or concepts(knowledge, sample.topic, text) or (anchor,)  # fmt: skip
    if sample.answer.concept not in meant:
        yield fault("the concept is not that of the answer", "answer.concept")
    profile = knowledge.tables.diseases.get(anchor)
    if sample.topic == "mechanism" and (profile is None or text != f"How {profile.name} produces its findings"):
        yield fault("the answer is not about the disease that the evidence describes", "answer")


def _diagnosis(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge = context.knowledge
    anchor = sample.answer.concept or ""
    if anchor != sample.seed.anchor or anchor not in concepts(knowledge, "diagnosis", sample.answer.text):
        yield fault("the answer is not the disease that the evidence describes", "answer")
        return
    if sample.genre in {"vignette", "open"}:
        present = stem_findings(sample, knowledge)
        twins = doubles(knowledge, anchor, present, opened=sample.genre == "open")
        if twins:
            named = ", ".join(knowledge.tables.diseases[twin].name for twin in twins)
            yield fault("another disease explains the whole stem", "question", quote=named)
    yield from _against(sample, context, anchor, lambda text: concepts(knowledge, "diagnosis", text))


def _pathogen(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge = context.knowledge
    anchor = sample.seed.anchor
    infection = knowledge.tables.infections.get(anchor)
    if infection is None or not same_name(sample.answer.text, infection.agent):
        yield fault("the answer is not the organism of the disease that the evidence describes", "answer")
        return
    if sample.genre == "multihop":
        yield from _against(sample, context, anchor, lambda text: concepts(knowledge, "pathogen", text))
        return
    mine = {edge.tail for edge in knowledge.graph.out(("Disease", anchor), "has_material_basis_in")}
    for letter, text in wrong_options(sample).items():
        diseases = concepts(knowledge, "pathogen", text)
        edges = [knowledge.agent_edge(disease) for disease in diseases]
        if not diseases or any(edge is None or edge.tail in mine for edge in edges):
            yield fault("an option may cause the disease as well", f"options.{letter}", quote=text)


def _process(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge, anchor = context.knowledge, sample.seed.anchor
    if anchor not in concepts(knowledge, "process", sample.answer.text):
        yield fault("the answer is not the process of the disease that the evidence describes", "answer")
        return
    yield from _against(sample, context, anchor, lambda text: concepts(knowledge, "process", text))


def _against(
    sample: Sample, context: Context, anchor: str, read: Callable[[str], tuple[str, ...]]
) -> Iterator[Finding]:
    """Each wrong option stands for diseases that leave findings unexplained and are ruled out."""
    knowledge = context.knowledge
    present = stem_findings(sample, knowledge)
    absent = denied_findings(sample.question, knowledge)
    for letter, text in wrong_options(sample).items():
        place = f"options.{letter}"
        rivals = [disease for disease in read(text) if disease in knowledge.tables.diseases]
        if not rivals:
            yield fault("an option is not a known disease", place, quote=text)
        for rival in rivals:
            if knowledge.kin(anchor, rival):
                yield fault("an option is a lookalike or a kind of the answer", place, quote=text)
            elif len(knowledge.unexplained(rival, present)) < MISSED:
                yield fault("an option leaves fewer than two findings unexplained", place, quote=text)
            elif not knowledge.grounds(rival, anchor, present, absent):
                yield fault("nothing in the tables speaks against an option", place, quote=text)


def _route(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge = context.knowledge
    infections = knowledge.tables.infections
    mine = infections.get(sample.seed.anchor)
    if mine is None or not same_name(sample.answer.text, mine.route):
        yield fault("the answer is not the route that the evidence states", "answer")
        return
    for letter, text in wrong_options(sample).items():
        others = [infections[d] for d in concepts(knowledge, "route", text)]
        foils = knowledge.route_foils(sample.seed.anchor)
        if not others or not all(set(o.route_category) <= foils for o in others):
            yield fault("an option is of the same kind as the answer", f"options.{letter}", quote=text)


def _finding(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge = context.knowledge
    anchor = sample.seed.anchor
    if not any(knowledge.typical_in(anchor, name) for name in concepts(knowledge, "finding", sample.answer.text)):
        yield fault("the answer is not typical of the disease", "answer")
    for letter, text in wrong_options(sample).items():
        names = concepts(knowledge, "finding", text)
        if not names or any(not knowledge.grounds(anchor, "", [name]) for name in names):
            yield fault("nothing in the tables rules out an option", f"options.{letter}", quote=text)


def _comparison(sample: Sample, context: Context) -> Iterator[Finding]:
    knowledge = context.knowledge
    one = sample.seed.anchor
    other = _other_disease(sample)
    if other is None:
        yield fault("the row does not say which two diseases it compares", "seed")
        return

    def separates(name: str) -> bool:
        kinds = {ground.kind for ground in knowledge.grounds(other, one, [name])}
        return knowledge.typical_in(one, name) and bool(kinds)

    if not any(separates(name) for name in concepts(knowledge, "comparison", sample.answer.text)):
        yield fault("the answer does not separate the two diseases", "answer")
    for letter, text in wrong_options(sample).items():
        names = concepts(knowledge, "comparison", text)
        shared = all(knowledge.typical_in(one, n) and knowledge.typical_in(other, n) for n in names)
        neither = all(knowledge.grounds(one, "", [n]) and knowledge.grounds(other, "", [n]) for n in names)
        if not names or not (shared or neither):
            yield fault("an option may separate the two as well", f"options.{letter}", quote=text)


def _other_disease(sample: Sample) -> str | None:
    for item in sample.seed.evidence:
        if item.type == "record" and item.table == "diseases" and item.text:
            disease = item.text.split("\t", 1)[0]
            if disease != sample.seed.anchor:
                return disease
    return None


def _drug_class(sample: Sample, context: Context) -> Iterator[Finding]:
    tables = context.knowledge.tables
    drug = tables.drugs.get(sample.answer.concept or "")
    if drug is None or not same_name(drug.drug, sample.answer.text):
        yield fault("the answer is not a drug of the table", "answer")
        return
    group = tables.classes.get(drug.drug_class)
    if group is None or not group.complete:
        yield fault("the class of the answer is not complete in the table", "answer")
    for letter, text in wrong_options(sample).items():
        names = concepts(context.knowledge, "drug class", text)
        if not names or any(tables.drugs[name].drug_class in ("", drug.drug_class) for name in names):
            yield fault("an option is of the same class, or of none", f"options.{letter}", quote=text)


def _calculation(sample: Sample, context: Context) -> Iterator[Finding]:
    items = [item for item in sample.seed.evidence if item.type == "calculation"]
    worked = worked_again(items[0]) if len(items) == 1 else None
    if worked is None:
        yield fault("the calculation does not compute", "seed.evidence")
        return
    formula = FORMULAS[worked.formula]
    last = formula.steps[-1]
    unit = f" {last.unit}" if last.unit else ""
    right = show(worked.result, last.decimals) + unit
    if sample.answer.text != right:
        yield fault("the answer is not the computed result", "answer", quote=right)
    for told in inputs_told(items[0]):
        if told not in sample.question:
            yield fault("the question does not give an input", "question", quote=told)
    if sample.options:
        yield fault("a calculation is asked openly", "options")


_RULES: dict[str, Callable[[Sample, Context], Iterator[Finding]]] = {
    "diagnosis": _diagnosis,
    "pathogen": _pathogen,
    "process": _process,
    "route": _route,
    "finding": _finding,
    "comparison": _comparison,
    "drug class": _drug_class,
}


def hops(sample: Sample, context: Context) -> Iterator[Finding]:
    """A multi-hop row needs both hops.

    Without the findings, what the stem tells besides (an exposure, the patient's age) must leave
    more than one option; and the findings must not say the answer of the second hop themselves.
    """
    if sample.genre != "multihop" or sample.topic in ANNOTATED:
        return
    knowledge = context.knowledge
    infections = knowledge.tables.infections
    told = [i for i in infections.values() if i.exposure and i.exposure in sample.question]
    ways = {way for infection in told for way in infection.route_category}

    def open_to(disease: str) -> bool:
        infection = infections.get(disease)
        if not knowledge.of_age(disease, is_child(sample.question)) or (told and infection is None):
            return False
        return not told or not infection or not infection.route_category or bool(ways & {*infection.route_category})

    left = [
        letter
        for letter, text in (sample.options or {}).items()
        if any(open_to(disease) for disease in concepts(knowledge, sample.topic, text))
    ]
    if len(left) < 2:
        yield fault("what is told besides the findings leaves one option, so they are not needed", "question")
    for name in stem_findings(sample, knowledge):
        finding = knowledge.tables.findings[name]
        worded = [words for words in (finding.clinical, finding.patient) if words]
        if any(share_stem(words, sample.answer.text) or share_word(words, sample.answer.text) for words in worded):
            yield fault("a finding says the answer, so the disease is not needed", "question", quote=finding.clinical)
