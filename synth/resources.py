"""Where bundled files lie: inside the installed package, or at the top of a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def data_dir(name: str) -> Path:
    """Return the folder `prompts` or `configs`.

    A wheel carries them inside the package; a checkout keeps them at its top, where a doctor
    finds them.
    """
    package = Path(str(files("synth")))
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
