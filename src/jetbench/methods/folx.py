"""The forward Laplacian of the library folx: what it can do, and in which passes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from jetbench.errors import Unsupported
from jetbench.methods.base import Method
from jetbench.operators.directions import RandomGroup, decompose, randomize
from jetbench.operators.factors import factors
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import Symbol


@dataclass(frozen=True)
class Pass:
    """sign · (Σ_r (v_r·∂)² + b·∂) for R directions v_r in the variables of the symbol.

    Attributes:
        directions: (R, n); None where they are drawn.
        count: R.
        drift: b, (n,), or None.
    """

    sign: float
    directions: np.ndarray | None
    count: int
    drift: np.ndarray | None = None


@dataclass(frozen=True)
class Level:
    """The sum of some passes, and a constant times the function."""

    passes: tuple[Pass, ...]
    constant: float

    @property
    def vectors(self) -> int:
        """What passes through a hidden layer."""
        return sum(each.count + 2 for each in self.passes)


@dataclass(frozen=True)
class Levels:
    """The operators of order 2 whose product an operator is, innermost first; passes of nested ones multiply."""

    levels: tuple[Level, ...]
    groups: Sequence[RandomGroup] = ()

    @property
    def vectors(self) -> int:
        """R + 2 for each pass along R directions."""
        return prod(level.vectors for level in self.levels)


class Folx(Method):
    """Forward Laplacian by the library folx, dense; along given directions, and nested for products of order 2.

    Source: Gao, Köhler, Foster, folx: Forward Laplacian for JAX (2023), with `sparsity_threshold=0`.
    """

    name = "folx"
    label = "Forward Laplacian (folx)"
    rank = 60
    backends = ("jax",)
    package = "folx"

    def unavailable(self) -> str | None:
        if importlib.util.find_spec("folx") is None:
            return "The package folx is not installed here; get it with pip install folx."
        return None

    def plan(self, problem: Problem) -> Levels:
        operator = problem.operator
        if not operator.is_single:
            raise Unsupported(
                f"A pass of folx sums second derivatives into one value, and {operator.name} has the outputs "
                f"{', '.join(list(operator.symbols)[:4])}; use forward_laplacian."
            )
        plan = _exact(problem) if problem.estimator.is_exact else _drawn(problem)
        if len(plan.levels) > 1 and callable(operator.factor):
            raise Unsupported("Nesting folx would differentiate the coefficients of the operator too; use collapsed.")
        return plan


def _drawn(problem: Problem) -> Levels:
    drawn, operator = randomize(problem), problem.operator
    if operator.order > 2:
        raise Unsupported(
            f"folx propagates second derivatives; random directions of order {operator.order}, which "
            f"{operator.name} needs, are beyond it."
        )
    passes = [Pass(float(np.sign(group.weight)), None, group.samples) for group in drawn.groups]
    return Levels((_with_lower_terms(passes, drawn.remainder),), drawn.groups)


def _exact(problem: Problem) -> Levels:
    operator, symbol = problem.operator, problem.operator.symbols[""]
    if operator.order == 2:
        lower = Symbol(symbol.dim, {e: c for e, c in symbol.terms.items() if sum(e) < 2})
        return Levels((_with_lower_terms(_passes(symbol.parts[2]), lower),))
    parts = factors(symbol.parts[operator.order]) if symbol.is_homogeneous else ()
    if not parts or any(part.degree != 2 for part in parts):
        raise Unsupported(
            f"folx propagates second derivatives, and {operator.name} (order {operator.order}) is not a product of "
            "operators of order 2."
        )
    return Levels(tuple(Level(tuple(_passes(part)), 0.0) for part in parts))


def _passes(form: Symbol) -> list[Pass]:
    """One pass for the directions of positive weight, one for those of negative weight: folx adds squares only."""
    found = decompose(form)
    scaled = found.vectors * np.sqrt(np.abs(found.weights))[:, None]
    signs = [sign for sign in (1.0, -1.0) if np.any(np.sign(found.weights) == sign)]
    chosen = [(sign, scaled[np.sign(found.weights) == sign]) for sign in signs]
    return [Pass(sign, directions, len(directions)) for sign, directions in chosen]


def _with_lower_terms(passes: list[Pass], lower: Symbol) -> Level:
    """A drift is the initial value of what the first pass sums."""
    first = passes[0]
    if 1 in lower.parts:
        drift = decompose(lower.parts[1]).vectors[0] / first.sign
        first = Pass(first.sign, first.directions, first.count, drift)
    constant = float(lower.parts[0].terms[(0,) * lower.dim]) if 0 in lower.parts else 0.0
    return Level((first, *passes[1:]), constant)
