"""`synth doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from synth import __version__
from synth.engines.server import NO_VLLM, vllm_python
from synth.errors import SynthError, UsageError
from synth.prompts import load_prompts
from synth_kg.bundle import DamagedGraph
from synth_kg.knowledge import bundled
from synth_kg.tables import TableError

_ROOM = 1 << 30


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    ok: bool
    needed: bool
    """Whether the embedded engine needs it."""
    detail: str


def doctor(arguments: argparse.Namespace) -> int:
    """Print the findings; exit 1 if something is missing that the embedded engine needs."""
    vllm, python = _vllm()
    found = [_python(), _knowledge(), _templates(), _disk(), vllm, *map(_package, ("torch", "ray")), _gpu()]
    healthy = all(item.ok for item in found if item.needed)
    engines = ["grounded", "openai", *(["vllm"] if python else []), "replay"] if healthy else []
    if arguments.json:
        data = {
            "version": __version__,
            "engines": engines,
            "vllm_python": str(python) if python else None,
            "findings": [item._asdict() for item in found],
        }
        print(json.dumps(data, indent=2))
    else:
        for item in found:
            mark = "ok     " if item.ok else "MISSING" if item.needed else "absent "
            print(f"{mark}  {item.what:<12} {item.detail}")
        print(f"\nengines that run here: {', '.join(engines)}" if healthy else "\nnothing runs here as it is")
    return 0 if healthy else 1


def _python() -> Finding:
    version = platform.python_version()
    return Finding("python", sys.version_info >= (3, 11), True, f"{version} on {platform.system()}")


def _knowledge() -> Finding:
    try:
        knowledge = bundled()
    except (DamagedGraph, TableError, OSError) as error:
        return Finding("knowledge", False, True, str(error))
    return Finding("knowledge", True, True, f"graph {knowledge.name}, {len(knowledge.graph.edges):,} edges, intact")


def _templates() -> Finding:
    try:
        prompts = load_prompts("en")
    except (SynthError, OSError) as error:
        return Finding("templates", False, True, str(error))
    return Finding("templates", True, True, f"prompts {prompts.hash} in {prompts.folder}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding("disk", free > _ROOM, False, f"{free / _ROOM:.1f} GiB free here")


def _vllm() -> tuple[Finding, Path | None]:
    try:
        python = vllm_python()
    except UsageError as error:
        return Finding("vllm", False, False, str(error)), None
    return Finding("vllm", python is not None, False, str(python) if python else NO_VLLM), python


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, False, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, False, False, "not installed; nothing in this version uses it here")


def _gpu() -> Finding:
    path = shutil.which("nvidia-smi")
    return Finding("gpu", path is not None, False, path or "no nvidia-smi: vLLM runs on the CPU here, for small trials")
