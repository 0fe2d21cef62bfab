"""Smooth functions applied entry by entry: each gives its derivatives, `jet.elementwise` does the rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive, primitives

from jetbench.algebra import derivatives
from jetbench.algebra.arrays import of
from jetbench.algebra.derivatives import Tower
from jetbench.jax.jet import Jet, elementwise
from jetbench.jax.jvp import by_jvp
from jetbench.jax.rules.registry import rule

TANH_FLOW = (1, 0, -1)
LOGISTIC_FLOW = (0, 1, -1)

TowerFunction = Callable[[Array, int], Tower]


def _register(tower: TowerFunction, *operations: Primitive) -> None:
    @rule(*operations)
    def apply(x: Jet, **params: object) -> Jet:
        del params  # the accuracy asked of the kernel
        return elementwise(tower, x)


def _cycle(functions: list[Callable[[Array], Array]], signs: list[int]) -> TowerFunction:
    """Towers of functions whose derivatives repeat, such as sin."""

    def tower(u: Array, order: int) -> Tower:
        values = [f(u) for f in functions[: order + 1]]
        period = len(functions)
        return [values[k % period] if signs[k % len(signs)] > 0 else -values[k % period] for k in range(order + 1)]

    return tower


def _from_derivative(function: Callable[[Array], Array], derivative: TowerFunction) -> TowerFunction:
    """The tower of a function from that of its derivative."""

    def tower(u: Array, order: int) -> Tower:
        return [function(u), *(derivative(u, order - 1) if order else [])]

    return tower


def _quadratic_power(constant: float, square: float, exponent: float, factor: float = 1) -> TowerFunction:
    """The tower of factor · (constant + square·u²)^exponent."""

    def tower(u: Array, order: int) -> Tower:
        found = derivatives.power(derivatives.quadratic(u, order, constant, square), exponent)
        return found if factor == 1 else [None if f is None else factor * f for f in found]

    return tower


def _gaussian(factor: float, rate: float) -> TowerFunction:
    """The tower of factor · exp(rate·u²)."""

    def tower(u: Array, order: int) -> Tower:
        return [factor * f for f in derivatives.exponential(derivatives.quadratic(u, order, 0.0, rate))]

    return tower


def real_power(u: Array, order: int, exponent: float) -> Tower:
    """u^p: the falling factorial p(p − 1)…(p − m + 1) times u^(p−m); whole exponents p ≥ 0 end at m = p."""
    tower: Tower = [of(u).power(u, exponent)]
    factor = 1.0
    for m in range(1, order + 1):
        factor *= exponent - m + 1
        if factor == 0:
            tower.append(None)
        elif exponent == m:
            tower.append(jnp.full_like(u, factor))
        else:
            rest = of(u).power(u, exponent - m)
            tower.append(rest if factor == 1 else factor * rest)
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


logarithm = _from_derivative(jnp.log, lambda u, order: real_power(u, order, -1))
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
    return _from_derivative(jnp.arctan, _quadratic_power(1.0, 1.0, -1))(u, order)


def polygamma_tower(u: Array, order: int, first: int) -> Tower:
    """ψ^(n)(u) with n = first, first + 1, …"""
    numbers = range(first, first + order + 1)
    return [lax.digamma(u) if n == 0 else lax.polygamma(lax.full_like(u, n), u) for n in numbers]


def inverse_erf(u: Array, order: int) -> Tower:
    """φ' = √π/2 · exp(φ²)."""
    result: Tower = [lax.erf_inv(u)]
    for _ in range(order):
        slope = derivatives.exponential(derivatives.times(result, result))
        result = [result[0], *(math.sqrt(math.pi) / 2 * s for s in slope)]
    return result


_register(tanh, primitives.tanh_p)
_register(logistic, primitives.logistic_p)
_register(exponential, primitives.exp_p)
_register(_exp2, primitives.exp2_p)
_register(_expm1, primitives.expm1_p)
_register(logarithm, primitives.log_p)
if hasattr(primitives, "log2_p"):  # since JAX 0.11
    _register(_log2, primitives.log2_p)
_register(_from_derivative(jnp.log1p, lambda u, order: real_power(1 + u, order, -1)), primitives.log1p_p)
_register(_power_of(-0.5), primitives.rsqrt_p)
_register(_cycle([jnp.sin, jnp.cos], [1, 1, -1, -1]), primitives.sin_p)
_register(_cycle([jnp.cos, jnp.sin], [1, -1, -1, 1]), primitives.cos_p)
_register(_cycle([jnp.sinh, jnp.cosh], [1]), primitives.sinh_p)
_register(_cycle([jnp.cosh, jnp.sinh], [1]), primitives.cosh_p)
_register(lambda u, order: derivatives.autonomous(jnp.tan(u), (1, 0, 1), order), primitives.tan_p)
_register(arctangent, primitives.atan_p)
_register(_from_derivative(lax.asin, _quadratic_power(1.0, -1.0, -0.5)), primitives.asin_p)
_register(_from_derivative(lax.acos, _quadratic_power(1.0, -1.0, -0.5, -1)), primitives.acos_p)
_register(_from_derivative(lax.asinh, _quadratic_power(1.0, 1.0, -0.5)), primitives.asinh_p)
_register(_from_derivative(lax.acosh, _quadratic_power(-1.0, 1.0, -0.5)), primitives.acosh_p)
_register(_from_derivative(lax.atanh, _quadratic_power(1.0, -1.0, -1)), primitives.atanh_p)
_register(_from_derivative(lax.erf, _gaussian(2 / math.sqrt(math.pi), -1.0)), primitives.erf_p)
_register(_from_derivative(lax.erfc, _gaussian(-2 / math.sqrt(math.pi), -1.0)), primitives.erfc_p)
_register(inverse_erf, primitives.erf_inv_p)
_register(_from_derivative(lax.lgamma, lambda u, order: polygamma_tower(u, order, 0)), primitives.lgamma_p)
_register(lambda u, order: polygamma_tower(u, order, 0), primitives.digamma_p)


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
