"""Every check finds the fault that it is for, and nothing in a sound row."""

from collections.abc import Callable
from typing import Any

import pytest

from synth.checks import CHECKS, Context, run_checks
from synth.checks.unique import hops
from synth.prompts import bare
from synth.sample import Claim, Sample, Step

Change = Callable[[Sample], Sample]


def changed(sample: Sample, **update: Any) -> Sample:
    return sample.model_copy(update=update)


def with_steps(sample: Sample, steps: list[Step]) -> Sample:
    return changed(sample, steps=tuple(steps), reasoning=" ".join(step.text for step in steps))


def step_text(sample: Sample, number: int, old: str, new: str) -> Sample:
    steps = list(sample.steps)
    steps[number] = steps[number].model_copy(update={"text": steps[number].text.replace(old, new)})
    return with_steps(sample, steps)


def claim(sample: Sample, **update: Any) -> Sample:
    """Change the first claim of the first step that has one."""
    steps = list(sample.steps)
    place = next(i for i, step in enumerate(steps) if step.claims)
    first, *rest = steps[place].claims
    steps[place] = steps[place].model_copy(update={"claims": (first.model_copy(update=update), *rest)})
    return with_steps(sample, steps)


def stated(sample: Sample) -> str:
    """A finding that the answer brings."""
    record = next(item for item in sample.seed.evidence if item.table == "findings" and item.text)
    return bare((record.text or "").split("\t")[1])


def option(sample: Sample, text: str) -> Sample:
    """Replace a wrong option."""
    assert sample.options
    letter = next(letter for letter in sample.options if letter != sample.answer.option)
    return changed(sample, options={**sample.options, letter: text})


PLANTED: dict[str, list[Change]] = {
    "schema": [
        lambda s: changed(s, question=""),
        lambda s: changed(s, response="{{ oops }}."),
        lambda s: changed(s, response=s.response[:-5]),
        lambda s: changed(s, reasoning=s.reasoning + " More."),
        lambda s: changed(s, answer=s.answer.model_copy(update={"option": "Z"})),
        lambda s: changed(s, options={"B": "x", "C": s.answer.text}),
    ],
    "options distinct": [
        lambda s: option(s, s.answer.text.upper()),
        lambda s: option(s, (s.answer.aliases or (s.answer.text,))[0]),
    ],
    "unique": [
        lambda s: option(s, "a disease that nobody knows"),
        lambda s: changed(s, answer=s.answer.model_copy(update={"concept": "DOID:6364", "text": "migraine"})),
    ],
    "leak": [lambda s: changed(s, question=f"Is it {s.answer.text}? {s.question}")],
    "stem": [lambda s: changed(s, question="A man is ill. What is the most likely diagnosis?")],
    "citations": [
        lambda s: claim(s, evidence=("e99",)),
        lambda s: claim(s, evidence=()),
        lambda s: claim(s, text="nothing is known"),
        lambda s: claim(s, verdict="unknown"),
        lambda s: claim(s, evidence=(s.seed.evidence[0].id,)),
    ],
    "prose": [
        lambda s: step_text(s, 0, ".", ", as penicillin shows."),
        lambda s: changed(s, response=s.response + " Penicillin cures it."),
        lambda s: changed(s, question=s.question.replace(". ", ", and dies. ", 1)),
    ],
    "person": [lambda s: changed(s, question=f"This is a 130-year-old man. {s.question}")],
    "answered": [
        lambda s: with_steps(s, list(s.steps[:-1])),
        lambda s: with_steps(s, [Step(text=f"It is {s.answer.text}.", claims=()), *s.steps]),
        lambda s: changed(s, response="It is something."),
    ],
    "argued": [lambda s: option(s, "gout")],
    "length": [
        lambda s: with_steps(s, [s.steps[-1]]),
        lambda s: with_steps(s, list(s.steps) * 9),
    ],
    "repetition": [lambda s: with_steps(s, [*s.steps[:-1], s.steps[0], s.steps[-1]])],
    "uncited_clinical_quantity": [
        lambda s: changed(s, response=s.response + " Give 500 mg of it."),
        lambda s: changed(s, question=s.question.replace(". ", ". It is taken twice daily. ", 1)),
        lambda s: with_steps(
            s, [s.steps[0].model_copy(update={"text": s.steps[0].text + " This is contraindicated."}), *s.steps[1:]]
        ),
    ],
    "claimed": [lambda s: with_steps(s, [Step(text=step.text, claims=()) for step in s.steps])],
    "language": [lambda s: changed(s, response=s.response + " " + "诊断为发作性睡病" * 3 + ".")],
    "safety": [
        lambda s: changed(s, response=s.response + " It was a suicide."),
        lambda s: changed(s, question=s.question.replace(". ", f". There is no {stated(s)}. ", 1)),
    ],
}


def test_sound_rows_have_no_finding(rows: list[Sample], context: Context) -> None:
    for row in rows:
        assert run_checks(row, context) == []


@pytest.mark.parametrize(("check", "number"), [(c, n) for c, changes in PLANTED.items() for n in range(len(changes))])
def test_a_planted_fault_is_found_by_its_check(check: str, number: int, rows: list[Sample], context: Context) -> None:
    """In the first vignettes of the run, each with the same fault."""
    vignettes = [row for row in rows if row.genre == "vignette" and row.answer.aliases][:5]
    assert vignettes
    for row in vignettes:
        faulty = PLANTED[check][number](row)
        found = {finding.check for finding in run_checks(faulty, context)}
        assert check in found, f"{check} {number} misses its fault"


def test_every_check_has_a_planted_fault() -> None:
    assert CHECKS.keys() - {"hops", "annotated"} == PLANTED.keys()  # for these see below, and test_syndromes.py


def test_a_hop_that_is_not_needed_is_found(rows: list[Sample], context: Context) -> None:
    """Options of which the exposure alone leaves one: the findings would not be needed."""
    infections = context.knowledge.tables.infections
    exposed = [row for row in rows if row.genre == "multihop" and row.topic == "pathogen"]
    exposed = [row for row in exposed if infections[row.seed.anchor].exposure]
    assert exposed
    for row in exposed:
        own = infections[row.seed.anchor]
        ways = set(own.route_category)
        far = [i.agent for i in infections.values() if i.route_category and not ways & set(i.route_category)]
        letters = [letter for letter in row.options or {} if letter != row.answer.option]
        alone = changed(row, options={**(row.options or {}), **dict(zip(letters, far, strict=False))})
        assert not list(hops(row, context))
        assert ways
        assert [finding.place for finding in hops(alone, context)] == ["question"]


def test_a_finding_that_says_the_process_is_found(rows: list[Sample], context: Context) -> None:
    """A disease that its findings describe need not be found: the second hop would be the first."""
    processes = [row for row in rows if row.topic == "process"]
    assert processes
    for row in processes:
        assert not list(hops(row, context))
        told = changed(row, answer=row.answer.model_copy(update={"text": f"An illness with {stated(row)}"}))
        assert {finding.reason for finding in hops(told, context)} == {
            "a finding says the answer, so the disease is not needed"
        }


def test_minors_and_pregnancy_stay_in_diagnosis(rows: list[Sample], context: Context) -> None:
    drug = next(row for row in rows if row.topic == "drug class")
    faulty = changed(drug, question=drug.question.replace("A patient", "A pregnant patient") + " She is pregnant.")
    assert "safety" in {finding.check for finding in run_checks(faulty, context)}


def test_a_missing_red_flag_is_found(rows: list[Sample], context: Context) -> None:
    flagged = [
        (row, flag.statement)
        for row in rows
        if row.genre == "vignette"
        for flag in context.knowledge.tables.red_flags
        if flag.statement in row.question
    ]
    assert flagged
    for row, statement in flagged[:10]:
        left_out = changed(row, question=row.question.replace(statement + " ", ""))
        assert "safety" in {finding.check for finding in run_checks(left_out, context)}


def test_claims_are_made_of_claims(rows: list[Sample]) -> None:
    """No step argues without a claim, but the last one, which concludes."""
    for row in rows:
        for step in row.steps[:-1]:
            if row.genre != "calculation":
                assert step.claims, step.text
                assert all(isinstance(c, Claim) for c in step.claims)
