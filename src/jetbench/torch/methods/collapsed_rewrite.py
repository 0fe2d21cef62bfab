"""The compiler pass over standard Taylor mode."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.algebra.taylor import Taylor
from jetbench.collapse.schemes import taylor_vectors
from jetbench.directions import random_unsupported
from jetbench.problem import Method, Problem
from jetbench.torch.evaluation import JetEvaluation
from jetbench.torch.rewriting.evaluation import Rewritten


class CollapsedRewrite(Method):
    """Standard Taylor mode (`taylor`), collapsed by the compiler pass instead of by hand."""

    name = "collapsed_rewrite"
    version = 2

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        return taylor_vectors(problem)

    def build(self, net: Callable, problem: Problem) -> Rewritten:
        return Rewritten(JetEvaluation(net, problem, Taylor(problem)))
