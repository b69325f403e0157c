"""Draft: compose a plan, have the engine word it, and assemble the row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from synth.config import Config, Served
from synth.engines.engine import Engine, Former, Reply, Task
from synth.plan import Directive, NoPlan, Plan, Spot, Unit, kind_of
from synth.recipes import compose
from synth.recipes.shared import rewordings
from synth.sample import (
    ANNOTATED,
    Answer,
    Claim,
    Difficulty,
    Evidence,
    Labels,
    Lineage,
    Outcome,
    Sample,
    Scores,
    Seed,
    Status,
    Step,
    content_id,
    license_of,
)
from synth_kg.graph import digest
from synth_kg.knowledge import Knowledge

PENDING = Outcome(status="pending", step="draft", reason="", findings=())
_CONTENT_LABELS = Labels(department="unknown", content="unknown", value=None, long_tail=None)


class Origin(NamedTuple):
    """How a sample came about, carried along so that a revision can do it again, differently."""

    spot: Spot
    directives: tuple[Directive, ...]
    plan: Plan | None


def recipe_for(origin: Origin, random_seed: int, models_per_seed: int | None = None) -> str:
    """What makes a row again, as `generator.sampling` tells it."""
    spot, unit = origin.spot, origin.spot.unit
    told = {
        "random_seed": random_seed, "seed": spot.place, "variant": spot.variant,
        "genre": unit.genre, "topic": unit.topic, "anchor": unit.anchor, "picks": unit.picks,
        "directives": [tuple(directive) for directive in origin.directives],
    }  # fmt: skip
    if models_per_seed is not None:
        told |= {"writer": spot.writer, "models_per_seed": models_per_seed}
    return json.dumps(told, separators=(",", ":"))


def origin_of(sampling: str) -> tuple[Origin, Config]:
    """Read what `recipe_for` wrote: the origin of a row, and what of its configuration it was made with.

    Raises:
        ValueError: this was not written by `recipe_for`.
    """
    try:
        told = json.loads(sampling)
        unit = Unit(str(told["genre"]), str(told["topic"]), str(told["anchor"]), tuple(map(str, told["picks"])))
        spot = Spot(int(told["seed"]), unit, int(told["variant"]), int(told.get("writer", 0)))
        directives = tuple(Directive(str(kind), str(value)) for kind, value in told["directives"])
        served = Served(models_per_seed=told.get("models_per_seed", 1))
        return Origin(spot, directives, None), Config(random_seed=told["random_seed"], served=served)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not how a row was made: {sampling[:80]}") from error


class Draft:
    """Turns seeds into samples."""

    def __init__(self, knowledge: Knowledge, config: Config, engine: Engine) -> None:
        self.knowledge = knowledge
        self.config = config
        self.engine = engine

    async def __call__(self, spot: Spot, directives: Sequence[Directive] = (), former: Former | None = None) -> Sample:
        """Draft the sample of a seed; a seed that admits no row gives a rejected sample."""
        origin = Origin(spot, tuple(directives), None)
        draw = Random(self._chance(spot, "compose"))
        try:
            plan = compose(self.knowledge, spot, draw, directives)
        except NoPlan as reason:
            return self._without_plan(origin, str(reason))
        chance = self._chance(spot, f"word {rewordings(directives)}")
        first = self._chance(spot, "word 0")
        reply = await self.engine.word(Task(plan, chance, first, spot.place, spot.writer, former))
        return self._assemble(origin._replace(plan=plan), plan, reply)

    def _models_per_seed(self) -> int | None:
        """How many models write on a seed; None where none does."""
        return self.config.served.models_per_seed if self.engine.cites_all else None

    def _chance(self, spot: Spot, purpose: str) -> int:
        seed = spot.place // self.config.served.models_per_seed  # models that share a seed write on the same item
        name = f"{self.config.random_seed}|{seed}|{spot.unit.name}|{spot.variant}|{purpose}"
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")

    def _assemble(self, origin: Origin, plan: Plan, reply: Reply) -> Sample:
        kind = kind_of(plan.genre, plan.topic)
        evidence, steps = (plan.evidence, reply.steps) if self.engine.cites_all else cited(plan.evidence, reply.steps)
        lineage = tuple(
            dict.fromkeys(Lineage(source=item.source, version=item.version, license=item.license) for item in evidence)
        )
        writer = self.engine.generator(origin.spot.writer)
        generator = writer.model_copy(
            update={
                "prompt": f"{plan.recipe}/{reply.shape} {writer.prompt}",
                "sampling": recipe_for(origin, self.config.random_seed, self._models_per_seed()),
            }
        )
        sample = Sample(
            id="",
            verdict=PENDING,
            seed=self._seed(origin.spot, evidence),
            genre=plan.genre,
            topic=plan.topic,
            language=self.config.lang,
            question=reply.question,
            options=_lettered(plan.options),
            answer=plan.answer,
            uniqueness=kind.uniqueness,
            conditioning=reply.conditioning,
            reasoning=" ".join(step.text for step in steps),
            response=reply.response,
            steps=steps,
            attempts=(),
            scores=Scores(),
            labels=Labels(department=plan.department, content=kind.content, value=None, long_tail=_tail(plan)),
            difficulty=Difficulty(k=0, correct=0, band="unmeasured"),
            stage=kind.stage,
            flags=_flags(reply),
            generator=generator,
            lineage=lineage,
            license=license_of(lineage, generator.license),
            plan=origin,
        )
        return sample.model_copy(update={"id": content_id(sample)})

    def _seed(self, spot: Spot, evidence: tuple[Evidence, ...]) -> Seed:
        worked = next((item.ref for item in evidence if item.type == "calculation"), "")
        group = f"{spot.unit.name}|{worked}" if worked else spot.unit.name
        return Seed(
            kind="kg",
            anchor=spot.unit.anchor,
            group=digest("group", group),
            graph=self.knowledge.name,
            evidence=evidence,
        )

    def failed(self, spot: Spot, reason: str) -> Sample:
        """A failed sample for a seed on which something broke."""
        return self._without_plan(Origin(spot, (), None), reason, "failed")

    def _without_plan(self, origin: Origin, reason: str, status: Status = "rejected") -> Sample:
        """A sample for a seed that gave no row: it keeps its place and its reason."""
        unit = origin.spot.unit
        sample = Sample(
            id="",
            verdict=Outcome(status=status, step="draft", reason=reason, findings=()),
            seed=self._seed(origin.spot, ()),
            genre=unit.genre,
            topic=unit.topic,
            language=self.config.lang,
            question="",
            options=None,
            answer=Answer(text="", option=None, aliases=(), concept=None),
            uniqueness="source_relative",
            conditioning=self.engine.conditioning,
            reasoning="",
            response="",
            steps=(),
            attempts=(),
            scores=Scores(),
            labels=_CONTENT_LABELS,
            difficulty=Difficulty(k=0, correct=0, band="unmeasured"),
            stage="basic",
            flags=(),
            generator=self.engine.generator(origin.spot.writer),
            lineage=(),
            license="",
            plan=origin,
        )
        return sample.model_copy(update={"id": content_id(sample)})


_CONSULTED = {"record", "count"}
_STEM_TABLES = {"patients", "infections", "mainstays"}
"""Tables whose lines a question may rest on without a claim: who the patient is, what he was
exposed to, what is being treated."""


def cited(evidence: Sequence[Evidence], steps: Sequence[Step]) -> tuple[tuple[Evidence, ...], tuple[Step, ...]]:
    """The evidence that a row rests on, numbered from e1, and its steps with these numbers.

    Table lines that were consulted and are not cited go; edges and their sentences stay, since
    the stem rests on them.
    """
    used = {ident for step in steps for claim in step.claims for ident in claim.evidence}
    kept = [e for e in evidence if e.type not in _CONSULTED or e.id in used or e.table in _STEM_TABLES]
    names = {item.id: f"e{number}" for number, item in enumerate(kept, 1)}
    return (
        tuple(item.model_copy(update={"id": names[item.id]}) for item in kept),
        tuple(Step(text=step.text, claims=tuple(_renamed(claim, names) for claim in step.claims)) for step in steps),
    )


def _renamed(claim: Claim, names: Mapping[str, str]) -> Claim:
    return Claim(text=claim.text, evidence=tuple(names[ident] for ident in claim.evidence), verdict=claim.verdict)


def _flags(reply: Reply) -> tuple[str, ...]:
    """What a row owns up to; flagged rows stay out of default exports."""
    unproved = any(claim.verdict != "supported" for step in reply.steps for claim in step.claims)
    flags = {"claims_unproved": unproved, "answer_conditioned": reply.conditioning == "answer"}
    return tuple(name for name, raised in flags.items() if raised)


def _lettered(options: Sequence[str]) -> dict[str, str] | None:
    return dict(zip("ABCDEFGH", options, strict=False)) if options else None


def _tail(plan: Plan) -> str | None:
    """The long-tail bucket that a plan can be told to belong to."""
    if plan.topic in ANNOTATED:
        return "rare disease"
    return "numerical calculation" if plan.genre == "calculation" else None
