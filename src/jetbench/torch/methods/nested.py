"""The methods that nest derivatives."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jetbench.methods import nested, nested_reverse
from jetbench.torch.differentiate import (
    Function,
    forward,
    forward_over_reverse,
    reverse,
    reverse_over_reverse,
    weighted_sum,
)
from jetbench.torch.nesting import Nesting


class ForwardOverReverse(Nesting):
    """(v·∂)² by vector-Hessian-vector products, nested for higher orders; one more forward mode for odd ones."""

    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        def brick(g: Function, v: Tensor) -> Function:
            for _ in range(order // 2):
                g = forward_over_reverse(g, v)
            return forward(g, v) if order % 2 else g

        return weighted_sum(brick, f, directions, weights)


class ReverseOverReverse(Nesting):
    """(v·∂)² by reverse mode through the gradient, one direction after the other."""

    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        def value(x: Tensor) -> Tensor:
            if order == 2:
                return reverse_over_reverse(f, list(directions), weights)(x)
            total = None
            for v, weight in zip(directions, weights, strict=True):
                g = f
                for _ in range(order):
                    g = reverse(g, v)
                term = weight * g(x)
                total = term if total is None else total + term
            return total

        return value


class Nested(nested.Nested):
    multiplies_zeros = True
    evaluation = ForwardOverReverse


class NestedReverse(nested_reverse.NestedReverse):
    evaluation = ReverseOverReverse
