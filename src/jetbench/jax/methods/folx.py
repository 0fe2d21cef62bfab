"""The forward Laplacian of the library folx."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.errors import library_failed
from jetbench.jax.program import Evaluation
from jetbench.methods import folx
from jetbench.methods.folx import Level, Levels
from jetbench.operators.problem import Problem


class Folx(folx.Folx):
    def build(self, net: Callable, problem: Problem, plan: Levels) -> Callable[[Any, Any], Mapping[str, Any]]:
        return ForwardLaplacians(net, problem, plan)


class ForwardLaplacians(Evaluation):
    """Evaluates the passes of each level by folx; a level is the function that the next one takes."""

    def __init__(self, net: Callable[[Array], Array], problem: Problem, plan: Levels) -> None:
        super().__init__(net, problem)
        self._levels = plan.levels
        self._weights = tuple(abs(group.weight) for group in plan.groups)

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
