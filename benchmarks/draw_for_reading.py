"""Draw accepted rows at random for a reading, each with its evidence beside it.

    python benchmarks/draw_for_reading.py runs/demo -n 60 --random-seed 11 > rows.txt

`docs/reading/SHEET.md` is the sheet that a reader marks them on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import synth
from synth.sample import Evidence, Sample


def said(item: Evidence) -> str:
    """A piece of evidence in one line."""
    if item.head and item.tail:
        how_often = "; ".join(f"{one.frequency} {one.reference}".strip() for one in item.said or ())
        told = "does not have" if item.negated else item.relation
        return f"{item.type}: {item.head.name} --{told}--> {item.tail.name} {how_often} [{item.source}]"
    if item.type == "count" and item.terms and item.result:
        counted = " + ".join(node.name for node in item.terms)
        of = f"of {item.head.name}" if item.head else ""
        return f"count: {item.result.value:g} {item.result.unit} {of}: {counted} [{item.source}]"
    if item.inputs and item.result:
        given = ", ".join(f"{q.name} {q.value:g} {q.unit}".strip() for q in item.inputs)
        return f"calculation {item.formula}: {given} = {item.result.value:g} {item.result.unit} [{item.source}]"
    return f"{item.type} {item.table or ''}: {item.text}"


def written(number: int, row: Sample) -> Iterator[str]:
    """A row as a reader sees it."""
    yield f"\n================ ROW {number}  id {row.id}"
    yield f"genre {row.genre} / {row.topic} | uniqueness {row.uniqueness} | department {row.labels.department}"
    yield f"QUESTION: {row.question}"
    yield from (f"   {letter}. {text}" for letter, text in (row.options or {}).items())
    yield f"GOLD: {row.answer.option or ''} {row.answer.text}   also accepted: {', '.join(row.answer.aliases)}"
    yield "REASONING:"
    yield from (f"  ({place}) {step.text}" for place, step in enumerate(row.steps, 1))
    yield f"RESPONSE: {row.response}"
    yield "EVIDENCE:"
    yield from (f"  {item.id} {said(item)}" for item in row.seed.evidence)


def main() -> None:
    """Parse the command line and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=60)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--uniqueness", choices=("proved", "source_relative"), help="only rows of this kind")
    arguments = parser.parse_args()
    rows = [r for r in synth.load(arguments.run) if arguments.uniqueness in (None, r.uniqueness)]
    for number, row in enumerate(random.Random(arguments.random_seed).sample(rows, arguments.n), 1):
        print("\n".join(written(number, row)))


if __name__ == "__main__":
    main()
