"""The compiler pass over forward-over-forward code as users write it."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.collapse.schemes import stock_unsupported, stock_vectors
from jetbench.problem import Method, Problem
from jetbench.torch.reference import ForwardOverForward
from jetbench.torch.rewriting.evaluation import Rewritten


class StockRewrite(Method):
    """Forward mode nested K times under vmap, summed, as users write it, collapsed by the compiler pass."""

    name = "stock_rewrite"
    version = 2

    def unsupported(self, problem: Problem) -> str | None:
        return stock_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        return stock_vectors(problem)

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem))
