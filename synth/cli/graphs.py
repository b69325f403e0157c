"""`synth kg` on built graphs: build, info, walk, ask."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import FaultError, UsageError
from synth_kg.builder import About, Dropped
from synth_kg.columns import Arc
from synth_kg.sniff import UnusableSource
from synth_kg.typed import MANIFEST, NODES, Neighbour, NotAGraph, TypedGraph, check_files

_NAMED = 8
"""Nodes named for each kind of entry."""
_PATHS, _LONGEST = 3, 6


def is_built(name: str) -> bool:
    """Whether a name is that of a graph of this kind."""
    return (Path(name) / NODES).is_file() or (
        (Path(name) / MANIFEST).is_file() and (Path(name) / "first.npy").is_file()
    )


def build(arguments: argparse.Namespace) -> int:
    """`synth kg build`."""
    with _told():
        from synth_kg.readers import sources

        about = About(arguments.name or "", arguments.version or "", arguments.license or "")
        out: Path = arguments.out
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).is_file())):
            raise UsageError(f"{out}: there is something else; choose another --out")
        start = time.monotonic()
        graph = TypedGraph.of(sources.build(arguments.source, about))
        manifest = graph.write(out)
    print(
        f"{manifest['nodes']:,} nodes, {manifest['statements']:,} statements in {time.monotonic() - start:.1f} s: {out}"
    )
    print(f"graph {manifest['graph']}")
    _print_dropped(graph.dropped)
    for origin in graph.origins:
        if origin.license == "not stated":
            print(f"synth: {origin.name} states no licence; --license NAME says which it is", file=sys.stderr)
    return 0


def info(name: str) -> int:
    """What a built graph holds."""
    with _told():
        folder = Path(name)
        graph = TypedGraph.open(folder)
        check_files(folder)
    columns = graph.columns
    print(f"graph {json.loads((folder / MANIFEST).read_text())['graph']}: {len(graph):,} nodes, ", end="")
    print(f"{columns.statements:,} statements, {columns.bytes / 2**20:.1f} MiB\n\nnodes by type:")
    for kind, many in sorted(zip(columns.types, np.diff(columns.offsets).tolist(), strict=True), key=lambda x: -x[1]):
        print(f"  {many:>11,}  {kind}")
    print("\nstatements by relation:")
    for (head, arc, tail), many in sorted(columns.counts.items(), key=lambda item: -item[1]):
        print(f"  {many:>11,}  {head} {_arrow(arc)} {tail}")
    degrees = columns.degrees
    middle, high = (int(np.percentile(degrees, share)) if len(degrees) else 0 for share in (50, 99))
    hub = int(degrees.argmax()) if len(degrees) else 0
    print(f"\nstatements of a node: median {middle}, 99th percentile {high}, ", end="")
    print(f"most {int(degrees[hub]):,} ({graph.name(hub)}); {int((degrees == 0).sum()):,} nodes without any")
    sizes = np.sort(np.bincount(components(graph)))[::-1]
    sizes = sizes[sizes > 0]
    print(f"components: {len(sizes):,}, the largest with {int(sizes[0]) / max(1, len(graph)):.1%} of the nodes")
    print("\nsources, by statements:")
    stating = columns.sources if len(columns.sources) else np.zeros(columns.entries, np.uint8)
    for origin, many in zip(graph.origins, np.bincount(stating, minlength=len(graph.origins)) // 2, strict=True):
        print(f"  {int(many):>11,}  {origin.name} {origin.version}, {origin.license}")
    _print_dropped(graph.dropped)
    return 0


def components(graph: TypedGraph) -> Any:
    """A number for each node, the same within a connected component: the smallest node of it."""
    columns = graph.columns
    labels = np.arange(len(graph), dtype=np.int64)
    linked = columns.degrees > 0
    begins = np.asarray(columns.pointers[:-1])[linked]
    while len(begins):
        least = np.minimum.reduceat(labels[columns.neighbours], begins)
        after = labels.copy()
        after[linked] = np.minimum(after[linked], least)
        after = after[after]
        if (after == labels).all():
            return labels
        labels = after
    return labels


def walk(arguments: argparse.Namespace) -> int:
    """`synth kg walk`."""
    from synth_kg.hops import HopPattern
    from synth_kg.walks import Walker, metapath

    for option, value in (("-n", arguments.n), ("--length", arguments.length)):
        if value < 1:
            raise UsageError(f"{option} {value}: must be at least 1")
    with _told():
        graph = TypedGraph.open(Path(arguments.graph))
        types, steps = metapath(arguments.path) if arguments.path else (frozenset(), (HopPattern(),) * arguments.length)
        walker = Walker(
            graph.columns, steps, types=types, seed=arguments.random_seed, weights=arguments.weights,
            repeats=arguments.repeats,
        )  # fmt: skip
    walker.walks(1)  # compiles, where that has to be
    start = time.process_time()
    walks = walker.walks(arguments.n)
    spent = max(time.process_time() - start, 1e-9)
    if arguments.out is not None:
        np.save(arguments.out, walks)
    else:
        for number, row in enumerate(walks.tolist()):
            nodes = [graph.key(node) for node in row if node >= 0]
            names = [graph.name(node) for node in row if node >= 0]
            told = [{"type": key[0], "id": key[1], "name": name} for key, name in zip(nodes, names, strict=True)]
            print(json.dumps({"walk": number, "nodes": told}, ensure_ascii=False))
    dead = float((walks[:, -1] < 0).mean()) if len(walks) else 0.0
    print(
        f"{arguments.n:,} walks ({walker.backend}): {arguments.n / spent / 1e6:.2f} million a CPU second; "
        f"{dead:.2%} ended before their time",
        file=sys.stderr,
    )
    return 0


def ask(arguments: argparse.Namespace) -> int:
    """`synth kg ask` on a built graph."""
    with _told():
        graph = TypedGraph.open(Path(arguments.graph))
    found = _found(graph, arguments.entity)
    if arguments.to is None:
        for node in found:
            _print_node(graph, node)
        return 0
    others = _found(graph, arguments.to)
    return _print_paths(graph, found[0], others[0])


def _found(graph: TypedGraph, text: str) -> list[int]:
    found = graph.find(text)
    if found:
        return found
    wanted = text.casefold()
    near = sorted((str(name) for name in graph.names if wanted in str(name).casefold()), key=len)[:5]
    hint = f"; perhaps {', '.join(near)}" if near else ""
    raise UsageError(f"'{text}': no node of this name, synonym or id{hint}")


def _print_node(graph: TypedGraph, node: int) -> None:
    kind, ident = graph.key(node)
    print(f"{graph.name(node)} ({kind} {ident})")
    if graph.synonyms[node]:
        print(f"  also: {', '.join(graph.synonyms[node])}")
    groups: dict[tuple[Arc, str], list[Neighbour]] = {}
    for neighbour in graph.around(node):
        groups.setdefault((neighbour.arc, graph.type_of(neighbour.node)), []).append(neighbour)
    for (arc, other), entries in groups.items():
        print(f"  {_arrow(arc)} {other}: {len(entries):,}")
        for entry in entries[:_NAMED]:
            print(f"    {graph.name(entry.node)}{_beside(graph, node, entry)}  [{_proof(graph, node, entry)}]")
        if len(entries) > _NAMED:
            print(f"    ... and {len(entries) - _NAMED:,} more")


def _print_paths(graph: TypedGraph, one: int, other: int) -> int:
    from synth_kg.paths import PathFinder

    found = PathFinder(graph.columns).between(one, other, _PATHS, longest=_LONGEST)
    if not found.paths:
        raise FaultError(f"no path of {_LONGEST} steps or fewer between {graph.name(one)} and {graph.name(other)}")
    print(f"{graph.name(one)} to {graph.name(other)}: {found.distance} steps, {found.ways:,} shortest paths")
    for path in dict.fromkeys(map(tuple, found.paths)):
        print()
        for here, there in pairwise(path):
            entries = [entry for entry in graph.between(here, there) if not entry.arc.negated]
            for entry in entries:
                print(
                    f"  {graph.name(here)} {_arrow(entry.arc)} {graph.name(there)}{_beside(graph, here, entry)}  ",
                    end="",
                )
                print(f"[{_proof(graph, here, entry)}]")
    return 0


def _arrow(arc: Arc) -> str:
    name = f"not {arc.relation}" if arc.negated else arc.relation
    return f"<{name}-" if arc.way == "in" else f"-{name}-" if arc.way == "both" else f"-{name}>"


def _proof(graph: TypedGraph, node: int, found: Neighbour) -> str:
    edge = graph.edge(node, found)
    return f"{edge.ref[:8]}; {edge.source} {edge.version}, {edge.license}"


def _beside(graph: TypedGraph, node: int, found: Neighbour) -> str:
    said = [f"{key} {value}" for told in graph.said(node, found)[:1] for key, value in told.items()]
    return f" ({', '.join(said)})" if said else ""


def _print_dropped(dropped: tuple[Dropped, ...]) -> None:
    if dropped:
        print("\nleft out:")
    for one in sorted(dropped, key=lambda one: -one.times):
        example = f" (such as {one.examples[0]})" if one.examples else ""
        print(f"  {one.times:>11,}  {one.source}: {one.reason}{example}")


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong with graphs into words for the command line."""
    try:
        yield
    except (UnusableSource, NotAGraph, OSError) as error:
        raise UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'synth-med[kg]'") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
