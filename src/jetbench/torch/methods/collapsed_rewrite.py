"""The compiler pass over standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.taylor import Taylor
from jetbench.collapse.schemes import PassOverTaylor
from jetbench.operators.problem import Problem
from jetbench.torch.evaluation import JetEvaluation
from jetbench.torch.rewriting.evaluation import Rewritten


class CollapsedRewrite(PassOverTaylor):
    version = 3

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, Taylor(problem)))
