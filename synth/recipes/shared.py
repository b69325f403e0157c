"""What recipes share: patients, clues, grounds and options as facts for templates."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.plan import Directive, EvidenceBook
from synth.prompts import bare
from synth_kg.aliases import alike, share_stem
from synth_kg.knowledge import Clue, Ground, Knowledge
from synth_kg.tables import Finding

LETTERS = "ABCDEFGH"


class Person(NamedTuple):
    """The patient as a stem words them."""

    noun: str
    """With article: 'a 54-year-old woman', 'an adult', 'an infant'."""
    subject: str
    """'she', 'he' or 'the patient'."""
    possessive: str
    child: bool
    record: str | None
    """Evidence id of the line that gives age and sex."""


class ClueFact(NamedTuple):
    """A finding of the stem with the ids of what says so."""

    name: str
    clinical: str
    patient: str
    bare: str
    plural: bool
    kind: str
    general: bool
    edge: str
    typical: str
    finding: str


class SharedFact(NamedTuple):
    """A finding of the stem that a rival explains too."""

    clinical: str
    plural: bool
    typical: str


class GroundFact(NamedTuple):
    """A ground on which a rival is dropped: the claim form and the ids that it cites."""

    form: str
    finding: str
    bare: str
    plural: bool
    ids: tuple[str, ...]


class RivalFact(NamedTuple):
    """A wrong option: what makes it tempting and what rules it out."""

    disease: str
    name: str
    letter: str
    gloss: str
    """Evidence id of the line that says what it is."""
    shared: tuple[SharedFact, ...]
    grounds: tuple[GroundFact, ...]


class FlagFact(NamedTuple):
    """A red flag that the stem excludes."""

    statement: str
    ids: tuple[str, ...]


_FORMS = {"separator": "separates", "never": "never", "absent": "cardinal"}


def person(knowledge: Knowledge, disease: str, draw: Random, book: EvidenceBook) -> Person:
    """Draw a patient within the range that a source gives; 'an adult' where none does."""
    entry = knowledge.tables.patients.get(disease)
    if entry is None:
        return Person("an adult", "the patient", "the patient's", False, None)
    record = book.record(entry.ref)
    age = draw.randint(entry.age_min, entry.age_max)
    female = entry.sex == "female" or (entry.sex == "any" and draw.random() < 0.5)
    subject, possessive = ("she", "her") if female else ("he", "his")
    if entry.age_max == 0:
        return Person("an infant", "the infant", "the infant's", True, record)
    if entry.age_min == 18 and entry.age_max >= 89:
        noun = "a woman" if female else "a man"
        return Person(f"an adult {bare(noun)}", subject, possessive, False, record)
    if age == 0:
        return Person("an infant", "the infant", "the infant's", True, record)
    who = ("girl" if female else "boy") if age < 18 else ("woman" if female else "man")
    article = "an" if age in (8, 11, 18) or 80 <= age <= 89 else "a"
    return Person(f"{article} {age}-year-old {who}", subject, possessive, age < 18, record)


def clue_fact(clue: Clue, book: EvidenceBook) -> ClueFact:
    """Cite a clue and word it."""
    finding = clue.finding
    return ClueFact(
        finding.finding,
        finding.clinical,
        finding.patient or finding.clinical,
        bare(finding.clinical),
        finding.plural,
        finding.kind,
        finding.specificity == "general",
        book.edge(clue.edge),
        book.record(clue.typical.ref),
        book.record(finding.ref),
    )


def rival_fact(
    knowledge: Knowledge,
    rival: str,
    answer: str,
    present: Sequence[str],
    denied: Sequence[str],
    book: EvidenceBook,
) -> RivalFact:
    """Cite what makes a disease tempting as an answer and what rules it out."""
    profile = knowledge.tables.diseases[rival]
    return RivalFact(
        rival,
        profile.name,
        "",
        book.record(profile.ref),
        shared_facts(knowledge, rival, answer, present, book),
        ground_facts(knowledge, knowledge.grounds(rival, answer, present, denied), book),
    )


def shared_facts(
    knowledge: Knowledge, disease: str, answer: str, present: Sequence[str], book: EvidenceBook
) -> tuple[SharedFact, ...]:
    """What a rival brings of the stem's findings, or of findings that contain them; what localizes first.

    A finding that the rival's own name holds is left out: that it brings it goes without saying.
    """
    brought = {line.finding: line for name in present for line in knowledge.brings(disease, answer, name)[:1]}
    title = knowledge.tables.diseases[disease].name
    findings = sorted((knowledge.tables.findings[name] for name in brought), key=_telling)
    return tuple(
        SharedFact(finding.clinical, finding.plural, book.record(brought[finding.finding].ref))
        for finding in findings[:2]
        if not share_stem(finding.clinical, title)
    )


def _telling(finding: Finding) -> int:
    return ("characteristic", "localizing", "general").index(finding.specificity)


def ground_facts(knowledge: Knowledge, grounds: Sequence[Ground], book: EvidenceBook) -> tuple[GroundFact, ...]:
    """Cite the two strongest grounds on different findings and for different reasons."""
    facts: list[GroundFact] = []
    given: list[str] = []
    for ground in grounds:
        reason = getattr(knowledge.tables.rows[ground.refs[0]], "why", ground.finding)
        if len(facts) == 2 or any(f.finding == ground.finding for f in facts) or any(alike(reason, r) for r in given):
            continue
        given.append(reason)
        finding = knowledge.tables.findings[ground.finding]
        facts.append(
            GroundFact(
                _FORMS[ground.kind],
                ground.finding,
                bare(finding.clinical),
                finding.plural,
                tuple(book.record(ref) for ref in ground.refs),
            )
        )
    return tuple(facts)


def dropped(directives: Sequence[Directive]) -> set[str]:
    """Concepts that earlier findings ruled out as options."""
    return {directive.value for directive in directives if directive.kind == "drop option"}


def rewordings(directives: Sequence[Directive]) -> int:
    """How often the wording has to change."""
    return sum(directive.kind == "reword" for directive in directives)
