"""Sums, differences, products, quotients, powers and remainders."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.algebra.derivatives import Tower, real_power
from jetbench.jax.jet import Jet, Value, add, broadcast, elementwise, linear, multiply, primal, times
from jetbench.jax.registry import rule
from jetbench.jax.rules.elementwise import arctangent, exponential, logarithm


@rule(primitives.add_p, primitives.add_jaxvals_p)
def add_rule(a: Value, b: Value, **params: object) -> Value:
    del params
    return add(a, b)


@rule(primitives.sub_p)
def sub(a: Value, b: Value, **params: object) -> Value:
    del params
    return add(a, b, -1)


@rule(primitives.neg_p)
def neg(x: Jet) -> Jet:
    return linear(lax.neg, x, lax.neg)


@rule(primitives.mul_p)
def mul(a: Value, b: Value, *, out_dtype: np.dtype | None = None) -> Value:
    if out_dtype is not None:
        a, b = (_as_type(value, out_dtype) for value in (a, b))
    return square(a) if a is b else times(a, b)


def _as_type(value: Value, dtype: np.dtype) -> Value:
    return linear(lambda t: t.astype(dtype), value) if isinstance(value, Jet) else value.astype(dtype)


RADICANDS: WeakKeyDictionary[Jet, Jet] = WeakKeyDictionary()
"""Of square roots: their even powers are smooth where they are not, at 0."""


@rule(primitives.sqrt_p)
def sqrt(x: Jet, **params: object) -> Jet:
    del params
    found = elementwise(lambda u, order: real_power(u, order, 0.5), x)
    RADICANDS[found] = x
    return found


@rule(primitives.square_p)
def square(x: Jet) -> Jet:
    return integer_pow(x, y=2)


def reciprocal(x: Jet) -> Jet:
    """1/x."""
    return elementwise(lambda u, order: real_power(u, order, -1), x)


@rule(primitives.div_p)
def div(a: Value, b: Value) -> Value:
    if isinstance(b, Jet):
        result = times(reciprocal(b), a)
        return Jet(result.algebra, primal(a) / b.primal, result.blocks)
    if jnp.shape(b) in ((), a.shape):
        return linear(lambda t: t / b, a, lambda t: t / b)
    return multiply(lax.div, a, b)


@rule(primitives.integer_pow_p)
def integer_pow(x: Jet, *, y: int) -> Jet:
    if y % 2 == 0 and (radicand := RADICANDS.get(x)) is not None:
        found = radicand if y == 2 else integer_pow(radicand, y=y // 2)
        value = found.primal if jnp.iscomplexobj(x.primal) else jnp.where(radicand.primal < 0, jnp.nan, found.primal)
        return Jet(found.algebra, value.astype(x.dtype), found.blocks)
    return elementwise(lambda u, order: real_power(u, order, y), x)


@rule(primitives.pow_p)
def pow_rule(base: Value, exponent: Value) -> Jet:
    """a^b = exp(b log a) where the exponent depends on x; falling factorials of b where it does not."""
    if isinstance(exponent, Jet):
        shape = jnp.broadcast_shapes(jnp.shape(primal(base)), exponent.shape)
        log = elementwise(logarithm, base) if isinstance(base, Jet) else jnp.log(base)
        found = elementwise(exponential, broadcast(times(exponent, log), shape))
        return Jet(found.algebra, jnp.power(primal(base), exponent.primal), found.blocks)

    def tower(u: Array, order: int) -> Tower:
        # where p − m + 1 = 0 the derivative vanishes, although u^(p−m) may be infinite
        result: Tower = [jnp.power(u, exponent)]
        factor = 1
        for m in range(1, order + 1):
            factor = factor * (exponent - (m - 1))
            safe = jnp.where(factor == 0, 0, exponent - m)
            result.append(factor * jnp.power(u, safe))
        return result

    return elementwise(tower, broadcast(base, jnp.broadcast_shapes(base.shape, jnp.shape(exponent))))


@rule(primitives.rem_p)
def rem(a: Value, b: Value) -> Jet:
    """a − b·trunc(a/b): the quotient is constant almost everywhere."""
    quotient = jnp.trunc(primal(a) / primal(b))
    found = add(a, times(b, quotient), -1) if isinstance(b, Jet) else a
    return Jet(found.algebra, lax.rem(*jnp.broadcast_arrays(primal(a), primal(b))), found.blocks)


@rule(primitives.atan2_p)
def atan2(y: Value, x: Value) -> Jet:
    """The angle of (x, y): turned by the angle of the primals, it is the arctangent of a ratio that vanishes there."""
    y0, x0 = primal(y), primal(x)
    largest = jnp.maximum(jnp.abs(y0), jnp.abs(x0))  # squares of very large or small numbers leave their range
    scale = jnp.where((largest == 0) | jnp.isinf(largest), 1, largest).astype(largest.dtype)
    y, x = (div(value, scale) if isinstance(value, Jet) else value / scale for value in (y, x))
    across = add(_scaled(y, x0 / scale), _scaled(x, y0 / scale), -1)
    along = add(_scaled(x, x0 / scale), _scaled(y, y0 / scale))
    turned = elementwise(arctangent, times(across, reciprocal(along)))
    return Jet(turned.algebra, jnp.arctan2(y0, x0), turned.blocks)


def _scaled(value: Value, factor: Array) -> Value:
    return times(value, factor) if isinstance(value, Jet) else value * factor
