"""Standard Taylor mode."""

from __future__ import annotations

from jetbench.algebra import taylor
from jetbench.methods.base import JetMethod
from jetbench.operators.problem import Problem


class Taylor(JetMethod):
    """Standard Taylor mode: a full K-jet along every direction, then the weighted sum."""

    name = "taylor"
    label = "Standard Taylor"
    rank = 50
    is_directional = True

    def plan(self, problem: Problem) -> taylor.Taylor:
        return taylor.Taylor(problem)
