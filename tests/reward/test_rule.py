"""The rule scorer: bounded, moved by each part in the right direction, and not by padding."""

from __future__ import annotations

import pytest

from synth_reward.rule import WEIGHTS, rule_score

GOOD = {
    "claims": 12, "supported": 12, "words": 150, "words_distinct": 90,
    "rivals": 3, "arguments": 6, "findings": 4, "findings_specific": 4,
}  # fmt: skip


def test_the_weights_sum_to_one_and_the_total_is_their_sum() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    total, parts = rule_score(GOOD)
    assert parts.keys() == WEIGHTS.keys()
    assert total == pytest.approx(sum(WEIGHTS[name] * value for name, value in parts.items()), abs=1e-3)


@pytest.mark.parametrize(
    ("part", "worse"),
    [
        ("cited", {"supported": 6}),
        ("dense", {"claims": 6, "supported": 6}),
        ("opposed", {"arguments": 3}),
        ("specific", {"findings_specific": 1}),
        ("varied", {"words_distinct": 60}),
        ("sized", {"words": 590, "words_distinct": 354, "claims": 48, "supported": 48}),
        ("sized", {"words": 50, "words_distinct": 30, "claims": 5, "supported": 5}),
    ],
)
def test_a_worse_row_scores_lower_in_its_part(part: str, worse: dict[str, float]) -> None:
    best, best_parts = rule_score(GOOD)
    total, parts = rule_score({**GOOD, **worse})
    assert parts[part] < best_parts[part]
    assert total < best
    assert all(0 <= value <= 1 for value in parts.values())


def test_padding_does_not_pay() -> None:
    padded = {**GOOD, "words": 400, "words_distinct": 130}
    assert rule_score(padded)[0] < rule_score(GOOD)[0]


@pytest.mark.parametrize("features", [{}, {"words": 1}, {"claims": 3}, {"words": 10**6, "claims": 10**6}])
def test_any_row_has_a_score(features: dict[str, float]) -> None:
    total, parts = rule_score(features)
    assert 0 <= total <= 1
    assert all(0 <= value <= 1 for value in parts.values())
