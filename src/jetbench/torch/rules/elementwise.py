"""Smooth functions applied entry by entry: each gives its derivatives, `jet.elementwise` does the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from jetbench.algebra import derivatives
from jetbench.algebra.derivatives import (
    LOGISTIC_FLOW,
    TANH_FLOW,
    Tower,
    TowerFunction,
    cycle,
    exponential_of_square,
    integral,
)
from jetbench.torch.jet import Jet, elementwise
from jetbench.torch.registry import rule
from jetbench.torch.rules.powers import even

aten = torch.ops.aten
TANH_IS_ONE = 16.0  # gelu's tanh is ±1 there, and its derivatives are 0
GAUSS_IS_ZERO = 64.0  # exp(−u²/2) is 0 there in every type
SINC_SERIES, SINC_TERMS = 0.7, 18  # where the power series is used, and how much of it


def rule_of_tower(tower: TowerFunction, *operations: object, is_even: bool = False) -> Callable[[Jet], Jet]:
    @rule(*operations)
    def apply(x: Jet) -> Jet:
        return even(tower, x) if is_even else elementwise(tower, x)

    return apply


def _radical_power(u: Tensor, order: int, length: Tensor, sign: int, degree: int) -> Tower:
    """The tower of r^(−k) for r = √(1 + u²) or √(u² − 1), where r·r' = u, or √(1 − u²), where r·r' = −u.

    With c = 1/r and s = u/r: c' = ∓s c² and s' = c(1 ∓ s²), so that the derivatives are c^(k+m)·P_m(s). Neither
    overflows for large u.

    Args:
        u, order: as in a tower.
        length: r at u.
        sign: of r·r' = ±u.
        degree: k, 1 or 2.
    """
    cosine = length.reciprocal()
    sine = torch.where(u.isinf(), u.sgn(), u * cosine)
    factor = cosine if degree == 1 else cosine * cosine
    result: Tower = [factor]
    for polynomial in _radical_polynomials(sign, degree, order):
        factor = factor * cosine
        result.append(factor * derivatives.polynomial(list(polynomial), sine))
    return result


@cache
def _radical_polynomials(sign: int, degree: int, order: int) -> tuple[tuple[int, ...], ...]:
    """P_1, …, P_order with P_0 = 1 and P_(m+1) = ∓(k + m)·s·P_m + (1 ∓ s²)·P_m'."""
    found, known = [], [1]
    for m in range(order):
        following = [0] * (len(known) + 1)
        for i, coefficient in enumerate(known):
            following[i + 1] -= sign * (degree + m + i) * coefficient
            if i:
                following[i - 1] += i * coefficient
        known = following
        found.append(tuple(known))
    return tuple(found)


def _one_plus_square(u: Tensor) -> Tensor:
    """√(1 + u²)."""
    return torch.sqrt(1 + u * u) if u.is_complex() else torch.hypot(u, torch.ones_like(u))


def _one_minus_square(u: Tensor) -> Tensor:
    """√(1 − u²), with little rounding near ±1."""
    return torch.sqrt((1 - u) * (1 + u))


def _inverse_function(
    function: Callable[[Tensor], Tensor], length: Callable[[Tensor], Tensor], sign: int, degree: int, factor: int = 1
) -> TowerFunction:
    """The tower of a function with the derivative ±r^(−k), as of inverse circular and hyperbolic functions."""

    def derivative(u: Tensor, order: int) -> Tower:
        found = _radical_power(u, order, length(u), sign, degree)
        return found if factor == 1 else [-f for f in found]

    return integral(function, derivative)


def _gaussian(factor: float, rate: float) -> TowerFunction:
    """The tower of factor · exp(rate·u²)."""

    def tower(u: Tensor, order: int) -> Tower:
        near = u.clamp(-GAUSS_IS_ZERO, GAUSS_IS_ZERO)  # the square may overflow
        return exponential_of_square(factor, rate)(near, order)

    return tower


def _exponential(base: float, offset: float = 0.0) -> TowerFunction:
    rate = math.log(base) if base != math.e else 1.0

    def tower(u: Tensor, order: int) -> Tower:
        value = torch.exp(u) if rate == 1 else torch.exp2(u) if base == 2 else torch.exp(rate * u)
        first = torch.expm1(u) if offset else value
        return [first, *(value if rate == 1 else rate**m * value for m in range(1, order + 1))]

    return tower


def tanh(u: Tensor, order: int) -> Tower:
    """φ' = 1 − φ²."""
    return derivatives.autonomous(torch.tanh(u), TANH_FLOW, order)


def sigmoid(u: Tensor, order: int) -> Tower:
    """φ' = φ − φ²."""
    return derivatives.autonomous(torch.sigmoid(u), LOGISTIC_FLOW, order)


def _times_identity(u: Tensor, order: int, tower: Tower) -> Tower:
    """The tower of u·φ(u): u φ^(m) + m φ^(m−1)."""
    result = [u * tower[0]]
    for m in range(1, order + 1):
        result.append(u * tower[m] + (tower[m - 1] if m == 1 else m * tower[m - 1]))
    return result


def silu(u: Tensor, order: int) -> Tower:
    """u·σ(u)."""
    return _times_identity(u, order, sigmoid(u, order))


def gelu(u: Tensor, order: int) -> Tower:
    """u·Φ(u) with the normal distribution function Φ."""
    normal = integral(lambda v: 0.5 * (1 + torch.erf(v * math.sqrt(0.5))), _gaussian(1 / math.sqrt(2 * math.pi), -0.5))
    return _times_identity(u, order, normal(u, order))


def gelu_tanh(u: Tensor, order: int) -> Tower:
    """u·(1 + tanh(√(2/π)(u + 0.044715 u³)))/2."""
    rate, cubic = math.sqrt(2 / math.pi), 0.044715
    v = u.clamp(-TANH_IS_ONE, TANH_IS_ONE)  # beyond, the cube may overflow
    inner: Tower = [
        rate * (v + cubic * v * v * v),
        rate * (1 + 3 * cubic * v * v),
        6 * rate * cubic * v,
        torch.full_like(v, 6 * rate * cubic),
    ]
    found = derivatives.hyperbolic_tangent((inner + [None] * order)[: order + 1])
    half: Tower = [0.5 * (1 + found[0]), *(0.5 * f for f in found[1:])]
    return _times_identity(u, order, half)


def polygamma_tower(u: Tensor, order: int, first: int) -> Tower:
    """ψ^(n)(u) with n = first, first + 1, …"""
    return [torch.digamma(u) if n == 0 else torch.special.polygamma(n, u) for n in range(first, first + order + 1)]


def sinc(u: Tensor, order: int) -> Tower:
    """sin(πu)/(πu): away from 0 by differentiating πu·φ = sin(πu), near 0 by its power series."""
    near = u.abs() < SINC_SERIES
    away = math.pi * torch.where(near, 1.0, u)
    small = math.pi * torch.where(near, u, 0.0)
    sines = cycle([torch.sin, torch.cos], [1, 1, -1, -1])(away, order)
    result: Tower = []
    quotient: Tensor | None = None
    for m in range(order + 1):
        quotient = sines[m] / away if quotient is None else (sines[m] - m * quotient) / away
        terms = [
            (-1) ** k / (math.factorial(2 * k + 1)) * math.perm(2 * k, m) * small ** (2 * k - m)
            for k in range((m + 1) // 2, SINC_TERMS)
        ]
        result.append(math.pi**m * torch.where(near, sum(terms), quotient))
    return result


rule_of_tower(tanh, aten.tanh.default)
rule_of_tower(sigmoid, aten.sigmoid.default)
rule_of_tower(silu, aten.silu.default)
rule_of_tower(_exponential(math.e), aten.exp.default)
rule_of_tower(_exponential(2.0), aten.exp2.default)
rule_of_tower(_exponential(math.e, offset=-1.0), aten.expm1.default)
sine = rule_of_tower(cycle([torch.sin, torch.cos], [1, 1, -1, -1]), aten.sin.default)
cosine = rule_of_tower(cycle([torch.cos, torch.sin], [1, -1, -1, 1]), aten.cos.default, is_even=True)
rule_of_tower(cycle([torch.sinh, torch.cosh], [1]), aten.sinh.default)
rule_of_tower(cycle([torch.cosh, torch.sinh], [1]), aten.cosh.default, is_even=True)
rule_of_tower(lambda u, order: derivatives.autonomous(torch.tan(u), (1, 0, 1), order), aten.tan.default)
rule_of_tower(_inverse_function(torch.atan, _one_plus_square, 1, 2), aten.atan.default)
rule_of_tower(_inverse_function(torch.asinh, _one_plus_square, 1, 1), aten.asinh.default)
rule_of_tower(
    _inverse_function(torch.acosh, lambda u: torch.sqrt(u - 1) * torch.sqrt(u + 1), 1, 1),
    aten.acosh.default,
)
rule_of_tower(_inverse_function(torch.asin, _one_minus_square, -1, 1), aten.asin.default)
rule_of_tower(_inverse_function(torch.acos, _one_minus_square, -1, 1, factor=-1), aten.acos.default)
rule_of_tower(_inverse_function(torch.atanh, _one_minus_square, -1, 2), aten.atanh.default)
rule_of_tower(integral(torch.erf, _gaussian(2 / math.sqrt(math.pi), -1.0)), aten.erf.default)
rule_of_tower(integral(torch.erfc, _gaussian(-2 / math.sqrt(math.pi), -1.0)), aten.erfc.default)
rule_of_tower(integral(torch.lgamma, lambda u, order: polygamma_tower(u, order, 0)), aten.lgamma.default)
rule_of_tower(lambda u, order: polygamma_tower(u, order, 0), aten.digamma.default)
rule(aten.erfinv.default, derivative=lambda u, y: math.sqrt(math.pi) / 2 * torch.exp(y * y))
rule_of_tower(sinc, aten.sinc.default, is_even=True)


@rule(aten.polygamma.default)
def polygamma(n: int, x: Jet) -> Jet:
    return elementwise(lambda u, order: polygamma_tower(u, order, n), x)


@rule(aten.gelu.default)
def gelu_rule(x: Jet, approximate: str = "none") -> Jet:
    return elementwise(gelu_tanh if approximate == "tanh" else gelu, x)


@rule(aten.softplus.default)
def softplus(x: Jet, beta: float = 1.0, threshold: float = 20.0) -> Jet:
    """log(1 + e^{βu})/β with φ' = σ(βu); beyond the threshold PyTorch's softplus is the identity."""

    def tower(u: Tensor, order: int) -> Tower:
        result: Tower = [torch.nn.functional.softplus(u, beta, threshold)]
        for m, s in enumerate(sigmoid(beta * u, order - 1) if order else []):
            # at the threshold itself PyTorch's slope is the smooth one, and its higher derivatives vanish
            smooth = beta * u <= threshold if m == 0 else beta * u < threshold
            result.append(torch.where(smooth, beta**m * s, 1.0 if m == 0 else 0.0))
        return result

    return elementwise(tower, x)


@rule(aten.log_sigmoid_forward.default)
def log_sigmoid(x: Jet) -> tuple[Jet, None]:
    """log σ(u), with φ' = σ(−u)."""

    def tower(u: Tensor, order: int) -> Tower:
        complement = sigmoid(-u, order - 1) if order else []
        return [torch.nn.functional.logsigmoid(u), *(s if m % 2 == 0 else -s for m, s in enumerate(complement))]

    return elementwise(tower, x), None


@rule(aten.elu.default)
def elu(x: Jet, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Jet:
    """scale·u for u > 0, scale·α(e^{su} − 1) below; also SELU."""

    def tower(u: Tensor, order: int) -> Tower:
        negative = u.clamp(max=0)  # nothing may overflow on the side that is not taken
        decay = torch.exp(input_scale * negative)
        result: Tower = [torch.where(u > 0, scale * u, scale * alpha * torch.expm1(input_scale * negative))]
        for m in range(1, order + 1):
            below = scale * alpha * input_scale**m * decay
            # at 0 PyTorch's slope is that of the side below, and its higher derivatives vanish
            result.append(torch.where(u > 0, scale, below) if m == 1 else torch.where(u < 0, below, 0.0))
        return result

    return elementwise(tower, x)


@rule(aten.celu.default)
def celu(x: Jet, alpha: float = 1.0) -> Jet:
    """u for u > 0, α(e^{u/α} − 1) below."""
    return elu(x, alpha, 1.0, 1 / alpha)
