"""Symbols evaluated by nesting derivatives of derivatives, as the nested methods and the reference do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from jetbench.bricks import Term, terms
from jetbench.directions import randomize
from jetbench.problem import Problem
from jetbench.symbol import Symbol
from jetbench.torch.capture import refuse_side_effects
from jetbench.torch.differentiate import Function
from jetbench.torch.evaluation import factor_of, in_coordinates
from jetbench.torch.primitive import in_primitive_operations
from jetbench.torch.program import Evaluation


class Nesting(Evaluation):
    """Evaluates Σ over the parts of a symbol; a known product of factors is applied factor after factor.

    Subclasses say how the derivatives along directions are taken.
    """

    def __init__(self, net: Function, problem: Problem) -> None:
        super().__init__(net, problem)
        self._function = in_primitive_operations(net)
        symbols: Mapping[str, Symbol] = problem.operator.symbols
        self._groups: tuple[tuple[tuple[float, ...], int], ...] = ()
        if not problem.estimator.is_exact:
            drawn = randomize(problem)
            symbols = {"": drawn.remainder}
            self._groups = tuple(((group.weight,) * group.samples, group.order) for group in drawn.groups)
        self._terms = {name: terms(symbol, problem.scheme) for name, symbol in symbols.items()}

    @abstractmethod
    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        """x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D)."""

    def prepare(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        refuse_side_effects(self.net, shape, dtype, device)

    def evaluate(self, x: Tensor, draws: Sequence[Tensor], prepared: object) -> dict[str, Tensor]:
        del prepared
        x = x.contiguous()  # forward mode cannot take points that share memory, as an expanded x does
        factor = factor_of(self.problem.operator, x)

        def resolve(directions: Tensor | np.ndarray) -> Tensor:
            if isinstance(directions, Tensor):
                directions = directions.to(dtype=x.dtype, device=x.device)
            return in_coordinates(directions, factor, x)

        outputs = {}
        for name, found in self._terms.items():
            total = None
            for term in found:
                value = self._value(term, resolve, x)
                total = value if total is None else total + value
            outputs[name] = total
        for (weights, order), draw in zip(self._groups, draws, strict=True):
            value = self.power(self._function, resolve(draw), weights, order)(x)
            outputs[""] = value if outputs[""] is None else outputs[""] + value
        if any(value is None for value in outputs.values()):
            zeros = torch.zeros_like(self._function(x))
            outputs = {name: zeros if value is None else value for name, value in outputs.items()}
        return outputs

    def _value(self, term: Term, resolve: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        f = self._function
        for brick in term.bricks:
            f = self.power(f, resolve(brick.directions), brick.weights, brick.order)
        value = f(x)
        return value if term.constant == 1 else term.constant * value
