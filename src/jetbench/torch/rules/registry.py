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
    """Register the decorated function as the rule of the given operations.

    Args:
        operations: overloads, such as `torch.ops.aten.tanh.default`, or those of custom operators.

    Raises:
        TypeError: an argument is not an overload.

    Examples:
        A custom operator φ(u) = u² with its derivatives [u², 2u, 2, 0, …]; None stands for zero:

        >>> import torch
        >>> from jetbench import operators
        >>> from jetbench.torch import linear_operator, rule
        >>> from jetbench.torch.jet import elementwise
        >>> @torch.library.custom_op("docs::squared", mutates_args=())
        ... def squared(x: torch.Tensor) -> torch.Tensor:
        ...     return x * x
        >>> _ = squared.register_fake(torch.empty_like)
        >>> @rule(torch.ops.docs.squared.default)
        ... def squared_rule(x):
        ...     def derivatives(u, order):
        ...         return [u * u, 2 * u, torch.full_like(u, 2), *[None] * order][: order + 1]
        ...     return elementwise(derivatives, x)
        >>> linear_operator(lambda x: squared(x).sum(-1), operators.laplacian(dim=3))(torch.ones(3))
        tensor(6.)
    """

    for operation in operations:
        if not isinstance(operation, OpOverload):
            raise TypeError(f"A rule belongs to an overload such as torch.ops.aten.tanh.default; got {operation!r}.")

    def register(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register
