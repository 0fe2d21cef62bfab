"""Nested AD in forward-over-reverse order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor

from jetbench.directions import decompose, random_unsupported, randomize
from jetbench.problem import Method, Problem
from jetbench.torch.differentiate import Function, forward, forward_over_reverse, weighted_sum
from jetbench.torch.nesting import Nesting, factors


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
        """A pass for each quantity that goes through a layer, forward or backward: 2(1 + R) for R directions of
        order 2, and the product of these numbers where operators are nested."""
        symbols = problem.operator.symbols
        total = 0
        if not problem.estimator.is_exact:
            plan = randomize(problem)
            symbols = {"": plan.remainder}
            total += sum(_count(group.order, group.samples) for group in plan.groups)
        for symbol in symbols.values():
            for degree, part in symbol.parts.items():
                if degree == 0:
                    total += 1
                else:
                    bricks = factors(part)
                    total += prod(_count(b.degree, len(decompose(b, problem.scheme).weights)) for b in bricks)
        return max(total, 1)

    def build(self, net: Callable, problem: Problem) -> ForwardOverReverse:
        return ForwardOverReverse(net, problem)


def _count(order: int, directions: int) -> int:
    """Vectors of Σ_r (v_r·∂)^order: each nesting doubles what depends on the direction and what does not."""
    shared, own = 1, 0
    for level in range(order // 2):
        shared, own = (2, 2) if level == 0 else (shared, 3 * own + 4 * own // 1)
    if order % 2:
        own = 2 * own + shared
    return shared + directions * own
