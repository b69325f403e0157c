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
from dataclasses import dataclass, replace
from functools import partial
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
from synth.engines.served import NOT_STATED, Served, Writer
from synth.engines.server import OwnedServer, has_gpu
from synth.errors import EndpointError, UsageError
from synth.profiles import Profile, load_profile, profile_names
from synth.prompts import Prompts

_OF_A_MODEL = frozenset((".json", ".jinja", ".model", ".safetensors", ".bin", ".pt"))
_SAMPLED = 1 << 20
"""Bytes read at the beginning, in the middle and at the end of a file of weights."""
_FILES = 128
"""Files that a run has open besides its connections."""
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
        return tuple(Writer(model, NOT_STATED, profile_for(config, model)) for model in config.model)
    return tuple(
        Writer(served_name(model), revision_of(model, config.serving.flags), profile_for(config, model))
        for model in config.model
    )


def to_keep(writers: Sequence[Writer]) -> list[dict[str, Any]]:
    """Models as a run keeps them: a replay needs neither their folders nor a user's profile."""
    return [
        {"model": writer.model, "revision": writer.revision, "profile": writer.profile.model_dump(mode="json")}
        for writer in writers
    ]


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
        return next((told for flag, told in pairwise(words) if flag == "--revision"), NOT_STATED)
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


def prices_of(writers: Sequence[Writer]) -> dict[str, tuple[float, float]]:
    """US dollars per million tokens, prompt and completion, of the models whose profiles name prices."""
    named = [(writer.model, writer.profile.prices) for writer in writers]
    return {model: (prices.prompt, prices.completion) for model, prices in named if prices is not None}


def allow_files(connections: int, say: Say) -> None:
    """Let this process hold so many connections open, if the system lets it; say so if not."""
    try:
        import resource  # noqa: PLC0415  (POSIX only)
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        say(
            f"this system allows {most} open files, fewer than --concurrency {connections} takes: "
            f"give --concurrency {max(1, most - _FILES)}, or raise `ulimit -n`"
        )


def limits_of(config: Config) -> Limits:
    """How hard servers are driven, by configuration."""
    serving = config.serving
    return Limits(
        in_flight=serving.concurrency or IN_FLIGHT,
        start=serving.concurrency or START,
        timeout=serving.timeout, silence=serving.silence, stream=serving.stream, tries=serving.tries,
        re_asks=config.served.re_asks, patience=serving.patience,
        max_calls=serving.max_calls, max_tokens=serving.max_tokens, max_cost=serving.max_cost,
        requests_per_minute=serving.requests_per_minute, tokens_per_minute=serving.tokens_per_minute,
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
        limits = limits_of(config)
        if not offline:
            allow_files(limits.in_flight, say)
            state_licenses(writers, say)
            if config.engine == "vllm":
                endpoints, owned = await _started(config, writers, logs or Path(), say, stack)
            else:
                endpoints = await _servers_of(writers, endpoints_of(config), config, say)
        told = {key: Capabilities(**data) for key, data in (known or {}).items()}
        capabilities = {_place(_model(key, found), found.server): found for key, found in told.items()}
        if not offline:
            capabilities |= await _probed(config, writers, endpoints, capabilities, say)
        writers = [writer._replace(answers_as=_answers_as(writer.model, capabilities)) for writer in writers]

        def dress(call: Call, endpoint: Endpoint) -> Mapping[str, Any]:
            found = capabilities.get(_place(call.model, _server(config, endpoint)))
            return found.dress(call) if found is not None else plainly(call)

        async def revive(endpoint: Endpoint) -> None:
            server = owned.get(endpoint.url)
            if server is not None and not await server.revive(say):
                raise EndpointError(f"the vLLM server ended twice: {server.reason}; its log is {server.log}")

        scheduler = Scheduler(
            endpoints, journal, replace(limits, gauges=any(found.gauges for found in capabilities.values())),
            spent=spent, ca=config.serving.ca, dress=dress, prices=prices_of(writers),
            single=frozenset(_model(place, found) for place, found in capabilities.items() if not found.n),
            on_away=revive if owned else None, say=say,
        )  # fmt: skip
        await stack.enter_async_context(scheduler)
        for server_url, server in owned.items():
            endpoint = next(e for several in endpoints.values() for e in several if e.url == server_url)
            watching = asyncio.create_task(server.watch(partial(scheduler.abandon, endpoint)))
            stack.push_async_callback(_ended, watching)
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
    starts = []
    variables = [value[1:].strip("{}") for value in config.serving.headers.values() if value.startswith("$")]
    secrets = {config.serving.api_key_env, *variables}
    for model, writer, gpus in zip(config.model, writers, shared_gpus(config), strict=True):
        flags = (*writer.profile.serve.flags, *config.serving.flags)
        for gpu in gpus:
            number = len(owned) + 1
            server = OwnedServer(
                model, flags, log=logs / f"vllm-{number}.log", served_name=writer.model, gpu=gpu, hidden=secrets,
            )  # fmt: skip
            stack.push_async_callback(server.stop)
            endpoint = Endpoint(server.base_url)
            owned[endpoint.url] = server
            endpoints.setdefault(writer.model, []).append(endpoint)
            starts.append(server.start(say))
    await asyncio.gather(*starts)
    return endpoints, owned


def shared_gpus(config: Config) -> list[tuple[int | None, ...]]:
    """The GPUs of each model, each its own; (None,) leaves the choice to vLLM.

    Raises:
        UsageError: there are fewer than models.
    """
    many, models = config.serving.gpus, len(config.model)
    if many is None:
        if models > 1 and has_gpu():
            raise UsageError(
                f"--gpus: {models} models do not share a GPU; say how many GPUs they may use, at least one each"
            )
        return [(None,)] * models
    if many < models:
        raise UsageError(f"--gpus {many}: {models} models take at least one each")
    return [tuple(range(first, many, models)) for first in range(models)]


def _place(model: str, server: str) -> str:
    """Under what the capabilities of a server for a model are kept."""
    return f"{model} {server}" if server else model


def _model(place: str, found: Capabilities) -> str:
    """The model of a `_place`."""
    return place.removesuffix(f" {found.server}") if found.server else place


def _server(config: Config, endpoint: Endpoint) -> str:
    """Which server, by a hash of its address; empty for those that a run starts itself."""
    return "" if config.engine == "vllm" else hashlib.blake2b(endpoint.url.encode(), digest_size=8).hexdigest()


def _answers_as(model: str, capabilities: Mapping[str, Capabilities]) -> str:
    """As what the first server of a model answers."""
    return next((found.revision for place, found in capabilities.items() if _model(place, found) == model), "")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
            for endpoint in endpoints[writer.model]:
                server = _server(config, endpoint)
                place = _place(writer.model, server)
                if place in found or place in known:
                    continue
                seen = await probe(client, endpoint, writer.model, writer.profile)
                found[place] = seen.model_copy(update={"server": server})
                where = f" at {endpoint}" if len(endpoints[writer.model]) > 1 and server else ""
                say(f"{writer.model}{where}: {seen.told()}")
    return found


async def _servers_of(
    writers: Sequence[Writer], endpoints: Sequence[Endpoint], config: Config, say: Say
) -> dict[str, list[Endpoint]]:
    """Of several servers, those that list each model; all of them where none lists it; none that is away."""
    if len(endpoints) == 1:
        return {writer.model: list(endpoints) for writer in writers}
    listed: dict[Endpoint, Mapping[str, Any]] = {}
    lost: EndpointError | None = None
    async with Client(ca=config.serving.ca) as client:
        for endpoint in endpoints:
            try:
                listed[endpoint] = await models_of(client, endpoint)
            except EndpointError as error:
                say(f"left out: {error}")
                lost = error
    if lost is not None and not listed:
        raise lost
    having = {writer.model: [e for e, models in listed.items() if writer.model in models] for writer in writers}
    return {model: found or list(listed) for model, found in having.items()}
