"""Eight clinical formulas, computed from published sources, with units and valid ranges.

A `Formula` names its inputs with the ranges in which it may be asked, and its steps: each
step is computed from the inputs and from the steps before it, and rounded as a clinician
would write it down, so that a chain of reasoning shows the very numbers that lead to the
result. A formula gives a number; it never gives advice on treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from synth_kg.graph import digest

Values = Mapping[str, float]


class Input(NamedTuple):
    """A quantity that a formula takes."""

    name: str
    label: str
    unit: str
    low: float
    high: float
    decimals: int


class Step(NamedTuple):
    """One line of the computation."""

    name: str
    label: str
    unit: str
    decimals: int
    compute: Callable[[Values], float]
    expression: Callable[[Values], str]
    """The line as written, with the numbers put in and without the result."""


class Formula(NamedTuple):
    """A published formula."""

    id: str
    title: str
    rule: str
    """The formula in words, as a clause."""
    source: str
    department: str
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    traps: tuple[tuple[str, Callable[[Values], float]], ...]
    """Wrong results with the slip that gives them ('forgets ...'); none may equal the right one."""
    reading: Callable[[Values], str] | None = None
    """What the result means by a named classification, as a clause; None where no one scale holds."""
    valid: Callable[[Values], bool] = lambda _values: True
    """Whether inputs drawn from the ranges make a plausible patient together."""


class Worked(NamedTuple):
    """A formula worked through for one patient."""

    formula: str
    inputs: dict[str, float]
    steps: dict[str, float]
    result: float
    unit: str

    @property
    def ref(self) -> str:
        """Hash of the formula's id and the inputs."""
        return calculation_ref(self.formula, self.inputs)


def calculation_ref(formula: str, inputs: Values) -> str:
    """The ref of a calculation: a hash of the formula's id and its inputs."""
    return digest("calculation", formula, *(f"{name}={inputs[name]:g}" for name in sorted(inputs)))


def rounded(value: float, decimals: int) -> float:
    """Round half away from zero, as is done by hand (Python's own rounding is half to even).

    >>> rounded(2.5, 0), rounded(0.125, 2), rounded(-2.5, 0)
    (3.0, 0.13, -3.0)
    """
    quantum = Decimal(1).scaleb(-decimals)
    return float(Decimal(repr(value)).quantize(quantum, rounding=ROUND_HALF_UP))


def work(formula: Formula, inputs: Values) -> Worked:
    """Work a formula through.

    Every line is rounded as it is written down. Inputs for which that changes the result, the
    result of a slip or the reading are refused: the chain must show what the formula gives.

    Raises:
        ValueError: an input is missing, unknown or outside its range, or rounding on the way
            changes a result.
    """
    if set(inputs) != {item.name for item in formula.inputs}:
        raise ValueError(f"{formula.id}: takes {', '.join(item.name for item in formula.inputs)}")
    for item in formula.inputs:
        if not item.low <= inputs[item.name] <= item.high:
            raise ValueError(f"{formula.id}: {item.name} is outside {item.low:g} to {item.high:g} {item.unit}")
    values, exact = dict(inputs), dict(inputs)
    for step in formula.steps:
        values[step.name] = rounded(step.compute(values), step.decimals)
        exact[step.name] = step.compute(exact)
    last = formula.steps[-1]
    if any(
        rounded(compute(values), last.decimals) != rounded(compute(exact), last.decimals)
        for compute in (last.compute, *(slip for _, slip in formula.traps))
    ):
        raise ValueError(f"{formula.id}: rounding on the way changes a result")
    if formula.reading is not None and formula.reading(values) != formula.reading(exact):
        raise ValueError(f"{formula.id}: rounding changes what the result means")
    steps = {step.name: values[step.name] for step in formula.steps}
    return Worked(formula.id, dict(inputs), steps, values[last.name], last.unit)


def show(value: float, decimals: int) -> str:
    """A number as written in a text: fixed decimals."""
    return f"{value:.{decimals}f}"


def _bmi_class(v: Values) -> str:
    bands = ((18.5, "underweight"), (25, "normal weight"), (30, "overweight"))
    band = next((name for limit, name in bands if v["bmi"] < limit), "obesity")
    return f"on the World Health Organization's scale for adults this is {band}"


def _gfr_class(v: Values) -> str:
    bands = ((15, "G5"), (30, "G4"), (45, "G3b"), (60, "G3a"), (90, "G2"))
    band = next((name for limit, name in bands if v["egfr"] < limit), "G1")
    return f"in the KDIGO classification this falls in category {band}"


def _winters_reading(v: Values) -> str:
    if abs(v["measured"] - v["expected"]) <= 2:
        return "the measured value lies within 2 mmHg of it, so the lungs compensate as expected"
    if v["measured"] > v["expected"]:
        return "the measured value is higher, so a respiratory acidosis is present as well"
    return "the measured value is lower, so a respiratory alkalosis is present as well"


def _gap_reading(v: Values) -> str:
    if v["gap"] > 10:
        return "a gap above 10 mOsm/kg points to solutes that were not measured, such as an alcohol"
    return "a gap of at most 10 mOsm/kg lies in the usual range, which does not exclude solutes that were not measured"


def _ckd_epi(v: Values) -> float:
    female = v["female"] == 1
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = v["creatinine"] / kappa
    value = 142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.200 * 0.9938 ** v["age"]
    return float(value * (1.012 if female else 1.0))


def _ckd_epi_2009(v: Values) -> float:
    """The equation of 2009 without its term for race (Levey AS et al. Ann Intern Med 2009;150:604)."""
    female = v["female"] == 1
    kappa, alpha = (0.7, -0.329) if female else (0.9, -0.411)
    ratio = v["creatinine"] / kappa
    value = 141 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.209 * 0.993 ** v["age"]
    return float(value * (1.018 if female else 1.0))


def _kappa(v: Values) -> float:
    return 0.7 if v["female"] == 1 else 0.9


def _ckd_epi_expression(v: Values) -> str:
    female = v["female"] == 1
    ratio = f"{show(v['creatinine'], 1)}/{_kappa(v)}"
    below = v["creatinine"] < _kappa(v)
    exponent = ("-0.241" if female else "-0.302") if below else "-1.200"
    text = f"142 x ({ratio})^{exponent} x 0.9938^{v['age']:.0f}"
    return text + (" x 1.012" if female else "")


_FEMALE = Input("female", "female sex", "", 0, 1, 0)
_AGE = Input("age", "age", "years", 20, 85, 0)
_CREATININE = Input("creatinine", "serum creatinine", "mg/dL", 0.6, 4.5, 1)
_ALBUMIN = Input("albumin", "serum albumin", "g/dL", 1.8, 3.6, 1)
_SODIUM = Input("sodium", "serum sodium", "mmol/L", 128, 148, 0)
_BICARBONATE = Input("bicarbonate", "serum bicarbonate", "mmol/L", 6, 20, 0)

FORMULAS: dict[str, Formula] = {
    formula.id: formula
    for formula in (
        Formula(
            "bmi",
            "body mass index",
            "the body mass index is the weight in kilograms divided by the square of the height in meters",
            "World Health Organization Technical Report Series 894 (2000)",
            "Endocrinology",
            (
                Input("weight", "weight", "kg", 42, 140, 0),
                Input("height", "height", "cm", 150, 195, 0),
            ),
            (
                Step("meters", "the height in meters", "m", 2, lambda v: v["height"] / 100,
                     lambda v: f"{v['height']:.0f} / 100"),
                Step("square", "the height squared", "m2", 4, lambda v: v["meters"] ** 2,
                     lambda v: f"{show(v['meters'], 2)} x {show(v['meters'], 2)}"),
                Step("bmi", "the body mass index", "kg/m2", 1, lambda v: v["weight"] / v["square"],
                     lambda v: f"{v['weight']:.0f} / {show(v['square'], 4)}"),
            ),
            (
                ("divides by the height without squaring it", lambda v: v["weight"] / v["meters"]),
                ("divides by twice the height instead of its square", lambda v: v["weight"] / (2 * v["meters"])),
                ("rounds the height to whole meters before squaring it",
                 lambda v: v["weight"] / rounded(v["meters"], 0) ** 2),
            ),
            _bmi_class,
            lambda v: 16.5 <= v["weight"] / (v["height"] / 100) ** 2 <= 46,
        ),
        Formula(
            "map",
            "mean arterial pressure",
            "the mean arterial pressure is approximated by the diastolic pressure plus one third of the pulse pressure",
            "OpenStax, Anatomy and Physiology (2013), section 20.2",
            "Cardiology",
            (
                Input("systolic", "systolic pressure", "mmHg", 86, 210, 0),
                Input("diastolic", "diastolic pressure", "mmHg", 44, 122, 0),
            ),
            (
                Step("pulse", "the pulse pressure", "mmHg", 0, lambda v: v["systolic"] - v["diastolic"],
                     lambda v: f"{v['systolic']:.0f} - {v['diastolic']:.0f}"),
                Step("third", "a third of it", "mmHg", 1, lambda v: v["pulse"] / 3,
                     lambda v: f"{v['pulse']:.0f} / 3"),
                Step("map", "the mean arterial pressure", "mmHg", 0, lambda v: v["diastolic"] + v["third"],
                     lambda v: f"{v['diastolic']:.0f} + {show(v['third'], 1)}"),
            ),
            (
                ("takes the plain average of the two pressures", lambda v: (v["systolic"] + v["diastolic"]) / 2),
                ("adds two thirds of the pulse pressure", lambda v: v["diastolic"] + 2 * v["pulse"] / 3),
                ("adds a third of the systolic pressure instead of a third of the pulse pressure",
                 lambda v: v["diastolic"] + v["systolic"] / 3),
            ),
            None,
            lambda v: 28 <= v["systolic"] - v["diastolic"] <= 95,
        ),
        Formula(
            "anion_gap",
            "albumin-adjusted anion gap",
            "the anion gap is sodium minus chloride minus bicarbonate, and 2.5 mmol/L is added for each 1 g/dL "
            "by which the albumin lies below 4.0 g/dL",
            "Figge J et al. Crit Care Med 1998;26:1807-1810",
            "Nephrology",
            (_SODIUM, Input("chloride", "serum chloride", "mmol/L", 92, 114, 0), _BICARBONATE, _ALBUMIN),
            (
                Step("raw", "the anion gap before adjustment", "mmol/L", 0,
                     lambda v: v["sodium"] - v["chloride"] - v["bicarbonate"],
                     lambda v: f"{v['sodium']:.0f} - {v['chloride']:.0f} - {v['bicarbonate']:.0f}"),
                Step("short", "the shortfall of albumin", "g/dL", 1, lambda v: 4.0 - v["albumin"],
                     lambda v: f"4.0 - {show(v['albumin'], 1)}"),
                Step("extra", "the adjustment", "mmol/L", 1, lambda v: 2.5 * v["short"],
                     lambda v: f"2.5 x {show(v['short'], 1)}"),
                Step("adjusted", "the adjusted anion gap", "mmol/L", 1, lambda v: v["raw"] + v["extra"],
                     lambda v: f"{v['raw']:.0f} + {show(v['extra'], 1)}"),
            ),
            (
                ("leaves the low albumin out", lambda v: v["raw"]),
                ("takes the adjustment away instead of adding it", lambda v: v["raw"] - v["extra"]),
                ("adds the shortfall of albumin without the factor of 2.5", lambda v: v["raw"] + v["short"]),
            ),
            None,
            lambda v: 6 <= v["sodium"] - v["chloride"] - v["bicarbonate"] <= 28,
        ),
        Formula(
            "calcium",
            "albumin-corrected calcium",
            "0.8 mg/dL is added to the measured calcium for each 1 g/dL by which the albumin lies below 4.0 g/dL",
            "after Payne RB et al. Br Med J 1973;4:643-646, in the usual form with the factor 0.8",
            "Endocrinology",
            (Input("calcium", "total serum calcium", "mg/dL", 6.8, 11.4, 1), _ALBUMIN),
            (
                Step("short", "the shortfall of albumin", "g/dL", 1, lambda v: 4.0 - v["albumin"],
                     lambda v: f"4.0 - {show(v['albumin'], 1)}"),
                Step("extra", "the correction", "mg/dL", 2, lambda v: 0.8 * v["short"],
                     lambda v: f"0.8 x {show(v['short'], 1)}"),
                Step("corrected", "the corrected calcium", "mg/dL", 1, lambda v: v["calcium"] + v["extra"],
                     lambda v: f"{show(v['calcium'], 1)} + {show(v['extra'], 2)}"),
            ),
            (
                ("leaves the low albumin out", lambda v: v["calcium"]),
                ("takes the correction away instead of adding it", lambda v: v["calcium"] - v["extra"]),
                ("adds 0.8 once, whatever the shortfall", lambda v: v["calcium"] + 0.8),
            ),
        ),
        Formula(
            "winters",
            "expected carbon dioxide pressure in metabolic acidosis",
            "in a metabolic acidosis the expected carbon dioxide pressure is 1.5 times the bicarbonate plus 8, "
            "give or take 2 mmHg",
            "Albert MS, Dell RB, Winters RW. Ann Intern Med 1967;66:312-322, in the usual rounded form",
            "Nephrology",
            (_BICARBONATE, Input("measured", "measured arterial carbon dioxide pressure", "mmHg", 14, 52, 0)),
            (
                Step("product", "1.5 times the bicarbonate", "", 1, lambda v: 1.5 * v["bicarbonate"],
                     lambda v: f"1.5 x {v['bicarbonate']:.0f}"),
                Step("expected", "the expected carbon dioxide pressure", "mmHg", 1, lambda v: v["product"] + 8,
                     lambda v: f"{show(v['product'], 1)} + 8"),
            ),
            (
                ("forgets to add 8", lambda v: v["product"]),
                ("uses a factor of 1 instead of 1.5", lambda v: v["bicarbonate"] + 8),
                ("uses a factor of 2 instead of 1.5", lambda v: 2 * v["bicarbonate"] + 8),
            ),
            _winters_reading,
            lambda v: abs(v["measured"] - (1.5 * v["bicarbonate"] + 8)) not in (2.5, 3)
            and -9 <= v["measured"] - (1.5 * v["bicarbonate"] + 8) <= 16,
        ),
        Formula(
            "osmolal_gap",
            "osmolal gap",
            "the calculated osmolality is twice the sodium plus glucose divided by 18 plus urea nitrogen divided "
            "by 2.8, and the gap is the measured minus the calculated value",
            "Smithline N, Gardner KD. JAMA 1976;236:1594-1597",
            "Toxicology",
            (
                _SODIUM,
                Input("glucose", "serum glucose", "mg/dL", 72, 540, 0),
                Input("bun", "blood urea nitrogen", "mg/dL", 7, 84, 0),
                Input("osmolality", "measured osmolality", "mOsm/kg", 270, 380, 0),
            ),
            (
                Step("salts", "twice the sodium", "", 0, lambda v: 2 * v["sodium"],
                     lambda v: f"2 x {v['sodium']:.0f}"),
                Step("sugar", "the share of glucose", "", 1, lambda v: v["glucose"] / 18,
                     lambda v: f"{v['glucose']:.0f} / 18"),
                Step("urea", "the share of urea", "", 1, lambda v: v["bun"] / 2.8,
                     lambda v: f"{v['bun']:.0f} / 2.8"),
                Step("calculated", "the calculated osmolality", "mOsm/kg", 1,
                     lambda v: v["salts"] + v["sugar"] + v["urea"],
                     lambda v: f"{v['salts']:.0f} + {show(v['sugar'], 1)} + {show(v['urea'], 1)}"),
                Step("gap", "the osmolal gap", "mOsm/kg", 1, lambda v: v["osmolality"] - v["calculated"],
                     lambda v: f"{v['osmolality']:.0f} - {show(v['calculated'], 1)}"),
            ),
            (
                ("leaves urea out", lambda v: v["osmolality"] - v["salts"] - v["sugar"]),
                ("leaves glucose out", lambda v: v["osmolality"] - v["salts"] - v["urea"]),
                ("counts the sodium once instead of twice",
                 lambda v: v["osmolality"] - v["sodium"] - v["sugar"] - v["urea"]),
            ),
            _gap_reading,
            lambda v: 1 <= v["osmolality"] - (2 * v["sodium"] + v["glucose"] / 18 + v["bun"] / 2.8) <= 60
            and not 8 < v["osmolality"] - (2 * v["sodium"] + v["glucose"] / 18 + v["bun"] / 2.8) < 12,
        ),
        Formula(
            "cockcroft_gault",
            "creatinine clearance by Cockcroft and Gault",
            "the creatinine clearance is 140 minus the age, times the weight, divided by 72 times the creatinine, "
            "and for women the result is multiplied by 0.85",
            "Cockcroft DW, Gault MH. Nephron 1976;16:31-41",
            "Nephrology",
            (_FEMALE, _AGE, Input("weight", "weight", "kg", 44, 118, 0), _CREATININE),
            (
                Step("top", "the numerator", "", 0, lambda v: (140 - v["age"]) * v["weight"],
                     lambda v: f"(140 - {v['age']:.0f}) x {v['weight']:.0f}"),
                Step("bottom", "the denominator", "", 1, lambda v: 72 * v["creatinine"],
                     lambda v: f"72 x {show(v['creatinine'], 1)}"),
                Step("ratio", "the quotient", "mL/min", 1, lambda v: v["top"] / v["bottom"],
                     lambda v: f"{v['top']:.0f} / {show(v['bottom'], 1)}"),
                Step("clearance", "the creatinine clearance", "mL/min", 0,
                     lambda v: v["ratio"] * (0.85 if v["female"] else 1),
                     lambda v: f"{show(v['ratio'], 1)} x {'0.85' if v['female'] else '1 (for a man)'}"),
            ),
            (
                ("applies the factor for sex the wrong way round", lambda v: v["ratio"] * (1 if v["female"] else 0.85)),
                ("divides by 72 but not by the creatinine",
                 lambda v: v["top"] / 72 * (0.85 if v["female"] else 1)),
                ("uses the age itself instead of 140 minus the age",
                 lambda v: v["age"] * v["weight"] / v["bottom"] * (0.85 if v["female"] else 1)),
            ),
            None,
            lambda v: 8 <= (140 - v["age"]) * v["weight"] / (72 * v["creatinine"]) <= 150,
        ),
        Formula(
            "ckd_epi_2021",
            "estimated glomerular filtration rate by the 2021 CKD-EPI creatinine equation",
            "the 2021 CKD-EPI equation is 142 times the ratio of creatinine to kappa, raised to alpha where the ratio "
            "lies below 1 and to -1.200 above, times 0.9938 raised to the age, with a kappa of 0.7, an alpha of "
            "-0.241 and a last factor of 1.012 for women, and a kappa of 0.9 and an alpha of -0.302 for men",
            "Inker LA et al. N Engl J Med 2021;385:1737-1749",
            "Nephrology",
            (_FEMALE, _AGE, _CREATININE),
            (
                Step("ratio", "the ratio of creatinine to kappa", "", 2, lambda v: v["creatinine"] / _kappa(v),
                     lambda v: f"{show(v['creatinine'], 1)} / {_kappa(v)}"),
                Step("aging", "the factor for age", "", 3, lambda v: 0.9938 ** v["age"],
                     lambda v: f"0.9938^{v['age']:.0f}"),
                Step("egfr", "the estimated filtration rate", "mL/min/1.73 m2", 0, _ckd_epi, _ckd_epi_expression),
            ),
            (
                ("uses the constants of the other sex", lambda v: _ckd_epi({**v, "female": 1 - v["female"]})),
                ("leaves the factor for age out", lambda v: _ckd_epi(v) / 0.9938 ** v["age"]),
                ("uses the constants of the older equation of 2009", _ckd_epi_2009),
            ),
            _gfr_class,
        ),
    )
}  # fmt: skip
