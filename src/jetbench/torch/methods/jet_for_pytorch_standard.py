"""Standard Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.methods import jet_for_pytorch_standard
from jetbench.methods.jax_jet import StockJets
from jetbench.operators.problem import Problem
from jetbench.torch.methods.jet_for_pytorch import overloaded
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph
from jetbench.torch.recording import FOR_TENSORS


class JetForPyTorchStandard(jet_for_pytorch_standard.JetForPyTorchStandard):
    def build(self, net: Callable, problem: Problem, plan: StockJets) -> StandardJets:
        return StandardJets(net, problem, plan)


class StandardJets(Evaluation):
    """Σ_r w_r ⟨∂^k f, v_r^⊗k⟩ from `jet.jet` under vmap over the directions of each order."""

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, plan: StockJets) -> None:
        super().__init__(net, problem)
        self._overloaded: dict[Graph, Callable] = {}
        self._plan = plan

    recorder = FOR_TENSORS

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_overloaded": {}}

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        graph, _ = self.recorded(x)  # the library traces the network; again only when that does something else
        if graph not in self._overloaded:
            zeros = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
            self._overloaded = {graph: overloaded(self.net, zeros, collapsed=False)}
        prepared = self._overloaded[graph]
        directions = self._plan.directions
        seeds = torch.empty(0)
        if directions.rows:
            seeds = in_coordinates(directions.seeds(draws), factor_of(self.problem.operator, x), x)
            seeds = seeds.expand(seeds.shape[0], *x.shape)

        def jets(rows: range, order: int) -> list[Tensor]:
            zeros = [torch.zeros_like(x)] * (order - 1)
            return torch.vmap(lambda v: prepared((x, v, *zeros))[1:])(seeds[rows.start : rows.stop])

        return self._plan.evaluate(jets, lambda: self.net(x), self.problem.operator.symbols)
