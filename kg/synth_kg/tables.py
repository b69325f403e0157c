"""The reviewed tables: what a doctor has to agree with before an edge may make a row.

Each table is a tab-separated file in `tables/`, one statement a line, with the source that
confirms it and the date. This module turns lines into typed rows and checks that they refer
to each other correctly; it holds no statement of its own. `tables/README.md` says what each
column means.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from synth_kg.bundle import read_tsv, tables_folder
from synth_kg.graph import digest

VERDICTS = ("keep", "named disease", "category", "not a finding", "drug effect")
TYPICALITY = ("typical", "occasional", "never ask")
COURSES = ("hours", "days", "weeks", "months", "years", "attacks")
AGES = ("any", "adults", "children")
STATUSES = ("current", "withdrawn", "obsolete", "supportive")
EDITOR = "editor's judgement, not a clinician's"
Row = TypeVar("Row", bound=tuple[object, ...])


class TableError(ValueError):
    """A line of a table that is malformed or refers to something that is not there."""


class Finding(NamedTuple):
    """A symptom, sign or test result, with how to word it."""

    finding: str
    clinical: str
    patient: str
    plural: bool
    kind: str
    verdict: str
    specificity: str
    """general (says nothing of where), localizing or characteristic."""
    parents: tuple[str, ...]
    entails: tuple[str, ...]
    """Findings that a stem which states this one may not deny: ptosis is a muscle weakness."""
    suggests: str
    terms: tuple[str, ...]
    """Source terms that mean it: 'MESH:D001234 Name', a phrase, or 'DOID:1#phrase'."""
    ref: str = ""


class Disease(NamedTuple):
    """A disease that rows may be about."""

    disease: str
    name: str
    not_names: tuple[str, ...]
    """What the ontology calls a synonym and a strict reader would not: a subtype, a stage, an index form."""
    course: str
    ages: str
    """any, adults or children: of whom it may be thought at all."""
    site: str
    gloss: str
    history: str
    """What the patient is known to have, where the disease presupposes it: 'has sickle cell disease'."""
    lookalikes: tuple[str, ...]
    """Never offered together with it."""
    differential: tuple[str, ...]
    """Diseases that a clinician would weigh against it, the most tempting first."""
    ref: str = ""


class Typical(NamedTuple):
    """Whether a finding speaks for a disease, for nothing, or against it, and why."""

    disease: str
    finding: str
    verdict: str
    cardinal: bool
    """Present in nearly every patient, so that its stated absence speaks against the disease."""
    why: str
    source: str
    date: str
    ref: str = ""


class Patient(NamedTuple):
    """Who gets a disease, where an open source says so."""

    disease: str
    age_min: int
    age_max: int
    sex: str
    source: str
    ref: str = ""


class Separator(NamedTuple):
    """A finding that tells one lookalike from another."""

    favors: str
    against: str
    finding: str
    why: str
    source: str
    ref: str = ""


class RedFlag(NamedTuple):
    """An emergency that findings can mean, and the negatives that exclude it."""

    triggers: tuple[tuple[str, ...], ...]
    """Findings that raise it: any of these groups, with all of its findings."""
    emergency: str
    statement: str
    negates: tuple[str, ...]
    excludes: tuple[str, ...]
    """Diseases that the statement leaves no room for."""
    courses: tuple[str, ...]
    """Courses in which it has to be thought of; empty for all."""
    only_for: tuple[str, ...]
    """Diseases whose stems have to exclude it; empty for all."""
    not_for: tuple[str, ...]
    source: str
    ref: str = ""


class Route(NamedTuple):
    """A kind of route, and the kinds that may be offered beside it as wrong."""

    category: str
    foils: tuple[str, ...]
    ref: str = ""


class Apart(NamedTuple):
    """Two findings of a disease that one patient would not have together."""

    disease: str
    finding: str
    other: str
    ref: str = ""


class Infection(NamedTuple):
    """The agent and the route of an infection, as rows may word them."""

    disease: str
    name: str
    agent_term: str
    agent: str
    agent_kind: str
    agent_gloss: str
    route: str
    route_category: tuple[str, ...]
    exposure: str
    route_term: str
    ref: str = ""


class Drug(NamedTuple):
    """A generic drug, its standing and its one class."""

    drug: str
    status: str
    drug_class: str
    never_for: tuple[str, ...]
    ref: str = ""


class DrugClass(NamedTuple):
    """A drug class, what it does, and whether every drug of the table that belongs to it says so."""

    drug_class: str
    singular: str
    plural: str
    mechanism: str
    complete: bool
    pcic: tuple[str, ...]
    ref: str = ""


class Mainstay(NamedTuple):
    """The classes without which a disease may have no drug item."""

    disease: str
    name: str
    classes: tuple[str, ...]
    ref: str = ""


class System(NamedTuple):
    """An organ system of the Human Phenotype Ontology."""

    term: str
    name: str
    department: str
    organ: bool
    """Whether it is a part of the body of which it tells something that a disease is not known to affect it."""
    beside: tuple[str, ...]
    """Systems under which a finding of this one may be described as well: weakness is of muscle or of nerve."""
    ref: str = ""


class Mode(NamedTuple):
    """A mode of inheritance, by its term in the Human Phenotype Ontology."""

    term: str
    name: str
    name_zh: str
    why: str
    """What it means for a family, as a clause."""
    why_zh: str
    foils: tuple[str, ...]
    """Modes that may be offered beside it as wrong."""
    source: str
    ref: str = ""

    def named(self, language: str) -> str:
        """Its name in a language."""
        return self.name_zh if language == "zh" else self.name


class Onset(NamedTuple):
    """A time of life at which a disease begins, by its term in the Human Phenotype Ontology."""

    term: str
    name: str
    """As an adverbial: 'in infancy'."""
    name_zh: str
    age_min: int
    """Years; -1 is before birth."""
    age_max: int
    source: str
    ref: str = ""

    def named(self, language: str) -> str:
        """Its name in a language."""
        return self.name_zh if language == "zh" else self.name


class Tables(NamedTuple):
    """All tables, indexed the way that recipes ask them."""

    findings: dict[str, Finding]
    diseases: dict[str, Disease]
    typical: dict[str, dict[str, Typical]]
    patients: dict[str, Patient]
    separators: dict[tuple[str, str, str], Separator]
    red_flags: tuple[RedFlag, ...]
    infections: dict[str, Infection]
    routes: dict[str, Route]
    apart: frozenset[tuple[str, frozenset[str]]]
    drugs: dict[str, Drug]
    classes: dict[str, DrugClass]
    mainstays: dict[str, Mainstay]
    departments: dict[str, str]
    systems: dict[str, System]
    modes: dict[str, Mode]
    onsets: dict[str, Onset]
    lines: dict[str, tuple[str, str]]
    """Record ref -> (table, line), so that a proof can be replayed."""
    rows: dict[str, tuple[object, ...]]
    """Record ref -> the typed row."""


def record_ref(table: str, line: str) -> str:
    """The ref of one line of a reviewed table: a hash of the table's name and the line."""
    return digest("record", table, line)


def _many(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise TableError(f"{where}: '{value}' is none of {', '.join(allowed)}")
    return value


def _rows(folder: Path, table: str) -> Iterator[tuple[str, dict[str, str]]]:
    for number, row in enumerate(read_tsv(folder / f"{table}.tsv"), 2):
        yield f"{table}.tsv:{number}", row


def _finding(where: str, r: dict[str, str]) -> Finding:
    return Finding(
        r["finding"], r["clinical"], r["patient"], r["number"] == "plural", r["kind"],
        _one_of(r["verdict"], VERDICTS, where), r["specificity"],
        _many(r["parents"]), _many(r["entails"]), r["suggests"], _many(r["terms"]), r["ref"],
    )  # fmt: skip


def _disease(where: str, r: dict[str, str]) -> Disease:
    course, ages = _one_of(r["course"], COURSES, where), _one_of(r["ages"], AGES, where)
    return Disease(
        r["disease"], r["name"], _many(r["not_names"]), course, ages, r["site"], r["gloss"], r["history"],
        _many(r["lookalikes"]), _many(r["differential"]), r["ref"],
    )  # fmt: skip


def _typical(where: str, r: dict[str, str]) -> Typical:
    verdict = _one_of(r["verdict"], TYPICALITY, where)
    return Typical(
        r["disease"],
        r["finding"],
        verdict,
        r["cardinal"] == "yes",
        r["why"],
        r["source"],
        r["date"],
        r["ref"],
    )


def _patient(where: str, r: dict[str, str]) -> Patient:
    if not r["source"]:
        raise TableError(f"{where}: an age or sex range needs a source")
    return Patient(r["disease"], int(r["age_min"]), int(r["age_max"]), r["sex"], r["source"], r["ref"])


def _separator(_where: str, r: dict[str, str]) -> Separator:
    return Separator(r["favors"], r["against"], r["finding"], r["why"], r["source"], r["ref"])


def _red_flag(_where: str, r: dict[str, str]) -> RedFlag:
    return RedFlag(
        tuple(tuple(group.split("+")) for group in _many(r["triggers"])),
        r["emergency"], r["statement"], _many(r["negates"]), _many(r["excludes"]),
        _many(r["courses"]), _many(r["only_for"]), _many(r["not_for"]), r["source"], r["ref"],
    )  # fmt: skip


def _infection(_where: str, r: dict[str, str]) -> Infection:
    return Infection(
        r["disease"], r["name"], r["agent_term"], r["agent"], r["agent_kind"], r["agent_gloss"],
        r["route"], _many(r["route_category"]), r["exposure"], r["route_term"], r["ref"],
    )  # fmt: skip


def _apart(_where: str, r: dict[str, str]) -> Apart:
    return Apart(r["disease"], r["finding"], r["other"], r["ref"])


def _route(_where: str, r: dict[str, str]) -> Route:
    return Route(r["category"], _many(r["foils"]), r["ref"])


def _drug(where: str, r: dict[str, str]) -> Drug:
    return Drug(r["drug"], _one_of(r["status"], STATUSES, where), r["class"], _many(r["never_for"]), r["ref"])


def _drug_class(_where: str, r: dict[str, str]) -> DrugClass:
    return DrugClass(
        r["class"],
        r["singular"],
        r["plural"],
        r["mechanism"],
        r["complete"] == "yes",
        _many(r["pcic"]),
        r["ref"],
    )


def _mainstay(_where: str, r: dict[str, str]) -> Mainstay:
    return Mainstay(r["disease"], r["name"], _many(r["mainstay"]), r["ref"])


def _system(_where: str, r: dict[str, str]) -> System:
    return System(r["term"], r["name"], r["department"], r["organ"] == "yes", _many(r["beside"]), r["ref"])


def _mode(_where: str, r: dict[str, str]) -> Mode:
    return Mode(r["term"], r["name"], r["name_zh"], r["why"], r["why_zh"], _many(r["foils"]), r["source"], r["ref"])


def _onset(where: str, r: dict[str, str]) -> Onset:
    if int(r["age_min"]) > int(r["age_max"]):
        raise TableError(f"{where}: the range of ages ends before it begins")
    return Onset(r["term"], r["name"], r["name_zh"], int(r["age_min"]), int(r["age_max"]), r["source"], r["ref"])


def load_tables(folder: Path | None = None) -> Tables:
    """Read and cross-check every table.

    Args:
        folder: where the .tsv files lie; the bundled ones if None.

    Raises:
        TableError: a line is malformed, repeated, or names something that no table holds.
    """
    folder = folder or tables_folder()
    lines: dict[str, tuple[str, str]] = {}
    typed: dict[str, tuple[object, ...]] = {}

    def table(name: str, parse: Callable[[str, dict[str, str]], Row]) -> list[Row]:
        found: list[Row] = []
        for where, row in _rows(folder, name):
            line = "\t".join(row.values())
            ref = record_ref(name, line)
            if ref in lines:
                raise TableError(f"{where}: the same line stands twice")
            lines[ref] = (name, line)
            row["ref"] = ref
            found.append(parse(where, row))
            typed[ref] = found[-1]
        return found

    typical: dict[str, dict[str, Typical]] = {}
    for entry in table("typical", _typical):
        if entry.finding in typical.setdefault(entry.disease, {}):
            raise TableError(f"typical.tsv: {entry.disease} {entry.finding} has two verdicts")
        typical[entry.disease][entry.finding] = entry
    tables = Tables(
        findings={row.finding: row for row in table("findings", _finding)},
        diseases={row.disease: row for row in table("diseases", _disease)},
        typical=typical,
        patients={row.disease: row for row in table("patients", _patient)},
        separators={(s.favors, s.against, s.finding): s for s in table("separators", _separator)},
        red_flags=tuple(table("red_flags", _red_flag)),
        infections={row.disease: row for row in table("infections", _infection)},
        routes={row.category: row for row in table("routes", _route)},
        apart=frozenset((row.disease, frozenset((row.finding, row.other))) for row in table("apart", _apart)),
        drugs={row.drug: row for row in table("drugs", _drug)},
        classes={row.drug_class: row for row in table("classes", _drug_class)},
        mainstays={row.disease: row for row in table("mainstays", _mainstay)},
        departments={row["term"]: row["department"] for _, row in _rows(folder, "departments")},
        systems={row.term: row for row in table("systems", _system)},
        modes={row.term: row for row in table("modes", _mode)},
        onsets={row.term: row for row in table("onsets", _onset)},
        lines=lines,
        rows=typed,
    )
    _check_references(tables)
    return tables


def _check_references(tables: Tables) -> None:
    """Every finding, disease and class that a table names must have its own line."""
    for where, names, known in _references(tables):
        missing = [name for name in names if name not in known]
        if missing:
            raise TableError(f"{where}: unknown {missing[0]}")
    kept = {name for name, row in tables.findings.items() if row.verdict == "keep"}
    for disease, entries in tables.typical.items():
        barred = [name for name in entries if name not in kept]
        if barred:
            raise TableError(f"typical.tsv: {disease} {barred[0]}: findings.tsv has no 'keep' line for it")


def _references(tables: Tables) -> Iterator[tuple[str, Iterable[str], Container[str]]]:
    """(table and line, names that it mentions, where they must stand)."""
    findings, diseases = tables.findings, tables.diseases
    yield "typical.tsv", tables.typical, diseases
    for row in findings.values():
        yield f"findings.tsv: {row.finding}", (*row.parents, *row.entails), findings
    for flag in tables.red_flags:
        yield "red_flags.tsv", (*chain(*flag.triggers), *flag.negates), findings
        yield "red_flags.tsv", flag.excludes, diseases
    for drug in tables.drugs.values():
        yield f"drugs.tsv: {drug.drug}", filter(None, (drug.drug_class,)), tables.classes
    for profile in diseases.values():
        yield f"diseases.tsv: {profile.name}", profile.differential, diseases
    for disease, pair in tables.apart:
        yield "apart.tsv", (disease,), diseases
        yield "apart.tsv", pair, findings
    for favors, against, finding in tables.separators:
        yield "separators.tsv", (favors, against), diseases
        yield "separators.tsv", (finding,), findings
    for infection in tables.infections.values():
        yield f"infections.tsv: {infection.name}", infection.route_category, tables.routes
    for system in tables.systems.values():
        yield f"systems.tsv: {system.name}", system.beside, tables.systems
    for mode in tables.modes.values():
        yield f"modes.tsv: {mode.name}", mode.foils, tables.modes
    for route in tables.routes.values():
        yield f"routes.tsv: {route.category}", route.foils, tables.routes
