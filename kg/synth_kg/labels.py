"""HPO labels in running text: 'Ventricular septal defect' as 'a ventricular septal defect'.

Only labels that read as a finding of a patient are worded; a class of findings ('Abnormality of the eye') is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from synth_kg.bundle import read_tsv, tables_folder

_PLAIN = re.compile(r"[A-Za-z0-9 '-]+")
_SEVERITY = re.compile(r"(.+), (mild|moderate|severe|profound|borderline)")
_CLASSES = re.compile(
    r"abnormal|\bnormal|morpholog|phenotype|anomaly of|disorder\b|disease\b|^functional |finding|variant|^age at|"
    r"^(?:positive|negative)|susceptib|mode of|response to|history|clinical|^death|sudden|suicid|self-|overdos|fetal|"
    r"feto|intrauterine|maternal|prenatal|pregnan|gestation|umbilical|placent|abortion|stillbirth|by anatomical|"
    r"^(?:localized|mild|severe)$|^exposure",
    re.I,
)
"""Labels of classes, of the time before birth, of courses and of what no row may be about."""
_OTHER = re.compile(r"\b(?:or|and/or)\b", re.I)
_SPLIT = re.compile(r" (?:of|in|with|on|to|from|due|affecting|involving|at|by|for|during|after|without|between)\b ")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_INSIDE = re.compile(r"(?<=[\u4e00-\u9fff])\s+(?=[\u4e00-\u9fff])")
_CLASSES_ZH = re.compile(
    r"异常|形态|表型|胎儿|胎盘|孕|妊娠|产前|死亡|猝死|自杀|自残|自伤|过量|[()（）/、，,;；]|疾病$|或|和"
)
_PLACE = re.compile(r" of (finger|toe|thumb|hand|limb|scalp|midface|face|skull|tongue|orbit|nose|neck|trunk)\b")
_MANY = dict.fromkeys(("finger", "toe", "thumb", "hand", "limb"), "s")
_VOWEL = re.compile(r"[aeio]|u(?!ni|r[eio]|t[eri]|su|bi)|EEG", re.I)
_LONGEST = 60


@cache
def _nouns() -> dict[str, str]:
    """Last word of a label -> 'a' (countable), 's' (worded in the plural) or '=' and its plural."""
    return {row["word"]: row["as"] for row in read_tsv(tables_folder() / "nouns.tsv")}


@cache
def _eponyms() -> frozenset[str]:
    return frozenset(word for word, kind in _nouns().items() if kind == "name")


@cache
def english(label: str) -> str:
    """A label as English text words it, with its article; empty if it is no finding of a patient.

    >>> english("Ventricular septal defect"), english("Seizure"), english("Intellectual disability, severe")
    ('a ventricular septal defect', 'seizures', 'severe intellectual disability')
    >>> english("Babinski sign"), english("EEG with spike-wave complexes"), english("Abnormal facial shape")
    ('a Babinski sign', 'EEG with spike-wave complexes', '')
    """
    if found := _SEVERITY.fullmatch(label):
        label = f"{found[2]} {_lowered(found[1].split()[0])}{found[1][len(found[1].split()[0]) :]}"
    if not _PLAIN.fullmatch(label) or len(label) > _LONGEST or _CLASSES.search(label) or _OTHER.search(label):
        return ""
    words = label.split()
    words[0] = _lowered(words[0])
    text = " ".join(words)
    head = _SPLIT.split(text, maxsplit=1)[0]
    last = head.split()[-1].lower()
    number = _nouns().get(last, "")
    text = _PLACE.sub(lambda place: f" of the {place[1]}{_MANY.get(place[1], '')}", text)
    if number == "s":
        return f"{head}s{text[len(head) :]}"
    if number.startswith("="):
        return f"{head[: -len(last)]}{number[1:]}{text[len(head) :]}"
    if number == "a" and not text.lower().startswith(("cleft ", "multiple ", "absent ", "absence ", "aplasia ")):
        return f"{'an' if _VOWEL.match(text) else 'a'} {text}"
    return text


def _lowered(word: str) -> str:
    """A first word as it stands inside a sentence."""
    name = word in _eponyms() or word.split("-", maxsplit=1)[0] in _eponyms() - {"Down"}
    code = sum(letter.isupper() for letter in word) > 1 or re.match(r"[A-Z]-|[A-Z]$|[A-Z]\d|.*\d", word)
    return word if name or code else word[0].lower() + word[1:]


def chinese(names: Iterable[str]) -> str:
    """The first Chinese name among some, if it is one of a finding of a patient; else empty.

    >>> chinese(["Thick lip", "厚唇"]), chinese(["眼部异常"])
    ('厚唇', '')
    """
    found = next((str(name) for name in names if _HAN.search(str(name))), "")
    found = _INSIDE.sub("", found)
    return "" if not found or _CLASSES_ZH.search(found) or len(found) > _LONGEST // 2 else found
