"""Evaluating a problem by propagating jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jetbench.algebra.arrays import Constant
from jetbench.algebra.base import Algebra
from jetbench.errors import JetbenchError
from jetbench.operators.problem import Operator, Problem
from jetbench.torch.jet import Jet
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph, uncast


def factor_of(operator: Operator, x: Tensor) -> Tensor | None:
    """σ(x), (D, R) or (..., D, R), in the type of x; None for the identity."""
    if operator.factor is None:
        return None
    if isinstance(operator.factor, np.ndarray):
        return torch.tensor(operator.factor, dtype=x.dtype, device=x.device)
    found = operator.factor(x)
    expected = (*x.shape[:-1], operator.dim, operator.variables)
    if not isinstance(found, Tensor) or found.shape != expected:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise JetbenchError(f"The factor of {operator.name} must return a tensor of shape {expected}; got {shape}.")
    return found.to(x.dtype)


def in_coordinates(seeds: object, factor: Tensor | None, x: Tensor) -> Tensor:
    """Seeds in the variables ζ, (n, R) or (n, ..., R), as directions of x, (n, ..., D): v = σ(x) d."""
    if not isinstance(seeds, Tensor):
        seeds = torch.tensor(seeds, dtype=x.dtype, device=x.device)
    if factor is not None:
        seeds = seeds @ factor.T if factor.ndim == 2 else _per_datum(seeds, factor)
    if seeds.ndim < x.ndim + 1:
        seeds = seeds.reshape(seeds.shape[0], *(1,) * (x.ndim + 1 - seeds.ndim), *seeds.shape[1:])
    return seeds


def _per_datum(seeds: Tensor, factor: Tensor) -> Tensor:
    if seeds.ndim == 2:
        return torch.einsum("...dr,nr->n...d", factor, seeds)
    return torch.einsum("...dr,n...r->n...d", factor, seeds)


class JetEvaluation(Evaluation):
    """Propagates jets of one algebra through what a network does to x."""

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, algebra: Algebra) -> None:
        super().__init__(net, problem)
        self.algebra = algebra

    def _seeds(self, draws: Sequence[Tensor], x: Tensor) -> Sequence[Tensor | np.ndarray | None]:
        if draws:
            return self.algebra.seeds(draws)
        return [None if seeds is None else seeds.on(x) for seeds in self._fixed_seeds]

    @cached_property
    def _fixed_seeds(self) -> list[Constant | None]:
        """The seeds where nothing is drawn."""
        return [None if seeds is None else Constant(np.asarray(seeds, float)) for seeds in self.algebra.seeds()]

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        graph, constants = self.recorded(x)
        with uncast(x):
            return self.through(graph, constants, x, draws)

    def through(
        self, graph: Graph, constants: Sequence[Tensor], x: Tensor, draws: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        factor = factor_of(self.problem.operator, x)
        blocks = []
        for seeds in self._seeds(draws, x):
            found = None if seeds is None else in_coordinates(seeds, factor, x)
            blocks.append(None if found is None else found.expand(found.shape[0], *x.shape))
        y = graph.run(Jet(self.algebra, x, blocks), constants)
        if not isinstance(y, Jet):
            y = Jet(self.algebra, y, [None] * self.algebra.order)
        outputs = self.algebra.read(y.primal, y.blocks)
        return {name: torch.zeros_like(y.primal) if value is None else value for name, value in outputs.items()}
