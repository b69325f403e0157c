"""Random walks on a typed graph, tens of millions a second, the same on every machine.

    walker = Walker(columns, metapath("disease -has_phenotype> phenotype <has_phenotype- disease"), seed=7)
    walks = walker.walks(1_000_000)          # (1,000,000, 3) node numbers

A walk is a function of (graph, what is asked for, random seed, walk id): neither the batch it is
drawn in, nor the number of workers, nor the backend changes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.util import find_spec
from typing import Literal

import numpy as np

from synth_kg import walks_numpy
from synth_kg.columns import Columns, Ints
from synth_kg.hops import HopPattern, hub_damped, long_tail, plan

Backend = Literal["numba", "numpy", "torch"]
Weights = Literal["even", "long_tail", "hub_damped", "exact"]
TRIES, RESTARTS = 16, 16
"""Draws of a step that may not come back to a node, and of a walk in which one found nothing new."""
_KEY, _WEYL = 0xFFFFFFFFFFFFFFFF, 0x9E3779B97F4A7C15
_ARROW = re.compile(r"\s+([<-].*?[->])\s+")
_BATCH = 1 << 20


def metapath(text: str) -> tuple[frozenset[str], tuple[HopPattern, ...]]:
    """Read a metapath.

    `disease -has_phenotype> phenotype` goes along a relation, `<has_phenotype-` against it, `-ppi-` along one that
    has no direction, `-a|b>` along either, `-->` along any that is not negated; `*` is any type, `a|b` either.

    Returns:
        The types of the first node (none: all), and the steps.

    Raises:
        ValueError: it is not one.

    >>> metapath("drug <targets- gene|protein")
    (frozenset({'drug'}), (HopPattern(arcs=frozenset({'targets^-1'}), types=frozenset({...})),))
    """
    head, *rest = _ARROW.split(text.strip())
    if not rest or len(rest) % 2:
        raise ValueError(f"not a metapath: {text!r}; write it as 'disease -has_phenotype> phenotype'")
    steps = [
        HopPattern(_arcs(arrow, text), _several(types)) for arrow, types in zip(rest[::2], rest[1::2], strict=True)
    ]
    return _several(head), tuple(steps)


def _several(text: str) -> frozenset[str]:
    return frozenset() if text.strip() == "*" else frozenset(part.strip() for part in text.split("|"))


def _arcs(arrow: str, text: str) -> frozenset[str]:
    left, names, right = arrow[0], arrow[1:-1], arrow[-1]
    if left == "<" and right == ">":
        raise ValueError(f"not a metapath: {text!r}: '{arrow}' points both ways")
    if names in ("", "-"):
        return frozenset()
    suffix = "^-1" if left == "<" else ""
    return frozenset(f"{name.strip()}{suffix}" for name in names.split("|"))


class Walker:
    """Draws walks.

    Args:
        columns: the graph.
        steps: patterns of the steps; `[HopPattern()] * 4` is four steps along anything.
        types: of the first node; none stands for all.
        starts: nodes to begin at instead.
        seed: random seed, 64 bits.
        weights: of the entries of a step. 'even': all alike. 'long_tail': 1 / degree of the node that is reached, to
            the power of `exponent`. 'hub_damped': alike up to `hub`, and beyond it as 1 / degree. 'exact': so that
            every instance of the metapath is as likely as any other, starts drawn accordingly.
        exponent: of 'long_tail'.
        hub: degree at which 'hub_damped' begins.
        repeats: whether a walk may come back to a node. If not, a step is drawn up to `TRIES` times, and a walk in
            which one finds nothing new is drawn anew, `RESTARTS` times in all; what is left ends before its time.
        prune: leave out what cannot be ended.
        backend: 'numba' where it is installed, else 'numpy'; 'torch' on a GPU.

    Raises:
        ValueError: an unknown type or relation, no walk at all, or counts that do not fit.
    """

    def __init__(
        self,
        columns: Columns,
        steps: Sequence[HopPattern],
        *,
        types: frozenset[str] = frozenset(),
        starts: Ints | None = None,
        seed: int = 0,
        weights: Weights = "even",
        exponent: float = 1.0,
        hub: int = 1000,
        repeats: bool = True,
        prune: bool = True,
        backend: Backend | None = None,
    ) -> None:
        if strange := types - set(columns.types):
            raise ValueError(f"no node type '{sorted(strange)[0]}'; there are {', '.join(columns.types)}")
        self.columns, self.seed = columns, seed & _KEY
        self.whole = weights == "exact" and not repeats
        """Whether walks that come back to a node are drawn anew as a whole: step by step they would not be alike."""
        self.tries = 0 if repeats or self.whole else TRIES
        self.backend: Backend = backend or ("numba" if find_spec("numba") else "numpy")
        may = np.ones(columns.nodes, bool)
        if types:
            codes = [columns.types.index(name) for name in types]
            may = np.isin(columns.node_types, codes)
        if starts is not None:
            chosen = np.zeros(columns.nodes, bool)
            chosen[starts] = True
            may &= chosen
        told = None
        if weights == "long_tail":
            told = long_tail(columns.degrees, exponent)
        elif weights == "hub_damped":
            told = hub_damped(columns.degrees, hub)
        self.hops, self.ways = plan(columns, steps, may, weights=told, exact=weights == "exact", prune=prune)
        self.choices = np.flatnonzero(self.ways).astype(np.int32)
        """Where a walk may begin."""
        if not len(self.choices):
            raise ValueError("no walk: nothing in this graph fits the metapath from one end to the other")
        self._sums = np.zeros(0, np.uint64)
        if weights == "exact":
            self._sums = np.cumsum(self.ways[self.choices]).astype(np.uint64)

    @property
    def instances(self) -> int:
        """In how many ways the metapath can be walked; with 'exact' only, else the number of starts."""
        return int(self.ways.sum())

    def walks(self, n: int, *, first: int = 0, starts: Ints | None = None, workers: int = 1) -> Ints:
        """Draw walks.

        Args:
            n: how many.
            first: id of the first.
            starts: (n,) where each begins, instead of drawing that.
            workers: threads.

        Returns:
            (n, steps + 1) node numbers, int32; -1 from where a walk ended before its time.
        """
        out = np.full((n, len(self.hops) + 1), -1, np.int32)
        parts = [slice(at, min(at + _BATCH, n)) for at in range(0, n, _BATCH)]

        def fill(part: slice) -> None:
            ids = np.arange(first + part.start, first + part.stop, dtype=np.int64)
            self._fill(out[part], ids, None if starts is None else starts[part])

        if workers == 1 or len(parts) == 1:
            for part in parts:
                fill(part)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(fill, parts))
        return out

    def _fill(self, out: Ints, ids: Ints, starts: Ints | None) -> None:
        """Fill walks; those that end before their time are begun anew, some times."""
        self._draw(out, ids, starts, self.seed)
        for again in range(1, RESTARTS if self.tries or self.whole else 1):
            dead = np.flatnonzero(out[:, -1] < 0)
            if not len(dead):
                return
            part = np.full((len(dead), out.shape[1]), -1, np.int32)
            self._draw(part, ids[dead], None if starts is None else starts[dead], self.seed + again * _WEYL & _KEY)
            out[dead] = part

    def _draw(self, out: Ints, ids: Ints, starts: Ints | None, key: int) -> None:
        self._drawn(out, ids, starts, key)
        if self.whole:
            ordered = np.sort(out, axis=1)
            out[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1), 1:] = -1

    def _drawn(self, out: Ints, ids: Ints, starts: Ints | None, key: int) -> None:
        if self.backend == "numba":
            from synth_kg import walks_numba  # noqa: PLC0415  (its import compiles)

            if starts is None:
                walks_numba.start_at(self.choices, self._sums, out, ids, seed=key)
            else:
                out[:, 0] = starts
            walks_numba.walk(self._packed, out, ids, seed=key, tries=self.tries)
            return
        if starts is None:
            starts = walks_numpy.start_at(self.choices, self._sums, ids, seed=key)
        if self.backend == "torch":
            from synth_kg import walks_torch  # noqa: PLC0415

            out[:] = walks_torch.walk(self._on_device, starts, ids, seed=key, tries=self.tries)
        else:
            out[:] = walks_numpy.walk(self.hops, starts, ids, seed=key, tries=self.tries)

    @cached_property
    def _packed(self):  # type: ignore[no-untyped-def]
        from synth_kg.walks_numba import Packed  # noqa: PLC0415

        return Packed(self.hops)

    @cached_property
    def _on_device(self):  # type: ignore[no-untyped-def]
        from synth_kg.walks_torch import on_device  # noqa: PLC0415

        return on_device(self.hops)
