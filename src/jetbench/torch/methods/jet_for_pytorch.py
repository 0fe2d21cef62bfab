"""Collapsed Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.errors import library_failed
from jetbench.methods import jet_for_pytorch
from jetbench.methods.jet_for_pytorch import LIBRARY, Passes
from jetbench.operators.directions import decompose
from jetbench.operators.problem import Problem
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph
from jetbench.torch.recording import FOR_TENSORS


class JetForPyTorch(jet_for_pytorch.JetForPyTorch):
    def build(self, net: Callable, problem: Problem, plan: Passes) -> CollapsedJets:
        return CollapsedJets(net, problem, plan)


class LibraryEvaluation(Evaluation):
    """An evaluation by the library's transform of the network, made again when the network does something else."""

    collapsed: ClassVar[bool]
    recorder = FOR_TENSORS

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem) -> None:
        super().__init__(net, problem)
        self._overloaded: dict[Graph, Callable] = {}

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_overloaded": {}}

    def prepared(self, x: Tensor) -> Callable:
        """The library's transform of the network for inputs like x."""
        graph, _ = self.recorded(x)
        if graph not in self._overloaded:
            zeros = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
            self._overloaded = {graph: overloaded(self.net, zeros, self.collapsed)}
        return self._overloaded[graph]


class CollapsedJets(LibraryEvaluation):
    """Adds up passes of `jet.jet(..., collapsed=True)`; a drift is the initial value of what the first pass sums."""

    collapsed = True

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, plan: Passes) -> None:
        super().__init__(net, problem)
        self._parts = [(name, symbol, plan.passes[name]) for name, symbol in plan.symbols.items()]
        self._weights = [(abs(group.weight), group.order) for group in plan.groups]

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        prepared = self.prepared(x)
        factor = factor_of(self.problem.operator, x)
        scaled = [weight ** (1 / k) * draw for (weight, k), draw in zip(self._weights, draws, strict=True)]

        def resolve(directions: np.ndarray | Tensor) -> Tensor:
            found = in_coordinates(directions, factor, x)
            return found.expand(found.shape[0], *x.shape)

        outputs = {}
        for name, symbol, passes in self._parts:
            drift = resolve(decompose(symbol.parts[1]).vectors)[0] if 1 in symbol.parts else None
            value = total = None
            for number, each in enumerate(passes):
                directions = resolve(scaled[number] if each.directions is None else each.directions)
                top = torch.zeros_like(x) if drift is None else each.sign * drift
                value, *_, summed = prepared((x, directions, *[torch.zeros_like(directions)] * (each.order - 2), top))
                summed = summed if each.sign == 1 else each.sign * summed
                total, drift = summed if total is None else total + summed, None
            if drift is not None:
                value, derivative = jvp(self.net, (x,), (drift,))
                total = derivative if total is None else total + derivative
            if total is None or 0 in symbol.parts:
                value = self.net(x) if value is None else value
                constant = float(symbol.parts[0].terms[(0,) * symbol.dim]) if 0 in symbol.parts else 0.0
                total = constant * value if total is None else total + constant * value
            outputs[name] = total
        return outputs


def overloaded(net: Callable[[Tensor], Tensor], example: Tensor, collapsed: bool) -> Callable:
    """The library's own transform of a network for inputs like `example`.

    Raises:
        Unsupported: the library cannot do this network; its own words.
    """
    from jet import jet

    try:
        transformed = jet(net, (example,), collapsed=collapsed)
    except Exception as error:
        raise library_failed(LIBRARY, error) from error

    def run(*arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        try:
            return transformed(*arguments)
        except NotImplementedError as error:
            raise library_failed(LIBRARY, error) from error

    return run
