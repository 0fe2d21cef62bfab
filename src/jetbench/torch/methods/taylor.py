"""Standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.taylor import Taylor
from jetbench.operators.directions import random_unsupported
from jetbench.operators.problem import Method, Problem
from jetbench.torch.evaluation import JetEvaluation


class TaylorMethod(Method):
    """Standard Taylor mode: a full K-jet along every direction, then the weighted sum."""

    name = "taylor"
    version = 2

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        return Taylor(problem).vectors

    def build(self, net: Callable, problem: Problem) -> JetEvaluation:
        return JetEvaluation(net, problem, Taylor(problem))
