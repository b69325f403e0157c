"""Export: accepted rows in the formats that trainers read, with a card beside the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import orjson

from synth.errors import FaultError, NotBuiltError, UsageError
from synth.export import formats
from synth.profiles import obligations_of
from synth.run import ACCEPTED, CONFIG, DATABASE, FUNNEL, REJECTED, write_whole
from synth.sample import CAVEAT, Sample, words

FORMATS: dict[str, Callable[[Sample, str], dict[str, Any]]] = {
    "messages": formats.messages,
    "prompt-completion": formats.prompt_completion,
    "sharegpt": formats.sharegpt,
    "alpaca": formats.alpaca,
}
LATER = ("huatuo", "medreason", "text", "parquet", "preference", "grpo", "verl")
"""Formats of the contract that a later version has."""


class Exported(NamedTuple):
    """What an export wrote and what it left out."""

    path: Path
    card: Path | None
    """None where `path` is a pipe or a device."""
    rows: int
    left_out: dict[str, int]
    """Rows left out, by reason."""


def export(
    rows: Iterable[Sample],
    format: str,
    out: Path,
    *,
    think: str = "tags",
    include_flagged: bool = False,
    obligations: Mapping[str, str] | None = None,
) -> Exported:
    """Write rows in a trainer's format.

    Only accepted rows are written; rows whose text was written with the gold answer in sight
    (`conditioning: answer`) never are.

    Args:
        rows: samples.
        format: one of `FORMATS`.
        out: the JSONL file to write; its card is written beside it, as `<name>.card.md`.
        think: 'tags' puts the reasoning into <think> tags before the response, 'field' into a
            field of its own.
        include_flagged: keep rows that carry flags.
        obligations: what licences ask, by their names, besides those of the bundled profiles.

    Raises:
        UsageError: an unknown format, or a place that cannot be written to.
        FaultError: not one row could be exported.
    """
    if format in LATER:
        raise NotBuiltError(f"--format {format}: not in this version; it has {', '.join(FORMATS)}")
    if out.exists() and out.name in {ACCEPTED, REJECTED, FUNNEL, DATABASE, CONFIG}:
        raise UsageError(f"{out}: this is a file of a run; export to another name")
    if format not in FORMATS:
        raise UsageError(f"--format {format}: unknown; this version has {', '.join(FORMATS)}")
    shape = FORMATS[format]
    left_out: Counter[str] = Counter()
    kept = list(_exportable(rows, left_out, include_flagged))
    if not kept:
        what = ", ".join(f"{n} {reason}" for reason, n in left_out.items()) or "there are none"
        raise FaultError(f"no row to export ({what})")
    write_whole(out, (orjson.dumps(shape(sample, think)) + b"\n" for sample in kept))
    if not out.is_file():
        return Exported(out, None, len(kept), dict(left_out))
    card = out.with_name(f"{out.stem}.card.md")
    asked = {row.generator.license for row in kept}
    told = {(obligations or {}).get(license) or obligations_of(license) for license in asked} - {""}
    write_whole(card, [_card(kept, format, think, out.name, left_out, sorted(told)).encode()])
    return Exported(out, card, len(kept), dict(left_out))


def _exportable(rows: Iterable[Sample], left_out: Counter[str], include_flagged: bool) -> Iterator[Sample]:
    for sample in rows:
        if sample.verdict.status != "accepted":
            left_out[sample.verdict.status] += 1
        elif sample.conditioning == "answer":
            left_out["written with the answer in sight"] += 1
        elif sample.flags and not include_flagged:
            left_out["flagged"] += 1
        else:
            yield sample


def _card(
    rows: list[Sample], format: str, think: str, name: str, left_out: Counter[str], obligations: list[str]
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    lengths = sorted(words(row.reasoning) for row in rows)
    return environment.get_template("card.md.j2").render(
        name=name,
        format=format,
        think=think,
        rows=len(rows),
        left_out=left_out,
        languages=sorted({row.language for row in rows}),
        licenses=Counter(row.license for row in rows),
        genres=Counter(row.genre for row in rows),
        departments=Counter(row.labels.department for row in rows),
        uniqueness=Counter(row.uniqueness for row in rows),
        generators=Counter(f"{row.generator.engine} ({row.generator.model})" for row in rows),
        lineage=sorted({(item.source, item.version, item.license) for row in rows for item in row.lineage}),
        graphs=sorted({row.seed.graph for row in rows}),
        median=lengths[len(lengths) // 2],
        obligations=obligations,
        caveat=CAVEAT,
    )
