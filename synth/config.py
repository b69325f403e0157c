"""The run's configuration: data only, every key known, defaults written once, here.

Precedence: command-line flag, environment (`OPENAI_BASE_URL`), `--config` file, `./synth.yaml`,
default; a model's profile fills what none of them says of sampling. The
fingerprint covers what changes rows and nothing else, so that a resumed run may use another
folder or log level but never another mixture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synth.errors import UsageError

SETTINGS = "synth.yaml"


class Strict(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mixture(Strict):
    """Shares of the genres among the seeds; a genre that runs out leaves its share to the others."""

    vignette: float = Field(34, ge=0)
    multihop: float = Field(10, ge=0)
    choice: float = Field(20, ge=0)
    """Pathogen, route, finding and drug class, taken in turn."""
    open: float = Field(5, ge=0)
    reverse: float = Field(4, ge=0)
    compare: float = Field(9, ge=0)
    calculation: float = Field(14, ge=0)
    explainer: float = Field(4, ge=0)
    abstract: float = Field(0, ge=0)
    """Only a served model writes these."""
    dialogue: float = Field(0, ge=0)
    """Only a served model writes these."""

    @model_validator(mode="after")
    def _some(self) -> Mixture:
        if not any(self.model_dump().values()):
            raise ValueError("every share is 0, so nothing would be made")
        return self


class Sampling(Strict):
    """How evidence sets are drawn from the graph, and tokens from a served model."""

    hub_damping: float = Field(0.5, ge=0, le=2)
    """Exponent by which a finding that many diseases share is drawn less often."""
    rarity: float = Field(0.5, ge=0, le=2)
    """Exponent by which a disease with few stated findings is drawn more often."""
    per_evidence_set: int = Field(4, ge=1, le=4)
    """Rows made from one evidence set, at most."""
    max_tokens: int | None = Field(None, ge=1)
    """Length of a long reply; the profile's if None."""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)


class Checks(Strict):
    """Bounds that the checks hold rows to."""

    min_reasoning_words: int = Field(80, ge=0)
    max_reasoning_words: int = Field(700, ge=1)
    max_opening_share: float = Field(0.045, gt=0, le=1)
    """Share of chains that may begin with the same eight words."""


class Served(Strict):
    """How a served model is asked."""

    conditioning: Literal["none", "evidence", "answer"] = "evidence"
    """What the writer of the reasoning is shown: nothing, the evidence, or the gold answer as well."""
    models_per_seed: int = Field(1, ge=1)
    """Of the models that the run names, how many write on each seed."""
    re_asks: int = Field(2, ge=0, le=5)
    """How often an unusable reply is asked for again, with what is wrong shown."""


class Serving(Strict):
    """Where servers are and how hard they are driven. Nothing here changes a row."""

    base_url: tuple[str, ...] = ()
    concurrency: int | None = Field(None, ge=1)
    """Requests in flight, at most."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    headers: dict[str, str] = {}
    """Extra headers; a value `$NAME` is taken from the environment."""
    ca: str | None = None
    """File of certificates to trust besides those of the system."""
    timeout: float = Field(300, gt=0)
    """Seconds that an unstreamed reply may take, at least."""
    silence: float = Field(60, gt=0)
    """Seconds between two pieces of a streamed reply."""
    stream: bool = False
    tries: int = Field(5, ge=1)
    patience: float = Field(300, ge=0)
    """Seconds that a server may be away before the run stops."""
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    max_calls: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_cost: float | None = Field(None, gt=0)
    """US dollars that a run may cost by the prices of its models' profiles."""
    gpus: int | None = Field(None, ge=1)
    """Servers that the vllm engine starts, one a GPU."""
    flags: tuple[str, ...] = ()
    """Further flags for the servers that it starts."""


class RunOptions(Strict):
    """How long and how hard to work."""

    rounds: int = Field(2, ge=0, le=3)
    """Revisions of a row at most: as many for what the checks find, and again for what the gate finds."""
    min_yield: int = Field(1, ge=0)
    """Accepted rows that the first 200 finished samples must give; 0 asks for none."""


class Config(Strict):
    """Everything that decides which rows come out."""

    seed: Literal["kg", "textbook", "case"] = "kg"
    source: tuple[str, ...] = ()
    """Files to read instead of the bundled graph."""
    source_license: str = "not stated"
    """Licence of those files, where they do not state one."""
    engine: Literal["grounded", "openai", "vllm", "replay"] = "grounded"
    lang: Literal["en", "zh"] = "en"
    model: tuple[str, ...] = ()
    """Models to ask, by the id that the server knows them by, or by path for the vllm engine."""
    profile: str | None = None
    """A model's profile: a name in `configs/profiles`, or a YAML file."""
    random_seed: int = Field(0, ge=0, lt=2**63)
    mixture: Mixture = Mixture()
    sampling: Sampling = Sampling()
    checks: Checks = Checks()
    served: Served = Served()
    serving: Serving = Serving()
    run: RunOptions = RunOptions()


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return the hash of all that changes rows: 32 hexadecimal digits.

    Args:
        identity: `what_changes_rows`, and the graph, templates, models and version that it was made with.
    """
    return hashlib.blake2b(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def what_changes_rows(config: Config) -> dict[str, Any]:
    """The configuration without what leaves the rows alone."""
    data = config.model_dump(mode="json")
    data.pop("source")  # named by the graph's hash, not by its path
    data.pop("serving")
    data["run"].pop("min_yield")
    if config.engine == "grounded":
        for name in ("model", "profile", "served"):
            data.pop(name)
    return data


def load_config(
    path: Path | None = None, *, flags: Mapping[str, Any] | None = None, settings: tuple[str, ...] = ()
) -> Config:
    """Resolve the configuration.

    Args:
        path: a YAML file; if None, `./synth.yaml` where there is one.
        flags: values given on the command line, by key; they win.
        settings: `key=value` strings with dotted keys (`run.rounds=1`); they win over the file.

    Raises:
        UsageError: no such file, not YAML, an unknown key or a bad value; names which.
    """
    default = Path(SETTINGS)
    origin = path or (default if default.is_file() else None)
    data = _read(origin) if origin else {}
    for text in settings:
        _set(data, text)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(data, key, value)
    data.pop("fingerprint", None)  # a run's own config.yaml states it
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the configuration"
        what = f"unknown key '{where}'" if first["type"] == "extra_forbidden" else f"{where}: {first['msg']}"
        source = f"{origin}: " if origin else ""
        raise UsageError(f"{source}{what}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such configuration file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a configuration file ({error})") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = f":{line + 1}" if line is not None else ""
        raise UsageError(f"{path}{at}: not valid YAML") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a configuration file is a mapping of keys to values")
    return data


def _set(data: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set takes key=value, not '{text}'")
    try:
        _put(data, key.strip(), yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: the value is not valid YAML") from error


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key."""
    *parents, last = key.split(".")
    for parent in parents:
        inner = data.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{key}: '{parent}' holds no keys")
        data = inner
    data[last] = value
