"""Standard Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

from jetbench.methods.base import Method
from jetbench.methods.jax_jet import StockJets, stock_jets
from jetbench.methods.jet_for_pytorch import LIBRARY, absent
from jetbench.operators.problem import Problem


class JetForPyTorchStandard(Method):
    """Standard Taylor mode by the library jet-for-pytorch: jets along all directions under vmap, then their sum."""

    name = "jet_for_pytorch_standard"
    label = "Standard Taylor (jet-for-pytorch)"
    rank = 30
    backends = ("torch",)
    package = LIBRARY
    is_directional = True

    def unavailable(self) -> str | None:
        return absent()

    def plan(self, problem: Problem) -> StockJets:
        """1 + K·R for R directions of order K, and one more primal for each further order."""
        return stock_jets(problem, lambda order, count: 1 + order * count)
