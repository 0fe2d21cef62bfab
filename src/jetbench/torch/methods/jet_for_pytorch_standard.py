"""Standard Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jetbench.algebra.directional import contract, plan
from jetbench.directions import random_unsupported
from jetbench.problem import Method, Problem
from jetbench.torch.evaluation import factor_of, in_coordinates
from jetbench.torch.methods.jet_for_pytorch import LIBRARY, absent, overloaded
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph
from jetbench.torch.recording import FOR_TENSORS


class JetForPyTorchStandard(Method):
    """Standard Taylor mode by the library jet-for-pytorch: jets along all directions under vmap, then their sum."""

    name = "jet_for_pytorch_standard"
    version = 1
    package = LIBRARY

    def unsupported(self, problem: Problem) -> str | None:
        return absent() or random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """1 + K·R for R directions of order K, and one more primal for each further order."""
        found = plan(problem)
        total = int(any(found.primal.values()) or not found.rows)
        return total + sum(1 + order * len(rows) for order, rows in found.by_order())

    def build(self, net: Callable, problem: Problem) -> StandardJets:
        return StandardJets(net, problem)


class StandardJets(Evaluation):
    """Σ_r w_r ⟨∂^k f, v_r^⊗k⟩ from `jet.jet` under vmap over the directions of each order."""

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem) -> None:
        super().__init__(net, problem)
        self._overloaded: dict[Graph, Callable] = {}
        self._plan = plan(problem)

    recorder = FOR_TENSORS

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_overloaded": {}}

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        graph, _ = self.recorded(x)  # the library traces the network; again only when that does something else
        if graph not in self._overloaded:
            zeros = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
            self._overloaded = {graph: overloaded(self.net, zeros, collapsed=False)}
        prepared = self._overloaded[graph]
        outputs: dict[str, Tensor] = {}

        def add(name: str, value: Tensor) -> None:
            outputs[name] = outputs[name] + value if name in outputs else value

        if self._plan.rows:
            seeds = in_coordinates(self._plan.seeds(draws), factor_of(self.problem.operator, x), x)
            seeds = seeds.expand(seeds.shape[0], *x.shape)
        for order, rows in self._plan.by_order():
            zeros = [torch.zeros_like(x)] * (order - 1)
            found = torch.vmap(lambda v, zeros=zeros: prepared((x, v, *zeros))[1:])(seeds[rows.start : rows.stop])
            for name in self.problem.operator.symbols:
                for k, coefficient in enumerate(found, 1):
                    weights = [self._plan.rows[r].reads.get(name, {}).get(k, 0.0) for r in rows]
                    if any(weights):
                        add(name, contract(weights, coefficient))
        for name, weight in self._plan.primal.items():
            if weight or name not in outputs:
                add(name, weight * self.net(x))
        return {name: outputs[name] for name in self.problem.operator.symbols}
