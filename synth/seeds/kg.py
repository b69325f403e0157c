"""Anchor-subgraph sampling: which evidence set the i-th sample rests on.

A unit is an instance of a typed, directed metapath round an anchor: a disease with three or
four of its findings (Disease -has_symptom-> Symptom, a star), two lookalikes with a finding
that separates them, an infection with its agent, a drug with its class. All units that the
tables admit are listed; each genre draws from its list without replacement (Efraimidis and
Spirakis, Inf. Process. Lett. 2006;97:181), with weights that damp findings shared by many
diseases and favour anchors with few stated findings. An evidence set comes back only after
all others were drawn, and at most `per_evidence_set` times.

The i-th seed is a function of (random seed, i) and the knowledge alone: batch size, workers
and the number of seeds asked for do not enter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, product
from typing import Any

from synth.config import Config
from synth.differential import OFFERED, doubles, fair, other_drugs, weighable
from synth.plan import NoPlan, Spot, Unit
from synth.sample import WORDED
from synth.seeds import syndromes
from synth.seeds.syndromes import Rounds
from synth.seeds.syndromes import uniform as _uniform
from synth_kg.aliases import share_stem, share_word
from synth_kg.formulas import FORMULAS
from synth_kg.knowledge import Knowledge

ENDLESS = 10**9
INFECTION = "DOID:0050117"
"""Disease by infectious agent."""
STARS = 30
"""Stars of one disease, at most: a disease with many findings would crowd out the others."""
_STAR_USES = (("multihop", "pathogen", 60), ("multihop", "process", 20), ("open", "diagnosis", 15))
"""How many of a hundred star-shaped evidence sets that a genre can use it gets, so that no two
genres spend the same set; what is left goes to vignettes."""


_LISTS = {
    "vignette": ("vignette", "syndrome"),
    "multihop": ("multihop", "syndrome hop"),
    "choice": ("pathogen", "route", "finding", "drug class", "inheritance", "onset", "feature"),
    "compare": ("compare", "syndromes"),
}
"""The lists from which a genre is drawn in turn, where there are several."""


@lru_cache(maxsize=8)
def units(knowledge: Knowledge) -> dict[str, list[Unit]]:
    """Every unit that the tables admit, by genre; no evidence set twice in a genre."""
    found: dict[str, list[Unit]] = {genre: [] for genre in ("vignette", "multihop", "open")}
    for anchor in knowledge.clues:
        for picks in stars(knowledge, anchor):
            unit = _use(knowledge, Unit("vignette", "diagnosis", anchor, picks))
            found[unit.genre].append(unit)
    found["pathogen"] = list(_pathogens(knowledge))
    found["route"] = list(_routes(knowledge))
    found["finding"] = list(_findings(knowledge))
    found["drug class"] = list(_drug_classes(knowledge))
    found["reverse"] = list(_reverses(knowledge))
    found["compare"] = list(_comparisons(knowledge))
    found["explainer"] = [
        Unit("explainer", "mechanism", anchor, ()) for anchor, clues in knowledge.clues.items() if len(clues) >= 3
    ]
    for genre in ("abstract", "dialogue"):
        found[genre] = [unit._replace(genre=genre) for unit in found["explainer"]]
    found["calculation"] = [Unit("calculation", name, name, ()) for name in FORMULAS]
    return {genre: _distinct(of_genre) for genre, of_genre in found.items()}


def _distinct(found: Sequence[Unit]) -> list[Unit]:
    """One unit for each evidence set: which of three findings is asked for is left to chance."""
    chosen: dict[str, Unit] = {}
    for unit in sorted(found, key=lambda unit: _uniform(0, "distinct", "|".join((unit.anchor, *unit.picks)))):
        chosen.setdefault(unit.name, unit)
    return [unit for unit in found if chosen[unit.name] is unit]


def stars(knowledge: Knowledge, anchor: str) -> list[tuple[str, ...]]:
    """Sets of three or four findings of a disease that make a fair stem; of five, if fewer do not tell it apart.

    At least two findings say where the trouble lies and at least one is characteristic; no
    finding stands beside one that contains it; what nearly every patient has is there; no other
    disease of this pace is as likely.
    """
    found = [names for size in (3, 4) for names in _stars(knowledge, anchor, size)] or [*_stars(knowledge, anchor, 5)]
    return sorted(found, key=lambda names: _uniform(0, anchor, "|".join(names)))[:STARS]


def _stars(knowledge: Knowledge, anchor: str, size: int) -> Iterator[tuple[str, ...]]:
    clues = knowledge.clues[anchor]
    leading = set(_leading(knowledge, anchor))
    if _feverish(knowledge, anchor):
        leading |= {"fever"} & {clue.finding.finding for clue in clues}
    for chosen in combinations(clues, size):
        names = tuple(clue.finding.finding for clue in chosen)
        if (
            leading.issubset(names)
            and fair(knowledge, anchor, names)
            and not doubles(knowledge, anchor, names)
            and weighable(knowledge, anchor, names)
        ):
            yield names


def _leading(knowledge: Knowledge, anchor: str) -> list[str]:
    """The first two findings that nearly every patient has: a stem without them would be odd."""
    return [clue.finding.finding for clue in knowledge.clues[anchor] if clue.typical.cardinal][:2]


def _feverish(knowledge: Knowledge, disease: str) -> bool:
    """Whether a stem without the fever that the disease brings would be odd: an acute infection."""
    acute = knowledge.tables.diseases[disease].course in {"hours", "days"}
    return acute and ("Disease", INFECTION) in knowledge.graph.ancestors(("Disease", disease))


def _use(knowledge: Knowledge, unit: Unit) -> Unit:
    """The genre and topic for which a star is used."""
    for genre, topic, share in _STAR_USES:
        drawn = _uniform(0, f"{genre} {topic}", unit.name) * 100 < share
        if drawn and _USABLE[genre, topic](knowledge, unit):
            return unit._replace(genre=genre, topic=topic)
    return unit


def _has_telling_agent(knowledge: Knowledge, unit: Unit) -> bool:
    """Whether the organism can be asked for: the graph states it, and the disease's name does not."""
    if knowledge.agent_edge(unit.anchor) is None:
        return False
    told = knowledge.named_alike(unit.anchor, knowledge.tables.infections[unit.anchor].agent)
    return not told and weighable(knowledge, unit.anchor, unit.picks, organism=True)


def _stands_alone(knowledge: Knowledge, unit: Unit) -> bool:
    """Whether no other disease explains the whole stem, so that it can do without options."""
    return not doubles(knowledge, unit.anchor, unit.picks, opened=True)


def _has_telling_process(knowledge: Knowledge, unit: Unit) -> bool:
    """Whether the process can be asked for: neither findings nor an exposure give its description away."""
    infection = knowledge.tables.infections.get(unit.anchor)
    if infection is not None and infection.exposure:
        return False
    gloss = knowledge.tables.diseases[unit.anchor].gloss
    findings = (knowledge.tables.findings[name] for name in unit.picks)
    told = [words for finding in findings for words in (finding.clinical, finding.patient)]
    return not any(share_stem(gloss, words) or share_word(gloss, words) for words in told)


_USABLE: dict[tuple[str, str], Callable[[Knowledge, Unit], bool]] = {
    ("multihop", "pathogen"): _has_telling_agent,
    ("multihop", "process"): _has_telling_process,
    ("open", "diagnosis"): _stands_alone,
}


def _pathogens(knowledge: Knowledge) -> Iterator[Unit]:
    for disease, infection in knowledge.tables.infections.items():
        edge = knowledge.agent_edge(disease)
        told = knowledge.route_edge(disease) is not None or knowledge.clues.get(disease)
        if edge is not None and told and not knowledge.named_alike(disease, infection.agent):
            yield Unit("choice", "pathogen", disease, (edge.tail[1],))


def _routes(knowledge: Knowledge) -> Iterator[Unit]:
    for disease, infection in knowledge.tables.infections.items():
        edge = knowledge.route_edge(disease)
        if infection.route and edge is not None and not knowledge.named_alike(disease, infection.route):
            yield Unit("choice", "route", disease, (edge.tail[1],))


def _findings(knowledge: Knowledge) -> Iterator[Unit]:
    """A disease, two of its findings as given, and a third to be named."""
    for disease, clues in knowledge.clues.items():
        for target in clues:
            name = knowledge.tables.diseases[disease].name
            if target.finding.specificity == "general" or share_stem(target.finding.clinical, name):
                continue
            others = [c for c in clues if not knowledge.related(c.finding.finding, target.finding.finding)]
            for given in combinations(others, 2):
                if len({clue.typical.why for clue in (target, *given)}) < 3:
                    continue
                names = (target.finding.finding, *(clue.finding.finding for clue in given))
                if not knowledge.related(*names[1:]) and _foils(knowledge, disease, names) >= OFFERED:
                    yield Unit("choice", "finding", disease, names)


def _foils(knowledge: Knowledge, disease: str, names: tuple[str, ...]) -> int:
    """How many findings could be offered beside the first of `names` for a disease that lacks them."""
    kind = knowledge.tables.findings[names[0]].kind
    fit = (
        name
        for name in knowledge.foils(disease)
        if knowledge.tables.findings[name].kind == kind and not any(knowledge.related(name, n) for n in names)
    )
    return len(knowledge.apart(fit, OFFERED))


def _drug_classes(knowledge: Knowledge) -> Iterator[Unit]:
    """Two members of a class as given, and a third to be named, for a disease that has its mainstay."""
    members: dict[str, list[str]] = {}
    for drug in knowledge.tables.drugs.values():
        group = knowledge.tables.classes.get(drug.drug_class)
        if drug.status == "current" and group is not None and group.complete:
            members.setdefault(group.drug_class, []).append(drug.drug)
    for disease in knowledge.treatable:
        used = knowledge.drugs_for(disease)
        for mainstay in knowledge.tables.mainstays[disease].classes:
            inside = [drug for drug in members.get(mainstay, []) if drug in used]
            for given in combinations(inside, 1 if len(inside) == 2 else 2):
                targets = [drug for drug in inside if drug not in given and _opposed(knowledge, disease, drug)]
                if targets:  # one for each pair, since the question names the pair alone
                    target = min(targets, key=lambda drug: _uniform(0, "|".join((disease, *given)), drug))
                    yield Unit("choice", "drug class", disease, (target, *given))


def _opposed(knowledge: Knowledge, disease: str, target: str) -> bool:
    """Whether enough drugs of other classes can be offered beside a drug."""
    try:
        near, far = other_drugs(knowledge, disease, target)
    except NoPlan:
        return False
    return len({knowledge.tables.drugs[drug].drug_class for drug in near + far}) >= OFFERED


def _reverses(knowledge: Knowledge) -> Iterator[Unit]:
    for disease in knowledge.tables.infections:
        clues = knowledge.clues.get(disease, ())
        if knowledge.agent_edge(disease) is None or not clues:
            continue
        infection = knowledge.tables.infections[disease]
        told = f"{infection.agent} {infection.route}"
        if any(share_stem(name, told) for name in (infection.name, *knowledge.aliases(disease))):
            continue
        leading = _leading(knowledge, disease)[:1]
        for one, other in combinations((clue.finding for clue in clues), 2):
            vague = one.specificity == other.specificity == "general"
            led = set(leading) <= {one.finding, other.finding}
            if led and not vague and not knowledge.related(one.finding, other.finding):
                yield Unit("reverse", "diagnosis", disease, (one.finding, other.finding))


def _comparisons(knowledge: Knowledge) -> Iterator[Unit]:
    """Two diseases that share a finding, and a finding typical of one that speaks against the other.

    An emergency is never the other: a single finding must not set it aside.
    """
    emergencies = {disease for flag in knowledge.tables.red_flags for disease in flag.excludes}
    for one, other in product(knowledge.clues, repeat=2):
        if one == other or other in emergencies or knowledge.kin(one, other):
            continue
        rivals = knowledge.tables.diseases[one].differential
        if other not in rivals:
            continue
        for clue in knowledge.clues[one]:
            finding = clue.finding.finding
            grounds = knowledge.grounds(other, one, [finding])
            shared, neither = knowledge.undecided(one, other, finding)
            offered = knowledge.apart(shared + neither, OFFERED)
            if grounds and grounds[0].kind in {"separator", "never"} and shared and len(offered) == OFFERED:
                yield Unit("compare", "comparison", one, (other, finding))


class Draws:
    """Draws the seeds one after the other; where it stands can be written down and gone on from.

    Genres take turns by smooth weighted round robin: each gains its share of every turn, and the
    one that has gained most is drawn.
    """

    def __init__(self, seeds: Seeds, mark: tuple[int, Mapping[str, Any]] | None = None) -> None:
        self.seeds = seeds
        self.index, state = mark or (0, {"spent": {}, "credit": {}})
        self._spent = Counter(state["spent"])
        shares = seeds.shares()
        self._shares = {genre: share for genre, share in shares.items() if seeds.has(genre, self._spent[genre])}
        self._credit = {genre: float(state["credit"].get(genre, 0.0)) for genre in shares}

    def mark(self) -> tuple[int, dict[str, Any]]:
        """The index of the next seed, and what else is needed to draw it."""
        return self.index, {"spent": dict(self._spent), "credit": dict(self._credit)}

    def __iter__(self) -> Iterator[Spot]:
        return self

    def __next__(self) -> Spot:
        if not self._shares:
            raise StopIteration
        total = sum(self._shares.values())
        for name, share in self._shares.items():
            self._credit[name] += share / total
        genre = max(self._shares, key=lambda name: (self._credit[name], name))
        self._credit[genre] -= 1
        spot = self.seeds.spot(self.index, genre, self._spent[genre])
        self._spent[genre] += 1
        self.index += 1
        if not self.seeds.has(genre, self._spent[genre]):
            del self._shares[genre]
        return spot


class Seeds:
    """The endless sequence of seeds of a configuration."""

    def __init__(self, knowledge: Knowledge, config: Config) -> None:
        self.knowledge = knowledge
        self.config = config
        worded = config.engine != "grounded" or config.lang == WORDED
        listed = units(knowledge) if worded else {}  # the reviewed tables are in English
        drawn = syndromes.units(knowledge, config.random_seed)
        self.lists: dict[str, list[Unit] | Rounds] = {**listed, **drawn}
        self._orders: dict[str, list[Unit] | Rounds] = {genre: self._order(found) for genre, found in listed.items()}
        self._orders |= drawn

    def capacity(self, genre: str) -> int:
        """How many rows a genre can give before it repeats an evidence set too often."""
        if genre == "calculation":
            return ENDLESS
        return len(self.lists[genre]) * self.config.sampling.per_evidence_set

    def has(self, genre: str, ordinal: int) -> bool:
        """Whether a genre can give a row of this ordinal, counted from 0."""
        found = self.lists[genre]
        return (isinstance(found, Rounds) and found.reaches(ordinal)) or ordinal < self.capacity(genre)

    def __iter__(self) -> Iterator[Spot]:
        """Yield the seeds from index 0; ends only if every genre is spent."""
        return Draws(self)

    def shares(self) -> dict[str, float]:
        """The shares of the genres that can be made."""
        return {genre: share for genre, share in self._shares().items() if share > 0}

    def _shares(self) -> dict[str, float]:
        shares: dict[str, float] = {}
        for genre, share in self.config.mixture.model_dump().items():
            names = [name for name in _LISTS.get(genre, (genre,)) if self.lists.get(name)]
            shares |= dict.fromkeys(names, share / max(1, len(names)))
        return shares

    def spot(self, index: int, genre: str, ordinal: int) -> Spot:
        """The seed of an index: the next of its genre."""
        order = self._orders[genre]
        if isinstance(order, Rounds) and order.reaches(ordinal):
            return Spot(index, order[ordinal], 0)
        turn, place = divmod(ordinal, len(order))
        return Spot(index, order[place], turn)

    def _order(self, found: list[Unit]) -> list[Unit]:
        """Draw all units without replacement, heavier ones sooner."""
        weights = self._weights(found)

        def key(unit: Unit) -> tuple[float, str]:
            name = f"{unit.genre}|{unit.topic}|{unit.name}"
            draw = _uniform(self.config.random_seed, "draw", name)
            return (-math.log(draw) / weights[unit], name)

        return sorted(found, key=key)

    def _weights(self, found: Sequence[Unit]) -> dict[Unit, float]:
        """Hub-damped, rarity-favouring weights, so that anchors share the draws evenly."""
        options = self.config.sampling
        sizes = Counter(unit.anchor for unit in found)
        degree = Counter(c.finding.finding for clues in self.knowledge.clues.values() for c in clues)
        weights = {}
        for unit in found:
            damping = math.prod(max(degree.get(pick, 1), 1) ** -options.hub_damping for pick in unit.picks)
            described = max(len(self.knowledge.stated(unit.anchor)), 1)
            weights[unit] = damping * described**-options.rarity / sizes[unit.anchor]
        return weights
