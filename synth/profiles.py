"""Model profiles: what a served model needs, what its server lacks, and what its licence asks.

A profile is a YAML fragment, `configs/profiles/NAME.yaml` or a file of the user's own. It is
data about a model and its server; what a run makes of it is decided elsewhere. A profile that
states no licence says so, since every row carries the licence of its generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synth.errors import UsageError
from synth.resources import data_dir

DEFAULT = "plain"


class _Strict(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingDefaults(_Strict):
    """What the model's makers recommend; None leaves it to the run's configuration."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """Longest reply, thinking included."""


class Prices(_Strict):
    """US dollars per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class Serve(_Strict):
    """How to serve the model with vLLM."""

    flags: tuple[str, ...] = ()
    """Arguments of `vllm serve`, one word each."""
    note: str = ""


class Profile(_Strict):
    """A model and the server that it needs."""

    name: str = Field(min_length=1)
    title: str = Field(min_length=1)
    models: tuple[str, ...] = ()
    """Glob patterns of the ids that it fits; upper and lower case are the same."""
    license: str = Field("not stated", min_length=1)
    commercial: bool | None = None
    """Whether the licence allows commercial use without asking; None where it is not known."""
    obligations: str = ""
    """What the licence asks of outputs and of models trained on them; shown before the first call and on exports."""
    reasoning: Literal["prompted", "native"]
    """native: in think tags or a field of its own; prompted: in the reply, as it is asked to."""
    system: bool = True
    """Whether the chat format has a system turn; if not, its text goes before the first user turn."""
    body: Mapping[str, Any] = Field(default_factory=dict)
    """Extra fields of every request."""
    structured: Literal["auto", "json_schema", "structured_outputs", "guided_json", "json_object", "none"] = "auto"
    """How JSON is asked for; auto: what the server turns out to take."""
    lacks: tuple[Literal["n", "logprobs", "prompt_logprobs", "seed", "pooling"], ...] = ()
    """Known not to be there: neither probed nor asked for."""
    sampling: SamplingDefaults = SamplingDefaults()
    prices: Prices | None = None
    """None on hardware of one's own."""
    serve: Serve = Serve()
    note: str = ""

    @model_validator(mode="after")
    def _told(self) -> Profile:
        if self.commercial is False and not self.obligations.strip():
            raise ValueError("a licence that forbids commercial use has to be told of under 'obligations'")
        return self

    def fits(self, model: str) -> bool:
        """Whether the profile is meant for a model of this id."""
        return any(fnmatchcase(model.casefold(), pattern.casefold()) for pattern in self.models)


def profile_names() -> tuple[str, ...]:
    """Names of the bundled profiles, in order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_profile(name: str | None) -> Profile:
    """Load a profile.

    Args:
        name: of a bundled profile, or the path of a YAML file; None means 'plain'.

    Raises:
        UsageError: no such profile, not YAML, an unknown key or a bad value; names file and line.
    """
    name = DEFAULT if name is None else name
    if name in profile_names():
        return _read(_folder() / f"{name}.yaml")
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return _read(path)
    raise UsageError(f"no profile '{name}': give one of {', '.join(profile_names())}, or the path of a YAML file")


def obligations_of(license: str) -> str:
    """What a bundled profile's licence asks, by the licence's name; empty if nothing, or it is not known."""
    profiles = (load_profile(name) for name in profile_names())
    return next((" ".join(p.obligations.split()) for p in profiles if p.license == license), "")


def _folder() -> Path:
    return data_dir("configs") / "profiles"


def _read(path: Path) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such profile file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a profile ({error})") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = f":{line + 1}" if line is not None else ""
        raise UsageError(f"{path}{at}: not valid YAML") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a profile is a mapping of keys to values")
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the profile"
        what = f"unknown key '{where}'" if first["type"] == "extra_forbidden" else f"{where}: {first['msg']}"
        raise UsageError(f"{path}:{_line(tree, first['loc'])}: {what}") from error


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """The line of a place in a YAML tree, or of the nearest that is there above it."""
    line = node.start_mark.line if node is not None else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1
