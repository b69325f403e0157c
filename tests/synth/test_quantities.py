"""A dose, an interaction or a contraindication is seen in whatever words it comes; laboratory values are left alone."""

from __future__ import annotations

import pytest

from synth.checks import Context
from synth.checks.safety import quantity
from synth.sample import Sample

STATED = """
Give 500 mg of amoxicillin twice daily.
Take two tablets every eight hours.
She needs 10 U of insulin.
Start 10-20 units at night.
Infuse 1 L of saline.
Add 40 mEq of potassium.
Five hundred milligrams will do.
It is taken tid.
5 mg/kg is enough.
500 mg/day is usual.
two to three puffs when needed
a dose of steroid
It should be avoided in pregnancy.
It is not entirely safe in children.
The drug is unsafe in renal failure.
Grapefruit juice potentiates warfarin.
Do not give aspirin with it.
Never combine it with alcohol.
It should not be combined with warfarin.
It must not be used in asthma.
Avoid metformin here.
It is contraindicated in gout.
It interacts with warfarin.
co-administration with lithium
every other day
every 6 to 8 hours
three times a week
每日服用10毫克
患者应服用500毫克阿莫西林
每次两片
每日三次口服
口服，每天两次
孕妇不宜使用
忌与华法林同用
避免与酒精同服
禁止使用阿司匹林
静脉滴注，每8小时一次，共100 ml
１０毫克即可
不能与红霉素合用
""".strip().splitlines()

LEFT_ALONE = """
The creatinine is 1.2 mg/dL and the haemoglobin 9 g/dL.
The creatinine clearance is about 36 mL/min.
80 mL/min/1.73 m2
a potassium of 5.9 mmol/L
The protein is 3 g per litre.
a 45-year-old man who weighs 70 kg
The headache did not start like a thunderclap.
He returned from a region with unsafe drinking water.
The implants do not use up the reserves of the body.
One should avoid anchoring on the first idea.
a mass of 3 cm with two nodules
temperature of 39 C for 5 days
血肌酐 1.2 mg/dL，血红蛋白 90 克/升
体温39度，咳嗽三天
一片阴影
他不能走路
""".strip().splitlines()


def found(sample: Sample, text: str, context: Context) -> list[str]:
    row = sample.model_copy(update={"question": "", "reasoning": "", "response": text, "steps": ()})
    return [finding.quote for finding in quantity(row, context)]


@pytest.mark.parametrize("text", STATED)
def test_what_nothing_supports_is_found(text: str, rows: list[Sample], context: Context) -> None:
    assert found(rows[0], text, context)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_states_no_such_thing_passes(text: str, rows: list[Sample], context: Context) -> None:
    assert found(rows[0], text, context) == []


def test_calculations_are_held_to_it_too(rows: list[Sample], context: Context) -> None:
    row = next(row for row in rows if row.genre == "calculation")
    assert list(quantity(row, context)) == []
    assert found(row, f"{row.response} Give 500 mg of amoxicillin.", context)
