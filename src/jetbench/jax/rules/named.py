"""Rules for functions of JAX itself, which jaxprs keep as calls that bear their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax.extend.core import ClosedJaxpr

from jetbench.jax.jet import Jet, Value, linear
from jetbench.jax.special import arranged, name_in_jax

Applies = Callable[[ClosedJaxpr], bool | tuple[int, ...] | None]

NAMED: dict[str, tuple[Callable, Applies]] = {}


def rule_by_name(name: str, applies: Applies) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of a function of JAX itself, for calls of it that jaxprs keep.

    The rule takes the call's jaxpr and then its values.

    Args:
        name: as in the source of JAX.
        applies: whether a call's jaxpr is one that the rule is for; `vmap` may have moved the axes of its arguments. Or
            which axis of what the rule returns each axis of the call's results is, and None where there is no rule.
    """

    def register(function: Callable) -> Callable:
        NAMED[name] = (function, applies)
        return function

    return register


def named_rule(closed: ClosedJaxpr) -> Callable | None:
    """The rule of the function that a call's jaxpr was made from, if it has one."""
    name = name_in_jax(closed)
    if name is None or name not in NAMED:
        return None
    function, applies = NAMED[name]
    axes = applies(closed)
    if axes is None or axes is False:
        return None
    order = None if axes is True else axes

    def run(*values: Value) -> list[Value]:
        results = zip(function(closed, *values), closed.jaxpr.outvars, strict=True)
        return [_as_type(_arranged(value, order), variable.aval.dtype) for value, variable in results]

    return run


def _arranged(value: Value, axes: tuple[int, ...] | None) -> Value:
    return linear(lambda t: arranged(t, axes), value) if isinstance(value, Jet) else arranged(value, axes)


def _as_type(value: Value, dtype: np.dtype) -> Value:
    """The value in the type that the function's own result has: numbers among its arguments may be of a wider one."""
    if value.dtype == dtype:
        return value
    return linear(lambda t: t.astype(dtype), value) if isinstance(value, Jet) else value.astype(dtype)
