"""The registry of rules. To add one, write in the module of its kind in `rules` (or in your own code):

    @rule(torch.ops.aten.sinc.default)
    def sinc(x: Jet) -> Jet:
        return elementwise(sinc_tower, x)

A rule is called with the operation's own arguments, jets in the place of tensors that depend on x; it returns a jet, a
tensor where the result does not depend on x, or a tuple of these.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from jetbench.algebra.rules import from_derivative, registration
from jetbench.torch._compat import OpOverload
from jetbench.torch.jet import Jet, elementwise

RULES: dict[OpOverload, Callable] = {}


def rule(*operations: OpOverload, derivative: Callable[..., Tensor | float] | None = None) -> Callable:
    """Register the decorated function as the rule of the given operations; or a rule that is made from a derivative.

    Args:
        operations: overloads, such as `torch.ops.aten.tanh.default`, or those of custom operators.
        derivative: for operations y = φ(u, …) that act entry by entry on u: (u, y, …) → φ', a tensor or a number, in
            operations that PyTorch differentiates. With it, the call registers the rule, and nothing is decorated.

    Raises:
        TypeError: an argument is not an overload.

    Examples:
        A custom operator φ(u) = e^u − 1 with φ' = φ + 1:

        >>> import torch
        >>> from jetbench import operators
        >>> from jetbench.torch import linear_operator, rule
        >>> from torch import library
        >>> @library.custom_op("docs::growth", mutates_args=())
        ... def growth(x: torch.Tensor) -> torch.Tensor:
        ...     return torch.expm1(x)
        >>> _ = growth.register_fake(torch.empty_like)
        >>> _ = rule(torch.ops.docs.growth.default, derivative=lambda u, y: y + 1)
        >>> linear_operator(lambda x: growth(x).sum(-1), operators.laplacian(dim=3))(torch.zeros(3))
        tensor(3.)

        A rule that takes the arguments of the operation, jets among them:

        >>> from jetbench.torch.jet import linear
        >>> @library.custom_op("docs::mirrored", mutates_args=())
        ... def mirrored(x: torch.Tensor) -> torch.Tensor:
        ...     return x.flip(-1)
        >>> _ = mirrored.register_fake(torch.empty_like)
        >>> @rule(torch.ops.docs.mirrored.default)
        ... def mirrored_rule(x):
        ...     return linear(lambda t: t.flip(-1), x)
    """
    register = registration(RULES, operations, OpOverload, "an overload such as torch.ops.aten.tanh.default")
    if derivative is None:
        return register
    for operation in operations:
        RULES[operation] = from_derivative(operation, derivative, Jet, _with_constants)
    return RULES[operations[0]]


def _with_constants(tower: Callable, x: Jet, others: tuple) -> Jet:
    return elementwise(tower, x, constants=[value for value in others if isinstance(value, Tensor)])
