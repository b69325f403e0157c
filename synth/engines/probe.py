"""What a server can do: found out once with one small request for each capability, and stored with the run.

Servers that speak this API differ in what they take, and small ones ignore what they do not
know instead of refusing it. So a capability counts as there only if its effect was seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from synth.engines.calls import Call, Completion, read_completion
from synth.engines.client import Client, Endpoint, Refused, Trouble
from synth.engines.pace import read_gauges
from synth.errors import EndpointError
from synth.profiles import Profile

DIALECTS = ("json_schema", "structured_outputs", "guided_json", "json_object")
"""Ways to ask for JSON of a schema, the most portable first."""
_PATIENCE = 120.0
"""Seconds for one small request: a server may still be compiling."""
_GLANCE = 30.0
"""The same for what lies outside the versioned routes."""
_TRIES = 3
_MARGIN = 64
_LEAST = 256
_SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["probe_ok"],
    "properties": {"probe_ok": {"type": "integer", "minimum": 7, "maximum": 7}},
}  # fmt: skip
_ASKING: tuple[dict[str, str], ...] = ({"role": "user", "content": "Say hello, in JSON."},)
"""Nothing that would bring the schema's key by itself."""


class Capabilities(BaseModel):
    """What a server does for a model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    structured: str = "none"
    """One of `DIALECTS`, or 'none': then JSON is asked for in words alone."""
    n: bool = False
    """Whether one request can bring several replies."""
    logprobs: bool = False
    prompt_logprobs: bool = False
    reasoning: str = "text"
    """Where thinking was seen: in the 'field' of its own, in 'tags', or only in the 'text'."""
    pooling: str = "none"
    """'pooling', 'classify' or 'none': what a reward model would be asked through."""
    context: int | None = None
    """Tokens of prompt and reply together, where the server tells."""
    listed: bool = True
    """Whether the server lists the model by this name, or lists none."""
    revision: str = ""
    """As what it answers: the name in its replies where that is another, and its fingerprint."""
    server: str = ""
    """Which server was asked, as a hash of its address; empty for one that the run starts itself."""
    vllm: str | None = None
    """Version of vLLM, where it is that."""
    gauges: bool = False
    """Whether /metrics tells vLLM's load."""

    def dress(self, call: Call) -> dict[str, Any]:
        """The request body of a call, in the dialect of this server and within its context."""
        body: dict[str, Any] = {"model": call.model, "messages": call.messages, **call.body}
        if self.context and "max_tokens" in body:
            prompt = sum(len(turn["content"].encode()) for turn in call.messages) // 3
            body["max_tokens"] = min(body["max_tokens"], max(_LEAST, self.context - prompt - _MARGIN))
        return body if call.schema is None else {**body, **_structured(self.structured, call.schema)}

    def told(self) -> str:
        """In words, for a person."""
        lacking = [name for name in ("n", "logprobs", "prompt_logprobs") if not getattr(self, name)]
        parts = [
            f"vLLM {self.vllm}" if self.vllm else "not vLLM",
            f"context {self.context}" if self.context else "context not told",
            f"JSON by {self.structured}"
            if self.structured != "none"
            else "no structured output: JSON asked for in words",
            f"thinking in {self.reasoning}",
            *([] if self.listed else ["THE SERVER DOES NOT LIST A MODEL OF THIS NAME, by which rows will call it"]),
            *([f"it answers as {self.revision}"] if self.revision else []),
            *([f"without {', '.join(lacking)}"] if lacking else []),
        ]
        return "; ".join(parts)


def _structured(dialect: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if dialect == "json_schema":
        named = {"name": "reply", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if dialect == "structured_outputs":
        return {"structured_outputs": {"json": schema}}
    if dialect == "guided_json":
        return {"guided_json": schema}
    if dialect == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {}


async def models_of(client: Client, endpoint: Endpoint) -> dict[str, Mapping[str, Any]]:
    """The models that a server lists, by id; empty if it lists none.

    Raises:
        EndpointError: nobody answers there, or the credentials are refused.
    """
    for tries in range(_TRIES):
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await client.ask(endpoint, "GET", endpoint.url + "/models")
            break
        except (Trouble, TimeoutError) as trouble:
            if tries == _TRIES - 1:
                raise EndpointError(f"{endpoint}: {trouble or 'no answer'}; is a server running there?") from None
            await asyncio.sleep(0.3 * 2**tries)
    if answer.status in (401, 403):
        raise EndpointError(f"{endpoint}: refuses the credentials (HTTP {answer.status}); set the key's variable")
    try:
        return {str(entry["id"]): entry for entry in orjson.loads(answer.body)["data"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}


async def probe(client: Client, endpoint: Endpoint, model: str, profile: Profile) -> Capabilities:
    """Find out what a server can do for a model.

    Raises:
        EndpointError: it cannot even be asked a plain question, or answers as another model, whose name and licence
            rows would then lack.
    """
    models = await models_of(client, endpoint)
    listed = models.get(model, {})
    asker = _Asker(client, endpoint, model, profile)
    plain = await asker.required({"max_tokens": 16})
    answers_as, revision = asker.identity()
    if models and model not in models and answers_as in models:
        raise EndpointError(f"{endpoint}: answers as {answers_as} when asked for {model}; name that with --model")
    reasoning = ("field" if asker.told_apart() else "tags") if plain.choices and plain.choices[0].reasoning else "text"
    structured = profile.structured if profile.structured != "auto" else await asker.dialect()
    found: dict[str, Any] = {"structured": structured, "reasoning": reasoning, "revision": revision}
    found["listed"] = not models or model in models
    found["context"] = listed.get("max_model_len")
    if "n" not in profile.lacks:
        two = await asker.ask({"max_tokens": 4, "n": 2, "temperature": 1})
        found["n"] = two is not None and len(two.choices) == 2
    if "logprobs" not in profile.lacks:
        told = await asker.ask({"max_tokens": 2, "logprobs": True, "top_logprobs": 1})
        found["logprobs"] = bool(told and told.choices and told.choices[0].logprobs)
    if "prompt_logprobs" not in profile.lacks:
        told = await asker.ask({"max_tokens": 1, "prompt_logprobs": 0})
        found["prompt_logprobs"] = bool(told and told.prompt_logprobs)
    if "pooling" not in profile.lacks:
        found["pooling"] = await asker.head()
    found["vllm"] = await asker.version()
    found["gauges"] = await asker.gauges()
    return Capabilities(**found)


class _Asker:
    """Asks the small questions; what a server refuses, it does not have."""

    def __init__(self, client: Client, endpoint: Endpoint, model: str, profile: Profile) -> None:
        self.client, self.endpoint, self.model, self.profile = client, endpoint, model, profile
        self.last = b"{}"

    async def required(self, body: Mapping[str, Any]) -> Completion:
        """Ask what any server can answer."""
        why = "no usable answer"
        for tries in range(_TRIES):
            await asyncio.sleep(0.3 * tries)
            try:
                return await self._post(body)
            except Refused as refused:
                raise EndpointError(f"{self.endpoint}: refuses {self.model}: {refused}") from None
            except (Trouble, TimeoutError, ValueError) as trouble:
                why = str(trouble) or why
        raise EndpointError(f"{self.endpoint}: cannot answer a plain question ({why})")

    async def ask(self, body: Mapping[str, Any]) -> Completion | None:
        """Ask something that a server may not know; None if it did not answer."""
        for _ in range(2):
            try:
                return await self._post(body)
            except Refused:
                return None
            except (Trouble, TimeoutError, ValueError):
                continue
        return None

    async def _post(self, body: Mapping[str, Any]) -> Completion:
        whole = {"model": self.model, "messages": _ASKING, "temperature": 0, **self.profile.body, **body}
        async with asyncio.timeout(_PATIENCE):
            reply = await self.client.post(self.endpoint, "/chat/completions", orjson.dumps(whole))
        completion = read_completion(reply)
        self.last = reply
        return completion

    def told_apart(self) -> bool:
        """Whether the server gave the thinking of the last reply a field of its own."""
        message = orjson.loads(self.last)["choices"][0]["message"]
        return bool(message.get("reasoning") or message.get("reasoning_content"))

    def identity(self) -> tuple[str, str]:
        """The model that the server names in its last reply, and what that adds to the name it was asked by."""
        told = orjson.loads(self.last)
        named, mark = (str(told.get(key) or "") for key in ("model", "system_fingerprint"))
        other = named.rpartition("/")[2] if named not in ("", self.model) else ""  # a path is nobody's business
        return named, " ".join(part for part in (other, mark) if part)

    async def dialect(self) -> str:
        """The first dialect whose effect is seen: a key and a number that no model would give unasked."""
        room = 64 if self.profile.reasoning == "prompted" else 2048
        for dialect in DIALECTS:
            reply = await self.ask({"max_tokens": room, **_structured(dialect, _SCHEMA)})
            text = reply.choices[0].text if reply and reply.choices else ""
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, dict) and (dialect == "json_object" or value == {"probe_ok": 7}):
                return dialect
        return "none"

    async def head(self) -> str:
        """The route through which a reward model could be asked."""
        payload = orjson.dumps({"model": self.model, "input": ["probe"]})
        for path in ("/pooling", "/classify"):
            if await self.reach("POST", path, payload) is not None:
                return path[1:]
        return "none"

    async def version(self) -> str | None:
        """The version of vLLM; None if it is another server."""
        try:
            return str(orjson.loads(await self.reach("GET", "/version") or b"")["version"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None

    async def gauges(self) -> bool:
        """Whether /metrics tells vLLM's load."""
        return read_gauges(await self.reach("GET", "/metrics") or b"") is not None

    async def reach(self, method: str, path: str, payload: bytes | None = None) -> bytes | None:
        """The body of a good answer outside the versioned routes; None if there is none."""
        for _ in range(2):
            try:
                async with asyncio.timeout(_GLANCE):
                    answer = await self.client.ask(self.endpoint, method, self.endpoint.root + path, payload)
            except (Trouble, TimeoutError):
                continue
            if answer.status < 500:
                return answer.body if answer.status == 200 else None
        return None
