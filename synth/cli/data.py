"""Commands on rows that exist: verify, show, export, report, score."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from synth import api
from synth.cli.generate import print_funnel
from synth.cli.show import print_row
from synth.errors import NotBuiltError, UsageError
from synth.export import export as write_export
from synth.process import sole_driver
from synth.report import write_report
from synth.run import DATABASE, FUNNEL, Run, Store, write_whole
from synth.sample import CAVEAT, Sample, to_json

_SHOWN = 20
"""Faults printed in full."""


def verify(arguments: argparse.Namespace) -> int:
    """`synth verify`."""
    file = api.rows_file(arguments.data)
    outcome = api.verify(api.raw(file), kg=arguments.kg, source=tuple(arguments.source), run=file.parent)
    total = outcome.replayed + len(outcome.not_replayed)
    for kind, faults in (("does not hold", outcome.faults), ("not replayed", outcome.not_replayed)):
        for fault in faults[:_SHOWN]:
            print(f"{fault.row}: {kind}: {fault.place}: {fault.reason}")
        if len(faults) > _SHOWN:
            print(f"... and {len(faults) - _SHOWN} more that {kind if kind[0] == 'd' else 'were ' + kind}")
    print(
        f"{total} rows: {outcome.replayed} replayed, {len(outcome.faults)} with a proof that does not hold, "
        f"{len(outcome.not_replayed)} not replayed\n{CAVEAT}"
    )
    if outcome.modelled:
        print(
            f"{outcome.modelled} rows are worded by a model: evidence, answers, options and claims were checked, and "
            f"the wording of {outcome.worded} was made again from stored replies; what a model "
            "wrote between its claims is not proved"
        )
    if outcome.other_templates:
        print(f"{outcome.other_templates} rows are worded by templates other than the bundled ones: read these first")
    if total == 0 and not outcome.faults:
        raise UsageError(f"{file}: no rows; rejected.jsonl beside it, if it is of a run, says why")
    return 0 if outcome.ok else 1


def show(arguments: argparse.Namespace) -> int:
    """`synth show`."""
    found = [sample for sample in _all_rows(arguments.folder) if sample.id.startswith(arguments.id)]
    if not found:
        raise UsageError(f"{arguments.folder}: no row whose id begins with '{arguments.id}'")
    if len({sample.id for sample in found}) > 1:
        raise UsageError(f"'{arguments.id}' begins {len(found)} ids, such as {found[0].id} and {found[1].id}")
    print_row(found[0])
    return 0


def _all_rows(path: Path) -> list[Sample]:
    """Accepted rows of a path, and where it is a run folder its rejected ones."""
    rows = list(api.load(path))
    if path.is_dir():
        rows += list(Run(path).rejected())
    return rows


def export(arguments: argparse.Namespace) -> int:
    """`synth export`."""
    done = write_export(
        api.load(arguments.data),
        arguments.format,
        arguments.out,
        think=arguments.think,
        include_flagged=arguments.include_flagged,
        obligations=api.obligations(arguments.data),
    )
    left = f" (left out: {', '.join(f'{n} {why}' for why, n in done.left_out.items())})" if done.left_out else ""
    card = f"; card in {done.card}" if done.card else ""
    print(f"{done.rows} rows in {done.path}{left}{card}\n{CAVEAT}", file=sys.stderr if not done.card else sys.stdout)
    return 0


def report(arguments: argparse.Namespace) -> int:
    """`synth report`."""
    if arguments.watch:
        raise NotBuiltError("report --watch: not in this version")
    if not (arguments.folder / FUNNEL).is_file():
        raise UsageError(f"{arguments.folder}: not a run folder (it holds no {FUNNEL})")
    run = Run(arguments.folder)
    print_funnel(run.funnel)
    print(f"\n{write_report(run)}\n{CAVEAT}")
    return 0


def clean(arguments: argparse.Namespace) -> int:
    """`synth clean`."""
    if not (arguments.folder / DATABASE).is_file():
        raise UsageError(f"{arguments.folder}: not a run folder (it holds no {DATABASE})")
    before = _size(arguments.folder)
    with sole_driver(arguments.folder), closing(Store(arguments.folder)) as store:
        if (pending := _pending(arguments.folder)) and not arguments.yes:
            raise UsageError(
                f"{arguments.folder}: {pending} samples are not made yet, and replies that were paid for would go: "
                "finish the run first, or clean it with --yes"
            )
        dropped = store.drop_replies()
    freed = (before - _size(arguments.folder)) / 1e6
    print(
        f"{dropped} replies dropped, {freed:.1f} MB freed; the rows stay, and cannot be replayed from replies any more"
    )
    return 0


def _pending(folder: Path) -> int:
    """Samples of a run that are yet to be made."""
    if not (folder / FUNNEL).is_file():
        return 1  # it was killed before it wrote one
    return int(Run(folder).funnel["steps"][0]["pending"])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"{DATABASE}*"))


def score(arguments: argparse.Namespace) -> int:
    """`synth score`."""
    if arguments.scorer != "rule" or arguments.audit or arguments.model or arguments.base_url:
        raise NotBuiltError("this version scores with --scorer rule only, which needs no model")
    rows = list(api.score(api.load(arguments.data)))
    write_whole(arguments.out, (to_json(row) + b"\n" for row in rows))
    mean = sum(row.scores.rule or 0 for row in rows) / len(rows) if rows else 0
    print(f"{len(rows)} rows in {arguments.out}, mean {mean:.3f}")
    return 0
