"""The served engine: a model writes, from what the evidence says, and never sees the gold answer.

M1's branch in our terms: the templates word a draft question (the knowledge template), the model
turns it into natural prose; then it argues, long and in plain text, with the evidence before
it and its ids to cite; what the checks find goes to a critic and then to a reviser. Small
parts come as JSON, long ones never. What the writer of the reasoning was shown is recorded in
`conditioning`: nothing, the evidence, or the answer as well, which no default does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple, TypeVar

import orjson

from synth.claims import Claims, inputs_told
from synth.config import Config, Mixture
from synth.engines.calls import Call, Choice, Completion, Malformed
from synth.engines.engine import Former, Reply, Task
from synth.engines.grounded import Grounded
from synth.engines.parse import Cited, Written, WrittenStep, read_json, read_sections, read_unsupported
from synth.engines.scheduler import Scheduler
from synth.errors import UsageError
from synth.plan import Plan, kind_of
from synth.profiles import Profile
from synth.prompts import Prompts
from synth.sample import WRITTEN, Claim, Conditioning, Evidence, Finding, Generator, Step, Verdict
from synth_kg.aliases import normal

_ELIMINATING = frozenset(("argued", "unique", "options distinct", "answered"))
"""Checks whose places and quotes name wrong options, or the place of the right one: together they would tell it."""
_SMALL = 1024
"""Tokens of a small structured reply, at most."""
_LONG = 4096
"""Tokens of a long reply, where neither the configuration nor the profile says."""
_MORE: tuple[Conditioning, ...] = ("none", "evidence", "answer")
"""What a writer may be shown, from less to more."""
_SHORT_WORDS = 12
NOT_STATED = "not stated"
"""The revision of a model of which none is known."""
_MARK = "statement-that-is-looked-for"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_AGED = re.compile(r"\d+-year-old \w+")
_DENIAL = re.compile(r"[^.?!]*\b(?:There is no|has no)\b[^.?!]*[.?!]")
_SENTENCES = re.compile(r"(?<=[.?!])\s+")
QUESTION = {
    "type": "object", "additionalProperties": False, "required": ["question"],
    "properties": {"question": {"type": "string", "maxLength": 4000}},
}  # fmt: skip
_SAID = {"type": "string", "maxLength": 400}
_POINT = {"step": {"type": "integer", "minimum": 0, "maximum": 99}, "problem": _SAID, "mend": _SAID}
CRITIQUE = {
    "type": "object", "additionalProperties": False, "required": ["points"],
    "properties": {"points": {"type": "array", "maxItems": 6, "items": {
        "type": "object", "additionalProperties": False, "required": list(_POINT), "properties": _POINT,
    }}},
}  # fmt: skip
T = TypeVar("T")


class Statement(NamedTuple):
    """A piece of evidence in words, under the id by which it is cited."""

    id: str
    text: str


def statements_of(evidence: Sequence[Evidence], claims: Claims, draw: Random) -> list[Statement]:
    """What a writer is shown of the evidence.

    Left out are sentences of an ontology, which are not prose, and edges that say what a line of
    the tables says better.
    """
    lined = any(item.table == "typical" for item in evidence)
    shown = (
        item
        for item in evidence
        if item.type != "span" and not (lined and item.relation in ("has_symptom", "characterized_by"))
    )
    told = (Statement(item.id, claims.told(item, draw.randrange(1 << 16))) for item in shown)
    return [statement for statement in told if statement.text]


class Writer(NamedTuple):
    """A model, and how it is asked."""

    model: str
    """The id that its server knows it by."""
    revision: str
    profile: Profile
    answers_as: str = ""
    """As what its server answers, where that is all that is known of the revision; see `Capabilities`."""


class Served:
    """Words plans by asking models."""

    waits = True
    cites_all = True

    def __init__(
        self, config: Config, claims: Claims, prompts: Prompts, scheduler: Scheduler, writers: Sequence[Writer]
    ) -> None:
        self.config = config
        self.claims = claims
        self.prompts = prompts
        self.scheduler = scheduler
        self.writers = writers
        self.templates = Grounded(claims)
        self.system = self.prompts.render("served/system.j2", {}).strip()
        styles = self.prompts.path("served/styles.j2").read_text(encoding="utf-8").splitlines()
        self.styles = tuple(line.strip() for line in styles if line.strip() and not line.startswith("{#"))
        self.shown = {name: self._shown(name) for name in ("reasoning", "revision")}
        """What a writer sees of what is known, by the template that it is asked with."""

    def _shown(self, template: str) -> Conditioning:
        """What reaches a writer by what a template makes of it, whatever the configuration allows."""
        allowed = self.config.served.conditioning
        if allowed == "answer" and self._tells(template, {"answer": _MARK}):
            return "answer"
        return (
            "evidence"
            if allowed != "none" and self._tells(template, {"statements": [Statement("e1", _MARK)]})
            else "none"
        )

    def _tells(self, template: str, shown: Mapping[str, Any]) -> bool:
        finding = Finding(check="", reason="", place="")
        fields: dict[str, Any] = {
            "topic": "", "question": "", "options": {"A": "", "B": ""}, "statements": [], "native": False,
            "answer": None, "former": "", "findings": (finding,), "response": "", "steps": ("",),
            "points": ({"step": 0, "problem": "", "mend": ""},), **shown,
        }  # fmt: skip
        try:
            texts = (
                self.prompts.render(f"served/{template}.j2", {**fields, "genre": genre})
                for genre in Mixture.model_fields
            )
            return any(_MARK in text for text in texts)
        except UsageError:
            return True  # a template of a user's own that wants more than this: rather too much said than too little

    def mends(self, finding: Finding) -> bool:
        """A model is shown whatever was found."""
        return True

    def generator(self, writer: int) -> Generator:
        """The model, its licence, and the templates that it was asked with."""
        model, revision, profile, answers_as = self.writers[writer]
        if revision == NOT_STATED and answers_as:
            revision = answers_as
        other = "" if self.prompts is self.claims.prompts else f" asked with {self.prompts.hash}"
        return Generator(
            engine=self.config.engine, model=model, revision=revision, license=profile.license,
            prompt=f"prompts {self.claims.prompts.hash}{other}", sampling="",
        )  # fmt: skip

    @property
    def conditioning(self) -> Conditioning:
        """What the writer of the reasoning is shown."""
        return self.shown["reasoning"]

    async def word(self, task: Task) -> Reply:
        """Have the question rewritten and argued for; or mend a former wording."""
        former = task.former and without_gold(task.former, task.plan)
        asked = _Asked(self, task)
        if former is None or any(_in_question(finding) for finding in former.findings):
            question = await asked.question(former)
            written, seen = await asked.reasoning(question), self.shown["reasoning"]
        else:
            question = former.question
            written = await asked.revision(former)
            seen = max(self.shown.values(), key=_MORE.index)
        steps = tuple(asked.step(step) for step in written.steps)
        return Reply(question, steps, written.response, "served", seen)


class _Asked:
    """The calls for one task."""

    def __init__(self, engine: Served, task: Task) -> None:
        self.engine, self.task, self.plan = engine, task, task.plan
        self.writer = engine.writers[task.writer]
        self.profile = self.writer.profile
        self.evidence = {item.id: item for item in task.plan.evidence}
        shown = task.plan.evidence if set(engine.shown.values()) != {"none"} else ()
        self.statements = statements_of(shown, engine.claims, Random(task.first))
        self.options = dict(zip("ABCDEFGH", task.plan.options, strict=False))

    async def question(self, former: Former | None) -> str:
        """The draft of the templates in natural prose; what was found in a former one is shown."""
        draw = Random(self.task.first)
        style = draw.choice(self.engine.styles)
        draft = self.engine.templates.question(self.plan, draw)
        wanted = Wanted.of(self.plan, draft, self.engine.claims)
        if former is None and self.engine.prompts is self.engine.claims.prompts and wanted.leaves_nothing(draft):
            return draft
        call = self._call("question", {
            "genre": self.plan.genre, "topic": self.plan.topic, "draft": draft, "phrases": wanted.phrases,
            "verbatim": wanted.verbatim, "style": style, "options": list(self.plan.options),
        }, QUESTION)  # fmt: skip
        if former is not None:
            said = "; ".join(
                f"{finding.reason}{f' ({finding.quote})' if finding.quote else ''}"
                for finding in former.findings
                if _in_question(finding)
            )
            shown = orjson.dumps({"question": former.question}).decode()
            call = call.again(shown, self._complaint(Malformed(said, "json")))

        def accept(choice: Choice) -> str:
            text = " ".join(read_json(choice, QUESTION)["question"].split())
            wanted.hold(text)
            return text

        return await self._ask(call, accept)

    async def reasoning(self, question: str) -> Written:
        """The chain and the answer."""
        told = self.plan.answer.text if self.engine.shown["reasoning"] == "answer" else None
        return await self._long("reasoning", question, {"answer": told})

    async def revision(self, former: Former) -> Written:
        """The chain and the answer again, after a critic has looked at what was found."""
        common = {
            "genre": self.plan.genre, "question": former.question, "options": self.options,
            "statements": self.statements, "findings": former.findings,
        }  # fmt: skip
        told = {**common, "steps": [_with_ids(step) for step in former.steps], "response": former.response}
        call = self._call("critique", told, CRITIQUE)
        points = await self._ask(call, lambda choice: read_json(choice, CRITIQUE)["points"])
        text = "\n".join(f"{n}. {_with_ids(step)}" for n, step in enumerate(former.steps, 1))
        sections = f"## Reasoning\n{text}\n## Answer\n{former.response}"
        return await self._long(
            "revision", former.question, {"former": sections, "findings": former.findings, "points": points}
        )

    async def _long(self, template: str, question: str, more: Mapping[str, Any]) -> Written:
        statements = self.statements if self.engine.shown[template] != "none" else []
        call = self._call(template, {
            "genre": self.plan.genre, "topic": self.plan.topic, "question": question, "options": self.options,
            "statements": statements, "native": self.profile.reasoning == "native", **more,
        })  # fmt: skip

        def accept(choice: Choice) -> Written:
            if not statements:
                return self._linked(read_unsupported(choice))
            written = read_sections(choice)
            for step in written.steps:
                for claim in step.claims:
                    strange = [ident for ident in claim.evidence if ident not in self.evidence]
                    if strange:
                        raise Malformed(
                            f"it cites {strange[0]}, and there is no such id", reason="it cites what is not there"
                        )
            return written

        return await self._ask(call, accept)

    def _linked(self, written: Written) -> Written:
        """Claims for a text that cites nothing: the sentences that name all that a piece of evidence is about."""
        return written._replace(steps=tuple(self._link(step) for step in written.steps))

    def _link(self, step: WrittenStep) -> WrittenStep:
        claims = []
        for text in _SENTENCES.split(step.text):
            found = [item.id for item in self.plan.evidence if _names_all(self.engine.claims, text, item)]
            if found:
                claims.append(Cited(text, tuple(found[:2])))
        return step._replace(claims=tuple(claims))

    def step(self, written: WrittenStep) -> Step:
        """A step with its claims: what quotes its evidence is supported, the rest of what is cited unknown."""
        claims: dict[str, Claim] = {}

        def book(text: str, ids: tuple[str, ...], verdict: Verdict) -> None:
            text = text.rstrip(".\u3002")
            claims.setdefault(text, Claim(text=text, evidence=ids, verdict=verdict))

        for cited in written.claims:
            left = []
            for ident in cited.evidence:
                quoted = self.engine.claims.quoted(cited.text, [self.evidence[ident]])
                if quoted:
                    book(quoted, (ident,), "supported")
                else:
                    left.append(ident)
            together = self.engine.claims.quoted(cited.text, [self.evidence[ident] for ident in left])
            if left:
                book(together or cited.text, tuple(left), "supported" if together else "unknown")
        return Step(text=written.text, claims=tuple(claims.values()))

    def _call(self, template: str, fields: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> Call:
        text = self.engine.prompts.render(f"served/{template}.j2", fields).strip()
        if self.profile.system:
            turns = ({"role": "system", "content": self.engine.system}, {"role": "user", "content": text})
        else:
            turns = ({"role": "user", "content": f"{self.engine.system}\n\n{text}"},)  # type: ignore[assignment]
        body = sampling_of(self.engine.config, self.profile)
        if schema is not None and self.profile.reasoning == "prompted":
            body["max_tokens"] = min(_SMALL, body["max_tokens"])
        if "seed" not in self.profile.lacks:
            body["seed"] = self.task.chance & 0x7FFFFFFF
        return Call(self.writer.model, turns, {**body, **self.profile.body}, schema, self.writer.revision)

    def _complaint(self, problem: Malformed) -> str:
        return complaint(self.engine.prompts, problem)

    async def _ask(self, call: Call, accept: Callable[[Choice], T]) -> T:
        def read(completion: Completion) -> T:
            return accept(completion.first)

        return await self.engine.scheduler.ask(call, rank=self.task.place, accept=read, complain=self._complaint)


def without_gold(former: Former, plan: Plan) -> Former:
    """What was found, without quotes that give the answer away to critic and reviser."""
    gold = [normal(name) for name in (plan.answer.text, *plan.answer.aliases)]

    def cleared(finding: Finding) -> Finding:
        if finding.check in _ELIMINATING:
            return finding.model_copy(update={"quote": "", "place": "reasoning"})
        told = any(f" {name} " in f" {normal(finding.quote)} " for name in gold if name)
        return finding.model_copy(update={"quote": ""}) if told else finding

    return former._replace(findings=tuple(dict.fromkeys(cleared(finding) for finding in former.findings)))


def complaint(prompts: Prompts, problem: Malformed) -> str:
    """What a model is told about an unusable reply."""
    return prompts.render("served/reask.j2", {"error": str(problem), "form": problem.form}).strip()


def sampling_of(config: Config, profile: Profile) -> dict[str, Any]:
    """How tokens are drawn: the configuration's word, else the profile's, else the server's."""
    asked, usual = config.sampling, profile.sampling
    drawn = {
        "max_tokens": asked.max_tokens or usual.max_tokens or _LONG,
        "temperature": asked.temperature if asked.temperature is not None else usual.temperature,
        "top_p": asked.top_p if asked.top_p is not None else usual.top_p,
    }
    return {name: value for name, value in drawn.items() if value is not None}


class Wanted(NamedTuple):
    """What a rewritten question has to keep of its draft."""

    phrases: tuple[str, ...]
    verbatim: tuple[str, ...]
    numbers: frozenset[str]
    barred: tuple[str, ...]
    """Options, which it must not name."""
    asks: bool

    @classmethod
    def of(cls, plan: Plan, draft: str, claims: Claims) -> Wanted:
        """Read it off a plan and the draft of its question."""
        low = draft.casefold()
        verbatim = [found.strip() for found in _DENIAL.findall(draft)]
        verbatim += [flag.statement for flag in plan.facts.get("flags", ()) if flag.statement.casefold() in low]
        closing = _SENTENCES.split(draft)[-1]
        relative = kind_of(plan.genre, plan.topic).uniqueness == "source_relative" and plan.genre not in WRITTEN
        if relative or plan.genre == "calculation":  # which says how to round
            verbatim.append(closing)
        names = {name.casefold() for item in plan.evidence for name in _tellable(claims, item)}
        names = {name for name in names | {aged.casefold() for aged in _AGED.findall(draft)} if _stands(name, low)}
        rest = " ".join(verbatim).casefold()
        kept = [name for name in names if not any(name != other and name in other for other in names)]
        return cls(
            tuple(sorted(_as_written(name, draft) for name in kept if name not in rest)),
            tuple(dict.fromkeys(verbatim)),
            frozenset(_NUMBER.findall(draft)),
            tuple(option for option in plan.options if option.casefold() not in low),
            draft.rstrip().endswith("?"),
        )

    def leaves_nothing(self, draft: str) -> bool:
        """Whether every sentence has to stand as it is, so that there is nothing to rewrite."""
        return all(sentence in self.verbatim for sentence in _SENTENCES.split(draft.strip()))

    def hold(self, question: str) -> None:
        """Hold a question to it.

        Raises:
            Malformed: it lacks or adds something; says what.
        """
        low = question.casefold()
        for text in (*self.phrases, *self.verbatim):
            if text.casefold() not in low:
                raise Malformed(f"the question has to hold word for word: {text}", "json", "it lacks what it must keep")
        numbers = frozenset(_NUMBER.findall(question))
        if numbers != self.numbers:
            odd = sorted(numbers ^ self.numbers)[0]
            raise Malformed(f"the numbers of the draft are kept and no others stated: {odd}", "json", "other numbers")
        for option in self.barred:
            if option.casefold() in low:
                raise Malformed(f"the question must not name an option: {option}", "json", "it names an option")
        if self.asks and not question.rstrip(")） ").endswith(("?", "\uff1f")):
            raise Malformed("the question does not end with the question itself", "json")


def _stands(name: str, low: str) -> bool:
    """Whether a name stands in a text between word bounds."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", low) is not None


def _as_written(name: str, draft: str) -> str:
    """A name as the draft has it, but for a capital at the beginning of a sentence."""
    start = draft.casefold().index(name)
    text = draft[start : start + len(name)]
    opens = start == 0 or draft[:start].rstrip().endswith((".", "?"))
    return text[:1].lower() + text[1:] if opens and text[1:2].islower() else text


@lru_cache(maxsize=50_000)
def _tellable_names(claims: Claims, ref: str) -> tuple[str, ...]:
    row = claims.knowledge.tables.rows.get(ref)
    rest = (getattr(row, name, "") for name in ("exposure", "history"))
    return tuple(name for name in (*(n for names in claims.names(ref) for n in names), *rest) if name)


def _tellable(claims: Claims, item: Evidence) -> tuple[str, ...]:
    """What one piece of evidence may have given a draft to say."""
    if item.type == "calculation":
        return inputs_told(item)
    return _tellable_names(claims, item.ref)


def _names_all(claims: Claims, text: str, item: Evidence) -> bool:
    """Whether a sentence names everything that a piece of evidence is about, and that is more than one thing."""
    things = claims.names(item.ref)
    low = text.casefold()
    return len(things) > 1 and all(any(name.casefold() in low for name in names) for names in things)


def _in_question(finding: Finding) -> bool:
    return finding.place == "question"


def _with_ids(step: Step) -> str:
    """A step as the model wrote it: each claim with its ids."""
    text = step.text
    for claim in step.claims:
        text = text.replace(claim.text, f"{claim.text} [{', '.join(claim.evidence)}]", 1)
    return text
