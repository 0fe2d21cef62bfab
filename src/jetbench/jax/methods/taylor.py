"""Standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.taylor import Taylor
from jetbench.jax.evaluation import JetEvaluation
from jetbench.operators.directions import random_unsupported
from jetbench.operators.problem import Method, Problem


class TaylorMethod(Method):
    """Standard Taylor mode: a full K-jet along every direction, then the weighted sum."""

    name = "taylor"
    version = 3

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        return Taylor(problem).vectors

    def build(self, net: Callable, problem: Problem) -> JetEvaluation:
        return JetEvaluation(net, problem, Taylor(problem))
