"""What has to be weighed against an answer: emergencies to exclude, diseases and drugs to offer as wrong.

Sampling asks this module whether an evidence set makes a row, and the recipes compose the row
from the same answer, so that no seed is drawn that no row can come of.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import combinations

from synth.plan import NoPlan
from synth_kg.aliases import normal, share_stem
from synth_kg.knowledge import Knowledge
from synth_kg.tables import RedFlag

OFFERED = 3
"""Wrong options of a choice."""
SPECIFIC = 2
"""Findings of a stem that say where the trouble lies, at least."""
MISSED = 2
"""Findings that a wrong diagnosis has to leave unexplained."""
FLAGS = 3
"""Emergencies that one stem may have to exclude."""
NEAR = 2
"""Wrong drugs that are used for the same disease, at least."""


def fair(knowledge: Knowledge, anchor: str, names: Sequence[str]) -> bool:
    """Whether findings of a disease make a fair stem.

    At least two say where the trouble lies and at least one is characteristic; none stands
    beside one that contains it or says the same, none shares a word with the disease's name.
    """
    findings = [knowledge.tables.findings[name] for name in names]
    kinds = [finding.specificity for finding in findings]
    entries = knowledge.tables.typical[anchor]
    if "characteristic" not in kinds or len(kinds) - kinds.count("general") < SPECIFIC:
        return False
    if any(share_stem(knowledge.tables.diseases[anchor].name, finding.clinical) for finding in findings):
        return False  # the stem would give the answer away
    if len({entries[name].why for name in names}) < len(names):
        return False  # two findings for one reason: the reasoning would say it twice
    return not any(
        knowledge.related(*pair) or (anchor, frozenset(pair)) in knowledge.tables.apart
        for pair in combinations(names, 2)
    )


def doubles(knowledge: Knowledge, anchor: str, names: Sequence[str], *, opened: bool = False) -> list[str]:
    """Other diseases that are about as likely: each explains every finding and calls all but one typical.

    Where nothing is offered to choose from (`opened`), it is enough that it explains every finding.
    """
    lacking, wanted = len(names) if opened else 1, frozenset(names)
    return [
        other
        for other in knowledge.tables.diseases
        if wanted <= knowledge.explained(other)
        and sum(not knowledge.typical_in(other, name) for name in names) <= lacking
        and not knowledge.kind_of(anchor, other)
        and knowledge.same_pace(anchor, other)
    ]


def ages_drawn(knowledge: Knowledge, disease: str) -> frozenset[bool]:
    """Whether the patients of a disease's stems may be children (True), adults (False) or either."""
    entry = knowledge.tables.patients.get(disease)
    if entry is None:
        return frozenset({False})
    return frozenset({entry.age_min < 18, entry.age_max < 18})


def flags(knowledge: Knowledge, anchor: str, present: Sequence[str]) -> tuple[RedFlag, ...]:
    """The red flags that a stem raises and must exclude; one look that excludes two is named once.

    Raises:
        NoPlan: what would have to be denied is typical of the answer, or the emergencies are too many.
    """
    found: list[RedFlag] = []
    for flag in knowledge.red_flags(anchor, present):
        if any(knowledge.expects(anchor, name) for name in flag.negates):
            raise NoPlan("the findings could be an emergency that a stem of this disease cannot exclude")
        if not any(says(other.statement, flag.statement) for other in found):
            found = [other for other in found if not says(flag.statement, other.statement)] + [flag]
    if len(found) > FLAGS:
        raise NoPlan("the findings could be more emergencies than a stem can exclude")
    return tuple(found)


def says(text: str, statement: str) -> bool:
    """Whether a text says what a statement of the red-flag table says."""
    return statement.rstrip(".").casefold() in text.casefold()


def contenders(
    knowledge: Knowledge,
    anchor: str,
    present: Sequence[str],
    *,
    child: bool,
    organism: bool = False,
    barred: Set[str] = frozenset(),
) -> list[str]:
    """Diseases that the stem makes tempting and yet rules out, the most tempting first.

    Args:
        knowledge: the graph and the tables.
        anchor: the answer.
        present: findings that the stem states.
        child: whether the patient is a child.
        organism: only infections with an organism other than the answer's.
        barred: diseases that are not to be offered, such as those that red flags already exclude.

    Raises:
        NoPlan: they are fewer than the wrong options of a row.
    """
    found = [
        rival
        for rival in knowledge.rivals(anchor)
        if rival not in barred
        and knowledge.of_age(rival, child)
        and _of_sex(knowledge, anchor, rival)
        and any(knowledge.brings(rival, anchor, finding) for finding in present)
        and len(knowledge.unexplained(rival, present)) >= MISSED
        and (not organism or _has_other_agent(knowledge, anchor, rival))
        and knowledge.grounds(rival, anchor, present, deniable(knowledge, anchor, rival, present))
    ]
    if len(found) < OFFERED:
        raise NoPlan("too few diseases to weigh against it")
    return found


def deniable(knowledge: Knowledge, anchor: str, rival: str, present: Sequence[str]) -> list[str]:
    """Findings nearly always present in a rival that a stem about the answer may deny."""
    return [
        entry.finding
        for entry in knowledge.tables.typical.get(rival, {}).values()
        if entry.cardinal
        and knowledge.denies(anchor, entry.finding)
        and all(knowledge.compatible(entry.finding, stated) for stated in present)
    ]


def _of_sex(knowledge: Knowledge, anchor: str, rival: str) -> bool:
    """Whether a disease of one sex only may be weighed: the patients of the answer are all of it."""
    patients = knowledge.tables.patients
    mine, its = (patients[name].sex if name in patients else "any" for name in (anchor, rival))
    return its in ("any", mine)


def _has_other_agent(knowledge: Knowledge, anchor: str, rival: str) -> bool:
    names = knowledge.tables.infections
    return rival in names and knowledge.agent_edge(rival) is not None and names[rival].agent != names[anchor].agent


def weighable(knowledge: Knowledge, anchor: str, present: Sequence[str], *, organism: bool = False) -> bool:
    """Whether a stem can be made safe and has enough diseases to weigh, whoever the patient is."""
    try:
        excluded = frozenset[str]().union(*(flag.excludes for flag in flags(knowledge, anchor, present)))
        for child in ages_drawn(knowledge, anchor):
            contenders(knowledge, anchor, present, child=child, organism=organism, barred=excluded)
    except NoPlan:
        return False
    return True


def other_drugs(
    knowledge: Knowledge, disease: str, target: str, barred: Set[str] = frozenset()
) -> tuple[list[str], list[str]]:
    """Drugs of other classes than the target's: those used for the disease as well, and the others.

    A drug whose generic name ends like the target's is left out: classes are told by such endings.

    Raises:
        NoPlan: fewer than `NEAR` other classes are used for the disease.
    """
    tables, used = knowledge.tables, knowledge.drugs_for(disease)
    others = [
        drug.drug
        for drug in tables.drugs.values()
        if drug.status == "current"
        and drug.drug_class not in ("", tables.drugs[target].drug_class)
        and drug.drug not in barred
        and disease not in drug.never_for
        and _ending(drug.drug) != _ending(target)
    ]
    near = [drug for drug in others if drug in used]
    if len({tables.drugs[drug].drug_class for drug in near}) < NEAR:
        raise NoPlan("too few other classes that the disease is treated with")
    return near, [drug for drug in others if drug not in used]


def _ending(drug: str) -> str:
    """The last letters of a generic name, by which classes are often told."""
    return normal(drug)[-4:]
