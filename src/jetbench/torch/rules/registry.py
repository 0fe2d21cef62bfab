"""The registry of rules. To add one, write in the module of its kind (or in your own code):

    @rule(torch.ops.aten.sinc.default)
    def sinc(x: Jet) -> Jet:
        return elementwise(sinc_tower, x)

A rule is called with the operation's own arguments, jets in the place of tensors that depend on x; it returns a jet, a
tensor where the result does not depend on x, or a tuple of these.
"""

from __future__ import annotations

from collections.abc import Callable

from torch._ops import OpOverload

RULES: dict[OpOverload, Callable] = {}


def rule(*operations: OpOverload) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of the given ATen operations."""

    for operation in operations:
        if not isinstance(operation, OpOverload):
            raise TypeError(f"A rule belongs to an overload such as torch.ops.aten.tanh.default; got {operation!r}.")

    def register(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register
