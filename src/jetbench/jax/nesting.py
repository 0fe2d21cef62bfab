"""Symbols evaluated by nesting derivatives of derivatives, as the nested methods and the reference do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.jax.corrected import corrected
from jetbench.jax.differentiate import Function
from jetbench.jax.evaluation import factor_of, in_coordinates
from jetbench.jax.program import Evaluation
from jetbench.operators.directions import randomize
from jetbench.operators.factors import Term, terms
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import Symbol


class Nesting(Evaluation):
    """Evaluates Σ over the parts of a symbol; a known product of factors is applied factor after factor.

    Subclasses say how the derivatives along directions are taken.
    """

    def __init__(self, net: Function, problem: Problem) -> None:
        super().__init__(net, problem)
        symbols: Mapping[str, Symbol] = problem.operator.symbols
        self._groups: tuple[tuple[tuple[float, ...], int], ...] = ()
        if not problem.estimator.is_exact:
            drawn = randomize(problem)
            symbols = {"": drawn.remainder}
            self._groups = tuple(((group.weight,) * group.samples, group.order) for group in drawn.groups)
        self._terms = {name: terms(symbol, problem.scheme) for name, symbol in symbols.items()}

    @abstractmethod
    def power(self, f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
        """x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D)."""

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        return self.differentiated(corrected(self.net, captured), x, draws)

    def differentiated(self, net: Function, x: Array, draws: Sequence[Array]) -> dict[str, Array]:
        """The values for a network that JAX differentiates rightly."""
        factor = factor_of(self.problem.operator, x)

        def resolve(directions: Array | np.ndarray) -> Array:
            return in_coordinates(directions, factor, x)

        outputs = {}
        for name, found in self._terms.items():
            total = None
            for term in found:
                value = self._value(net, term, resolve, x)
                total = value if total is None else total + value
            outputs[name] = total
        for (weights, order), draw in zip(self._groups, draws, strict=True):
            value = self.power(net, resolve(draw), weights, order)(x)
            outputs[""] = value if outputs[""] is None else outputs[""] + value
        if any(value is None for value in outputs.values()):
            zeros = jnp.zeros_like(net(x))
            outputs = {name: zeros if value is None else value for name, value in outputs.items()}
        return outputs

    def _value(self, f: Function, term: Term, resolve: Callable[[Array], Array], x: Array) -> Array:
        for brick in term.bricks:
            f = self.power(f, resolve(brick.directions), brick.weights, brick.order)
        value = f(x)
        return value if term.constant == 1 else term.constant * value
