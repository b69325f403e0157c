"""What the texts of a row stand for: options and answers as concepts of the knowledge."""

from __future__ import annotations

import re
from functools import lru_cache

from synth.prompts import bare
from synth.sample import Finding, Sample
from synth_kg.aliases import normal
from synth_kg.knowledge import Knowledge


def fault(reason: str, place: str, *, quote: str = "", evidence: tuple[str, ...] = ()) -> Finding:
    """A finding; its check's name is filled in by `run_checks`."""
    return Finding(check="", reason=reason, place=place, quote=quote[:80], evidence=evidence)


def wrong_options(sample: Sample) -> dict[str, str]:
    """Letter -> text of every option but the answer."""
    return {k: v for k, v in (sample.options or {}).items() if k != sample.answer.option}


@lru_cache(maxsize=4)
def _names(knowledge: Knowledge) -> dict[str, dict[str, tuple[str, ...]]]:
    """Kind -> normalized name -> concepts."""
    tables = knowledge.tables
    index: dict[str, dict[str, tuple[str, ...]]] = {
        k: {} for k in ("disease", "process", "agent", "route", "finding", "drug")
    }

    def add(kind: str, name: str, concept: str) -> None:
        if name:
            key = normal(name)
            index[kind][key] = tuple(dict.fromkeys((*index[kind].get(key, ()), concept)))

    for disease, profile in tables.diseases.items():
        add("process", profile.gloss, disease)
        for name in knowledge.aliases(disease):
            add("disease", name, disease)
    for infection in tables.infections.values():
        add("agent", infection.agent, infection.disease)
        add("route", infection.route, infection.disease)
    for finding in tables.findings.values():
        if finding.verdict == "keep":
            add("finding", finding.clinical, finding.finding)
    for drug in tables.drugs:
        add("drug", drug, drug)
    return index


_KINDS = {
    "diagnosis": "disease", "process": "process", "pathogen": "agent", "route": "route", "finding": "finding",
    "comparison": "finding", "drug class": "drug",
}  # fmt: skip


def concepts(knowledge: Knowledge, topic: str, text: str) -> tuple[str, ...]:
    """What an option's text stands for; empty if the knowledge does not know it."""
    kind = _KINDS.get(topic)
    return _names(knowledge)[kind].get(normal(text), ()) if kind else ()


_CHILD = re.compile(r"\b(?:infant|newborn|child|girl|boy)\b", re.I)


def is_child(question: str) -> bool:
    """Whether the patient of a stem is a child."""
    return bool(_CHILD.search(question))


def stem_findings(sample: Sample, knowledge: Knowledge) -> list[str]:
    """The findings of the stem: those whose edge from the anchor and typical line the row cites."""
    stated = [
        finding
        for item in sample.seed.evidence
        if item.type == "edge" and item.head and item.head.id == sample.seed.anchor
        for edge in [knowledge.graph.edges.get(item.ref)]
        if edge is not None
        for finding in knowledge.findings_of(edge)
    ]
    return [name for name in dict.fromkeys(stated) if states(sample.question, name, knowledge)]


def states(question: str, finding: str, knowledge: Knowledge) -> bool:
    """Whether a question mentions a finding in one of its wordings, outside a denial."""
    entry = knowledge.tables.findings[finding]
    text = affirmed(question)
    return any(normal(words) in text for words in (entry.clinical, entry.patient) if words)


@lru_cache(maxsize=1024)
def affirmed(question: str) -> str:
    """A question without the sentences that deny something, normalized."""
    kept = [part for part in question.split(". ") if not _denies(part)]
    return normal(" ".join(kept))


def denied_findings(question: str, knowledge: Knowledge) -> list[str]:
    """The findings that a question says the patient does not have."""
    sentences = [part for part in question.split(". ") if _denies(part)]
    text = f" {normal(' '.join(sentences))} "
    found = []
    for name, phrase in _phrases(knowledge) if sentences else ():
        if f" {phrase} " in text:
            found.append(name)
            text = text.replace(f" {phrase} ", " | ")  # 'a spotted rash' is not 'a rash'
    return found


@lru_cache(maxsize=4)
def _phrases(knowledge: Knowledge) -> tuple[tuple[str, str], ...]:
    """Every finding that can be asked about and its wording, the longest wording first."""
    kept = (entry for entry in knowledge.tables.findings.values() if entry.verdict == "keep")
    phrases = ((entry.finding, normal(bare(entry.clinical))) for entry in kept if entry.suggests)
    return tuple(sorted(phrases, key=lambda item: -len(item[1])))


def _denies(sentence: str) -> bool:
    return sentence.startswith("There is no ") or " has no " in sentence[:24]
