"""The methods that nest derivatives."""

from __future__ import annotations

from jetbench.algebra.differentiate import forward_over_reverse, reverse_over_reverse
from jetbench.methods import nested, nested_reverse
from jetbench.torch.nesting import Nesting


class ForwardOverReverse(Nesting):
    """(v·∂)² by vector-Hessian-vector products, nested for higher orders; one more forward mode for odd ones."""

    power = staticmethod(forward_over_reverse)


class ReverseOverReverse(Nesting):
    """(v·∂)² by reverse mode through the gradient, one direction after the other."""

    power = staticmethod(reverse_over_reverse)


class Nested(nested.Nested):
    multiplies_zeros = True
    evaluation = ForwardOverReverse


class NestedReverse(nested_reverse.NestedReverse):
    evaluation = ReverseOverReverse
