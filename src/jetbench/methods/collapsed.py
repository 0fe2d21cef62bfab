"""Collapsed Taylor mode."""

from __future__ import annotations

from jetbench.algebra import collapsed
from jetbench.methods.base import JetMethod
from jetbench.operators.problem import Problem


class Collapsed(JetMethod):
    """Collapsed Taylor mode: the highest coefficients are propagated as their weighted sum."""

    name = "collapsed"
    label = "Collapsed Taylor"
    rank = 110
    is_directional = True

    def plan(self, problem: Problem) -> collapsed.Collapsed:
        return collapsed.Collapsed(problem)
