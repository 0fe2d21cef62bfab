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

from jax.extend.core import Primitive

RULES: dict[Primitive, Callable] = {}


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
