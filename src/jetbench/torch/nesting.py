"""Symbols evaluated by nesting derivatives of derivatives, as the nested methods and the reference do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from jetbench.directions import decompose, randomize
from jetbench.problem import Problem
from jetbench.symbol import Symbol
from jetbench.torch.differentiate import Function
from jetbench.torch.evaluation import factor_of, in_coordinates


class Nesting(ABC):
    """Evaluates Σ over the parts of a symbol; a known product of factors is applied factor after factor.

    Subclasses say how the derivatives along directions are taken.
    """

    def __init__(self, net: Function, problem: Problem) -> None:
        self.net, self.problem = net, problem

    @abstractmethod
    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        """x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D)."""

    def __call__(self, x: Tensor, draws: Sequence[Tensor] = ()) -> Mapping[str, Tensor]:
        factor = factor_of(self.problem.operator, x)

        def resolve(seeds: np.ndarray | Tensor) -> Tensor:
            return in_coordinates(seeds, factor, x)

        symbols = self.problem.operator.symbols
        outputs = {}
        if not self.problem.estimator.is_exact:
            plan = randomize(self.problem)
            symbols = {"": plan.remainder}
        for name, symbol in symbols.items():
            outputs[name] = self._symbol(symbol, resolve)(x)
        if not self.problem.estimator.is_exact:
            for group, draw in zip(plan.groups, draws, strict=True):
                weights = [group.weight] * group.samples
                outputs[""] = outputs[""] + self.power(self.net, resolve(draw), weights, group.order)(x)
        return outputs

    def _symbol(self, symbol: Symbol, resolve: Callable) -> Function:
        def value(x: Tensor) -> Tensor:
            total = None
            for degree, part in symbol.parts.items():
                if degree == 0:
                    term = float(part.terms[(0,) * part.dim]) * self.net(x)
                else:
                    f = self.net
                    for brick in factors(part):
                        f = self._homogeneous(f, brick, resolve)
                    term = f(x)
                total = term if total is None else total + term
            return 0 * self.net(x) if total is None else total

        return value

    def _homogeneous(self, f: Function, symbol: Symbol, resolve: Callable) -> Function:
        found = decompose(symbol, self.problem.scheme)
        return self.power(f, resolve(found.vectors), [float(w) for w in found.weights], symbol.degree)


def factors(part: Symbol) -> tuple[Symbol, ...]:
    """The factors of a homogeneous symbol, where it is a product of homogeneous ones of degree at least 1."""
    found = part.factors
    return found if all(f.is_homogeneous and f.degree for f in found) else (part,)
