"""How far a guesser gets who reads the options and never the question: the artifact score of a run.

    python benchmarks/options_alone.py runs/demo

Five folds by evidence group: in four, count how often each option text was right when it was
offered; in the fifth, pick the option with the highest share. Printed against chance.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import synth
from synth.sample import Sample

FOLDS = 5


def main() -> None:
    """Parse the command line and print the scores by genre and topic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    kinds: dict[str, list[Sample]] = defaultdict(list)
    for row in synth.load(parser.parse_args().run):
        if row.options:
            kinds[f"{row.genre} {row.topic}"].append(row)
    for kind, rows in sorted(kinds.items()):
        right = guessed(rows)
        print(f"{kind:<22}{right / len(rows):>7.0%} right of {len(rows)}, {4 * right / len(rows):.1f} x chance")


def guessed(rows: list[Sample]) -> int:
    """How many rows a guesser by the options alone gets right."""
    right = 0
    for fold in range(FOLDS):
        offered: Counter[str] = Counter()
        won: Counter[str] = Counter()
        for row in rows:
            if int(row.seed.group, 16) % FOLDS != fold:
                offered.update((row.options or {}).values())
                won[row.answer.text] += 1
        for row in rows:
            if int(row.seed.group, 16) % FOLDS == fold:
                shares = {text: (won[text] + 0.25) / (offered[text] + 1) for text in (row.options or {}).values()}
                right += max(shares, key=shares.__getitem__) == row.answer.text
    return right


if __name__ == "__main__":
    main()
