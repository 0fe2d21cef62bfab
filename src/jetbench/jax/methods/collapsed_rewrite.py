"""The compiler pass over standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.taylor import Taylor
from jetbench.collapse.schemes import PassOverTaylor
from jetbench.jax.evaluation import JetEvaluation
from jetbench.jax.rewriting.evaluation import Rewritten
from jetbench.operators.problem import Problem


class CollapsedRewrite(PassOverTaylor):
    version = 4

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, Taylor(problem)))
