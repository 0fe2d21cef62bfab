"""Nested AD in reverse mode throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from jetbench.operators.directions import random_unsupported
from jetbench.operators.problem import Method, Problem
from jetbench.torch.differentiate import Function, reverse, reverse_over_reverse
from jetbench.torch.methods.nested import total_vectors
from jetbench.torch.nesting import Nesting


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


class NestedReverse(Method):
    """Nested AD in reverse mode: the gradient, then one reverse pass through it for each direction, in a loop."""

    name = "nested_reverse"
    version = 1

    def unsupported(self, problem: Problem) -> str | None:
        return random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """What passes through each hidden layer, forward or backward, for a network with one output."""
        return total_vectors(problem, _count)

    def build(self, net: Callable, problem: Problem) -> ReverseOverReverse:
        return ReverseOverReverse(net, problem)


def _count(order: int, directions: int) -> int:
    """Vectors of Σ_r (v_r·∂)^order: value and gradient are shared for order 2, nothing otherwise."""
    return 2 * (1 + directions) if order == 2 else directions * 2**order
