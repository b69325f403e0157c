"""The rule scorer: a weighted sum of plain features that ranks rows which passed the checks.

It says which of two sound rows teaches more, not whether a row is true: that is for the
checks. Weights are set by hand and written here; every part is kept beside the total.
"""

from __future__ import annotations

from collections.abc import Mapping

WEIGHTS: Mapping[str, float] = {
    "cited": 0.10,
    "dense": 0.20,
    "opposed": 0.25,
    "specific": 0.20,
    "varied": 0.15,
    "sized": 0.10,
}
"""They sum to 1."""


def rule_score(features: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Score one row.

    Args:
        features: counts that the row gives:
            claims, supported: claims of the reasoning, and those that evidence supports;
            words: words of the reasoning;
            rivals, arguments: wrong options, and claims that name one of them, at most two each;
            findings, findings_specific: findings that are weighed, and those of them that say
                where the trouble lies;
            words_distinct: distinct words of the reasoning.

    Returns:
        The weighted sum of the parts, and the parts, each between 0 and 1:
            cited: share of claims that evidence supports;
            dense: claims per 12 words of reasoning, at most 1;
            opposed: arguments per wrong option, of two (1 without options);
            specific: share of the findings that say where the trouble lies (1 without findings);
            varied: distinct words per word, scaled from 0.35..0.65 to 0..1;
            sized: 1 between 120 and 320 words, falling linearly to 0 at 40 and 600.

    >>> rule_score({"claims": 10, "supported": 10, "words": 120, "words_distinct": 78})[0]
    1.0
    """
    claims, words = features.get("claims", 0), features.get("words", 0)
    parts = {
        "cited": _share(features.get("supported", 0), claims, empty=0.0),
        "dense": min(1.0, 12 * claims / words) if words else 0.0,
        "opposed": _share(features.get("arguments", 0), 2 * features.get("rivals", 0)),
        "specific": _share(features.get("findings_specific", 0), features.get("findings", 0)),
        "varied": _scaled(_share(features.get("words_distinct", 0), words), 0.35, 0.65),
        "sized": min(_scaled(words, 40, 120), 1 - _scaled(words, 320, 600)),
    }
    total = sum(WEIGHTS[name] * value for name, value in parts.items())
    return round(total, 4), {name: round(value, 4) for name, value in parts.items()}


def _share(part: float, whole: float, empty: float = 1.0) -> float:
    return part / whole if whole else empty


def _scaled(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
