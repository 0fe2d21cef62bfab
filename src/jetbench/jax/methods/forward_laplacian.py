"""Forward Laplacian."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from jax import Array

from jetbench.algebra.collapsed import Collapsed
from jetbench.jax.evaluation import JetEvaluation
from jetbench.operators.factors import factors
from jetbench.operators.problem import Method, Operator, Problem


class ForwardLaplacian(Method):
    """Forward Laplacian: value, Jacobian and Laplacian together; nested in itself for higher orders.

    Source: Li et al., A computational framework for neural network-based variational Monte Carlo with forward
    Laplacian, arXiv 2307.08214.
    """

    name = "forward_laplacian"
    version = 3

    def unsupported(self, problem: Problem) -> str | None:
        operator = problem.operator
        if not problem.estimator.is_exact:
            return "The forward Laplacian propagates the whole Jacobian; for random directions use collapsed."
        if operator.order <= 2:
            return None
        symbol = next(iter(operator.symbols.values()))
        if not operator.is_single or not symbol.is_homogeneous or any(f.degree > 2 for f in factors(symbol)):
            return (
                f"The forward Laplacian is of order 2, and {operator.name} (order {operator.order}) is no product of "
                "operators of order 2."
            )
        if callable(operator.factor):
            return "Nesting forward Laplacians would differentiate the coefficients too; use collapsed."
        return None

    def vectors(self, problem: Problem) -> int:
        return prod(Collapsed(level).vectors for level in _levels(problem))

    def build(self, net: Callable, problem: Problem) -> JetEvaluation:
        levels = _levels(problem)
        for level in levels[:-1]:
            net = _Level(JetEvaluation(net, level, Collapsed(level)))
        return JetEvaluation(net, levels[-1], Collapsed(levels[-1]))


class _Level:
    """An evaluated operator as the network of the next one."""

    def __init__(self, evaluation: JetEvaluation) -> None:
        self._evaluation = evaluation

    def __call__(self, x: Array) -> Array:
        outputs: Mapping[str, Array] = self._evaluation(x)
        return outputs[""]


def _levels(problem: Problem) -> list[Problem]:
    """The operators that are nested, innermost first; the problem itself where its order is at most 2."""
    operator = problem.operator
    if operator.order <= 2:
        return [problem]
    parts = factors(operator.symbols[""])
    return [Problem(Operator(operator.name, operator.dim, {"": part}, operator.factor)) for part in parts]
