"""The compiler pass over forward-over-forward code as users write it."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.directions import decompose, random_unsupported, randomize
from jetbench.problem import Method, Problem
from jetbench.torch.reference import ForwardOverForward
from jetbench.torch.rewriting.evaluation import Rewritten


class StockRewrite(Method):
    """Forward mode nested K times under vmap, summed, as users write it, collapsed by the compiler pass."""

    name = "stock_rewrite"
    version = 1

    def unsupported(self, problem: Problem) -> str | None:
        if problem.operator.order > 2:
            return (
                f"Stock code for order {problem.operator.order} nests forward mode in itself, which collapses to "
                "schemes without a common formula; use collapsed_rewrite."
            )
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """The value, and for each homogeneous part of a symbol one sum, after R first derivatives for order 2."""
        symbols, total = problem.operator.symbols, 1
        if not problem.estimator.is_exact:
            drawn = randomize(problem)
            symbols = {"": drawn.remainder}
            total += sum(group.samples * (group.order - 1) + 1 for group in drawn.groups)
        for symbol in symbols.values():
            for degree, part in symbol.parts.items():
                if degree:
                    total += 1 + (degree - 1) * len(decompose(part, problem.scheme))
        return total

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(ForwardOverForward(net, problem))
