"""The compiler pass over standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.directional import Plan, plan
from jetbench.algebra.taylor import Taylor
from jetbench.directions import random_unsupported
from jetbench.problem import Method, Problem
from jetbench.torch.evaluation import JetEvaluation
from jetbench.torch.rewriting.evaluation import Rewritten


class CollapsedRewrite(Method):
    """Standard Taylor mode (`taylor`), collapsed by the compiler pass instead of by hand."""

    name = "collapsed_rewrite"
    version = 1

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """Those of collapsed Taylor mode, which the pass finds by itself for operators with one order of derivatives.

        Lower orders cost more: the pass sums what is of the same order, and does not start a sum from what is of
        another one, as collapsed Taylor mode does with a drift.
        """
        *lower, _ = sizes = Taylor(problem).sizes or (0,)
        if sizes == (0,):
            return 1
        return 1 + sum(lower) + highest_sums(plan(problem))

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, Taylor(problem)))


def highest_sums(plan: Plan) -> int:
    """How many sums of the highest coefficients the outputs read, or how many coefficients where these are fewer."""
    rows = plan.rows[: plan.count(plan.order)]
    outputs = {name for row in rows for name, reads in row.reads.items() if plan.order in reads}
    sums = {tuple(row.reads.get(name, {}).get(plan.order, 0.0) for row in rows) for name in outputs}
    weights = {weight for found in sums for weight in found}
    drawn = sum(group.order == plan.order for group in plan.groups)
    apart = max(0, drawn - 1) if len(weights) > 1 else 0  # draws of different weights stay apart
    return min(len(sums), len(rows)) + apart
