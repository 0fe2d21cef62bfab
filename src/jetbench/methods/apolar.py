"""Apolar Taylor mode."""

from __future__ import annotations

from jetbench.algebra.apolar import algebra
from jetbench.errors import Unsupported
from jetbench.methods.base import JetMethod
from jetbench.operators.problem import Problem


class Apolar(JetMethod):
    """Apolar Taylor mode: jets over the smallest algebra of the symbol, R[ε]/Ann(p)."""

    name = "apolar"
    label = "Apolar Taylor"
    rank = 120

    def plan(self, problem: Problem) -> algebra.Apolar:
        if not problem.estimator.is_exact:
            raise Unsupported(
                "Apolar Taylor mode needs no directions, so there is nothing to draw; for random ones use collapsed."
            )
        return algebra.Apolar(problem)
