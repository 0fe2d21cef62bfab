"""Functions that are linear in pieces: each piece is chosen by the primal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.algebra.derivatives import real_power
from jetbench.jax.jet import Jet, Value, add, broadcast, elementwise, jointly_linear, linear, primal, times
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule
from jetbench.jax.special import complex_sign


def sloped(x: Jet, value: Array, slope: Array) -> Jet:
    """A function whose derivative in the present piece is `slope` and whose higher derivatives vanish there."""
    rest = None if x.rest is None else x.rest * slope
    return Jet(x.algebra, value, rest=rest, present=x.present)


@rule(primitives.abs_p)
def absolute(x: Jet) -> Jet:
    """|u|, with JAX's slope 1 at 0; for complex u = a + ib the root of a² + b²."""
    if not jnp.iscomplexobj(x.primal):
        return sloped(x, jnp.abs(x.primal), jnp.where(x.primal >= 0, 1, -1).astype(x.dtype))
    parts = [linear(part, x, part) for part in (jnp.real, jnp.imag)]
    squares = [elementwise(lambda u, order: real_power(u, order, 2), part) for part in parts]
    return elementwise(lambda u, order: real_power(u, order, 0.5), add(*squares))


@rule(primitives.sign_p)
def sign(x: Jet) -> Value:
    """Constant for real u; u/|u| for complex u."""
    if not jnp.iscomplexobj(x.primal):
        return jnp.sign(x.primal)
    closed = jax.make_jaxpr(complex_sign)(x.primal)
    (result,) = propagate(closed.jaxpr, closed.consts, [x])
    return result


@rule(primitives.max_p)
def maximum(a: Value, b: Value) -> Jet:
    """The larger of two values; where they are equal, JAX's derivative is the mean of both."""
    return _choose(a, b, jnp.maximum(primal(a), primal(b)), primal(a) > primal(b))


@rule(primitives.min_p)
def minimum(a: Value, b: Value) -> Jet:
    """The smaller of two values; where they are equal, JAX's derivative is the mean of both."""
    return _choose(a, b, jnp.minimum(primal(a), primal(b)), primal(a) < primal(b))


def _choose(a: Value, b: Value, value: Array, first: Array) -> Jet:
    share = jnp.where(primal(a) == primal(b), 0.5, first.astype(value.dtype)).astype(value.dtype)
    parts = [broadcast(value_, value.shape) for value_ in (a, b)]
    mixed = add(
        *(
            times(part, s) if isinstance(part, Jet) else part * s
            for part, s in zip(parts, (share, 1 - share), strict=True)
        )
    )
    return Jet(mixed.algebra, value, rest=mixed.rest, present=mixed.present)


@rule(primitives.clamp_p)
def clamp(lower: Value, x: Value, upper: Value) -> Value:
    """Between the bounds the identity, on them and beyond the bound: that is JAX's convention."""
    value = lax.clamp(primal(lower), primal(x), primal(upper))
    inside = (primal(x) > primal(lower)) & (primal(x) < primal(upper))
    is_low = primal(x) <= primal(lower)
    chosen = [jnp.broadcast_to(mask, value.shape) for mask in (is_low & ~inside, inside, ~inside & ~is_low)]
    total = None
    for part, mask in zip((lower, x, upper), chosen, strict=True):
        if isinstance(part, Jet):
            part = sloped(broadcast(part, value.shape), value, mask.astype(value.dtype))
            total = part if total is None else add(total, part)
    return Jet(total.algebra, value, rest=total.rest, present=total.present)


@rule(primitives.select_n_p)
def select_n(which: Value, *cases: Value) -> Value:
    which = primal(which)
    if not any(isinstance(case, Jet) for case in cases):
        return lax.select_n(which, *cases)
    return jointly_linear(lambda values: lax.select_n(which, *values), cases)
