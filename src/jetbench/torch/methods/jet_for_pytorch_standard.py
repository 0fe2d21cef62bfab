"""Standard Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.methods import jet_for_pytorch_standard
from jetbench.methods.jax_jet import StockJets
from jetbench.operators.problem import Problem
from jetbench.torch.methods.jet_for_pytorch import LibraryEvaluation


class JetForPyTorchStandard(jet_for_pytorch_standard.JetForPyTorchStandard):
    def build(self, net: Callable, problem: Problem, plan: StockJets) -> StandardJets:
        return StandardJets(net, problem, plan)


class StandardJets(LibraryEvaluation):
    """Σ_r w_r ⟨∂^k f, v_r^⊗k⟩ from `jet.jet` under vmap over the directions of each order."""

    collapsed = False

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, plan: StockJets) -> None:
        super().__init__(net, problem)
        self._plan = plan

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        prepared = self.prepared(x)
        directions = self._plan.directions
        seeds = torch.empty(0)
        if directions.rows:
            seeds = in_coordinates(directions.seeds(draws), factor_of(self.problem.operator, x), x)
            seeds = seeds.expand(seeds.shape[0], *x.shape)

        def jets(rows: range, order: int) -> list[Tensor]:
            zeros = [torch.zeros_like(x)] * (order - 1)
            return torch.vmap(lambda v: prepared((x, v, *zeros))[1:])(seeds[rows.start : rows.stop])

        return self._plan.evaluate(jets, lambda: self.net(x), self.problem.operator.symbols)
