"""Text as names are compared in it, with the way back to the text as it was written.

The canonical form of a text is its tokens with a space before, between and after them: lower case, compatibility
forms and ligatures resolved (NFKD), accents and apostrophes dropped, hyphens and white space no more than a
boundary, every other mark a token of its own. Scripts that put no spaces between words (Chinese, Japanese, Thai)
stay runs of characters, and are parted from Latin words beside them. Each character knows the offset it came from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from synth_kg.columns import SMALL, Ints

_PLANE = 1 << 16
_DROP, _SEVERAL = -1, -2
_GAP, _WORD, _RUN, _MARK = range(4)
_APOSTROPHES = frozenset("'`\u2018\u2019\u201b\u02bc\u2032\u2122\u00ae")
"""Left out wherever they stand, as are the signs of a trade mark."""
_DASHES = frozenset("_\u2212")
_CLAUSE_DASHES = frozenset("\u2014\u2015")
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff]"
)
"""A character of a script that puts no spaces between words: Thai and Lao, Burmese, Khmer, kana, Han."""
_ACCENTS = range(0x300, 0x370)
_BETWEEN = "\x00"


class Canonical(NamedTuple):
    """The canonical form of a text."""

    text: str
    at: Ints
    """(len(text),): offset in the original of each character; of a space, that of what follows it."""


@cache
def _folded(char: str) -> str:
    """What a character becomes; empty if it is left out."""
    if unicodedata.category(char) in {"Cf", "Cs"}:
        return "" if unicodedata.category(char) == "Cf" else "\ufffd"
    if char in _APOSTROPHES:
        return ""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(part for part in folded if ord(part) not in _ACCENTS and part not in _APOSTROPHES)


def _kind(char: str) -> int:
    if UNSPACED.match(char):
        return _RUN
    category = unicodedata.category(char)
    if category[0] in "LNM":
        return _WORD
    if char in _DASHES or (category == "Pd" and char not in _CLAUSE_DASHES):
        return _GAP
    return _GAP if (char.isspace() or category == "Cc") and char != _BETWEEN else _MARK


@cache
def _tables() -> tuple[Ints, Ints]:
    """Of the first 65,536 characters: what each becomes, and its kind."""
    fold, kinds = np.empty(_PLANE, np.int32), np.empty(_PLANE, np.uint8)
    for code in range(_PLANE):
        folded = _folded.__wrapped__(chr(code))
        fold[code] = ord(folded) if len(folded) == 1 else _SEVERAL if folded else _DROP
        kinds[code] = _kind(chr(code))
    fold[_PLANE - 1] = _SEVERAL  # stands for all that lie beyond
    return fold, kinds


def _codes(text: str) -> Ints:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def canonical(text: str) -> Canonical:
    """The canonical form of a text.

    >>> canonical("Crohn's  disease (CD): café-au-lait, 发热T细胞").text
    ' crohns disease ( cd ) : cafe au lait , 发热 t 细胞 '
    """
    fold, kinds = _tables()
    codes = _codes(text)
    folded = fold[np.minimum(codes, _PLANE - 1)]
    at = np.arange(len(codes), dtype=np.int32 if len(codes) < SMALL else np.int64)
    several = folded == _SEVERAL
    if several.any():
        parts = [_folded(chr(code)) for code in codes[several]]
        lengths = np.ones(len(codes), np.int64)
        lengths[several] = [len(part) for part in parts]
        at, folded = np.repeat(at, lengths), np.repeat(folded, lengths)
        folded[np.repeat(several, lengths)] = _codes("".join(parts))
    kept = folded >= 0
    if not kept.all():
        folded, at = folded[kept], at[kept]
    kind = kinds[np.minimum(folded, _PLANE - 1)]
    beyond = np.flatnonzero(folded >= _PLANE - 1)
    kind[beyond] = [_kind(chr(code)) for code in folded[beyond]]
    there = np.flatnonzero(kind != _GAP)
    return _spaced(folded[there], at[there], kind[there], there, len(text))


def _spaced(codes: Ints, at: Ints, kind: Ints, there: Ints, length: int) -> Canonical:
    """Put a space before each token, and after the last."""
    fresh = np.ones(len(codes), bool)
    fresh[1:] = (kind[1:] != kind[:-1]) | (kind[1:] == _MARK) | (np.diff(there) != 1)
    place = np.cumsum(fresh, dtype=at.dtype) + np.arange(len(codes), dtype=at.dtype)
    total = len(codes) + int(fresh.sum()) + 1
    chars, offsets = np.full(total, 32, "<u4"), np.full(total, length, at.dtype)
    chars[place], offsets[place] = codes, at
    offsets[place[fresh] - 1] = at[fresh]
    return Canonical(chars.tobytes().decode("utf-32-le"), offsets)


def keys(names: Sequence[str]) -> list[str]:
    """Names as they are looked for in canonical text: whole words, but within a run where a script has no spaces.

    >>> keys(["Type-2 diabetes", "发热", "T细胞减少", "!"])
    [' type 2 diabetes ', '发热', ' t 细胞减少', ' ! ']
    """
    if not names:
        return []
    joined = canonical(_BETWEEN.join(name.replace(_BETWEEN, " ") for name in names)).text
    return [_padded(part.strip()) for part in joined.split(_BETWEEN)]


def _padded(name: str) -> str:
    if not name:
        return ""
    before, after = ("" if UNSPACED.match(char) else " " for char in (name[0], name[-1]))
    return f"{before}{name}{after}"


@cache
def _as_written(char: str) -> str:
    if unicodedata.category(char) == "Cf" or char in _APOSTROPHES or _kind(char) == _GAP:
        return ""
    parts = unicodedata.normalize("NFKD", char)
    return "".join(part for part in parts if ord(part) not in _ACCENTS and part not in _APOSTROPHES)


def as_written(text: str) -> str:
    """A name with its case, but without accents, spaces and hyphens.

    >>> as_written("T-ALL"), as_written("Café")
    ('TALL', 'Cafe')
    """
    return "".join(map(_as_written, text))


def originals(text: str, at: Ints, starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Where parts of a canonical text stand in the original, with the accents that follow them.

    Args:
        text: the original.
        at: of its canonical form.
        starts: of the parts, in the canonical text, after the space before them.
        ends: of the parts, before the space after them.
    """
    found = []
    first, last = at[np.array(starts, np.int64)].tolist(), (at[np.array(ends, np.int64) - 1] + 1).tolist()
    for start, end in zip(first, last, strict=True):
        while end < len(text) and ord(text[end]) in _ACCENTS:
            end += 1  # noqa: PLW2901
        found.append((start, end))
    return found


class Patterns:
    """Many names, to be found in canonical text all at once.

    The search is `ahocorasick_rs` (Aho and Corasick, Communications of the ACM 1975;18:333).

    Raises:
        ModuleNotFoundError: ahocorasick-rs is not installed (the extra `kg`).
    """

    def __init__(self, names: Iterable[str]) -> None:
        import ahocorasick_rs  # noqa: PLC0415  (an extra)

        self.names = list(names)
        self._before = [name[0] == " " for name in self.names]
        self._after = [name[-1] == " " for name in self.names]
        self._automaton = ahocorasick_rs.AhoCorasick(
            self.names, store_patterns=False, implementation=ahocorasick_rs.Implementation.ContiguousNFA
        )

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Every name that stands in a canonical text: (start, end, index of the name), overlapping ones too."""
        before, after = self._before, self._after
        return [
            (start + before[name], end - after[name], name)
            for name, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True)
        ]
