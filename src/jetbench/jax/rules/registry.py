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
from jax.extend.core import ClosedJaxpr, Primitive

from jetbench.jax.jet import Jet, Value, linear
from jetbench.jax.special import arranged, name_in_jax

Applies = Callable[[ClosedJaxpr], bool | tuple[int, ...] | None]

RULES: dict[Primitive, Callable] = {}
NAMED: dict[str, tuple[Callable, Applies]] = {}


def rule(*primitives: Primitive) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of the given primitives.

    Raises:
        TypeError: an argument is not a primitive.

    Examples:
        A primitive φ(u) = u² with its derivatives [u², 2u, 2, 0, …]; None stands for zero:

        >>> import jax.numpy as jnp
        >>> from jax.extend.core import Primitive
        >>> from jetbench import operators
        >>> from jetbench.jax import linear_operator, rule
        >>> from jetbench.jax.jet import elementwise
        >>> squared_p = Primitive("squared")
        >>> _ = squared_p.def_impl(lambda x: x * x)
        >>> _ = squared_p.def_abstract_eval(lambda x: x)
        >>> @rule(squared_p)
        ... def squared_rule(x):
        ...     def derivatives(u, order):
        ...         return [u * u, 2 * u, jnp.full_like(u, 2), *[None] * order][: order + 1]
        ...     return elementwise(derivatives, x)
        >>> linear_operator(lambda x: squared_p.bind(x).sum(-1), operators.laplacian(dim=3))(jnp.ones(3)).item()
        6.0
    """

    for primitive in primitives:
        if not isinstance(primitive, Primitive):
            raise TypeError(
                f"A rule belongs to a primitive such as jax.extend.core.primitives.tanh_p; got {primitive!r}."
            )

    def register(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(primitives, function))
        return function

    return register


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
