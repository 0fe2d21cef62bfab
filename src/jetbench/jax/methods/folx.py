"""The forward Laplacian of the library folx."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.errors import Unsupported, library_failed
from jetbench.jax.evaluation import factor_of, in_coordinates
from jetbench.jax.program import Evaluation
from jetbench.operators.directions import decompose, randomize
from jetbench.operators.factors import factors
from jetbench.operators.problem import Method, Problem
from jetbench.operators.symbol import Symbol


class Folx(Method):
    """Forward Laplacian by the library folx, dense; along given directions, and nested for products of order 2.

    Source: Gao, Köhler, Foster, folx: Forward Laplacian for JAX (2023), with `sparsity_threshold=0`.
    """

    name = "folx"
    version = 1
    package = "folx"

    def unsupported(self, problem: Problem) -> str | None:
        if importlib.util.find_spec("folx") is None:
            return "The package folx is not installed here; get it with pip install folx."
        operator = problem.operator
        if not operator.is_single:
            return (
                f"A pass of folx sums second derivatives into one value, and {operator.name} has the outputs "
                f"{', '.join(list(operator.symbols)[:4])}; use forward_laplacian."
            )
        try:
            levels = _levels(problem)
        except Unsupported as refusal:
            return str(refusal)
        if len(levels) > 1 and callable(operator.factor):
            return "Nesting folx would differentiate the coefficients of the operator too; use collapsed."
        return None

    def vectors(self, problem: Problem) -> int:
        """R + 2 for each pass along R directions; passes of nested operators multiply."""
        return prod(level.vectors for level in _levels(problem))

    def build(self, net: Callable, problem: Problem) -> ForwardLaplacians:
        return ForwardLaplacians(net, problem)


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


def _levels(problem: Problem) -> tuple[Level, ...]:
    """The operators of order 2 whose product the problem's operator is, innermost first.

    Raises:
        Unsupported: it is no such product.
    """
    operator, symbol = problem.operator, problem.operator.symbols[""]
    if not problem.estimator.is_exact:
        drawn = randomize(problem)
        if operator.order > 2:
            raise Unsupported(
                f"folx propagates second derivatives; random directions of order {operator.order}, which "
                f"{operator.name} needs, are beyond it."
            )
        passes = [Pass(float(np.sign(group.weight)), None, group.samples) for group in drawn.groups]
        return (_with_lower_terms(passes, drawn.remainder),)
    if operator.order == 2:
        lower = Symbol(symbol.dim, {e: c for e, c in symbol.terms.items() if sum(e) < 2})
        return (_with_lower_terms(_passes(symbol.parts[2]), lower),)
    parts = factors(symbol.parts[operator.order]) if symbol.is_homogeneous else ()
    if not parts or any(part.degree != 2 for part in parts):
        raise Unsupported(
            f"folx propagates second derivatives, and {operator.name} (order {operator.order}) is no product of "
            "operators of order 2."
        )
    return tuple(Level(tuple(_passes(part)), 0.0) for part in parts)


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


class ForwardLaplacians(Evaluation):
    """Evaluates the passes of each level by folx; a level is the function that the next one takes."""

    def __init__(self, net: Callable[[Array], Array], problem: Problem) -> None:
        super().__init__(net, problem)
        self._levels = _levels(problem)
        self._weights = ()
        if not problem.estimator.is_exact:
            self._weights = tuple(abs(group.weight) for group in randomize(problem).groups)

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        del captured
        factor = factor_of(self.problem.operator, x)
        scaled = [weight**0.5 * draw for weight, draw in zip(self._weights, draws, strict=True)]
        f = self.net
        for level in self._levels:
            f = self._applied(f, level, scaled, factor)
        return {"": f(x)}

    def _applied(self, f: Callable, level: Level, draws: Sequence[Array], factor: Array | None) -> Callable:
        def operator(x: Array) -> Array:
            total = None
            for number, each in enumerate(level.passes):
                directions = draws[number] if each.directions is None else each.directions
                drift = None if each.drift is None else in_coordinates(each.drift[None], factor, x)[0]
                y, laplacian = _forward_laplacian(f, x, in_coordinates(directions, factor, x), drift)
                laplacian = laplacian if each.sign == 1 else each.sign * laplacian
                total = laplacian if total is None else total + laplacian
            return total + level.constant * y if level.constant else total

        return operator


def _forward_laplacian(f: Callable, x: Array, directions: Array, drift: Array | None) -> tuple[Array, Array]:
    """f(x) and Σ_r v_rᵀ∂²f(x)v_r + b·∂f(x) in one pass of folx over each point, as its users write it.

    Args:
        directions: (R, ..., D), with axes of length 1 where all points have the same.
    """
    import folx
    from folx.api import FwdJacobian, FwdLaplArray

    if x.ndim > 1:
        shared = directions.shape[1] == 1
        axes = (0, None if shared else 1, None if drift is None else 0)
        drift = None if drift is None else jnp.broadcast_to(drift, x.shape)
        of_point = partial(_forward_laplacian, f)
        return jax.vmap(of_point, axes)(x, directions[:, 0] if shared else directions, drift)
    start = jnp.zeros_like(x) if drift is None else drift
    seed = FwdLaplArray(x, FwdJacobian.from_dense(directions), start)
    try:
        found = folx.forward_laplacian(f, sparsity_threshold=0)(seed)
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        raise library_failed("folx", error) from error
    return (found.x, found.laplacian) if isinstance(found, FwdLaplArray) else (found, jnp.zeros_like(found))
