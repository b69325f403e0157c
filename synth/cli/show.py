"""A row in full, for a person."""

from __future__ import annotations

import textwrap

from synth.sample import CAVEAT, Evidence, Sample

_WIDTH = 100


def print_row(sample: Sample) -> None:
    """Print question, options, answer, reasoning with its claims, response and evidence."""
    print(f"{sample.id}  {sample.genre} ({sample.topic}), {sample.labels.department}, {sample.stage}")
    print(f"{sample.verdict.status}{': ' + sample.verdict.reason if sample.verdict.reason else ''}\n")
    _wrapped(sample.question)
    for letter, text in (sample.options or {}).items():
        print(f"  {letter}. {text}")
    print(f"\nAnswer: {f'{sample.answer.option}, ' if sample.answer.option else ''}{sample.answer.text}")
    if sample.answer.aliases:
        _wrapped(f"also accepted: {', '.join(sample.answer.aliases)}", indent="  ")
    print("\nReasoning")
    for number, step in enumerate(sample.steps, 1):
        _wrapped(f"{number}. {step.text}", indent="   ")
        for claim in step.claims:
            _wrapped(f"[{', '.join(claim.evidence)}] {claim.text}", indent="       ")
    print("\nResponse")
    _wrapped(sample.response)
    print("\nEvidence")
    for item in sample.seed.evidence:
        version = item.version[:8] if item.type == "record" else item.version  # a hash is told by its beginning
        _wrapped(f"{item.id} {_said(item)} ({item.source} {version}, {item.license})", indent="   ")
    for attempt in sample.attempts:
        finding = attempt.finding
        kept = "kept" if attempt.kept else f"not kept ({attempt.why})"
        _wrapped(f"revised for {finding.check}: {finding.reason} ({finding.quote}); {kept}", indent="  ")
    parts = ", ".join(f"{name} {value:g}" for name, value in (sample.scores.parts or {}).items())
    print(f"\nScore {sample.scores.rule} ({parts})" if parts else "")
    print(f"Uniqueness {sample.uniqueness}, licence {sample.license}\n{CAVEAT}")


def _said(item: Evidence) -> str:
    if item.type == "edge" and item.head and item.tail:
        beside = "; ".join(f"{one.frequency} {one.reference}".strip() for one in item.said or ())
        told = f"edge: {item.head.name} --{'not ' if item.negated else ''}{item.relation}--> {item.tail.name}"
        return f"{told}, {beside}" if beside else told
    if item.type == "count" and item.terms and item.result:
        whose = f" of {item.head.name}" if item.head else ""
        terms = " and ".join(node.name for node in item.terms)
        return f"count: {item.result.value:g} {item.result.unit}{whose}: {terms}"
    if item.type == "calculation" and item.inputs and item.result:
        given = ", ".join(f"{q.name} {q.value:g} {q.unit}".strip() for q in item.inputs)
        return f"calculation: {item.formula} of {given} = {item.result.value:g} {item.result.unit}".strip()
    text = (item.text or "").replace("\t", " | ")
    return f"{item.table}: {text}" if item.type == "record" else f"{item.type}: {text}"


def _wrapped(text: str, indent: str = "") -> None:
    for paragraph in text.split("\n"):
        print(textwrap.fill(paragraph, _WIDTH, initial_indent=indent[:-3], subsequent_indent=indent))
