"""Standard Taylor mode of JAX itself, `jax.experimental.jet`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import jet
from jax.extend.core import ClosedJaxpr, primitives

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.errors import Unsupported, library_failed
from jetbench.jax.corrected import corrected
from jetbench.jax.program import Evaluation
from jetbench.methods import jax_jet
from jetbench.methods.jax_jet import StockJets
from jetbench.operators.problem import Problem


class JaxJet(jax_jet.JaxJet):
    def build(self, net: Callable, problem: Problem, plan: StockJets) -> Callable[[Any, Any], Mapping[str, Any]]:
        return JetOfJax(net, problem, plan)


class JetOfJax(Evaluation):
    """Σ_r w_r ⟨∂^k f, v_r^⊗k⟩ from one call of `jet` per order of directions, under vmap over these."""

    def __init__(self, net: Callable[[Array], Array], problem: Problem, plan: StockJets) -> None:
        super().__init__(net, problem)
        self._plan = plan

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        if corrected(self.net, captured, (primitives.custom_vjp_call_p,)) is not self.net:
            raise Unsupported(
                "jax.experimental.jet drops derivatives that are given by jax.custom_vjp or jax.custom_gradient; use "
                "taylor, which follows them."
            )
        directions = self._plan.directions
        seeds = None
        if directions.rows:
            seeds = in_coordinates(directions.seeds(draws), factor_of(self.problem.operator, x), x)

        def jets(rows: range, order: int) -> list[Array]:
            return self._jets(x, seeds[rows.start : rows.stop], order)

        return self._plan.evaluate(jets, lambda: self.net(x), self.problem.operator.symbols)

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
