"""The methods that nest derivatives."""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.algebra.differentiate import forward_over_reverse, reverse_over_reverse
from jetbench.errors import Unsupported
from jetbench.jax.corrected import IN_REVERSE, corrected
from jetbench.jax.nesting import Nesting
from jetbench.methods import nested, nested_reverse


class ForwardOverReverse(Nesting):
    """(v·∂)² by vector-Hessian-vector products, nested for higher orders; one more forward mode for odd ones."""

    power = staticmethod(forward_over_reverse)


class ReverseOverReverse(Nesting):
    """(v·∂)² by reverse mode through the gradient, one direction after the other."""

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        try:
            return super().evaluate(x, draws, captured)
        except Unsupported:  # JAX's own reverse mode takes rules of custom_vjp that are not linear
            return self.differentiated(corrected(self.net, captured, IN_REVERSE), x, draws)

    power = staticmethod(reverse_over_reverse)


class Nested(nested.Nested):
    evaluation = ForwardOverReverse


class NestedReverse(nested_reverse.NestedReverse):
    evaluation = ReverseOverReverse
