"""Opening the engine that a configuration names, with the servers that it needs.

`grounded` words it from templates and the evidence alone; `openai` asks any server that speaks
the OpenAI API; `vllm` starts such a server and owns it; `replay` gives what a server replied
before. The last three are one engine that differs in where replies come from.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from synth.claims import Claims
from synth.config import Config
from synth.engines.calls import Call
from synth.engines.client import Client, Endpoint
from synth.engines.engine import Engine
from synth.engines.grounded import Grounded
from synth.engines.limits import Limits, Spent
from synth.engines.probe import Capabilities, models_of, probe
from synth.engines.scheduler import Journal, Scheduler, plainly
from synth.engines.served import Served, Writer
from synth.engines.server import OwnedServer
from synth.errors import EndpointError, UsageError
from synth.profiles import Profile, load_profile, profile_names
from synth.prompts import Prompts

_OF_A_MODEL = frozenset((".json", ".jinja", ".model", ".safetensors", ".bin", ".pt"))
_SAMPLED = 1 << 20
"""Bytes read at the beginning, in the middle and at the end of a file of weights."""
IN_FLIGHT, START = 256, 32
"""Requests in flight where nobody says: at most, and at the beginning."""
WRITERS = "writers"
"""Under which a run keeps its models."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """An engine, ready to work."""

    engine: Engine
    scheduler: Scheduler | None = None
    """None where no model is asked."""
    capabilities: Mapping[str, Capabilities] | None = None
    """Of the servers, by model."""

    @property
    def width(self) -> int:
        """Seeds to have on their way, so that a server never waits for us."""
        if self.scheduler is None:
            return 8
        return self.scheduler.limits.in_flight + self.scheduler.limits.in_flight // 4 + 8


def profile_for(config: Config, model: str) -> Profile:
    """The profile that the configuration names, else the bundled one that fits a model's id, else 'plain'."""
    if config.profile is None:
        for name in profile_names():
            profile = load_profile(name)
            if profile.fits(model):
                return profile
    return load_profile(config.profile)


def writers_of(config: Config) -> tuple[Writer, ...]:
    """The models of a run, each with its profile.

    Raises:
        UsageError: none is named, or fewer than write on each seed.
    """
    if not config.model:
        raise UsageError(f"--engine {config.engine}: name a model with --model")
    if len(set(config.model)) < config.served.models_per_seed:
        raise UsageError(
            f"served.models_per_seed is {config.served.models_per_seed}, and {len(set(config.model))} models are named"
        )
    if config.engine != "vllm":
        return tuple(Writer(model, "not stated", profile_for(config, model)) for model in config.model)
    return tuple(
        Writer(served_name(model), revision_of(model, config.serving.flags), profile_for(config, model))
        for model in config.model
    )


def to_keep(writers: Sequence[Writer]) -> list[dict[str, Any]]:
    """Models as a run keeps them: a replay needs neither their folders nor a user's profile."""
    return [{**writer._asdict(), "profile": writer.profile.model_dump(mode="json")} for writer in writers]


def writers_kept(kept: Sequence[Mapping[str, Any]] | None) -> tuple[Writer, ...] | None:
    """The models that `to_keep` gave; None if there are none."""
    if not kept:
        return None
    return tuple(Writer(told["model"], told["revision"], Profile.model_validate(told["profile"])) for told in kept)


def served_name(model: str) -> str:
    """The id of a model: a folder goes by its name, so that no path gets into a row."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


def revision_of(model: str, flags: Sequence[str] = ()) -> str:
    """What is known of a model's revision.

    Args:
        model: a folder: then it is a hash of its settings and of samples of its weights; or an id of the hub.
        flags: of vLLM: then it is what --revision says.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        words = [word for flag in flags for word in flag.split("=", 1)]
        return next((told for flag, told in pairwise(words) if flag == "--revision"), "not stated")
    hasher = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in folder.glob("*") if path.suffix in _OF_A_MODEL):
        size = path.stat().st_size
        hasher.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for start in (0, size // 2, max(0, size - _SAMPLED)):
                file.seek(start)
                hasher.update(file.read(_SAMPLED))
    return f"folder {hasher.hexdigest()}"


def endpoints_of(config: Config) -> list[Endpoint]:
    """The servers that a configuration names, with what they ask of us.

    Raises:
        UsageError: none is named, or a header's variable is not set.
    """
    urls = config.serving.base_url
    if not urls:
        raise UsageError("--engine openai: name a server with --base-url (or OPENAI_BASE_URL)")
    headers = {name: _from_environment(name, value) for name, value in config.serving.headers.items()}
    key = os.environ.get(config.serving.api_key_env, "")
    return [Endpoint(url, key=key, headers=headers) for url in urls]


def _from_environment(name: str, value: str) -> str:
    if not value.startswith("$"):
        return value
    found = os.environ.get(value[1:].strip("{}"))
    if found is None:
        raise UsageError(f"serving.headers.{name}: the variable {value[1:]} is not set")
    return found


async def choose_models(config: Config) -> tuple[str, ...]:
    """The only model of the server, where the configuration names none.

    Raises:
        UsageError: it has several, or none.
        EndpointError: it cannot be asked.
    """
    async with Client(ca=config.serving.ca) as client:
        endpoint = endpoints_of(config)[0]
        found = list(await models_of(client, endpoint))
    if len(found) == 1:
        return (found[0],)
    what = f"has {', '.join(found[:8])}" if found else "lists none"
    raise UsageError(f"{endpoint}: name a model with --model; the server {what}")


def limits_of(config: Config, *, gauges: bool) -> Limits:
    """How hard servers are driven, by configuration."""
    serving = config.serving
    return Limits(
        in_flight=serving.concurrency or IN_FLIGHT,
        start=serving.concurrency or START,
        timeout=serving.timeout, silence=serving.silence, stream=serving.stream, tries=serving.tries,
        re_asks=config.served.re_asks, patience=serving.patience,
        max_calls=serving.max_calls, max_tokens=serving.max_tokens,
        requests_per_minute=serving.requests_per_minute, tokens_per_minute=serving.tokens_per_minute,
        gauges=gauges,
    )  # fmt: skip


@asynccontextmanager
async def open_engine(
    config: Config,
    writers: Sequence[Writer],
    claims: Claims,
    prompts: Prompts,
    *,
    journal: Journal,
    spent: Spent,
    known: Mapping[str, Any] | None = None,
    offline: bool = False,
    logs: Path | None = None,
    say: Say = lambda _line: None,
) -> AsyncIterator[Opened]:
    """Open the engine that a configuration names; servers that it starts are stopped at the end.

    Args:
        config: the resolved configuration.
        writers: its models, in order.
        claims: what evidence lets a row say.
        prompts: templates that a model is asked with.
        journal: where replies are kept.
        spent: what the run has cost so far.
        known: capabilities found before, by model; found out if None.
        offline: answer from the journal alone.
        logs: folder for the logs of servers that are started.
        say: is told what a person may want to know.

    Raises:
        UsageError: a server, a model or a variable is missing.
        EndpointError: a server cannot be used.
    """
    if config.engine == "grounded":
        yield Opened(Grounded(claims))
        return
    async with AsyncExitStack() as stack:
        endpoints: dict[str, list[Endpoint]] = {}
        owned: dict[str, OwnedServer] = {}
        if not offline:
            state_licenses(writers, say)
            if config.engine == "vllm":
                endpoints, owned = await _started(config, writers, logs or Path(), say, stack)
            else:
                endpoints = await _servers_of(config, writers, endpoints_of(config))
        capabilities = {model: Capabilities(**data) for model, data in (known or {}).items()}
        if not offline:
            capabilities |= await _probed(config, writers, endpoints, capabilities, say)

        def dress(call: Call) -> Mapping[str, Any]:
            found = capabilities.get(call.model)
            return found.dress(call) if found is not None else plainly(call)

        async def revive(endpoint: Endpoint) -> None:
            server = owned.get(endpoint.url)
            if server is not None and not await server.revive(say):
                raise EndpointError(f"the vLLM server ended twice: {server.reason}; its log is {server.log}")

        scheduler = Scheduler(
            endpoints, journal, limits_of(config, gauges=any(c.gauges for c in capabilities.values())),
            spent=spent, ca=config.serving.ca, dress=dress,
            single=frozenset(model for model, found in capabilities.items() if not found.n),
            on_away=revive if owned else None,
        )  # fmt: skip
        await stack.enter_async_context(scheduler)
        yield Opened(Served(config, claims, prompts, scheduler, writers), scheduler, capabilities)


def state_licenses(writers: Sequence[Writer], say: Say) -> None:
    """Say what the models' licences ask, before the first call."""
    for profile in dict.fromkeys(writer.profile.name for writer in writers):
        found = next(writer.profile for writer in writers if writer.profile.name == profile)
        if found.commercial is False:
            say(f"{found.title}: {found.license}, NOT FOR COMMERCIAL USE. {' '.join(found.obligations.split())}")
        elif found.obligations:
            say(f"{found.title}: {found.license}. {' '.join(found.obligations.split())}")
        elif found.license == "not stated":
            say(f"profile {found.name} states no licence: rows will say 'not stated' (write a profile that names it)")


async def _started(
    config: Config, writers: Sequence[Writer], logs: Path, say: Say, stack: AsyncExitStack
) -> tuple[dict[str, list[Endpoint]], dict[str, OwnedServer]]:
    """Start the servers of the vllm engine: one a model, or one a model and GPU."""
    endpoints: dict[str, list[Endpoint]] = {}
    owned: dict[str, OwnedServer] = {}
    gpus: Sequence[int | None] = range(config.serving.gpus) if config.serving.gpus else (None,)
    starts = []
    for model, writer in zip(config.model, writers, strict=True):
        flags = (*writer.profile.serve.flags, *config.serving.flags)
        for gpu in gpus:
            number = len(owned) + 1
            server = OwnedServer(model, flags, log=logs / f"vllm-{number}.log", served_name=writer.model, gpu=gpu)
            stack.push_async_callback(server.stop)
            endpoint = Endpoint(server.base_url)
            owned[endpoint.url] = server
            endpoints.setdefault(writer.model, []).append(endpoint)
            starts.append(server.start(say))
    await asyncio.gather(*starts)
    return endpoints, owned


async def _probed(
    config: Config,
    writers: Sequence[Writer],
    endpoints: Mapping[str, Sequence[Endpoint]],
    known: Mapping[str, Capabilities],
    say: Say,
) -> dict[str, Capabilities]:
    """What the servers can do for the models that were not probed before."""
    found: dict[str, Capabilities] = {}
    async with Client(ca=config.serving.ca) as client:
        for writer in writers:
            endpoint = endpoints[writer.model][0]
            server = (
                "" if config.engine == "vllm" else hashlib.blake2b(endpoint.url.encode(), digest_size=8).hexdigest()
            )
            before = found.get(writer.model) or known.get(writer.model)
            if before is not None and before.server == server:
                continue
            seen = await probe(client, endpoint, writer.model, writer.profile)
            found[writer.model] = seen.model_copy(update={"server": server})
            say(f"{writer.model}: {seen.told()}")
    return found


async def _servers_of(
    config: Config, writers: Sequence[Writer], endpoints: Sequence[Endpoint]
) -> dict[str, list[Endpoint]]:
    """Of several servers, those that list each model; all of them where none lists it."""
    if len(endpoints) == 1:
        return {writer.model: list(endpoints) for writer in writers}
    async with Client(ca=config.serving.ca) as client:
        listed = [await models_of(client, endpoint) for endpoint in endpoints]
    having = {
        writer.model: [e for e, models in zip(endpoints, listed, strict=True) if writer.model in models]
        for writer in writers
    }
    return {model: found or list(endpoints) for model, found in having.items()}
