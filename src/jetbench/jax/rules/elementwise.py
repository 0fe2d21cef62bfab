"""Smooth functions applied entry by entry: each gives its derivatives, `jet.elementwise` does the rest."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive, primitives

from jetbench.algebra import derivatives
from jetbench.algebra.derivatives import (
    LOGISTIC_FLOW,
    TANH_FLOW,
    Tower,
    TowerFunction,
    cycle,
    exponential_of_square,
    integral,
    real_power,
)
from jetbench.jax.jet import Jet, elementwise
from jetbench.jax.jvp import by_jvp
from jetbench.jax.registry import rule


def _rule_of_tower(tower: TowerFunction, *operations: Primitive) -> None:
    @rule(*operations)
    def apply(x: Jet, **params: object) -> Jet:
        del params  # the accuracy asked of the kernel
        return elementwise(tower, x)


def _quadratic_power(constant: float, square: float, exponent: float, factor: float = 1) -> TowerFunction:
    """The tower of factor · (constant + square·u²)^exponent."""

    def tower(u: Array, order: int) -> Tower:
        found = derivatives.power(derivatives.quadratic(u, order, constant, square), exponent)
        return found if factor == 1 else [None if f is None else factor * f for f in found]

    return tower


def _power_of(exponent: float) -> TowerFunction:
    return lambda u, order: real_power(u, order, exponent)


def exponential(u: Array, order: int) -> Tower:
    """e^u."""
    return [jnp.exp(u)] * (order + 1)


def _exp2(u: Array, order: int) -> Tower:
    value = jnp.exp2(u)
    return [value, *(math.log(2) ** m * value for m in range(1, order + 1))]


def _expm1(u: Array, order: int) -> Tower:
    return [jnp.expm1(u), *exponential(u, order)[1:]]


logarithm = integral(jnp.log, lambda u, order: real_power(u, order, -1))
"""log u, with derivatives (−1)^(m−1) (m − 1)! u^(−m)."""


def _log2(u: Array, order: int) -> Tower:
    return [jnp.log2(u), *(derivative / math.log(2) for derivative in logarithm(u, order)[1:])]


def tanh(u: Array, order: int) -> Tower:
    """φ' = 1 − φ²."""
    return derivatives.autonomous(jnp.tanh(u), TANH_FLOW, order)


def logistic(u: Array, order: int) -> Tower:
    """φ' = φ − φ²."""
    return derivatives.autonomous(lax.logistic(u), LOGISTIC_FLOW, order)


def arctangent(u: Array, order: int) -> Tower:
    """φ' = 1/(1 + u²)."""
    return integral(jnp.arctan, _quadratic_power(1.0, 1.0, -1))(u, order)


def polygamma_tower(u: Array, order: int, first: int) -> Tower:
    """ψ^(n)(u) with n = first, first + 1, …"""
    numbers = range(first, first + order + 1)
    return [lax.digamma(u) if n == 0 else lax.polygamma(lax.full_like(u, n), u) for n in numbers]


_rule_of_tower(tanh, primitives.tanh_p)
_rule_of_tower(logistic, primitives.logistic_p)
_rule_of_tower(exponential, primitives.exp_p)
_rule_of_tower(_exp2, primitives.exp2_p)
_rule_of_tower(_expm1, primitives.expm1_p)
_rule_of_tower(logarithm, primitives.log_p)
if hasattr(primitives, "log2_p"):  # since JAX 0.11
    _rule_of_tower(_log2, primitives.log2_p)
_rule_of_tower(integral(jnp.log1p, lambda u, order: real_power(1 + u, order, -1)), primitives.log1p_p)
_rule_of_tower(_power_of(-0.5), primitives.rsqrt_p)
_rule_of_tower(cycle([jnp.sin, jnp.cos], [1, 1, -1, -1]), primitives.sin_p)
_rule_of_tower(cycle([jnp.cos, jnp.sin], [1, -1, -1, 1]), primitives.cos_p)
_rule_of_tower(cycle([jnp.sinh, jnp.cosh], [1]), primitives.sinh_p)
_rule_of_tower(cycle([jnp.cosh, jnp.sinh], [1]), primitives.cosh_p)
_rule_of_tower(lambda u, order: derivatives.autonomous(jnp.tan(u), (1, 0, 1), order), primitives.tan_p)
_rule_of_tower(arctangent, primitives.atan_p)
_rule_of_tower(integral(lax.asin, _quadratic_power(1.0, -1.0, -0.5)), primitives.asin_p)
_rule_of_tower(integral(lax.acos, _quadratic_power(1.0, -1.0, -0.5, -1)), primitives.acos_p)
_rule_of_tower(integral(lax.asinh, _quadratic_power(1.0, 1.0, -0.5)), primitives.asinh_p)
_rule_of_tower(integral(lax.acosh, _quadratic_power(-1.0, 1.0, -0.5)), primitives.acosh_p)
_rule_of_tower(integral(lax.atanh, _quadratic_power(1.0, -1.0, -1)), primitives.atanh_p)
_rule_of_tower(integral(lax.erf, exponential_of_square(2 / math.sqrt(math.pi), -1.0)), primitives.erf_p)
_rule_of_tower(integral(lax.erfc, exponential_of_square(-2 / math.sqrt(math.pi), -1.0)), primitives.erfc_p)
rule(primitives.erf_inv_p, derivative=lambda u, y: math.sqrt(math.pi) / 2 * jnp.exp(y * y))
_rule_of_tower(integral(lax.lgamma, lambda u, order: polygamma_tower(u, order, 0)), primitives.lgamma_p)
_rule_of_tower(lambda u, order: polygamma_tower(u, order, 0), primitives.digamma_p)


@rule(primitives.cbrt_p)
def cbrt(x: Jet, **params: object) -> Jet:
    """u^(1/3), also for u < 0: φ^(m) = (1/3)(1/3 − 1)…(1/3 − m + 1) φ/u^m."""
    del params

    def tower(u: Array, order: int) -> Tower:
        result: Tower = [jnp.cbrt(u)]
        for m in range(1, order + 1):
            result.append((1 / 3 - m + 1) * result[-1] / u)
        return result

    return elementwise(tower, x)


by_jvp(
    primitives.igamma_p,
    primitives.igammac_p,
    primitives.polygamma_p,
    primitives.regularized_incomplete_beta_p,
    primitives.zeta_p,
    is_elementwise=True,
)
