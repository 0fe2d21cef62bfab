"""The compiler pass over forward-over-forward code as users write it."""

from __future__ import annotations

from dataclasses import replace

from jetbench.errors import Unsupported
from jetbench.methods.base import JetMethod
from jetbench.methods.nested import Nest, nest
from jetbench.operators.directions import decompose
from jetbench.operators.problem import Problem


class StockRewrite(JetMethod):
    """Forward mode nested K times under vmap, summed, as users write it, collapsed by the compiler pass."""

    name = "stock_rewrite"
    label = "Forward over forward (rewritten)"
    rank = 70

    def plan(self, problem: Problem) -> Nest:
        """The value, and for each homogeneous part of a symbol one sum, after R first derivatives for order 2."""
        if problem.operator.order > 2:
            raise Unsupported(
                f"Stock code for order {problem.operator.order} nests forward mode in itself, which collapses to "
                "schemes without a common formula; use collapsed_rewrite."
            )
        plan = nest(problem)
        drawn = sum(group.samples * (group.order - 1) + 1 for group in plan.groups)
        parts = (item for symbol in plan.symbols.values() for item in symbol.parts.items())
        fixed = sum(1 + (k - 1) * len(decompose(part, problem.scheme)) for k, part in parts if k)
        return replace(plan, vectors=1 + drawn + fixed)
