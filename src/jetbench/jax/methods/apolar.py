"""Apolar Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.apolar.algebra import Apolar
from jetbench.algebra.apolar.inverse_system import dimension
from jetbench.jax.evaluation import JetEvaluation
from jetbench.operators.problem import Method, Problem


class ApolarMethod(Method):
    """Apolar Taylor mode: jets over the smallest algebra of the symbol, R[ε]/Ann(p)."""

    name = "apolar"
    version = 2

    def unsupported(self, problem: Problem) -> str | None:
        if not problem.estimator.is_exact:
            return "Apolar Taylor mode needs no directions, so there is nothing to draw; for random ones use collapsed."
        return None

    def vectors(self, problem: Problem) -> int:
        return dimension(tuple(problem.operator.symbols.values()))

    def build(self, net: Callable, problem: Problem) -> JetEvaluation:
        return JetEvaluation(net, problem, Apolar(problem))
