"""The compiler pass over forward-over-forward code as users write it."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.collapse.schemes import PassOverStock
from jetbench.operators.problem import Problem
from jetbench.torch.reference import ForwardOverForward
from jetbench.torch.rewriting.evaluation import Rewritten


class StockRewrite(PassOverStock):
    version = 3

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem))
