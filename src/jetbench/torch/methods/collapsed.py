"""Collapsed Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.collapsed import Collapsed
from jetbench.operators.directions import random_unsupported
from jetbench.operators.problem import Method, Problem
from jetbench.torch.evaluation import JetEvaluation


class CollapsedMethod(Method):
    """Collapsed Taylor mode: the highest coefficients are propagated as their weighted sum."""

    name = "collapsed"
    version = 2

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        return Collapsed(problem).vectors

    def build(self, net: Callable, problem: Problem) -> JetEvaluation:
        return JetEvaluation(net, problem, Collapsed(problem))
