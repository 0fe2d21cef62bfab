"""Symbols evaluated by nesting derivatives of derivatives, as the nested methods and the reference do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.algebra.differentiate import Function
from jetbench.jax.corrected import corrected
from jetbench.jax.program import Evaluation
from jetbench.methods.nested import Nest
from jetbench.operators.problem import Problem


class Nesting(Evaluation):
    """Evaluates a plan of nested derivatives. Subclasses say how the derivatives along directions are taken."""

    def __init__(self, net: Function, problem: Problem, plan: Nest) -> None:
        super().__init__(net, problem)
        self._plan = plan

    @abstractmethod
    def power(self, f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
        """x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D)."""

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        return self.differentiated(corrected(self.net, captured), x, draws)

    def differentiated(self, net: Function, x: Array, draws: Sequence[Array]) -> dict[str, Array]:
        """The values for a network that JAX differentiates rightly."""
        factor = factor_of(self.problem.operator, x)

        def resolve(directions: Array | np.ndarray) -> Array:
            return in_coordinates(directions, factor, x)

        return self._plan.evaluate(net, x, draws, self.power, resolve, jnp.zeros_like)
