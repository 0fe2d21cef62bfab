"""Evaluating a problem by propagating jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.algebra.base import Algebra
from jetbench.errors import JetbenchError
from jetbench.jax.jet import Jet, constant
from jetbench.jax.program import Evaluation
from jetbench.jax.propagate import propagate
from jetbench.jax.varying import varying_like
from jetbench.operators.problem import Operator, Problem


def factor_of(operator: Operator, x: Array) -> Array | None:
    """σ(x), (D, R) or (..., D, R), in the type of x; None for the identity."""
    if operator.factor is None:
        return None
    if isinstance(operator.factor, np.ndarray):
        return jnp.asarray(operator.factor, dtype=x.dtype)
    found = operator.factor(x)
    expected = (*x.shape[:-1], operator.dim, operator.variables)
    if not isinstance(found, Array) or found.shape != expected:
        shape = found.shape if isinstance(found, Array) else type(found).__name__
        raise JetbenchError(f"The factor of {operator.name} must return an array of shape {expected}; got {shape}.")
    return found.astype(x.dtype)


def in_coordinates(seeds: Array | np.ndarray, factor: Array | None, x: Array) -> Array:
    """Seeds in the variables ζ, (n, R) or (n, ..., R), as directions of x, (n, ..., D): v = σ(x) d."""
    seeds = jnp.asarray(seeds, dtype=x.dtype)
    if factor is not None:
        seeds = seeds @ factor.T if factor.ndim == 2 else _per_datum(seeds, factor)
    if seeds.ndim < x.ndim + 1:
        seeds = seeds.reshape(seeds.shape[0], *(1,) * (x.ndim + 1 - seeds.ndim), *seeds.shape[1:])
    return varying_like(seeds, x)


def _per_datum(seeds: Array, factor: Array) -> Array:
    if seeds.ndim == 2:
        return jnp.einsum("...dr,nr->n...d", factor, seeds)
    return jnp.einsum("...dr,n...r->n...d", factor, seeds)


class JetEvaluation(Evaluation):
    """Propagates jets of one algebra through a network."""

    def __init__(self, net: Callable[[Array], Array], problem: Problem, algebra: Algebra) -> None:
        super().__init__(net, problem)
        self.algebra = algebra

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        factor = factor_of(self.problem.operator, x)
        blocks = [None if seeds is None else in_coordinates(seeds, factor, x) for seeds in self.algebra.seeds(draws)]
        (y,) = propagate(captured.jaxpr, captured.consts, [Jet(self.algebra, x, blocks)])
        if not isinstance(y, Jet):
            y = constant(self.algebra, jnp.asarray(y))
        outputs = self.algebra.read(y.primal, y.blocks)
        return {name: jnp.zeros_like(y.primal) if value is None else value for name, value in outputs.items()}
