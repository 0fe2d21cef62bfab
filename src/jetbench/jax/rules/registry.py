"""The registry of rules. To add one, write in the module of its kind (or in your own code):

    @rule(jax.extend.core.primitives.tanh_p)
    def tanh(x: Jet) -> Jet:
        return elementwise(tanh_tower, x)

A rule is called with the primitive's own arguments and parameters, jets in the place of arrays that depend on x; it
returns a jet, an array where the result does not depend on x, or a list of these if the primitive has several results.
Where nothing better is known, `jetbench.jax.jvp.by_jvp(primitive)` makes a rule from the primitive's own JVP.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive

from jetbench.jax.jet import Jet, Value, linear
from jetbench.jax.special import name_in_jax

RULES: dict[Primitive, Callable] = {}
NAMED: dict[str, tuple[Callable, Callable[[Jaxpr], bool]]] = {}


def rule(*primitives: Primitive) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of the given primitives."""

    for primitive in primitives:
        if not isinstance(primitive, Primitive):
            raise TypeError(
                f"A rule belongs to a primitive such as jax.extend.core.primitives.tanh_p; got {primitive!r}."
            )

    def register(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(primitives, function))
        return function

    return register


def rule_by_name(name: str, applies: Callable[[Jaxpr], bool]) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of a function of JAX itself, for calls of it that jaxprs keep.

    Args:
        name: as in the source of JAX.
        applies: whether a call's jaxpr is one that the rule is for; `vmap` may have moved the axes of its arguments.
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
    if not applies(closed.jaxpr):
        return None

    def run(*values: Value) -> list[Value]:
        results = zip(function(*values), closed.jaxpr.outvars, strict=True)
        return [_as_type(value, variable.aval.dtype) for value, variable in results]

    return run


def _as_type(value: Value, dtype: np.dtype) -> Value:
    """The value in the type that the function's own result has: numbers among its arguments may be of a wider one."""
    if value.dtype == dtype:
        return value
    return linear(lambda t: t.astype(dtype), value) if isinstance(value, Jet) else value.astype(dtype)
