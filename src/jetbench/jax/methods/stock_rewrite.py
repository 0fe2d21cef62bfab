"""The compiler pass over forward-over-forward code as users write it."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.collapse.schemes import PassOverStock
from jetbench.jax.reference import ForwardOverForward
from jetbench.jax.rewriting.evaluation import Rewritten
from jetbench.operators.problem import Problem


class StockRewrite(PassOverStock):
    version = 3

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem))
