"""Nested AD in forward-over-reverse order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor

from jetbench.operators.directions import decompose, random_unsupported, randomize
from jetbench.operators.factors import factors
from jetbench.operators.problem import Method, Problem
from jetbench.torch.differentiate import Function, forward, forward_over_reverse, weighted_sum
from jetbench.torch.nesting import Nesting


class ForwardOverReverse(Nesting):
    """(v·∂)² by vector-Hessian-vector products, nested for higher orders; one more forward mode for odd ones."""

    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        def brick(g: Function, v: Tensor) -> Function:
            for _ in range(order // 2):
                g = forward_over_reverse(g, v)
            return forward(g, v) if order % 2 else g

        return weighted_sum(brick, f, directions, weights)


class Nested(Method):
    """Nested AD: vector-Hessian-vector products, forward over reverse, nested again for higher orders."""

    name = "nested"
    version = 1

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """What passes through each hidden layer, forward or backward, for a network with one output.

        That is 4 + 2R for R directions of order 2: value and gradient, their tangents, and a product of the value and
        of the gradient with the vanishing tangent of the weights, which PyTorch's forward mode does carry out.
        """
        return total_vectors(problem, _count)

    def build(self, net: Callable, problem: Problem) -> ForwardOverReverse:
        return ForwardOverReverse(net, problem)


def total_vectors(problem: Problem, count: Callable[[int, int], int]) -> int:
    """The sum over the terms of a problem, from count(order, R), the vectors of one brick of R directions.

    Differentiating a function again repeats all of its products, so counts of bricks applied in turn multiply.
    """
    symbols = problem.operator.symbols
    total = 0
    if not problem.estimator.is_exact:
        plan = randomize(problem)
        symbols = {"": plan.remainder}
        total += sum(count(group.order, group.samples) for group in plan.groups)
    for symbol in symbols.values():
        for degree, part in symbol.parts.items():
            bricks = factors(part) if degree else ()
            total += prod(count(b.degree, len(decompose(b, problem.scheme))) for b in bricks)
    return max(total, 1)


def _count(order: int, directions: int) -> int:
    """Vectors of Σ_r (v_r·∂)^order, all directions at once.

    `shared` of them do not depend on the direction, `own` do. Reverse mode adds a product for each one, with a
    cotangent that depends on the direction if the output does. Forward mode turns each product a·W into itself, a·0
    and ȧ·W.
    """
    shared, own = 1, 0
    for level in range(order // 2):
        shared, own = (2 * shared, 0) if level == 0 else (shared, shared + 2 * own)
        shared, own = 2 * shared, shared + 3 * own
    if order % 2:
        shared, own = 2 * shared, shared + 3 * own
    return shared + directions * own
