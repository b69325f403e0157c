"""The formulas against values worked by hand or published, and sound by construction."""

import random

import pytest

from synth_kg.formulas import FORMULAS, calculation_ref, rounded, work

CASES = [
    ("bmi", {"weight": 70, "height": 175}, 22.9),
    ("map", {"systolic": 120, "diastolic": 80}, 93),
    ("anion_gap", {"sodium": 140, "chloride": 102, "bicarbonate": 16, "albumin": 2.0}, 27.0),
    ("calcium", {"calcium": 8.0, "albumin": 2.5}, 9.2),
    ("winters", {"bicarbonate": 12, "measured": 26}, 26.0),
    ("osmolal_gap", {"sodium": 140, "glucose": 90, "bun": 14, "osmolality": 310}, 20.0),
    ("cockcroft_gault", {"female": 0, "age": 40, "weight": 72, "creatinine": 1.0}, 100),
    ("cockcroft_gault", {"female": 1, "age": 40, "weight": 72, "creatinine": 1.0}, 85),
    # National Kidney Foundation's own worked values of the 2021 equation
    ("ckd_epi_2021", {"female": 1, "age": 50, "creatinine": 1.0}, 69),
    ("ckd_epi_2021", {"female": 0, "age": 50, "creatinine": 1.0}, 92),
]


@pytest.mark.parametrize(("name", "inputs", "result"), CASES)
def test_worked_values(name: str, inputs: dict[str, float], result: float) -> None:
    assert work(FORMULAS[name], inputs).result == result


def draws(name: str, count: int) -> list[dict[str, float]]:
    rng = random.Random(name)
    formula = FORMULAS[name]
    return [
        {item.name: rounded(rng.uniform(item.low, item.high), item.decimals) for item in formula.inputs}
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", FORMULAS)
def test_lines_as_written_lead_to_the_exact_result(name: str) -> None:
    """Rounding each line may never change the result: such inputs are refused."""
    formula = FORMULAS[name]
    last = formula.steps[-1]
    worked = refused = 0
    for inputs in draws(name, 400):
        exact = dict(inputs)
        for step in formula.steps:
            exact[step.name] = step.compute(exact)
        try:
            found = work(formula, inputs)
        except ValueError:
            refused += 1
            continue
        worked += 1
        assert found.result == rounded(exact[last.name], last.decimals)
    assert worked > refused


@pytest.mark.parametrize("name", FORMULAS)
def test_inputs_outside_their_range_are_refused(name: str) -> None:
    formula = FORMULAS[name]
    inputs = {item.name: item.low for item in formula.inputs}
    first = formula.inputs[0]
    with pytest.raises(ValueError, match="outside"):
        work(formula, {**inputs, first.name: first.high + 1000})
    with pytest.raises(ValueError, match="takes"):
        work(formula, {})


def test_a_ref_names_formula_and_inputs() -> None:
    assert calculation_ref("bmi", {"a": 1, "b": 2}) == calculation_ref("bmi", {"b": 2, "a": 1})
    assert calculation_ref("bmi", {"a": 1}) != calculation_ref("map", {"a": 1})


def test_half_is_rounded_up_as_by_hand() -> None:
    assert [rounded(x, 0) for x in (0.5, 1.5, 2.5, -2.5)] == [1, 2, 3, -3]
