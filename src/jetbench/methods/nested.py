"""Nested AD in forward-over-reverse order, and what all methods that nest derivatives share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from jetbench.methods.base import Method
from jetbench.operators.directions import RandomGroup, randomize
from jetbench.operators.factors import Term, terms
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import Symbol

Array = Any
Function = Callable[[Array], Array]
Power = Callable[[Function, Array, Sequence[float], int], Function]


@dataclass(frozen=True)
class Nest:
    """An operator as sums of products of powers of directional derivatives; a product is applied factor after factor.

    Attributes:
        symbols: output name → the symbol that is not drawn.
        terms: output name → what is added up for it.
        groups: of random directions, whose powers are added to the only output.
        vectors: what passes through each hidden layer, forward or backward, for a network with one output.
    """

    symbols: Mapping[str, Symbol]
    terms: Mapping[str, tuple[Term, ...]]
    groups: tuple[RandomGroup, ...] = ()
    vectors: int = 0

    def evaluate(
        self,
        f: Function,
        x: Array,
        draws: Sequence[Array],
        power: Power,
        resolve: Callable[[Array], Array],
        zeros_like: Function,
    ) -> dict[str, Array]:
        """Output name → L_o f(x).

        Args:
            power: returns x ↦ Σ_r w_r (v_r·∂)^order f(x) for (f, directions (R, ..., D), weights, order).
            resolve: turns directions in the variables of the symbols into directions of x.
        """
        outputs = {name: _total([_value(f, x, term, power, resolve) for term in of]) for name, of in self.terms.items()}
        drawn = [
            power(f, resolve(draw), (group.weight,) * group.samples, group.order)(x)
            for group, draw in zip(self.groups, draws, strict=True)
        ]
        if drawn:
            outputs[""] = _total([*([] if outputs[""] is None else [outputs[""]]), *drawn])
        if any(value is None for value in outputs.values()):
            zeros = zeros_like(f(x))
            outputs = {name: zeros if value is None else value for name, value in outputs.items()}
        return outputs


def _total(values: Sequence[Array]) -> Array | None:
    total = None
    for value in values:
        total = value if total is None else total + value
    return total


def _value(f: Function, x: Array, term: Term, power: Power, resolve: Callable[[Array], Array]) -> Array:
    for brick in term.bricks:
        f = power(f, resolve(brick.directions), brick.weights, brick.order)
    value = f(x)
    return value if term.constant == 1 else term.constant * value


def nest(problem: Problem, count: Callable[[int, int], int] = lambda order, directions: 0) -> Nest:
    """The plan of a problem, from count(order, R), the vectors of Σ_r (v_r·∂)^order for R directions.

    Differentiating a function again repeats all of its products, so counts of factors applied in turn multiply.

    Raises:
        Unsupported: there are no such random directions for the operator.
    """
    symbols: Mapping[str, Symbol] = problem.operator.symbols
    groups: tuple[RandomGroup, ...] = ()
    if not problem.estimator.is_exact:
        drawn = randomize(problem)
        symbols, groups = {"": drawn.remainder}, tuple(drawn.groups)
    found = {name: terms(symbol, problem.scheme) for name, symbol in symbols.items()}
    total = sum(count(group.order, group.samples) for group in groups)
    for of_output in found.values():
        total += sum(prod(count(brick.order, len(brick.weights)) for brick in term.bricks) for term in of_output)
    return Nest(symbols, found, groups, max(total, 1))


class NestedMethod(Method):
    """A method whose plan is a `Nest`, which the backend's `evaluation` carries out."""

    is_nested = True
    evaluation: ClassVar[Callable[..., Any]]

    @abstractmethod
    def count(self, order: int, directions: int) -> int:
        """Vectors of Σ_r (v_r·∂)^order, all directions at once."""

    def plan(self, problem: Problem) -> Nest:
        return nest(problem, self.count)

    def build(self, net: Callable, problem: Problem, plan: Nest) -> Callable[[Any, Any], Mapping[str, Any]]:
        return type(self).evaluation(net, problem, plan)


class Nested(NestedMethod):
    """Nested AD: vector-Hessian-vector products, forward over reverse, nested again for higher orders.

    Attributes:
        multiplies_zeros: whether forward mode turns a product a·W into three, a·W, ȧ·W and a·0 with the vanishing
            tangent of the weights, as PyTorch's does, or into two.
    """

    name = "nested"
    label = "Nested"
    rank = 0
    multiplies_zeros: ClassVar[bool] = False

    def count(self, order: int, directions: int) -> int:
        """Vectors of Σ_r (v_r·∂)^order; 2 + 2R for order 2, value and gradient and their tangents, and 2 more if zeros
        are multiplied.

        `shared` of them do not depend on the direction, `own` do. Reverse mode adds a product for each one, with a
        cotangent that depends on the direction if the output does. Forward mode adds the tangent of each one.
        """
        shared, own = 1, 0

        def forward(shared: int, own: int) -> tuple[int, int]:
            return (2 * shared, shared + 3 * own) if self.multiplies_zeros else (shared, shared + 2 * own)

        for level in range(order // 2):
            reversed_ = (2 * shared, 0) if level == 0 else (shared, shared + 2 * own)
            shared, own = forward(*reversed_)
        if order % 2:
            shared, own = forward(shared, own)
        return shared + directions * own
