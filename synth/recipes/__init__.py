"""Recipes: from a unit of evidence to a plan, one module a family of genres.

A recipe is a function `compose(knowledge, spot, draw, directives) -> Plan`. It decides what a
row asks, offers and argues, cites every edge and table line that it uses, and words nothing:
wording is the engine's, from the templates of the plan's recipe folder. It is a pure
function: `draw` is its only source of chance, and a revision is the same call with
directives that answer the findings so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from synth.plan import Directive, Plan, Spot
from synth.recipes import calculation, compare, drugs, explainer, infections, syndromes, vignette
from synth_kg.knowledge import Knowledge

Recipe = Callable[[Knowledge, Spot, Random, Sequence[Directive]], Plan]

_RECIPES: dict[tuple[str, str], Recipe] = {
    ("vignette", "diagnosis"): vignette.compose,
    ("open", "diagnosis"): vignette.compose,
    ("multihop", "pathogen"): vignette.compose,
    ("multihop", "process"): vignette.compose,
    ("choice", "pathogen"): infections.compose_pathogen,
    ("choice", "route"): infections.compose_route,
    ("reverse", "diagnosis"): infections.compose_reverse,
    ("choice", "finding"): compare.compose_finding,
    ("compare", "comparison"): compare.compose_comparison,
    ("choice", "drug class"): drugs.compose,
    ("vignette", "syndrome"): syndromes.compose_diagnosis,
    ("multihop", "inheritance"): syndromes.compose_inheritance,
    ("choice", "inheritance"): syndromes.compose_inheritance,
    ("choice", "onset"): syndromes.compose_onset,
    ("choice", "feature"): syndromes.compose_feature,
    ("compare", "feature"): syndromes.compose_comparison,
    ("explainer", "mechanism"): explainer.compose,
    ("abstract", "mechanism"): explainer.compose,
    ("dialogue", "mechanism"): explainer.compose,
}


def compose(knowledge: Knowledge, spot: Spot, draw: Random, directives: Sequence[Directive] = ()) -> Plan:
    """Compose the plan of a seed.

    Raises:
        NoPlan: the evidence does not admit a row of this kind; the text says why.
    """
    recipe = _RECIPES.get((spot.unit.genre, spot.unit.topic), calculation.compose)
    return recipe(knowledge, spot, draw, directives)
