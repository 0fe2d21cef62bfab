"""Special functions: Bessel's, which PyTorch counts as constants, and those with removable singularities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial, pi

import torch
from torch import Tensor

from jetbench.torch.corrected.formulas import formula

aten = torch.ops.aten
_TERMS = 20  # of power series, in arguments of at most 2 and 1/2
_HIGHEST = 14  # derivatives of an expansion around the point; nesting as many is out of reach


def _horner(coefficients: Sequence[Tensor | float], x: Tensor) -> Tensor:
    """Σ_k c_k x^k"""
    value = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


def _sin_over(x: Tensor) -> Tensor:
    """sin(x)/x, by its series around 0."""
    near = x.detach().abs() < 1.5
    series = _horner([(-1) ** k / factorial(2 * k + 1) for k in range(_TERMS)], torch.where(near, x, 0).square())
    away = torch.where(near, 2, x)
    return torch.where(near, series, away.sin() / away)


@formula(aten.sinc.default)
def sinc(x: Tensor) -> Tensor:
    return _sin_over(pi * x)


@formula(aten.polar.default)
def polar(modulus: Tensor, angle: Tensor) -> Tensor:
    """r·e^(iφ), also for r = 0."""
    return torch.complex(modulus * angle.cos(), modulus * angle.sin())


@formula(aten.special_spherical_bessel_j0.default)
def spherical_bessel_j0(x: Tensor) -> Tensor:
    return _sin_over(x)


def _expansion(x: Tensor, value: Tensor, slope: Tensor, order: int, a: int, b: int, c: int) -> Tensor:
    """The solution of x²y″ + (ax² + x)y′ + (bx² + cx − order²)y = 0 of a given value and slope at x.

    Its Taylor polynomial around x, whose coefficients are constants, has the derivatives of the solution.
    """
    x0 = x.detach()
    y = [value.detach(), slope.detach()]
    for k in range(_HIGHEST - 2):
        before, twice_before = y[k - 1] if k > 0 else 0, y[k - 2] if k > 1 else 0
        total = y[k + 1] * (k + 1) * ((2 * k + 1) * x0 + a * x0**2)
        total = total + y[k] * (k**2 - order**2 + (2 * a * k + c) * x0 + b * x0**2)
        total = total + before * (a * (k - 1) + c + 2 * b * x0) + twice_before * b
        y.append(-total / (x0**2 * (k + 1) * (k + 2)))
    return _horner(y, x - x0)


def _series(x: Tensor, order: int, sign: int) -> Tensor:
    """J_n (sign −1) and I_n (sign 1) for small x: Σ_k sign^k (x/2)^(2k+n)/(k! (k+n)!)"""
    terms = [float(sign) ** k / (factorial(k) * factorial(k + order)) for k in range(_TERMS)]
    return (x / 2) ** order * _horner(terms, (x / 2).square())


def _regular(x: Tensor, order: int, sign: int, kernels: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """J_0, J_1, I_0 and I_1: even and odd functions with a series around 0."""
    near = x.detach().abs() < 2
    away = torch.where(near, 3, x)
    zero, one = (kernel(away.detach()) for kernel in kernels)
    slope = sign * one if order == 0 else zero - one / away.detach()
    expansion = _expansion(away, one if order else zero, slope, order, 0, -sign, 0)
    return torch.where(near, _series(torch.where(near, x, 0), order, sign), expansion)


def _scaled(x: Tensor, order: int, kernels: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """e^(−|x|)·I_n"""
    near = x.detach().abs() < 2
    size, small = torch.where(near, 3, x.abs()), torch.where(near, x, 0)
    zero, one = (kernel(size.detach()) for kernel in kernels)
    slope = (one if order == 0 else zero - one / size.detach()) - (one if order else zero)
    expansion = _expansion(size, one if order else zero, slope, order, 2, 0, 1)
    away = torch.where(x.detach() < 0, -expansion, expansion) if order else expansion
    return torch.where(near, _series(small, order, 1) * torch.exp(-small.abs()), away)


def _second(x: Tensor, order: int, sign: int, scaled: bool, kernels: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Y_0, Y_1, K_0 and K_1, for x > 0, and e^x·K_n"""
    x0 = x.detach()
    zero, one = (kernel(x0) for kernel in kernels)
    slope = -one if order == 0 else -sign * zero - one / x0
    if scaled:
        return _expansion(x, one if order else zero, slope + (one if order else zero), order, -2, 0, -1)
    return _expansion(x, one if order else zero, slope, order, 0, -sign, 0)


def _register() -> None:
    bessel_j = torch.special.bessel_j0, torch.special.bessel_j1
    bessel_y = torch.special.bessel_y0, torch.special.bessel_y1
    bessel_i = torch.special.i0, torch.special.i1
    scaled_i = torch.special.i0e, torch.special.i1e
    bessel_k = torch.special.modified_bessel_k0, torch.special.modified_bessel_k1
    scaled_k = torch.special.scaled_modified_bessel_k0, torch.special.scaled_modified_bessel_k1
    for n in (0, 1):
        operations = {
            f"special_bessel_j{n}": lambda x, n=n: _regular(x, n, -1, bessel_j),
            f"special_bessel_y{n}": lambda x, n=n: _second(x, n, -1, False, bessel_y),
            f"special_modified_bessel_i{n}": lambda x, n=n: _regular(x, n, 1, bessel_i),
            f"special_modified_bessel_k{n}": lambda x, n=n: _second(x, n, 1, False, bessel_k),
            f"special_scaled_modified_bessel_k{n}": lambda x, n=n: _second(x, n, 1, True, scaled_k),
            f"special_i{n}e": lambda x, n=n: _scaled(x, n, scaled_i),
            ("i0", "special_i1")[n]: lambda x, n=n: _regular(x, n, 1, bessel_i),
        }
        for name, function in operations.items():
            formula(getattr(aten, name).default)(function)


_register()
