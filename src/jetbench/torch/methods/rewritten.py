"""The methods of the compiler pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jetbench.methods import collapsed_rewrite, stock_rewrite
from jetbench.operators.problem import Problem
from jetbench.torch.jet_evaluation import JetEvaluation
from jetbench.torch.reference import ForwardOverForward
from jetbench.torch.rewriting.rewritten import Rewritten


class CollapsedRewrite(collapsed_rewrite.CollapsedRewrite):
    version = 3

    def build(self, net: Callable, problem: Problem, plan: Any) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, plan))


class StockRewrite(stock_rewrite.StockRewrite):
    version = 3

    def build(self, net: Callable, problem: Problem, plan: Any) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem, plan))
