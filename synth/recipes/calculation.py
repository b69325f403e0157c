"""Calculations: a patient's numbers, a published formula, and every step computed by code.

The wrong options are the results of the slips that people make (the factor for sex left
out, albumin not corrected for), so each is wrong by the formula itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from synth.plan import Directive, EvidenceBook, NoPlan, Plan, Spot
from synth.sample import Answer
from synth_kg.formulas import FORMULAS, Formula, Worked, rounded, show, work
from synth_kg.knowledge import Knowledge

SLIPS = 2
"""Slips that a chain names."""
TRIES = 400


class LineFact(NamedTuple):
    """One line of the computation: its place among the wordings of the 'line' form."""

    place: int
    name: str


class SlipFact(NamedTuple):
    """A slip that people make, by its place among those of the formula."""

    place: int


class QuantityFact(NamedTuple):
    """An input as the stem words it."""

    label: str
    text: str


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive]) -> Plan:
    """Draw plausible numbers and work the formula through; the chain names slips that people make.

    The slips are not offered as options: for most formulas they all err to one side, so that the
    place of the right number among them would tell it.
    """
    formula = FORMULAS[spot.unit.anchor]
    worked, slips = _draw(formula, draw)
    book = EvidenceBook(knowledge)
    ident = book.calculation(worked)
    last = formula.steps[-1]
    unit = f" {last.unit}" if last.unit else ""
    right = show(worked.result, last.decimals) + unit
    values = worked.inputs
    female = values.get("female")
    facts = {
        "formula": formula,
        "ids": (ident,),
        "who": _who(values, draw),
        "quantities": [
            QuantityFact(item.label, f"{show(values[item.name], item.decimals)} {item.unit}".strip())
            for item in formula.inputs
            if item.name not in {"female", "age"}
        ],
        "lines": [LineFact(place, step.name) for place, step in enumerate(formula.steps)],
        "slips": [SlipFact(place) for place, _ in draw.sample(slips, SLIPS)],
        "reading": formula.reading is not None,
        "female": bool(female) if female is not None else None,
        "right": right,
        "answer": right,
        "worked": worked,
    }
    return Plan(
        recipe="calculation",
        genre="calculation",
        topic=formula.id,
        anchor=formula.id,
        department=formula.department,
        answer=Answer(text=right, option=None, aliases=(), concept=formula.id),
        options=(),
        facts=facts,
        evidence=book.all(),
    )


def _draw(formula: Formula, draw: Random) -> tuple[Worked, list[tuple[int, str]]]:
    """Numbers that make a plausible patient and whose slips give four different results."""
    last = formula.steps[-1]
    unit = f" {last.unit}" if last.unit else ""
    for _ in range(TRIES):
        inputs = {item.name: rounded(draw.uniform(item.low, item.high), item.decimals) for item in formula.inputs}
        if not formula.valid(inputs):
            continue
        try:
            worked = work(formula, inputs)
        except ValueError:
            continue  # rounding on the way would change the result
        values = {**worked.inputs, **worked.steps}
        wrong = [rounded(compute(values), last.decimals) for _, compute in formula.traps]
        texts = [show(value, last.decimals) + unit for value in wrong]
        right = show(worked.result, last.decimals) + unit
        if len({right, *texts}) == len(texts) + 1 and min(wrong) > 0:
            return worked, list(enumerate(texts))
    raise NoPlan("no plausible numbers found")


def _who(values: dict[str, float], draw: Random) -> str:
    female = values["female"] == 1 if "female" in values else draw.random() < 0.5
    noun = "woman" if female else "man"
    age = values.get("age")
    if age is None:
        return f"an adult {noun}"
    article = "an" if 80 <= age <= 89 or age == 18 else "a"
    return f"{article} {age:.0f}-year-old {noun}"
