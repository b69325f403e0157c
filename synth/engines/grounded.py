"""The embedded engine: no model, only templates over the evidence.

A plan's recipe is a folder of templates: `question.j2`, `response.j2`, and one or more
`reasoning.SHAPE.j2`, each a way to argue. A reasoning template is a sequence of `step`
blocks; inside one, `say(form, ids)` writes a claim from the evidence with these ids and
books it under the step. So a step can state nothing that no evidence says, and prose outside
`say` only connects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

from synth.claims import Claims, same
from synth.engines.engine import Reply, Task
from synth.errors import UsageError
from synth.plan import Plan
from synth.prompts import cap, plain
from synth.sample import Claim, Conditioning, Evidence, Finding, Generator, Sample, Step

_REWORDED = frozenset(("leak", "prose", "length", "repetition", "duplicate", "opening", "answered", "argued"))
_SERVED_ONLY = frozenset(("abstract", "dialogue"))


class Grounded:
    """Words plans from templates."""

    waits = False
    cites_all = False
    conditioning: Conditioning = "evidence"

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    def mends(self, finding: Finding) -> bool:
        """Other templates may mend what is a matter of wording."""
        return finding.check in _REWORDED

    def generator(self, _writer: int) -> Generator:
        """The templates."""
        return Generator(
            engine="grounded", model="none", revision="templates", license="",
            prompt=f"prompts {self.claims.prompts.hash}", sampling="none",
        )  # fmt: skip

    def question(self, plan: Plan, draw: Random) -> str:
        """The question of a plan."""
        return _Writer(self.claims, plan, draw).text(f"{plan.recipe}/question.j2")

    async def word(self, task: Task) -> Reply:
        """Word a plan; a former wording is not looked at, since chance words it another way."""
        plan, draw = task.plan, Random(task.chance)
        if plan.genre in _SERVED_ONLY:
            raise UsageError(f"mixture.{plan.genre}: only a served model writes these (--engine openai or vllm)")
        prompts = self.claims.prompts
        shape = draw.choice(prompts.shapes(plan.recipe))
        writer = _Writer(self.claims, plan, draw)
        question = writer.text(f"{plan.recipe}/question.j2")
        writer.text(f"{plan.recipe}/reasoning.{shape}.j2")
        steps = tuple(writer.steps)
        response = writer.text(f"{plan.recipe}/response.j2")
        return Reply(question, steps, response, shape)


class Echo:
    """Words a row as it stands, so that everything else of it can be made again and compared."""

    waits = False
    cites_all = True

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.conditioning = sample.conditioning

    def mends(self, finding: Finding) -> bool:
        """Nothing is worded anew."""
        return False

    def generator(self, _writer: int) -> Generator:
        """The row's own, but for what a draft adds to it."""
        prompt = self.sample.generator.prompt.partition(" ")[2]
        return self.sample.generator.model_copy(update={"prompt": prompt})

    async def word(self, _task: Task) -> Reply:
        """The row's words."""
        row = self.sample
        shape = row.generator.prompt.partition(" ")[0].rpartition("/")[2]
        return Reply(row.question, row.steps, row.response, shape, row.conditioning)


class _Writer:
    """Renders the templates of one plan and books the claims of its steps."""

    def __init__(self, claims: Claims, plan: Plan, draw: Random) -> None:
        self.claims = claims
        self.draw = draw
        self.steps: list[Step] = []
        self._evidence: dict[str, Evidence] = {item.id: item for item in plan.evidence}
        self._booked: list[Claim] = []
        self._names = {
            **plan.facts,
            "step": self._step,
            "say": self._say,
            "line": partial(self._calculated, "line"),
            "slip": partial(self._calculated, "slip"),
            "rule": partial(self._calculated, "rule", 0),
            "reading_of": partial(self._calculated, "reading", 0),
            "pick": self._pick,
            "roll": self._roll,
            "shuffled": self._shuffled,
        }
        self._worked = plan.facts.get("worked")

    def text(self, name: str) -> str:
        """Render a template to sentences; paragraphs are kept."""
        raw = self.claims.prompts.render(name, self._names)
        paragraphs = (plain(paragraph) for paragraph in raw.split("\n\n"))
        return "\n\n".join(tidy(paragraph) for paragraph in paragraphs if paragraph)

    def _step(self, caller: Callable[[], str]) -> str:
        self._booked = []
        text = tidy(plain(caller()))
        if text:
            unique = {claim.text: claim for claim in self._booked}
            self.steps.append(Step(text=text, claims=tuple(unique.values())))
        return ""

    def _say(self, form: str, ids: str | Iterable[str]) -> str:
        """Write a claim of a form from the evidence with these ids."""
        idents = (ids,) if isinstance(ids, str) else tuple(ids)
        refs = tuple(self._evidence[ident].ref for ident in idents)
        return self._book(self.draw.choice(self._required(form, self.claims.wordings(form, refs))), idents)

    def _calculated(self, form: str, place: int) -> str:
        """Write the claim at a place of a calculation: a line, a slip, the rule or the reading."""
        wordings = self._required(form, self.claims.calculation(form, self._worked))  # type: ignore[arg-type]
        lines = len(self.claims.prompts.lines(f"claims/{form}", _ANY))
        options = wordings[place * lines : (place + 1) * lines]
        idents = tuple(e.id for e in self._evidence.values() if e.type == "calculation")
        return self._book(self.draw.choice(options), idents)

    def _required(self, form: str, wordings: Sequence[str]) -> Sequence[str]:
        if not wordings:
            raise ValueError(f"no evidence for a claim of the form '{form}'")
        return wordings

    def _book(self, text: str, idents: tuple[str, ...]) -> str:
        self._booked.append(Claim(text=same(text), evidence=idents, verdict="supported"))
        return text

    def _pick(self, *options: str) -> str:
        return self.draw.choice(options)

    def _roll(self, sides: int) -> int:
        return self.draw.randrange(sides)

    def _shuffled(self, items: Iterable[Any]) -> list[Any]:
        found = list(items)
        self.draw.shuffle(found)
        return found


class _Blank(dict[str, str]):
    """Fills any field of a claim template, to count its lines."""

    def __missing__(self, key: str) -> str:
        return ""


_ANY = _Blank({name: "" for name in ("label", "expression", "value", "unit", "slip", "rule", "reading", "about")})


_SPACED_ZH = re.compile(r"(?<=[\u4e00-\u9fff。；：，？！、（）]) +(?=[\u4e00-\u9fff（])|(?<=[。；：，？！、（）]) +")
"""Spaces that templates leave where Chinese has none."""
_JOINT = re.compile(r"([.?;])(?=[A-Za-z])")


def tidy(text: str) -> str:
    """Capitalize sentence beginnings and mend the joints that templates leave.

    >>> tidy("fever is common . so is cough , too.")
    'Fever is common. So is cough, too.'
    """
    for mark in (".", ",", ";", ":", "?"):
        text = text.replace(f" {mark}", mark)
    text = _JOINT.sub(r"\1 ", text)
    text = text.replace("..", ".").replace(",,", ",").replace(",.", ".")
    text = _SPACED_ZH.sub("", text)
    out: list[str] = []
    for sentence in text.split(". "):
        out.append(cap(sentence))
    text = ". ".join(out)
    return "? ".join(cap(part) for part in text.split("? "))
