"""The registry of formulas."""

from __future__ import annotations

from collections.abc import Callable

from jetbench.torch._compat import OpOverload

FORMULAS: dict[OpOverload, Callable] = {}


def formula(*operations: OpOverload) -> Callable[[Callable], Callable]:
    """Register the decorated function as the formula of the given ATen operations."""
    for operation in operations:
        if not isinstance(operation, OpOverload):
            raise TypeError(f"A formula belongs to an overload such as torch.ops.aten.dist.default; got {operation!r}.")

    def register(function: Callable) -> Callable:
        FORMULAS.update(dict.fromkeys(operations, function))
        return function

    return register
