"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import jinja2

from synth.run import Run, write_whole
from synth.sample import CAVEAT

REPORT = "report.html"
_SHOWN = 3
_COUNTS = ("genres", "topics", "departments", "uniqueness", "shapes", "chains")


def write_report(run: Run) -> Path:
    """Write `report.html` into a run folder: its funnel, what the rows are about, and a few rows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    funnel = run.funnel
    text = environment.get_template("report.html.j2").render(
        funnel=funnel,
        counts={name: _flat(funnel[name]) for name in _COUNTS},
        rows=list(islice(run.accepted(), _SHOWN)),
        caveat=CAVEAT,
    )
    path = run.folder / REPORT
    write_whole(path, [text.encode()])
    return path


def _flat(counts: dict[str, Any]) -> dict[str, int]:
    """Accepted rows by name: genres are counted by status, the rest count accepted rows only."""
    return {name: n.get("accepted", 0) if isinstance(n, dict) else n for name, n in counts.items()}
