"""The registry of rules. To add one, write in the module of its kind in `rules` (or in your own code):

    @rule(jax.extend.core.primitives.tanh_p)
    def tanh(x: Jet) -> Jet:
        return elementwise(tanh_tower, x)

A rule is called with the primitive's own arguments and parameters, jets in the place of arrays that depend on x; it
returns a jet, an array where the result does not depend on x, or a list of these if the primitive has several results.
Where nothing better is known, `jetbench.jax.jvp.by_jvp(primitive)` makes a rule from the primitive's own JVP.
"""

from __future__ import annotations

from collections.abc import Callable

from jax import Array
from jax.extend.core import Primitive

from jetbench.algebra.rules import from_derivative, registration
from jetbench.jax.jet import Jet, elementwise

RULES: dict[Primitive, Callable] = {}


def rule(*primitives: Primitive, derivative: Callable[..., Array | float] | None = None) -> Callable:
    """Register the decorated function as the rule of the given primitives; or a rule that is made from a derivative.

    Args:
        primitives: such as `jax.extend.core.primitives.tanh_p`, or your own.
        derivative: for primitives y = φ(u, …) that act entry by entry on u: (u, y, …) → φ', an array or a number, in
            operations that JAX differentiates. With it, the call registers the rule, and nothing is decorated.

    Raises:
        TypeError: an argument is not a primitive.

    Examples:
        A primitive φ(u) = e^u − 1 with φ' = φ + 1:

        >>> import jax.numpy as jnp
        >>> from jax.extend.core import Primitive
        >>> from jetbench import operators
        >>> from jetbench.jax import linear_operator, rule
        >>> growth_p = Primitive("growth")
        >>> _ = growth_p.def_impl(jnp.expm1)
        >>> _ = growth_p.def_abstract_eval(lambda x: x)
        >>> _ = rule(growth_p, derivative=lambda u, y: y + 1)
        >>> linear_operator(lambda x: growth_p.bind(x).sum(-1), operators.laplacian(dim=3))(jnp.zeros(3)).item()
        3.0

        A rule that takes the arguments of the primitive, jets among them:

        >>> from jetbench.jax.jet import linear
        >>> mirrored_p = Primitive("mirrored")
        >>> @rule(mirrored_p)
        ... def mirrored_rule(x):
        ...     return linear(lambda t: t[..., ::-1], x)
    """
    register = registration(RULES, primitives, Primitive, "a primitive such as jax.extend.core.primitives.tanh_p")
    if derivative is None:
        return register
    for primitive in primitives:
        RULES[primitive] = from_derivative(primitive.bind, derivative, Jet, lambda tower, x, _: elementwise(tower, x))
    return RULES[primitives[0]]
