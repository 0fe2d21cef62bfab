"""The methods of the compiler pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jetbench.jax.jet_evaluation import JetEvaluation
from jetbench.jax.reference import ForwardOverForward
from jetbench.jax.rewriting.rewritten import Rewritten
from jetbench.methods import collapsed_rewrite, stock_rewrite
from jetbench.operators.problem import Problem


class CollapsedRewrite(collapsed_rewrite.CollapsedRewrite):
    version = 4

    def build(self, net: Callable, problem: Problem, plan: Any) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, plan))


class StockRewrite(stock_rewrite.StockRewrite):
    version = 3

    def build(self, net: Callable, problem: Problem, plan: Any) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem, plan))
