"""Standard Taylor mode of JAX itself, `jax.experimental.jet`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import jet
from jax.extend.core import ClosedJaxpr, primitives

from jetbench.algebra.directional import contract, plan
from jetbench.errors import Unsupported, library_failed
from jetbench.jax.corrected import corrected
from jetbench.jax.evaluation import factor_of, in_coordinates
from jetbench.jax.program import Evaluation
from jetbench.operators.directions import random_unsupported
from jetbench.operators.problem import Method, Problem


class JaxJet(Method):
    """Standard Taylor mode by JAX's own jax.experimental.jet, which multiplies by dense zeros."""

    name = "jax_jet"
    version = 1
    package = "jax"

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """What really passes through a hidden layer: 1 + K + R·K(K + 1)/2 for R directions of order K.

        The rule for products takes a constant matrix W for a series whose K coefficients are zeros: the coefficient of
        order k is Σ_{j ≤ k} u_j·W_{k−j}, and only the terms with j = 0 are the same for every direction.
        """
        found = plan(problem)
        total = int(any(found.primal.values()) or not found.rows)
        return total + sum(1 + order + len(rows) * order * (order + 1) // 2 for order, rows in found.by_order())

    def build(self, net: Callable, problem: Problem) -> JetOfJax:
        return JetOfJax(net, problem)


class JetOfJax(Evaluation):
    """Σ_r w_r ⟨∂^k f, v_r^⊗k⟩ from one call of `jet` per order of directions, under vmap over these."""

    def __init__(self, net: Callable[[Array], Array], problem: Problem) -> None:
        super().__init__(net, problem)
        self._plan = plan(problem)

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        if corrected(self.net, captured, (primitives.custom_vjp_call_p,)) is not self.net:
            raise Unsupported(
                "jax.experimental.jet drops derivatives that are given by jax.custom_vjp or jax.custom_gradient; use "
                "taylor, which follows them."
            )
        outputs: dict[str, Array] = {}

        def add(name: str, value: Array) -> None:
            outputs[name] = outputs[name] + value if name in outputs else value

        if self._plan.rows:
            seeds = in_coordinates(self._plan.seeds(draws), factor_of(self.problem.operator, x), x)
        for order, rows in self._plan.by_order():
            coefficients = self._jets(x, seeds[rows.start : rows.stop], order)
            for name in self.problem.operator.symbols:
                for k, coefficient in enumerate(coefficients, 1):
                    weights = [self._plan.rows[r].reads.get(name, {}).get(k, 0.0) for r in rows]
                    if any(weights):
                        add(name, contract(weights, coefficient))
        for name, weight in self._plan.primal.items():
            if weight or name not in outputs:
                add(name, weight * self.net(x))
        return {name: outputs[name] for name in self.problem.operator.symbols}

    def _jets(self, x: Array, directions: Array, order: int) -> list[Array]:
        """⟨∂^k f(x), v^⊗k⟩ for k = 1 … K, each (R, ..., C…), for the directions (R, ..., D)."""

        def along(v: Array) -> list[Array]:
            series = [jnp.broadcast_to(v, x.shape), *[jnp.zeros_like(x)] * (order - 1)]
            return jet.jet(self.net, (x,), (series,))[1]

        try:
            return jax.vmap(along)(directions)
        except jax.errors.JaxRuntimeError:
            raise
        except Exception as error:
            raise library_failed("jax", error) from error
