"""Evaluating a problem by propagating jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.algebra.base import Algebra
from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.jax.jet import Jet, constant
from jetbench.jax.program import Evaluation
from jetbench.jax.propagate import propagate
from jetbench.operators.problem import Problem


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
