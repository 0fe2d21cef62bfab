"""Evaluating a problem by propagating jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jetbench.algebra.arrays import Constant
from jetbench.algebra.base import Algebra
from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.operators.problem import Problem
from jetbench.torch.jet import Jet
from jetbench.torch.program import GraphEvaluation
from jetbench.torch.propagate import Graph


class JetEvaluation(GraphEvaluation):
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
