"""Forward Laplacian."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from jetbench.algebra.collapsed import Collapsed
from jetbench.errors import Unsupported
from jetbench.methods.base import JetMethod
from jetbench.operators.directions import RandomGroup
from jetbench.operators.factors import factors
from jetbench.operators.problem import Operator, Problem


@dataclass(frozen=True)
class Levels:
    """The operators that are nested, innermost first, with the jets of each; one where the order is at most 2."""

    problems: tuple[Problem, ...]
    algebras: tuple[Collapsed, ...]
    groups: Sequence[RandomGroup] = ()

    @property
    def vectors(self) -> int:
        return prod(algebra.vectors for algebra in self.algebras)


class ForwardLaplacian(JetMethod):
    """Forward Laplacian: value, Jacobian and Laplacian together; nested in itself for higher orders.

    Source: Li et al., A computational framework for neural network-based variational Monte Carlo with forward
    Laplacian, arXiv 2307.08214.
    """

    name = "forward_laplacian"
    label = "Forward Laplacian"
    rank = 90

    def plan(self, problem: Problem) -> Levels:
        if not problem.estimator.is_exact:
            raise Unsupported(
                "The forward Laplacian propagates the whole Jacobian; for random directions use collapsed."
            )
        problems = _levels(problem)
        return Levels(problems, tuple(Collapsed(level) for level in problems))

    def build(self, net: Callable, problem: Problem, plan: Levels) -> Callable[[Any, Any], Mapping[str, Any]]:
        *inner, last = zip(plan.problems, plan.algebras, strict=True)
        for level in inner:
            net = _Level(type(self).evaluation(net, *level))
        return type(self).evaluation(net, *last)


class _Level:
    """An evaluated operator as the network of the next one."""

    def __init__(self, evaluation: Callable[..., Mapping[str, Any]]) -> None:
        self._evaluation = evaluation

    def __call__(self, x: Any) -> Any:
        return self._evaluation(x)[""]


def _levels(problem: Problem) -> tuple[Problem, ...]:
    operator = problem.operator
    if operator.order <= 2:
        return (problem,)
    symbol = next(iter(operator.symbols.values()))
    parts = factors(symbol) if operator.is_single and symbol.is_homogeneous else ()
    if not parts or any(part.degree > 2 for part in parts):
        raise Unsupported(
            f"The forward Laplacian is of order 2, and {operator.name} (order {operator.order}) is not a product of "
            "operators of order 2."
        )
    if callable(operator.factor):
        raise Unsupported("Nesting forward Laplacians would differentiate the coefficients too; use collapsed.")
    return tuple(Problem(Operator(operator.name, operator.dim, {"": part}, operator.factor)) for part in parts)
