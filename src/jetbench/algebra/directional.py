"""Which directions an operator needs, to which order, and how its outputs are read from them.

Shared by the algebras that work with one jet a direction (`taylor`, `collapsed`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, reduce
from math import factorial, prod
from operator import mul
from typing import Any
from warnings import warn

import numpy as np

from jetbench.algebra.arrays import concatenate, like, summed
from jetbench.algebra.base import Array, scale, take
from jetbench.operators.directions import decompose, randomize
from jetbench.operators.problem import Operator, Problem
from jetbench.operators.units import priors, rounded

MANY_VECTORS = 100_000


@dataclass
class Row:
    """A direction d with the order to which it is propagated, and what the outputs read from it.

    Attributes:
        order: largest k for which ⟨∂^k f, d^⊗k⟩ is needed.
        direction: d in the R variables of the symbols; None for a random one.
        reads: output name → order k → weight of ⟨∂^k f, d^⊗k⟩.
    """

    order: int
    direction: np.ndarray | None
    reads: dict[str, dict[int, float]] = field(default_factory=dict)

    def read(self, output: str, order: int, weight: float) -> None:
        of_output = self.reads.setdefault(output, {})
        of_output[order] = of_output.get(order, 0) + weight


@dataclass(frozen=True)
class DirectionalPlan:
    """Directions sorted by falling order, random ones first among equals; weights of the primal per output.

    Attributes:
        rows: the directions.
        primal: output name → weight of f itself (the symbol's constant term).
        groups: of the random directions, as `directions.randomize` gives them.
    """

    rows: tuple[Row, ...]
    primal: dict[str, float]
    groups: tuple[Any, ...] = ()

    @property
    def order(self) -> int:
        """K, the largest order of a direction."""
        return self.rows[0].order if self.rows else 0

    def count(self, order: int) -> int:
        """How many directions are propagated to at least `order`: they come first."""
        return sum(row.order >= order for row in self.rows)

    def by_order(self) -> list[tuple[int, range]]:
        """Each order that directions have, falling, with the places of their rows."""
        orders = sorted({row.order for row in self.rows}, reverse=True)
        return [(order, range(self.count(order + 1), self.count(order))) for order in orders]

    def seeds(self, draws: Sequence[Array]) -> Array | np.ndarray:
        """All directions, (rows, R), or (rows, ..., R) where some are drawn for each datum."""
        fixed = np.array([row.direction for row in self.rows if row.direction is not None])
        if not self.groups:
            return fixed
        if len(draws) != len(self.groups):
            raise ValueError(f"The estimator draws {len(self.groups)} arrays of directions; got {len(draws)}.")
        arrays = list(draws)
        if len(fixed):
            constant = like(fixed, draws[0])
            shape = (len(fixed), *(1,) * (draws[0].ndim - 2), fixed.shape[1])
            arrays.append(constant.reshape(shape) + 0 * draws[0][:1])
        return concatenate(arrays)


def directional_plan(problem: Problem) -> DirectionalPlan:
    """The directions for every output of the problem's operator, shared wherever they are parallel.

    A direction that one part of a symbol needs to order K also gives its lower derivatives, so lower-order parts cost
    nothing where their directions occur already.
    """
    symbols = problem.operator.symbols
    primal = {name: float(s.parts[0].terms[(0,) * s.dim]) if 0 in s.parts else 0.0 for name, s in symbols.items()}
    rows: list[Row] = []
    groups: tuple[Any, ...] = ()
    if problem.estimator.kind != "exact":
        draws = randomize(problem)
        groups = draws.groups
        for group in groups:
            for _ in range(group.samples):
                row = Row(group.order, None)
                row.read("", group.order, group.weight)
                rows.append(row)
        symbols = {"": draws.remainder}
    known: dict[bytes, Row] = {}
    prior = dict(zip(symbols, priors(list(symbols.values())), strict=True))
    parts = [(k, name, part) for name, symbol in symbols.items() for k, part in symbol.parts.items() if k]
    for order, name, part in sorted(parts, key=lambda item: -item[0]):
        found = decompose(part, problem.scheme, prior[name])
        firsts = (found.vectors != 0).argmax(axis=1)
        leading = np.take_along_axis(found.vectors, firsts[:, None], axis=1)
        keys = rounded(found.vectors / leading)
        for vector, weight, first, key in zip(found.vectors, found.weights, firsts, keys, strict=True):
            row = known.get(key.tobytes())
            if row is None:
                row = known[key.tobytes()] = Row(order, vector)
                rows.append(row)
            ratio = float(vector[first] / row.direction[first])
            row.read(name, order, float(weight) * ratio**order)
    rows.sort(key=lambda row: (-row.order, row.direction is not None, -_leading_weight(row)))
    if len(problem.operator.symbols) == 1:
        for row in rows:
            _absorb_weight(row)
    return DirectionalPlan(tuple(rows), primal, groups)


def _leading_weight(row: Row) -> float:
    """The sum over outputs of the weights of the highest coefficient; its sign sorts directions."""
    return float(np.sign(sum(reads.get(row.order, 0) for reads in row.reads.values())))


def _absorb_weight(row: Row) -> None:
    """Scale a direction so that the weight of its highest coefficient becomes ±1, where nothing else is read."""
    (name, reads), *others = row.reads.items()
    if others or set(reads) != {row.order} or row.direction is None:
        return
    weight = reads[row.order]
    sign = 1.0 if row.order % 2 else float(np.sign(weight))
    row.direction = row.direction * float(np.sign(weight * sign) * abs(weight) ** (1 / row.order))
    row.reads = {name: {row.order: sign}}


def warn_of_many(vectors: int, operator: Operator) -> None:
    """Says so where directions are so many that the user will hardly have meant it, and what takes fewer vectors.

    The apolar algebra of a symbol is spanned by divisors of its monomials, so that they bound its number of vectors.
    """
    if vectors <= MANY_VECTORS:
        return
    divisors = sum(prod(e + 1 for e in powers) for s in operator.symbols.values() for _, powers in s.supports)
    fewer = f"at most {divisors:,}" if divisors < vectors else "often far fewer"
    warn(
        f"{operator.name} of order {operator.order} in {operator.variables} variables takes {vectors:,} vectors for "
        f"each point along directions; method='apolar' takes {fewer}.",
        stacklevel=_outside(),
    )


def _outside() -> int:
    """The stack level, for `warn_of_many`, of the code that called this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "jetbench":
        level, frame = level + 1, frame.f_back
    return level


def contract(weights: Sequence[float], array: Array, *others: Array) -> Array:
    """Σ_r weights_r array_r over the first axis, (rows, *S) → (*S); runs of equal weights are summed unweighted.

    With another array, the sum of the products with its entries.
    """
    runs = _runs(tuple(weights))
    if len(runs) > 3:
        column = like(np.asarray(weights), array).reshape((-1, *(1,) * (array.ndim - 1)))
        return summed(column * array, *others)
    total = None
    for weight, start, stop in runs:
        if weight == 0:
            continue
        if stop == start + 1:
            term = reduce(mul, (each[start] for each in (array, *others)))
        else:
            term = summed(*(take(each, start, stop) for each in (array, *others)))
        if total is None:
            total = scale(weight, term)
        else:
            total = total - scale(-weight, term) if weight < 0 else total + scale(weight, term)
    return total


@lru_cache(maxsize=1024)
def _runs(weights: tuple[float, ...]) -> list[tuple[float, int, int]]:
    """Weight, first and last + 1 of each run of equal weights."""
    runs: list[tuple[float, int, int]] = []
    for index, weight in enumerate(weights):
        if runs and runs[-1][0] == weight:
            runs[-1] = (weight, runs[-1][1], index + 1)
        else:
            runs.append((weight, index, index + 1))
    return runs


@cache
def partitions(order: int) -> dict[int, tuple[tuple[int, tuple[int, ...]], ...]]:
    """Faà di Bruno's formula by number of parts: m → the (multiplicity, parts) of all set partitions of `order`.

    The k-th derivative of φ(u(t)) is Σ_m φ^(m)(u) Σ multiplicity · Π_{j ∈ parts} u^(j). The multiplicity is
    k! / (Π_j j!^{n_j} n_j!) with n_j parts of size j.
    """

    def descend(rest: int, largest: int) -> list[tuple[int, ...]]:
        if rest == 0:
            return [()]
        return [(j, *tail) for j in range(min(rest, largest), 0, -1) for tail in descend(rest - j, j)]

    result: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
    for parts in descend(order, order):
        repeats = prod(factorial(parts.count(j)) for j in set(parts))
        multiplicity = factorial(order) // (prod(factorial(j) for j in parts) * repeats)
        result.setdefault(len(parts), []).append((multiplicity, tuple(reversed(parts))))
    return {m: tuple(terms) for m, terms in sorted(result.items())}


class Monomials:
    """Products of derivative coefficients of the same direction, each computed once.

    Args:
        blocks: blocks[k − 1] is the k-th coefficient of all directions that have one, or None where it is zero.
        start, stop: the directions wanted.
    """

    def __init__(self, blocks: Sequence[Array | None], start: int, stop: int) -> None:
        self._blocks, self._start, self._stop = blocks, start, stop
        self._known: dict[tuple[int, ...], Array | None] = {}

    def __call__(self, parts: tuple[int, ...]) -> Array | None:
        """Π_{j ∈ parts} c_j, None where a factor is zero."""
        if parts not in self._known:
            if len(parts) == 1:
                block = self._blocks[parts[0] - 1]
                value = None if block is None else take(block, self._start, self._stop)
            elif len(parts) % 2 == 0 and parts[: len(parts) // 2] == parts[len(parts) // 2 :]:
                root = self(parts[: len(parts) // 2])
                value = None if root is None else root * root
            else:
                left, right = self(parts[:-1]), self(parts[-1:])
                value = None if left is None or right is None else _product(left, right)
            self._known[parts] = value
        return self._known[parts]

    def bell(self, order: int, parts: int, count: int) -> Array | None:
        """The partial Bell polynomial B_{order, parts}(c_1, c_2, …) of the first `count` directions."""
        total = None
        for multiplicity, term in partitions(order).get(parts, ()):
            value = self(term)
            if value is not None:
                value = take(value, 0, count)
                value = scale(multiplicity, value)
                total = value if total is None else total + value
        return total


def _product(left: Array, right: Array) -> Array:
    """The entrywise product of as many rows as both have."""
    count = min(left.shape[0], right.shape[0])
    return take(left, 0, count) * take(right, 0, count)
