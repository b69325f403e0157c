"""HPO annotations (phenotype.hpoa): which disease has which phenotype, how often, and how it is inherited.

The format: https://obophenotype.github.io/human-phenotype-ontology/annotations/phenotype_hpoa/. A row is a
statement of a disease about an HPO term, by its aspect:

    P  has_phenotype
    I  has_inheritance
    C  has_onset where the term is an age of onset, else has_course
    M  has_modifier
    H  has_history

It is negated where the qualifier is NOT, or the frequency is none at all (0 %, 0/7). The column `onset` is
not the onset of the disease but of the feature of its row, and stays beside that statement.

Beside a statement stand, where the row says so: `frequency_raw`; `frequency` (0 to 1) and `patients` (how many
were looked at, of n/m); `typicality`, by the definitions of HP:0040280 to HP:0040285; `onset`, `sex`, `modifier`,
`reference`, `evidence`, and `curated`, the day of the last curation. A frequency of 1/1 is obligate by the
definition, and one patient all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.files import dialect_of, lines_of, readable
from synth_kg.readers.prefixes import type_of
from synth_kg.sniff import ADVICE, UnusableSource, kind_of

TITLE = "HPO annotations"
LICENSE = "https://hpo.jax.org/app/license"
"""What hp.obo states as its licence; it is that of all files of the project."""
RELATIONS = {"P": "has_phenotype", "I": "has_inheritance", "C": "has_course", "M": "has_modifier", "H": "has_history"}
ONSET = "has_onset"
ONSETS = {
    "HP:0003577", "HP:0003581", "HP:0003584", "HP:0003593", "HP:0003596", "HP:0003621", "HP:0003623", "HP:0003674",
    "HP:0011460", "HP:0011461", "HP:0011462", "HP:0011463", "HP:0025708", "HP:0025709", "HP:0025710", "HP:0030674",
    "HP:0034197", "HP:0034198", "HP:0034199", "HP:0410280", "HP:4000040", "HP:6000314", "HP:6000315",
}  # fmt: skip
"""HP:0003674 (Onset) and what is below it in HPO 2025-01-16."""
TYPICALITY = {
    "HP:0040280": "obligate",
    "HP:0040281": "very frequent",
    "HP:0040282": "frequent",
    "HP:0040283": "occasional",
    "HP:0040284": "very rare",
    "HP:0040285": "excluded",
}
_STEPS = ((1.0, "obligate"), (0.8, "very frequent"), (0.3, "frequent"), (0.05, "occasional"))
"""Share from which on it is so, as HPO defines its terms: 100 %, 80 to 99 %, 30 to 79 %, 5 to 29 %, 1 to 4 %, 0 %."""
_NEEDED = ("databaseid", "diseasename", "hpoid", "aspect")
_COUNTED = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%", re.ASCII)
_DAY = re.compile(r"\[([0-9]{4}-[0-9]{2}-[0-9]{2})\]", re.ASCII)
_ID = re.compile(r"[A-Za-z][\w.]*:\S+")


class Frequency(NamedTuple):
    """How often a disease has a feature."""

    typicality: str
    share: float | None = None
    patients: int | None = None


def frequency_of(text: str) -> Frequency | None:
    """What the column `frequency` says; None if it is nothing that the format knows.

    >>> frequency_of("7/13")
    Frequency(typicality='frequent', share=0.5384615384615384, patients=13)
    >>> frequency_of("HP:0040283").typicality, frequency_of("0%").typicality, frequency_of("3/0")
    ('occasional', 'excluded', None)
    """
    if text in TYPICALITY:
        return Frequency(TYPICALITY[text])
    if found := _COUNTED.fullmatch(text):
        with_it, patients = int(found[1]), int(found[2])
        if not patients or with_it > patients:
            return None
        share = with_it / patients
        return Frequency(_typicality(share), share, patients)
    if (found := _PERCENT.fullmatch(text)) and float(found[1]) <= 100:
        share = float(found[1]) / 100
        return Frequency(_typicality(share), share)
    return None


def _typicality(share: float) -> str:
    if not share:
        return "excluded"
    return next((name for least, name in _STEPS if share >= least), "very rare")


def read_hpoa(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read phenotype.hpoa; the files of before 2023, whose header begins with `#`, too.

    Args:
        path: the file, plain or compressed.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: it is something else, cut or damaged, or has no row.
    """
    lines = unicode_lines(path)
    version, header = _head(lines, path)
    rows = _Rows(builder, path, about, version, header)
    for number, line in lines:
        if line.strip() and not line.startswith("#"):
            rows.take(number, line.split("\t"))
    if not rows.taken:
        raise UnusableSource(f"{path}: HPO annotations without a single readable row")


def unicode_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text whose format asks for Unicode, with their numbers.

    What is not becomes U+FFFD: one byte in another encoding does not make the whole file Latin-1.

    Raises:
        UnusableSource: the file is cut or damaged, or is no text.
    """
    with readable(path):
        kind = kind_of(path)
    if kind in ADVICE:
        raise UnusableSource(f"{path}: {ADVICE[kind]}")
    encoding = dialect_of(path).encoding
    return lines_of(path, "utf-8" if encoding == "latin-1" else encoding)


def _head(lines: Iterator[tuple[int, str]], path: Path) -> tuple[str, list[str]]:
    """The version, and the names of the columns."""
    version = ""
    for _, line in lines:
        names = [name.strip().lower().replace("_", "") for name in line.lstrip("#").split("\t")]
        if all(name in names for name in _NEEDED):
            return version, names
        what, _, value = line.lstrip("#").partition(":")
        if what.strip() in {"version", "date"}:
            version = version or value.strip()
        if line.strip() and not line.startswith("#"):
            break
    raise UnusableSource(f"{path}: not HPO annotations: no header with database_id, disease_name, hpo_id and aspect")


class _Row(NamedTuple):
    """The cells of a row, by column; those that a file does not have are empty."""

    databaseid: str
    diseasename: str
    qualifier: str
    hpoid: str
    reference: str
    evidence: str
    onset: str
    frequency: str
    sex: str
    modifier: str
    aspect: str
    biocuration: str


class _Rows:
    """Takes rows and hands them over."""

    def __init__(self, builder: Builder, path: Path, about: About, version: str, header: list[str]) -> None:
        self.builder, self.path = builder, path
        self.origin = builder.told(about, TITLE, version, LICENSE)
        self.source = about.name or TITLE
        self.width = len(header)
        self.pick = itemgetter(*(header.index(name) if name in header else self.width for name in _Row._fields))
        self.taken = 0
        self.diseases: dict[tuple[str, str], int] = {}
        self.terms: dict[str, int] = {}
        self.relations: dict[tuple[str, bool], int] = {}
        self.often = cache(frequency_of)
        self.day = cache(_day)
        self.texts: dict[str, str] = {}
        """Each text that stands beside statements, once."""

    def take(self, number: int, cells: list[str]) -> None:
        """Take a row."""
        if len(cells) != self.width:
            self._drop("a row of another number of cells", number)
            return
        if any("\ufffd" in cell for cell in cells):
            self._drop("a row with characters in another encoding", number)
            return
        cells.append("")
        row = _Row._make(map(str.strip, self.pick(cells)))
        if (row.databaseid, row.diseasename) not in self.diseases and not _ID.fullmatch(row.databaseid):
            self._drop("a row without the id of a disease", number)
        elif row.hpoid not in self.terms and not _ID.fullmatch(row.hpoid):
            self._drop("a row without the id of a term", number)
        elif row.aspect not in RELATIONS:
            self._drop("a row of an unknown aspect", number)
        elif row.qualifier not in {"", "NOT"}:
            self._drop("a row with an unknown qualifier", number)
        else:
            self._state(number, row)

    def _state(self, number: int, row: _Row) -> None:
        """Hand over a statement, and what stands beside it."""
        often = self.often(row.frequency)
        if row.frequency and often is None:
            self._drop("a frequency that cannot be read", number)
        name = ONSET if row.aspect == "C" and row.hpoid in ONSETS else RELATIONS[row.aspect]
        negated = bool(row.qualifier) or (often is not None and often.typicality == "excluded")
        self.builder.edge(
            self.origin, self._disease(row.databaseid, row.diseasename), self._relation(name, negated),
            self._term(row.hpoid), **self._beside(row, often),
        )  # fmt: skip
        self.taken += 1

    def _beside(self, row: _Row, often: Frequency | None) -> dict[str, Any]:
        once = self.texts.setdefault
        said: dict[str, Any] = {}
        for name, text in (
            ("reference", row.reference), ("evidence", row.evidence), ("onset", row.onset), ("sex", row.sex),
            ("modifier", row.modifier), ("frequency_raw", row.frequency), ("curated", self.day(row.biocuration)),
        ):  # fmt: skip
            if text:
                said[name] = once(text, text)
        if often is not None:
            said["typicality"] = often.typicality
            if often.share is not None:
                said["frequency"] = often.share
            if often.patients is not None:
                said["patients"] = often.patients
        return said

    def _drop(self, reason: str, number: int) -> None:
        self.builder.drop(self.source, reason, f"{self.path.name}:{number}")

    def _disease(self, ident: str, name: str) -> int:
        if (ident, name) not in self.diseases:
            self.diseases[ident, name] = self.builder.node(self.origin, "Disease", ident, name)
        return self.diseases[ident, name]

    def _term(self, ident: str) -> int:
        if ident not in self.terms:
            self.terms[ident] = self.builder.number(type_of(ident), ident)
        return self.terms[ident]

    def _relation(self, name: str, negated: bool) -> int:
        if (name, negated) not in self.relations:
            self.relations[name, negated] = self.builder.relation(name, negated=negated)
        return self.relations[name, negated]


def _day(curation: str) -> str:
    """The last day that is named, as 2021-06-21; empty if there is none."""
    return max(_DAY.findall(curation), default="")
