"""The methods of the pass, but for how a backend builds them: what they support, and how many vectors it leaves."""

from __future__ import annotations

from jetbench.algebra.directional import Plan, plan
from jetbench.algebra.taylor import Taylor
from jetbench.operators.directions import decompose, random_unsupported, randomize
from jetbench.operators.problem import Method, Problem


class PassOverTaylor(Method):
    """Standard Taylor mode (`taylor`), collapsed by the compiler pass instead of by hand."""

    name = "collapsed_rewrite"

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
        return 1 + sum(lower) + _highest_sums(plan(problem))


class PassOverStock(Method):
    """Forward mode nested K times under vmap, summed, as users write it, collapsed by the compiler pass."""

    name = "stock_rewrite"

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


def _highest_sums(plan: Plan) -> int:
    """How many sums of the highest coefficients the outputs read, or how many coefficients where these are fewer."""
    rows = plan.rows[: plan.count(plan.order)]
    outputs = {name for row in rows for name, reads in row.reads.items() if plan.order in reads}
    sums = {tuple(row.reads.get(name, {}).get(plan.order, 0.0) for row in rows) for name in outputs}
    weights = {weight for found in sums for weight in found}
    drawn = sum(group.order == plan.order for group in plan.groups)
    apart = max(0, drawn - 1) if len(weights) > 1 else 0  # draws of different weights stay apart
    return min(len(sums), len(rows)) + apart
