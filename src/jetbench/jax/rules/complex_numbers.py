"""Real and imaginary parts: linear over the real numbers, and so are the derivatives in a real x."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives

from jetbench.jax.jet import Jet, Value, jointly_linear, linear
from jetbench.jax.registry import rule


@rule(primitives.real_p)
def real(x: Jet) -> Jet:
    return linear(lax.real, x, lax.real)


@rule(primitives.imag_p)
def imag(x: Jet) -> Jet:
    return linear(lax.imag, x, lax.imag)


@rule(primitives.conj_p)
def conj(x: Jet, *, input_dtype: object = None) -> Jet:
    del input_dtype
    return linear(jnp.conj, x, jnp.conj)


@rule(primitives.complex_p)
def complex_rule(a: Value, b: Value) -> Jet:
    return jointly_linear(lambda parts: lax.complex(*jnp.broadcast_arrays(*parts)), [a, b])
