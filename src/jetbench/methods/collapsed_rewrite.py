"""The compiler pass over standard Taylor mode."""

from __future__ import annotations

from jetbench.algebra.directional import DirectionalPlan
from jetbench.algebra.taylor import Taylor
from jetbench.methods.base import JetMethod
from jetbench.operators.problem import Problem


class Rewritten(Taylor):
    """Standard Taylor mode with the vectors that the pass leaves of it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        *lower, _ = self.sizes or (0,)
        # those of collapsed Taylor mode, where there is one order of derivatives: the pass sums what is of the same
        # order, and does not start a sum from what is of another one, as collapsed Taylor mode does with a drift
        self.vectors = 1 + sum(lower) + _highest_sums(self.directions) if self.sizes else 1


class CollapsedRewrite(JetMethod):
    """Standard Taylor mode (`taylor`), collapsed by the compiler pass instead of by hand."""

    name = "collapsed_rewrite"
    label = "Standard Taylor (rewritten)"
    rank = 80
    is_directional = True

    def plan(self, problem: Problem) -> Rewritten:
        return Rewritten(problem)


def _highest_sums(directions: DirectionalPlan) -> int:
    """How many sums of the highest coefficients the outputs read, or how many coefficients where these are fewer."""
    rows = directions.rows[: directions.count(directions.order)]
    order = directions.order
    outputs = {name for row in rows for name, reads in row.reads.items() if order in reads}
    sums = {tuple(row.reads.get(name, {}).get(order, 0.0) for row in rows) for name in outputs}
    weights = {weight for found in sums for weight in found}
    drawn = sum(group.order == order for group in directions.groups)
    apart = max(0, drawn - 1) if len(weights) > 1 else 0  # draws of different weights stay apart
    return min(len(sums), len(rows)) + apart
