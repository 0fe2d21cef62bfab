"""Nested AD in reverse mode throughout."""

from __future__ import annotations

from jetbench.methods.nested import NestedMethod


class NestedReverse(NestedMethod):
    """Nested AD in reverse mode: the gradient, then one reverse pass through it for each direction, in a loop."""

    name = "nested_reverse"
    label = "Nested (reverse)"
    rank = 10

    def count(self, order: int, directions: int) -> int:
        """Vectors of Σ_r (v_r·∂)^order: value and gradient are shared for order 2, nothing otherwise."""
        return 2 * (1 + directions) if order == 2 else directions * 2**order
