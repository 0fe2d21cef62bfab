"""The methods that nest derivatives."""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.errors import Unsupported
from jetbench.jax.corrected import IN_REVERSE, corrected
from jetbench.jax.differentiate import (
    Function,
    forward,
    forward_over_reverse,
    reverse,
    reverse_over_reverse,
    weighted_sum,
)
from jetbench.jax.nesting import Nesting
from jetbench.methods import nested, nested_reverse


class ForwardOverReverse(Nesting):
    """(v·∂)² by vector-Hessian-vector products, nested for higher orders; one more forward mode for odd ones."""

    def power(self, f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
        def brick(g: Function, v: Array) -> Function:
            for _ in range(order // 2):
                g = forward_over_reverse(g, v)
            return forward(g, v) if order % 2 else g

        return weighted_sum(brick, f, directions, weights)


class ReverseOverReverse(Nesting):
    """(v·∂)² by reverse mode through the gradient, one direction after the other."""

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        try:
            return super().evaluate(x, draws, captured)
        except Unsupported:  # JAX's own reverse mode takes rules of custom_vjp that are not linear
            return self.differentiated(corrected(self.net, captured, IN_REVERSE), x, draws)

    def power(self, f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
        def value(x: Array) -> Array:
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
    evaluation = ForwardOverReverse


class NestedReverse(nested_reverse.NestedReverse):
    evaluation = ReverseOverReverse
