"""Smooth functions applied entry by entry: each gives its derivatives, `jet.elementwise` does the rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from jetbench import towers
from jetbench.torch import series
from jetbench.torch.jet import Jet, elementwise
from jetbench.torch.rules.registry import rule
from jetbench.towers import Tower

aten = torch.ops.aten
TANH_FLOW = (1, 0, -1)
SIGMOID_FLOW = (0, 1, -1)

SINC_SERIES, SINC_TERMS = 0.7, 18  # where the power series is used, and how much of it


def _register(tower: Callable[[Tensor, int], Tower], *operations: object) -> None:
    @rule(*operations)
    def apply(x: Jet) -> Jet:
        return elementwise(tower, x)


def _cycle(functions: list[Callable[[Tensor], Tensor]], signs: list[int]) -> Callable[[Tensor, int], Tower]:
    """Towers of functions whose derivatives repeat, such as sin."""

    def tower(u: Tensor, order: int) -> Tower:
        values = [f(u) for f in functions[: order + 1]]
        period = len(functions)
        return [values[k % period] if signs[k % len(signs)] > 0 else -values[k % period] for k in range(order + 1)]

    return tower


def _from_derivative(
    function: Callable[[Tensor], Tensor], derivative: Callable[[Tensor, int], Tower]
) -> Callable[[Tensor, int], Tower]:
    """The tower of a function from that of its derivative."""

    def tower(u: Tensor, order: int) -> Tower:
        return [function(u), *(derivative(u, order - 1) if order else [])]

    return tower


def _quadratic_power(constant: float, square: float, exponent: float, factor: float = 1) -> Callable:
    """The tower of factor · (constant + square·u²)^exponent."""

    def tower(u: Tensor, order: int) -> Tower:
        found = series.power(series.quadratic(u, order, constant, square), exponent)
        return found if factor == 1 else [None if f is None else factor * f for f in found]

    return tower


def _gaussian(factor: float, rate: float) -> Callable[[Tensor, int], Tower]:
    """The tower of factor · exp(rate·u²)."""

    def tower(u: Tensor, order: int) -> Tower:
        return [factor * f for f in series.exponential(series.quadratic(u, order, 0.0, rate))]

    return tower


def _exponential(base: float, offset: float = 0.0) -> Callable[[Tensor, int], Tower]:
    rate = math.log(base) if base != math.e else 1.0

    def tower(u: Tensor, order: int) -> Tower:
        value = torch.exp(u) if rate == 1 else torch.exp2(u) if base == 2 else torch.exp(rate * u)
        first = torch.expm1(u) if offset else value
        return [first, *(value if rate == 1 else rate**m * value for m in range(1, order + 1))]

    return tower


def tanh(u: Tensor, order: int) -> Tower:
    """φ' = 1 − φ²."""
    return towers.autonomous(torch.tanh(u), TANH_FLOW, order)


def sigmoid(u: Tensor, order: int) -> Tower:
    """φ' = φ − φ²."""
    return towers.autonomous(torch.sigmoid(u), SIGMOID_FLOW, order)


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
    normal = _from_derivative(
        lambda v: 0.5 * (1 + torch.erf(v * math.sqrt(0.5))), _gaussian(1 / math.sqrt(2 * math.pi), -0.5)
    )
    return _times_identity(u, order, normal(u, order))


def gelu_tanh(u: Tensor, order: int) -> Tower:
    """u·(1 + tanh(√(2/π)(u + 0.044715 u³)))/2."""
    rate, cubic = math.sqrt(2 / math.pi), 0.044715
    inner: Tower = [
        rate * (u + cubic * u * u * u),
        rate * (1 + 3 * cubic * u * u),
        6 * rate * cubic * u,
        torch.full_like(u, 6 * rate * cubic),
    ]
    found = series.hyperbolic_tangent((inner + [None] * order)[: order + 1])
    half: Tower = [0.5 * (1 + found[0]), *(0.5 * f for f in found[1:])]
    return _times_identity(u, order, half)


def arctangent(u: Tensor, order: int) -> Tower:
    """φ' = 1/(1 + u²)."""
    return _from_derivative(torch.atan, _quadratic_power(1.0, 1.0, -1))(u, order)


def polygamma_tower(u: Tensor, order: int, first: int) -> Tower:
    """ψ^(n)(u) with n = first, first + 1, …"""
    return [torch.digamma(u) if n == 0 else torch.special.polygamma(n, u) for n in range(first, first + order + 1)]


def inverse_erf(u: Tensor, order: int) -> Tower:
    """φ' = √π/2 · exp(φ²)."""
    result: Tower = [torch.erfinv(u)]
    for _ in range(order):
        slope = series.exponential(towers.times(result, result))
        result = [result[0], *(math.sqrt(math.pi) / 2 * s for s in slope)]
    return result


def sinc(u: Tensor, order: int) -> Tower:
    """sin(πu)/(πu): away from 0 by differentiating πu·φ = sin(πu), near 0 by its power series."""
    near = u.abs() < SINC_SERIES
    away = math.pi * torch.where(near, 1.0, u)
    small = math.pi * torch.where(near, u, 0.0)
    sines = _cycle([torch.sin, torch.cos], [1, 1, -1, -1])(away, order)
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


_register(tanh, aten.tanh.default)
_register(sigmoid, aten.sigmoid.default)
_register(silu, aten.silu.default)
_register(_exponential(math.e), aten.exp.default)
_register(_exponential(2.0), aten.exp2.default)
_register(_exponential(math.e, offset=-1.0), aten.expm1.default)
_register(_cycle([torch.sin, torch.cos], [1, 1, -1, -1]), aten.sin.default)
_register(_cycle([torch.cos, torch.sin], [1, -1, -1, 1]), aten.cos.default)
_register(_cycle([torch.sinh, torch.cosh], [1]), aten.sinh.default)
_register(_cycle([torch.cosh, torch.sinh], [1]), aten.cosh.default)
_register(lambda u, order: towers.autonomous(torch.tan(u), (1, 0, 1), order), aten.tan.default)
_register(arctangent, aten.atan.default)
_register(_from_derivative(torch.asin, _quadratic_power(1.0, -1.0, -0.5)), aten.asin.default)
_register(_from_derivative(torch.acos, _quadratic_power(1.0, -1.0, -0.5, -1)), aten.acos.default)
_register(_from_derivative(torch.asinh, _quadratic_power(1.0, 1.0, -0.5)), aten.asinh.default)
_register(_from_derivative(torch.acosh, _quadratic_power(-1.0, 1.0, -0.5)), aten.acosh.default)
_register(_from_derivative(torch.atanh, _quadratic_power(1.0, -1.0, -1)), aten.atanh.default)
_register(_from_derivative(torch.erf, _gaussian(2 / math.sqrt(math.pi), -1.0)), aten.erf.default)
_register(_from_derivative(torch.erfc, _gaussian(-2 / math.sqrt(math.pi), -1.0)), aten.erfc.default)
_register(_from_derivative(torch.lgamma, lambda u, order: polygamma_tower(u, order, 0)), aten.lgamma.default)
_register(lambda u, order: polygamma_tower(u, order, 0), aten.digamma.default)
_register(lambda u, order: inverse_erf(u, order), aten.erfinv.default)
_register(lambda u, order: sinc(u, order), aten.sinc.default)


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
    """scale·u for u > 0, scale·α(e^{su} − 1) below; also CELU and SELU."""

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
