"""`synth generate` and `synth demo`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from synth import api
from synth.cli.show import print_row
from synth.config import Config, load_config
from synth.driver import Status
from synth.errors import NotBuiltError, UsageError
from synth.pilot import Pilot
from synth.prepared import prepare
from synth.run import Run
from synth.sample import CAVEAT

_ASKING = ("model", "base_url", "profile", "gpus", "concurrency", "max_calls", "max_tokens")
"""Options that make sense only where a model is asked."""
_OF_THE_RUN = ("accept", "config", "lang", "random_seed", "source", "prompts", "pilot", *_ASKING)
"""Options that a replay has no use for."""
_LATER = ("phi_reviewed", "allow_historical")
_LINE_EVERY = 1.9
"""Seconds between two lines of progress where there is no terminal."""


def generate(arguments: argparse.Namespace) -> int:
    """`synth generate`."""
    for name in _LATER:
        if getattr(arguments, name):
            option = "--" + name.replace("_", "-")
            raise NotBuiltError(f"{option}: not in this version, which has the knowledge-graph branch only")
    flags = {
        "seed": arguments.seed, "engine": arguments.engine, "lang": arguments.lang,
        "random_seed": arguments.random_seed, "profile": arguments.profile,
        "source": _several(arguments.source), "model": _several(arguments.model),
        "serving.base_url": _several(arguments.base_url) or _base_url_told(arguments.set),
        "serving.concurrency": arguments.concurrency, "serving.gpus": arguments.gpus,
        "serving.max_calls": arguments.max_calls, "serving.max_tokens": arguments.max_tokens,
    }  # fmt: skip
    config = load_config(arguments.config, flags=flags, settings=tuple(arguments.set))
    if config.engine == "grounded" and (given := [name for name in _ASKING if getattr(arguments, name) is not None]):
        option = "--" + given[0].replace("_", "-")
        raise UsageError(f"{option}: the grounded engine asks no model; add --engine openai or --engine vllm")
    if any(not model.strip() for model in config.model):
        raise UsageError("--model: an empty name")
    if config.engine == "openai" and config.serving.gpus is not None:
        raise UsageError("--gpus: only the vllm engine starts servers")
    given = [f"--{name.replace('_', '-')}" for name in _OF_THE_RUN if getattr(arguments, name) is not None]
    if config.engine == "replay" and given:
        _say(f"a replay takes the run's own configuration: {', '.join(given)} left aside")
    if arguments.dry_run:
        return _dry_run(config, arguments)
    run = _generate(
        config, n=arguments.n, accept=arguments.accept, out=arguments.out, prompts=arguments.prompts,
        pilot=arguments.pilot, confirm=partial(_confirm, yes=arguments.yes),
    )  # fmt: skip
    return _outcome(run)


def _base_url_told(settings: Sequence[str]) -> tuple[str, ...] | None:
    """What the environment says, unless --set does."""
    if any(setting.strip().startswith("serving.base_url") for setting in settings):
        return None
    return _several(os.environ.get("OPENAI_BASE_URL", "").split())


def _several(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return tuple(values) if values else None


def _confirm(pilot: Pilot, *, yes: bool) -> bool:
    """Show what a pilot gave and ask whether to go on; without anyone to ask, do not."""
    print(pilot.told(), file=sys.stderr)
    if yes or not pilot.left:
        return True
    if not sys.stdin.isatty():
        print("synth: nobody to ask; the same command with --yes goes on", file=sys.stderr)
        return False
    return input("go on? [y/N] ").strip().lower() in {"y", "yes"}


def demo(arguments: argparse.Namespace) -> int:
    """`synth demo`."""
    start = time.monotonic()
    run = _generate(Config(), n=arguments.n, accept=None, out=arguments.out)
    code = _outcome(run)
    if code:
        return code
    print(f"\nmade in {time.monotonic() - start:.1f} s. One row in full:\n")
    row = next((sample for sample in run.accepted() if sample.genre == "vignette"), None)
    row = row or next(islice(run.accepted(), 1))
    print_row(row)
    return 0


def _generate(config: Config, *, n: int | None, accept: int | None, **options: Any) -> Run:
    with _progress(accept or n or 100, "accepted" if accept else "seeds") as show:
        return api.generate(config, n=n, accept=accept, progress=show, say=_say, **options)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


@contextmanager
def _progress(total: int, unit: str) -> Iterator[Any]:
    """A bar on a terminal, plain lines elsewhere; both on stderr."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit=f" {unit}", file=sys.stderr) as bar:

            def advance(status: Status) -> None:
                funnel = status.funnel
                bar.n = funnel.accepted if unit == "accepted" else status.made // funnel.each
                bar.set_postfix({"accepted": funnel.accepted, **_asked(status)}, refresh=False)
                bar.update(0)

            yield advance
        return
    last = time.monotonic()

    def line(status: Status) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY:
            last = now
            asked = "".join(f", {n} {what.replace('_', ' ')}" for what, n in _asked(status).items())
            made = status.made // status.funnel.each
            print(f"{made} seeds done, {status.funnel.accepted} accepted{asked}", file=sys.stderr)

    yield line


def _asked(status: Status) -> dict[str, int]:
    """What was asked of models, if anything was."""
    if not status.calls:
        return {}
    return {"calls": status.calls, "tokens": status.tokens, "in_flight": status.in_flight}


def _outcome(run: Run) -> int:
    from synth.cli import INTERRUPTED
    from synth.errors import FaultError

    print_funnel(run.funnel)
    print(f"\n{run.folder}: accepted.jsonl, rejected.jsonl, funnel.json, report.html\n{CAVEAT}")
    asked = run.funnel["steps"][0]
    if run.limited:
        print(f"synth: stopped: {run.limited}; the same command with a larger limit goes on", file=sys.stderr)
    elif asked["pending"] and run.spent:
        print(
            f"synth: the knowledge gives no more: {asked['pending']} of {asked['in']} seeds were not drawn",
            file=sys.stderr,
        )
    if run.interrupted:
        print("synth: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    if run.starved:
        raise FaultError(
            f"{run.folder}: the first {run.funnel['seeds']} samples gave too little to go on, and all of them are "
            "kept; rejected.jsonl says why (--set run.min_yield=0 goes on regardless)"
        )
    return 0


def print_funnel(funnel: dict[str, Any]) -> None:
    """Print a funnel: every step, its reasons, and what was accepted."""
    print(f"{'step':<8}{'in':>8}{'passed':>8}{'rejected':>10}{'failed':>8}{'pending':>9}")
    for step in funnel["steps"]:
        counts = [sum(step[kind].values()) for kind in ("rejected", "failed")]
        print(f"{step['step']:<8}{step['in']:>8}{step['passed']:>8}{counts[0]:>10}{counts[1]:>8}{step['pending']:>9}")
        for kind in ("rejected", "failed"):
            for reason, n in step[kind].items():
                print(f"{'':<16}{n:>8}  {reason}")
    made = {genre: counts.get("accepted", 0) for genre, counts in funnel["genres"].items()}
    listed = ", ".join(f"{n} {genre}" for genre, n in made.items() if n)
    several = f" ({funnel['samples']} samples)" if funnel["samples"] > funnel["seeds"] else ""
    print(f"\n{funnel['accepted']} rows accepted of {funnel['seeds']} seeds{several}: {listed or 'none'}")
    for name in ("uniqueness", "chains"):
        print(f"{name}: {', '.join(f'{n} {key}' for key, n in funnel[name].items())}")


def _dry_run(config: Config, arguments: argparse.Namespace) -> int:
    prepared = prepare(config, prompts=arguments.prompts)
    print(f"fingerprint {prepared.fingerprint}")
    print(f"graph       {prepared.knowledge.name}")
    print(f"folder      {arguments.out or Path('runs') / f'{config.seed}-{prepared.fingerprint[:8]}'}")
    print(f"seeds       {arguments.n or 'as many as it takes' if arguments.accept else arguments.n or 100}")
    print("evidence sets at hand:")
    for genre, found in prepared.seeds.lists.items():
        print(f"  {genre:<12}{len(found):>8}")
    return 0
