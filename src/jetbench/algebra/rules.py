"""What the registries of rules of all backends have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jetbench.algebra.derivatives import TowerFunction, solution
from jetbench.errors import MissingRule

Rule = Callable[..., Any]


def registration(
    rules: dict[Any, Rule], operations: tuple[object, ...], kind: type, expected: str
) -> Callable[[Rule], Rule]:
    """A decorator that stores a function as the rule of the given operations.

    Raises:
        TypeError: an operation is not of the type `kind`, which `expected` describes in words.
    """
    for operation in operations:
        if not isinstance(operation, kind):
            raise TypeError(f"A rule belongs to {expected}; got {operation!r}.")

    def register(function: Rule) -> Rule:
        rules.update(dict.fromkeys(operations, function))
        return function

    return register


def from_derivative(
    operation: Callable[..., Any],
    derivative: Callable[..., Any],
    jet: type,
    elementwise: Callable[[TowerFunction, Any, tuple], Any],
) -> Rule:
    """The rule of an operation y = φ(u, …) that acts entry by entry on u, made from its derivative.

    Args:
        operation: computes φ(u, …) on arrays.
        derivative: (u, y, …) → φ', an array or a number, with the other arguments of the operation.
        jet: the type of the backend's jets.
        elementwise: applies a tower to a jet; the last argument holds the other arguments of the operation.
    """

    def apply(x: Any, *args: Any, **kwargs: Any) -> Any:
        others = (*args, *kwargs.values())
        if not isinstance(x, jet) or any(isinstance(value, jet) for value in others):
            raise MissingRule(
                f"The rule of {operation} is made from its derivative with respect to the first argument; here another "
                "argument depends on x. Write a rule for all of its arguments, as docs/extend/rule.md describes."
            )
        tower = solution(lambda u: operation(u, *args, **kwargs), lambda u, y: derivative(u, y, *args, **kwargs))
        return elementwise(tower, x, others)

    return apply
