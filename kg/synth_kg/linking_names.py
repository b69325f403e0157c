"""What a thing may be called beside its names: other number, stated abbreviations, salts of a drug.

Nothing is made up: a plural is regular, an abbreviation stands in a name of the source, and a salt is one of a
closed list. Words that are too short or too common to tell anything are named for what they are.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from synth_kg.linking_text import UNSPACED, as_written

Kind = Literal["name", "synonym", "abbreviation", "plural", "salt"]
KINDS: tuple[Kind, ...] = ("name", "synonym", "abbreviation", "plural", "salt")
"""In order of trust. `plural` is the name in its other number, be it singular or plural."""

_IDENTIFIER = re.compile(r"[A-Za-z][\w.]*:\S*\d\S*")
_LETTER = re.compile(r"[^\W\d_]")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about after again all also am an and any are as at be because been before being but by can could did do does
    doing down during each else few for from further get go had has have having he her here hers him his how i if in
    into is it its just let may me might more most must my no nor not now of off on once one only or other our out
    over own per put same say see shall she should so some such than that the their them then there these they this
    those through to too under until up upon us use very via was way we well were what when where which while who
    whom why will with would yes yet you your
    """,
    )
)
_INVARIANT = frozenset(
    re.findall(
        r"\w+",
        """
    ascites caries diabetes feces faeces genitalia hives measles mumps pancreas pelvis pubes rabies rickets scabies
    series shingles species stapes
    """,
    )
)
_AFTER_THE_HEAD = re.compile(
    r"\b(?:after|and|at|by|due|during|for|from|in|involving|of|on|or|per|to|upon|with|without)\b|[,(/\[]",
    re.IGNORECASE,
)
_STATED = re.compile(r"\s*\(([^()\s]{2,10})\)")

_SALTS = re.findall(
    r"\w+",
    """
    acetate aceturate adipate aluminium aluminum ammonium arginine ascorbate aspartate benzathine benzoate besylate
    bismuth bromide butyrate calcium camsylate caproate carbonate chloride choline citrate cypionate diolamine
    edisylate enanthate epolamine erbumine estolate esylate etabonate fluoride formate fumarate furoate gluceptate
    gluconate glutamate hippurate iodide isethionate lactate lactobionate laurate lithium lysine magnesium malate
    maleate mandelate meglumine mesylate methosulfate napadisilate napsylate nicotinate nitrate oleate orotate
    oxalate palmitate pamoate phosphate pivalate potassium propionate salicylate sodium stearate strontium succinate
    sulfate tartrate tebutate tosylate triflutate trolamine tromethamine undecylate undecylenate valerate xinafoate
    zinc
    """,
)
"""Counter-ions by the names in `salts.smi` of the ChEMBL Structure Pipeline (MIT licence), those that follow a drug's
name; acids there (fumaric, mandelic, orotic) by the name of their salt, with aluminum as it is spelt in America and
hippurate (methenamine) beside them."""
_INN = tuple(re.sub(r"sylate$", "silate", re.sub(r"^sulf|(?<=metho)sulf", "sulph", salt)) for salt in _SALTS)
"""The same in the spelling of international nonproprietary names, and sulfates in British spelling."""
_HOW_MANY = "mono|di|tri|tetra|hemi|sesqui|bi"
SALT = re.compile(
    rf"(?: (?:(?:{_HOW_MANY})?(?:hydro|hydrogen )?(?:{'|'.join(sorted({*_SALTS, *_INN}))})|hcl|hbr))+"
    rf"(?: (?:(?:{_HOW_MANY})?hydrate|anhydrous))?(?= )"
)
"""A salt in canonical text, after the drug."""
SALT_WORDS = frozenset((*_SALTS, *_INN))


class Spelling(NamedTuple):
    """A way to write a name."""

    text: str
    kind: Kind
    cased: str
    """As `linking_text.as_written` has it, if capitals matter; else empty."""


def spellings(name: str, kind: Kind) -> list[Spelling]:
    """A name, and what follows from it.

    >>> [s.text for s in spellings("Chronic obstructive pulmonary disease (COPD)", "name")][1:3]
    ['Chronic obstructive pulmonary disease', 'COPD']
    """
    if looks_abbreviated(name):
        kind = "abbreviation" if kind == "synonym" else kind
        return [Spelling(name, kind, as_written(name)), Spelling(f"{name}s", "plural", as_written(name) + "s")]
    found = [Spelling(name, kind, "")]
    stated = _STATED.search(name) if "(" in name else None
    if stated and (begins := _long_form(name[: stated.start()], stated[1])) is not None:
        full = name[: stated.start()] + name[stated.end() :]
        short = name[:begins] + stated[1] + name[stated.end() :]
        found.append(Spelling(full, kind, ""))
        found.append(Spelling(short, "abbreviation", as_written(short) if looks_abbreviated(short) else ""))
    return [*found, *(Spelling(other, "plural", "") for one in found if (other := other_number(one.text)))]


def why_not(key: str, cased: str) -> str:
    """Why a name is not looked for in texts, by its canonical key; empty if it is."""
    text = key.strip()
    if not _LETTER.search(text):
        return "no letter in it"
    if not text.isascii() and UNSPACED.search(text):
        return "a single character" if len(text) < 2 else ""
    if len(text) < 2 or (len(text) < 3 and not cased):
        return "too short"
    return "a common word" if text in _FUNCTION_WORDS and not cased else ""


def is_identifier(name: str) -> bool:
    """Whether a name is an identifier such as HP:0000118.

    >>> is_identifier("HP:0000118"), is_identifier("Note: fever")
    (True, False)
    """
    return ":" in name and _IDENTIFIER.fullmatch(name) is not None


def is_function_word(key: str) -> bool:
    """Whether a canonical key is a word that says nothing by itself, unless it is written in capitals."""
    return key.strip() in _FUNCTION_WORDS


def looks_abbreviated(name: str) -> bool:
    """Whether a name is one that only its capitals tell from a word.

    >>> [looks_abbreviated(name) for name in ("ALL", "PaO2", "All", "ASPIRIN", "Type A")]
    [True, True, False, False, False]
    """
    if len(name) > 10 or " " in name or "\t" in name:
        return False
    letters = _LETTER.findall(name)
    capitals = sum(letter.isupper() for letter in letters)
    return capitals > 1 and (capitals < len(letters) or len(letters) <= 5 or len(letters) < len(name))


def _long_form(before: str, short: str) -> int | None:
    """Where the words begin that an abbreviation stands for; None if they do not spell it.

    The letters are looked for from the end, and the first must begin a word (Schwartz and Hearst, Pacific Symposium
    on Biocomputing 2003:451).
    """
    if not looks_abbreviated(short):
        return None
    at = len(before)
    for position, letter in enumerate(reversed(short.casefold()), 1):
        if not letter.isalnum():
            continue
        at -= 1
        while at >= 0 and not (
            before[at].casefold() == letter and (position < len(short) or at == 0 or not before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
    return at


def other_number(name: str) -> str:
    """The name with its head in the plural, or in the singular if it is a plural; empty if it has none.

    >>> other_number("Renal cyst"), other_number("Abnormality of the eye"), other_number("Kidney stones")
    ('Renal cysts', 'Abnormalities of the eye', 'Kidney stone')
    """
    stop = _AFTER_THE_HEAD.search(name)
    end = len(name[: stop.start()].rstrip()) if stop else len(name)
    begin = max(name.rfind(" ", 0, end), name.rfind("-", 0, end)) + 1
    head = name[begin:end]
    if len(head) < 4 or not (head.isascii() and head.isalpha() and head[1:].islower()) or head.lower() in _INVARIANT:
        return ""
    changed = _changed(head)
    return f"{name[:begin]}{changed}{name[end:]}" if changed else ""


_ES = ("ss", "x", "ch", "sh")
_REGULAR: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("sis",), "is", "es"),
    (_ES, "", "es"),
    (("us", "is", "as", "os"), "", ""),
    (("ies",), "ies", "y"),
    (tuple(f"{end}es" for end in _ES), "es", ""),
    (("s",), "s", ""),
    (tuple(f"{letter}y" for letter in "bcdfghjklmnpqrstvwxz"), "y", "ies"),
    (("",), "", "s"),
)
"""Of a word with the first ending that fits: what goes, and what comes; neither where the other number is irregular."""


def _changed(word: str) -> str:
    """A word in its other number; empty if it has none that is regular."""
    goes, comes = next((goes, comes) for ends, goes, comes in _REGULAR if word.endswith(ends))
    return word.removesuffix(goes) + comes if goes or comes else ""
