"""A configuration with all that it names opened, before any work: sources, templates, seeds, models."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth import __version__
from synth.config import Config, fingerprint, what_changes_rows
from synth.engines.opening import writers_of
from synth.engines.served import Writer
from synth.errors import NotBuiltError, UsageError
from synth.prompts import Prompts, load_prompts
from synth.sample import WORDED
from synth.seeds.kg import Seeds
from synth.seeds.source import Source, knowledge_of, open_graph, read_sources
from synth_kg.knowledge import Knowledge, bundled

log = logging.getLogger("synth")


class Prepared(NamedTuple):
    """A configuration with all that it names, opened."""

    config: Config
    writers: tuple[Writer, ...]
    """Its models; none for the grounded engine."""
    prompts: Prompts
    """In which evidence is worded."""
    asked_with: Prompts
    """With which a model is asked: those of the rows' language."""
    knowledge: Knowledge
    seeds: Seeds
    fingerprint: str
    identity: Mapping[str, Any]
    """What changes rows, by name: two runs with the same identity give the same bytes."""


def prepare(
    config: Config,
    *,
    prompts: Path | None = None,
    graph: Path | None = None,
    writers: tuple[Writer, ...] | None = None,
    again: bool = False,
) -> Prepared:
    """Open what a configuration names, and refuse what cannot be used, before any work.

    Args:
        config: the resolved configuration.
        prompts: a folder of templates; they stand in for bundled ones of the same name.
        graph: where to keep the graph of `config.source`; needed only to write it.
        writers: the models, where they are known; looked up if None.
        again: take the graph that is kept there instead of reading the source anew.

    Raises:
        UsageError: a source, a language, a model or a kind of seed that cannot be used.
    """
    if config.seed != "kg":
        raise NotBuiltError(f"--seed {config.seed}: this version has --seed kg; others come in a later version")
    worded, asked_with = _templates(config, prompts)
    knowledge = bundled()
    if config.source and again and graph is not None and graph.is_dir():
        knowledge = open_graph(graph)
    elif config.source:
        source = read_sources(config.source, config.source_license)
        for message in source.bad_frames:
            log.warning("skipped a frame that cannot be read: %s", message)
        for name in source.unlicensed:
            log.warning("%s states no licence: --set source_license=NAME says which it is", name)
        knowledge = knowledge_of(source, graph) if graph else unkept(source)
    knowledge = knowledge.worded(config.lang if config.engine == "grounded" else WORDED)
    if config.engine == "grounded" and (config.mixture.abstract or config.mixture.dialogue):
        raise UsageError("mixture.abstract, mixture.dialogue: only a served model writes these (--engine openai)")
    seeds = Seeds(knowledge, config)
    if config.engine == "grounded" and config.lang != WORDED and not any(seeds.lists.values()):
        raise NotBuiltError(
            f"--lang {config.lang}: the embedded engine writes it of sources alone whose terms have labels in that "
            "language, such as HPO with its annotations and translations (--source hp.obo --source phenotype.hpoa "
            "--source hp-zh.babelon.tsv); a served model can be asked of any (--engine openai)"
        )
    if config.source and not any(found for genre, found in seeds.lists.items() if genre != "calculation"):
        raise UsageError(
            f"{', '.join(config.source)}: read, but nothing can be made of it: the reviewed tables keep none of its "
            "terms (they know those of the Disease Ontology), and no disease in it is annotated well enough"
        )
    if writers is None:
        writers = () if config.engine == "grounded" else writers_of(config)
    hashes = worded.hash if asked_with is worded else f"{worded.hash} {asked_with.hash}"
    identity = {
        **what_changes_rows(config), **_models(writers),
        "graph": knowledge.name, "prompts": hashes, "version": __version__,
    }  # fmt: skip
    return Prepared(config, writers, worded, asked_with, knowledge, seeds, fingerprint(identity), identity)


def _templates(config: Config, folder: Path | None) -> tuple[Prompts, Prompts]:
    """The templates that word evidence, and those that a model is asked with; `folder` may hold either."""
    if config.lang == WORDED or config.engine == "grounded":
        worded = load_prompts(config.lang, folder)
        return worded, worded
    has = folder is not None and (folder / WORDED).is_dir()
    return load_prompts(WORDED, folder if has else None), load_prompts(config.lang, folder)


def _models(writers: Sequence[Writer]) -> dict[str, Any]:
    """What of a run's models changes rows: their names, revisions, licences and how they are asked."""
    if not writers:
        return {}
    told = []
    for writer in writers:
        profile = writer.profile.model_dump(mode="json")
        kept = {name: profile[name] for name in ("license", "reasoning", "system", "body", "sampling", "structured")}
        told.append(
            {"model": writer.model, "revision": writer.revision, **kept, "seed": "seed" not in profile["lacks"]}
        )
    return {"model": [one["model"] for one in told], "profile": told}


def unkept(source: Source) -> Knowledge:
    """The knowledge of a source without leaving its graph on disk."""
    with tempfile.TemporaryDirectory() as folder:
        return knowledge_of(source, Path(folder))
