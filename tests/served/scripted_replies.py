"""What the scripted server replies to a request: content, faults and delay, decided before anything is sent."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.served import scripted_shapes as shapes
from tests.served.scripted_content import Author, Schema, count_tokens, digest, fraction, phrase, prompt_text, step
from tests.served.scripted_options import FORMATS, Options
from tests.served.scripted_shapes import Said, Wanted, dumps, loads

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ALIASES = {"/v1/score": "/score", "/chat/completions": CHAT, "/embeddings": "/v1/embeddings"}
POOLING = ("/classify", "/pooling", "/score")
PATHS = (CHAT, TEXT, *POOLING, "/v1/embeddings")
LOOSE: Schema = {"type": "object", "properties": {"question": {}, "answer": {}}}
"""What json_object is answered with."""
Script = Callable[[dict[str, Any], str, int], dict[str, Any] | None]


@dataclasses.dataclass(slots=True)
class Reply:
    """What a request is answered with."""

    status: int = 200
    payload: bytes = b""
    headers: bytes = b""
    events: list[bytes] | None = None
    """The pieces of a streamed answer."""
    delay: float = 0.0
    fault: str | None = None
    key: str = ""
    poisoned: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def clean(self) -> bool:
        """Whether the client can use it."""
        return self.status == 200 and self.fault in (None, "slow") and not self.poisoned


@dataclasses.dataclass(slots=True)
class Job:
    """A request and what is known of it before it is answered."""

    path: str
    body: dict[str, Any]
    text: str
    key: str
    attempt: int
    seed: int
    plan: Mapping[str, Any]
    """What the script gives."""
    fault: str | None
    poisoned: bool
    aside: str
    """The headers of the request, if they are to be repeated."""


class Refusal(Exception):
    """A request that the server cannot answer."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.body = shapes.error(status, message, param)
        self.status = status


class Replies:
    """Decides replies; holds how often each key was asked for."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._key = re.compile(options.key_regex)
        self._rates = options.fault_rates()
        self._latency, self._values = options.delay()
        self._script = load_script(options.script) if options.script else None
        phrase(0, 1)  # so that the first answer is no slower than the others
        self.reset()

    def reset(self) -> None:
        """Forget what was asked."""
        self.attempts: Counter[str] = Counter()
        self._faulted: Counter[str] = Counter()

    def reply(self, path: str, body: dict[str, Any], aside: str = "") -> Reply:
        """Decide a reply.

        Args:
            path: the endpoint, one of `PATHS`.
            body: the request.
            aside: what every text of the answer repeats.
        """
        job = self._job(path, body, aside)
        try:
            reply = self._write(job)
        except Refusal as refusal:
            reply = Reply(refusal.status, dumps(repeat(refusal.body, aside)))
        reply.key = job.key
        return reply

    def _job(self, path: str, body: dict[str, Any], aside: str) -> Job:
        text = prompt_text(body)
        seed = digest(self.options.seed, body.get("model"), text, body.get("seed"))
        named = self._key.search(text)
        key = named.group(1) if named else f"{seed:016x}"
        attempt = self.attempts[key]
        self.attempts[key] += 1
        plan = (self._script(body, key, attempt) if self._script else None) or {}
        poisoned = path in (CHAT, TEXT) and is_poisoned(self.options, key)
        fault = plan.get("fault") or self._fault(key, attempt)
        return Job(path, body, text, key, attempt, seed, plan, fault, poisoned, aside)

    def _fault(self, key: str, attempt: int) -> str | None:
        if not self._rates or self._faulted[key] >= self.options.max_faults:
            return None
        chance = fraction(digest(self.options.seed, "fault", key, attempt))
        for limit, kind in self._rates:
            if chance < limit:
                self._faulted[key] += 1
                return kind
        return None

    def _write(self, job: Job) -> Reply:
        status = job.plan.get("status", 200)
        if job.fault and job.fault.isdigit():
            status = int(job.fault)
        elif job.fault == "streamerror" and not job.body.get("stream"):
            status = 500
        if status != 200:
            return self._failed(job, status)
        if job.path in (CHAT, TEXT):
            reply = self._generated(job)
        else:
            reply = Reply(payload=dumps(self._scalars(job)), prompt_tokens=count_tokens(job.text))
        if "body" in job.plan:
            given = job.plan["body"]
            reply.payload, reply.events = given.encode() if isinstance(given, str) else dumps(given), None
        reply.fault, reply.poisoned = job.fault, job.poisoned
        reply.delay = job.plan.get("delay", self._delay(job.seed, reply.completion_tokens))
        if job.fault == "slow":
            reply.delay *= 10
        elif job.fault == "hang":
            reply.delay = self.options.hang
        return reply

    def _failed(self, job: Job, status: int) -> Reply:
        message = job.plan.get("error", f"injected {job.fault or status}")
        reply = Reply(status, dumps(repeat(shapes.error(status, message), job.aside)), fault=job.fault)
        wait = job.plan.get("retry_after", self.options.retry_after)
        if status in (429, 503) and (isinstance(wait, str) or wait >= 0):
            reply.headers = f"Retry-After: {wait if isinstance(wait, str) else format(wait, 'g')}\r\n".encode()
        if status >= 500:
            reply.delay = self._delay(job.seed, 0)
        return reply

    def _delay(self, seed: int, tokens: int) -> float:
        """Seconds until the answer is there."""
        values = self._values
        if self._latency == "lognormal":
            first, second = ((seed >> 32) + 1) / 2**32, (seed & 0xFFFFFFFF) / 2**32
            normal = math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)
            return values[0] / 1e3 * math.exp(values[1] * normal)
        if self._latency == "tokens":
            return (values[0] + values[1] * tokens) / 1e3
        return values[0] / 1e3

    def _generated(self, job: Job) -> Reply:
        """A chat or text completion."""
        options, body, chat = self.options, job.body, job.path == CHAT
        prompt_tokens = count_tokens(job.text)
        budget = self._budget(body, prompt_tokens)
        schema, tool = self._wanted(body)
        wanted = self._beside(body, chat)
        field = options.reasoning if chat else "tags"
        parts = self._said(job, schema, tool, budget, field)
        spent = sum(part.tokens for part in parts)
        head = {"id": f"{'chatcmpl' if chat else 'cmpl'}-{step(job.seed, job.attempt):016x}"}
        head |= {"object": "chat.completion" if chat else "text_completion"}
        head |= {"created": shapes.CREATED, "model": body.get("model") or options.model}
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": spent, "total_tokens": prompt_tokens + spent}
        ends = {} if "usage" in options.lacks else {"usage": usage}
        reply = Reply(prompt_tokens=prompt_tokens, completion_tokens=spent)
        if chat and body.get("stream"):
            head["object"] = "chat.completion.chunk"
            reply.events = [*shapes.stream(head, parts, wanted, field, options.chunks)]
            if ends and (body.get("stream_options") or {}).get("include_usage"):
                reply.events.append(shapes.event({**head, "choices": [], **ends}))
            reply.events.append(shapes.DONE)
            return reply
        if chat:
            choices = [shapes.chat_choice(part, wanted, field) for part in parts]
            if wanted.prompt_logprobs is not None:
                ends["prompt_logprobs"] = shapes.prompt_logprobs(job.text, job.seed, wanted.prompt_logprobs)
        else:
            choices = [shapes.completion_choice(part, wanted, job.text) for part in parts]
        reply.payload = dumps({**head, "choices": choices, **ends})
        return reply

    def _budget(self, body: Mapping[str, Any], prompt_tokens: int) -> int:
        """Tokens that an answer may have; vLLM refuses what is too long and clamps what is nearly so."""
        longest = self.options.max_model_len
        asked = body.get("max_completion_tokens") or body.get("max_tokens")
        if prompt_tokens >= longest:
            text = f"This model's maximum context length is {longest} tokens. However, your request has {prompt_tokens}"
            text += " input tokens. Please reduce the length of the input messages."
            raise Refusal(f"{text} (parameter=input_tokens, value={prompt_tokens})", "input_tokens")
        if asked and asked > longest:
            text = f"max_tokens={asked} cannot be greater than max_model_len={longest}."
            raise Refusal(f"{text} (parameter=max_tokens, value={asked})", "max_tokens")
        return min(asked or longest, longest - prompt_tokens)

    def _wanted(self, body: Mapping[str, Any]) -> tuple[Schema | None, str]:
        """The schema that is asked for, and the function whose arguments it describes."""
        for form in FORMATS:
            schema = _schema(body, form)
            if schema is None or form in self.options.ignores:
                continue
            if form in self.options.lacks:
                raise Refusal(f"{form} is not supported by this server", form)
            return schema, ""
        if body.get("tools") and body.get("tool_choice") not in (None, "none", "auto"):
            function = body["tools"][0]["function"]
            return function.get("parameters", {}), function["name"]
        return None, ""

    def _beside(self, body: Mapping[str, Any], chat: bool) -> Wanted:
        lacks = self.options.lacks
        asked = body.get("logprobs")
        top = (body.get("top_logprobs") or 0) if chat else (asked or 0)
        given = asked not in (None, False) and "logprobs" not in lacks
        return Wanted(given, top, None if "prompt_logprobs" in lacks else body.get("prompt_logprobs"))

    def _said(self, job: Job, schema: Schema | None, tool: str, budget: int, reasoning: str) -> list[Said]:
        """Every choice, for every prompt."""
        prompt = job.body.get("prompt")
        several = job.path == TEXT and isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
        prompts = prompt if several else [job.text]
        count = 1 if "n" in self.options.lacks else job.body.get("n") or 1
        author = Author(job.key, job.aside, schema)
        parts = []
        for place, text in enumerate(prompts):
            seed = job.seed if len(prompts) == 1 else digest(job.seed, text)
            for index in range(count):
                number = place * count + index
                raw, finish = self._text(job, author, schema, step(seed, index), number)
                if count_tokens(raw) > budget:
                    raw, finish = raw[: budget * 4], "length"
                parts.append(shapes.said(number, raw, finish, step(seed, index), reasoning=reasoning, tool=tool))
        return parts

    def _text(self, job: Job, author: Author, schema: Schema | None, seed: int, number: int) -> tuple[str, str]:
        """What is generated, and why it ended."""
        if "content" in job.plan:
            text = _given(job.plan, number)
            text += job.aside
        elif schema is not None:
            wrong = job.poisoned or job.fault == "schema"
            text = dumps({"wrong_field": job.key} if wrong else author.value(schema, seed)).decode()
        elif job.poisoned or job.fault == "schema":
            text = "I cannot help with that."
        else:
            text = author.free_text(seed, int(self.options.completion_tokens * 4 * (0.5 + fraction(seed))))
        if job.fault in ("truncate", "length"):
            return text[: len(text) // 2], "length" if job.fault == "length" else "stop"
        if job.fault == "empty":
            return "", "stop"
        if job.fault == "prose":
            text = f"Sure! Here is the JSON:\n```json\n{text}\n```\nLet me know if you need more."
        return text, job.plan.get("finish_reason", "stop")

    def _scalars(self, job: Job) -> dict[str, Any]:
        """The answer of the endpoints that give numbers."""
        body, path = job.body, job.path
        given = body.get("input", body.get("text_2", body.get("documents", job.text)))
        inputs = given if isinstance(given, list) else [given]
        beside = job.text if path == "/score" else ""
        seeds = [digest(self.options.seed, body.get("model"), beside, json.dumps(item)) for item in inputs]
        values = job.plan.get("values") or [round(fraction(seed), 6) for seed in seeds]
        tokens = count_tokens(job.text)
        answer = {"id": f"pool-{job.seed:016x}", "object": "list", "created": shapes.CREATED}
        answer |= {"model": body.get("model") or self.options.model}
        answer |= {"data": [_scalar(path, index, seeds[index], value) for index, value in enumerate(values)]}
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
        return answer if "usage" in self.options.lacks else answer | {"usage": usage}


def _scalar(path: str, index: int, seed: int, value: float) -> dict[str, Any]:
    if path == "/classify":
        probs = [round(1 - value, 6), value]
        return {"index": index, "label": f"LABEL_{value > 0.5:d}", "probs": probs, "num_classes": 2}
    if path == "/pooling":
        return {"index": index, "object": "pooling", "data": [round(value * 10 - 5, 6)]}
    if path == "/score":
        return {"index": index, "object": "score", "score": value}
    vector = [round(fraction(step(seed, place)) - 0.5, 6) for place in range(16)]
    return {"index": index, "object": "embedding", "embedding": vector}


def _schema(body: Mapping[str, Any], form: str) -> Schema | None:
    """The schema that a request states in one of the `FORMATS`."""
    stated = body.get("response_format") or {}
    if form == "json_schema":
        return stated["json_schema"].get("schema", {}) if stated.get("type") == form else None
    if form == "json_object":
        return LOOSE if stated.get("type") == form else None
    given = body.get(form) if form == "guided_json" else (body.get(form) or {}).get("json")
    schema: Schema | None = loads(given.encode()) if isinstance(given, str) else given
    return schema


def _given(plan: Mapping[str, Any], number: int) -> str:
    """The content that the script gives to choice `number`, with its thinking in front."""
    content = plan["content"]
    if isinstance(content, list):
        content = content[number % len(content)]
    text = content if isinstance(content, str) else dumps(content).decode()
    return f"<think>\n{plan['reasoning']}\n</think>\n\n{text}" if "reasoning" in plan else text


def is_poisoned(options: Options, key: str) -> bool:
    """Whether a key never gets the schema asked for."""
    return options.poison > 0 and fraction(digest(options.seed, "poison", key)) < options.poison


def repeat(error: dict[str, Any], aside: str) -> dict[str, Any]:
    """An error whose message repeats the headers of the request."""
    if aside:
        error["error"]["message"] += f" {aside}"
    return error


def load_script(named: str) -> Script:
    """Load a function from `FILE.py:function`."""
    path, _, name = named.rpartition(":")
    spec = importlib.util.spec_from_file_location("answers_of_a_test", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    script: Script = getattr(module, name)
    return script
