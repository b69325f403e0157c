"""Every command and option of the contract; what this version lacks says so and exits 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from synth import __version__
from synth.errors import NotBuiltError

Handler = Callable[[argparse.Namespace], int]
_LATER = {
    "curate": "a curriculum from rows: train, validation, test",
    "review": "read and sign off rows in a browser",
    "recall": "find rows that repeat a reference",
    "bench": "planted defects: precision and recall of every check",
    "reward": "pairs, training and evaluation of a reward model",
    "proxy": "train a small model on an export",
    "plan": "tokens, GPU hours and disk, before anything is spent",
}
"""Commands of the contract that a later version has."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="synth",
        description="Synthetic medical reasoning data in which every row carries its own proof.",
        epilog="example: synth demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"synth {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _demo(commands)
    _generate(commands)
    _serve(commands)
    _verify(commands)
    _show(commands)
    _export(commands)
    _report(commands)
    _score(commands)
    _kg(commands)
    _clean(commands)
    _doctor(commands)
    for name, what in _LATER.items():
        later = commands.add_parser(name, help=f"{what} (not in this version)", add_help=False)
        later.set_defaults(run=_not_built(name), later=True)
    return parser


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; options of a command that is not built are nobody's business."""
    parser = build_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown and not getattr(arguments, "later", False):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _not_built(what: str) -> Handler:
    def run(_arguments: argparse.Namespace) -> NoReturn:
        raise NotBuiltError(f"{what}: not in version {__version__}; see the README for what it has")

    return run


def _command(commands: Any, name: str, what: str, example: str, handler: str) -> argparse.ArgumentParser:
    """Add a command; its module is loaded only when it runs."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_loaded(handler))
    return parser


def _loaded(handler: str) -> Handler:
    module, _, name = handler.partition(":")

    def run(arguments: argparse.Namespace) -> int:
        import importlib

        found: Handler = getattr(importlib.import_module(f"synth.cli.{module}"), name)
        return found(arguments)

    return run


def _demo(commands: Any) -> None:
    parser = _command(
        commands, "demo", "make a dataset with the embedded engine and show one row in full",
        "synth demo", "generate:demo",
    )  # fmt: skip
    parser.add_argument("-n", type=int, default=1500, help="seeds to attempt (default: 1500)")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="run folder (default: runs/demo)")


def _generate(commands: Any) -> None:
    parser = _command(
        commands, "generate", "make rows from seeds, in a run folder that the same command resumes",
        "synth generate --seed kg -n 1000 --out runs/first", "generate:generate",
    )  # fmt: skip
    parser.add_argument("--seed", choices=("kg", "textbook", "case"), help="where samples start")
    parser.add_argument(
        "--source", nargs="+", action="extend", metavar="PATH",
        help="what to read instead of the bundled graph: ontologies, HPO with its annotations, or a built graph",
    )  # fmt: skip
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("-n", type=int, metavar="N", help="seeds to attempt in all (default: 100)")
    amount.add_argument("--accept", type=int, metavar="N", help="rows to accept, from at most 5N seeds")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/SEED-FINGERPRINT)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML settings (default: ./synth.yaml if there)")
    parser.add_argument("--engine", choices=("grounded", "openai", "vllm", "replay"), help="who writes")
    parser.add_argument("--lang", choices=("en", "zh"), help="language of the rows")
    parser.add_argument("--random-seed", type=int, metavar="N", help="same number, same bytes (default: 0)")
    parser.add_argument("--model", action="append", metavar="ID", help="model to ask (may be repeated)")
    parser.add_argument(
        "--base-url", action="append", metavar="URL", help="server to ask (may be repeated; default: OPENAI_BASE_URL)"
    )
    parser.add_argument("--profile", metavar="NAME", help="profile of the model (default: the one that fits its id)")
    parser.add_argument("--gpus", type=int, metavar="N", help="servers that the vllm engine starts, one a GPU")
    parser.add_argument("--concurrency", type=int, metavar="N", help="requests in flight, at most (default: 256)")
    parser.add_argument(
        "--max-calls",
        type=int,
        metavar="N",
        help="requests that the whole run may send, those refused for load not counted",
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="tokens that the whole run may cost")
    parser.add_argument("--pilot", type=int, metavar="N", help="seeds after which to tell what the rest takes, and ask")
    parser.add_argument("--prompts", type=Path, metavar="DIR", help="templates that stand in for bundled ones")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting by its dotted key")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    parser.add_argument("--yes", action="store_true", help="go on after the pilot without asking")
    parser.add_argument("--phi-reviewed", help=argparse.SUPPRESS)
    parser.add_argument("--allow-historical", action="store_true", help=argparse.SUPPRESS)


def _serve(commands: Any) -> None:
    parser = _command(
        commands, "serve", "run vLLM with the right flags, in the foreground",
        "synth serve --model models/my-model -- --max-model-len 16384", "serve:serve",
    )  # fmt: skip
    parser.add_argument("--model", metavar="PATH|ID", help="a model's folder, or its id on the hub")
    parser.add_argument("--profile", metavar="NAME", help="what is known of a kind of model: its flags for vLLM")
    parser.add_argument("--port", type=int, metavar="N", help="on this machine only (default: a free one)")
    parser.add_argument("flags", nargs="*", metavar="-- FLAGS", help="flags for vLLM, after --")


def _verify(commands: Any) -> None:
    parser = _command(
        commands, "verify", "replay the proof of every row, offline and with no model",
        "synth verify runs/first/accepted.jsonl", "data:verify",
    )  # fmt: skip
    parser.add_argument("data", type=Path, metavar="DATA.jsonl", help="rows, or a run folder")
    parser.add_argument("--kg", metavar="GRAPH", help="a built graph that the rows name")
    parser.add_argument(
        "--source", nargs="+", action="extend", default=[], metavar="PATH", help="files or graph that the rows rest on"
    )


def _show(commands: Any) -> None:
    parser = _command(
        commands,
        "show",
        "print one row in full, with its evidence",
        "synth show runs/first 3f2a",
        "data:show",
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="run folder or JSONL file")
    parser.add_argument("id", metavar="ID", help="a row's id, or enough of its beginning")


def _export(commands: Any) -> None:
    parser = _command(
        commands, "export", "write accepted rows in the format of a trainer, with a card beside the file",
        "synth export runs/first --format messages --out first.jsonl", "data:export",
    )  # fmt: skip
    parser.add_argument("data", type=Path, metavar="RUN|DATA.jsonl", help="run folder or rows")
    parser.add_argument("--format", required=True, help="messages, prompt-completion, sharegpt or alpaca")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the JSONL file to write")
    parser.add_argument(
        "--think", choices=("tags", "field"), default="tags",
        help="reasoning in <think> tags, or in a field of its own (default: tags)",
    )  # fmt: skip
    parser.add_argument("--include-flagged", action="store_true", help="keep rows that carry flags")


def _report(commands: Any) -> None:
    parser = _command(
        commands,
        "report",
        "write the report of a run again and print its funnel",
        "synth report runs/first",
        "data:report",
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)


def _score(commands: Any) -> None:
    parser = _command(
        commands, "score", "score rows and write them again, scores in place",
        "synth score runs/first/accepted.jsonl --out scored.jsonl --scorer rule", "data:score",
    )  # fmt: skip
    parser.add_argument("data", type=Path, metavar="DATA.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="SCORED.jsonl")
    parser.add_argument(
        "--scorer", choices=("rule", "default", "model", "served", "elo", "judge"), default="rule",
        help="this version has rule",
    )  # fmt: skip
    for name in ("--model", "--base-url"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--audit", action="store_true", help=argparse.SUPPRESS)


def _kg(commands: Any) -> None:
    parser = _command(commands, "kg", "look into the knowledge graph", 'synth kg ask bundled "scrub typhus"', "kg:info")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = _command(actions, "info", "what a graph holds and what can be made of it", "synth kg info", "kg:info")
    info.add_argument("graph", nargs="?", default="bundled", metavar="G", help="a built graph (default: bundled)")
    ask = _command(actions, "ask", "what a graph says of an entity", 'synth kg ask bundled "measles"', "kg:ask")
    ask.add_argument("graph", metavar="G", help="a built graph, or the word bundled")
    ask.add_argument("entity", help="name, synonym or id")
    ask.add_argument("to", nargs="?", help="another one: the shortest paths between the two (built graphs)")
    ask.add_argument("--html", action="store_true", help=argparse.SUPPRESS)
    build = _command(
        actions, "build", "build a graph from sources of any kind",
        "synth kg build hp.obo.gz phenotype.hpoa.gz --out hpo", "graphs:build",
    )  # fmt: skip
    build.add_argument("source", nargs="+", type=Path, metavar="SOURCE", help="files, folders, or a YAML mapping file")
    build.add_argument("--out", type=Path, required=True, metavar="G", help="folder of the graph")
    for name, what in (("name", "what the source is called"), ("version", "its version"), ("license", "its licence")):
        build.add_argument(f"--{name}", help=f"{what}, in place of what it says itself")
    walk = _command(
        actions, "walk", "draw random walks on a built graph",
        'synth kg walk hpo -n 5 --path "Disease -has_phenotype> Phenotype <has_phenotype- Disease"', "graphs:walk",
    )  # fmt: skip
    walk.add_argument("graph", metavar="G", help="a built graph")
    walk.add_argument("-n", type=int, required=True, metavar="N", help="walks to draw")
    walk.add_argument("--path", metavar="METAPATH", help="types and relations to go along (default: anything)")
    walk.add_argument("--length", type=int, default=4, metavar="N", help="steps, where no path is given (default: 4)")
    walk.add_argument(
        "--weights", choices=("even", "long_tail", "hub_damped", "exact"), default="even",
        help="what makes a step likelier; exact: every walk of the path as likely as any other (default: even)",
    )  # fmt: skip
    walk.add_argument("--no-repeat", dest="repeats", action="store_false", help="never come back to a node")
    walk.add_argument("--random-seed", type=int, default=0, metavar="N", help="same number, same walks (default: 0)")
    walk.add_argument("--out", type=Path, metavar="FILE.npy", help="node numbers as an array, instead of lines of JSON")


def _clean(commands: Any) -> None:
    parser = _command(
        commands, "clean", "drop the stored replies of a run and keep its rows", "synth clean runs/first", "data:clean"
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("--yes", action="store_true", help="also of a run that is not finished")


def _doctor(commands: Any) -> None:
    parser = _command(
        commands,
        "doctor",
        "say what this machine can run, and what is missing",
        "synth doctor --json",
        "doctor:doctor",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
