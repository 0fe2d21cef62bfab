"""Special functions of mathematics: each by the differential equation or recurrence that it fulfils."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from numbers import Number

import torch
from torch import Tensor

from jetbench.algebra import derivatives
from jetbench.algebra.derivatives import Tower, TowerFunction
from jetbench.errors import MissingRule
from jetbench.torch.jet import Jet, Value, add, elementwise, linear, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.elementwise import rule_of_tower, sinc
from jetbench.torch.rules.powers import logarithm

aten = torch.ops.aten

BESSEL_SERIES, BESSEL_TERMS = 2.0, 16  # where the power series is used, and how much of it


@rule(aten.xlogy.Tensor, aten.xlogy.Scalar_Self, aten.xlogy.Scalar_Other)
def xlogy(a: Value | Number, b: Value | Number) -> Value:
    """a·log b, and 0 where a is 0; a constant 0 has no derivatives even where b is 0."""
    return _times_logarithm(a, b, torch.special.xlogy, torch.log, 0.0)


@rule(aten.special_xlog1py.default, aten.special_xlog1py.self_scalar, aten.special_xlog1py.other_scalar)
def xlog1py(a: Value | Number, b: Value | Number) -> Value:
    """a·log(1 + b), and 0 where a is 0."""
    return _times_logarithm(a, b, torch.special.xlog1py, torch.log1p, 1.0)


def _times_logarithm(
    a: Value | Number, b: Value | Number, value: Callable, function: Callable[[Tensor], Tensor], shift: float
) -> Value:
    values = [v.primal if isinstance(v, Jet) else v for v in (a, b)]
    if isinstance(b, Jet):
        found = times(logarithm(b, function, shift=shift), a)
        if not isinstance(a, Jet):
            a = torch.as_tensor(a, dtype=b.dtype, device=b.primal.device)
            found = linear(lambda t: torch.where(a == 0, 0, t), found)
    else:
        found = times(a, function(torch.as_tensor(b, dtype=a.dtype, device=a.primal.device)))
    return Jet(found.algebra, value(*values), rest=found.rest, present=found.present)


def _entropy(u: Tensor, order: int) -> Tower:
    """−u·log u, with φ' = −log u − 1."""
    slopes = _logarithm_plus_one(u, order - 1) if order else []
    return [torch.special.entr(u), *(-f for f in slopes)]


def _logarithm_plus_one(u: Tensor, order: int) -> Tower:
    return [torch.log(u) + 1, *((-1) ** (m - 1) * math.factorial(m - 1) * u**-m for m in range(1, order + 1))]


def _scaled_complement(u: Tensor, order: int) -> Tower:
    """erfcx = exp(u²)·erfc(u), with φ' = 2u·φ − 2/√π."""
    result: Tower = [torch.special.erfcx(u)]
    for m in range(order):
        following = 2 * u * result[m] + (2 * m * result[m - 1] if m else -2 / math.sqrt(math.pi))
        result.append(following)
    return result


def _log_normal(u: Tensor, order: int) -> Tower:
    """log Φ(u), with φ' = h = √(2/π)/erfcx(−u/√2) and h' = −h(u + h)."""
    result: Tower = [torch.special.log_ndtr(u)]
    ratio: Tower = [math.sqrt(2 / math.pi) / torch.special.erfcx(-u * math.sqrt(0.5))]
    for m in range(1, order):
        inner = [u + ratio[0], *(r + 1 if k == 1 else r for k, r in enumerate(ratio[1:], 1))]
        ratio.append(-derivatives.times(ratio, inner)[m - 1])
    return [*result, *ratio[:order]]


def _spherical_bessel(u: Tensor, order: int) -> Tower:
    """sin(u)/u."""
    return [f / math.pi**m for m, f in enumerate(sinc(u / math.pi, order))]


rule_of_tower(_spherical_bessel, aten.special_spherical_bessel_j0.default, is_even=True)
rule_of_tower(_entropy, aten.special_entr.default)
rule_of_tower(_scaled_complement, aten.special_erfcx.default)
rule_of_tower(_log_normal, aten.special_log_ndtr.default)
rule(aten.special_ndtri.default, derivative=lambda u, y: math.sqrt(2 * math.pi) * torch.exp(y * y / 2))


def _cylindrical(
    zeroth: Callable[[Tensor], Tensor], first: Callable[[Tensor], Tensor], sign: int, is_regular: bool
) -> TowerFunction:
    """The tower of a Bessel function Z₀ from Z₀ and Z₀', by u Z'' + Z' ± u Z = 0 differentiated m times.

    Near 0, where regular ones are Σ (∓u²/4)^k/k!², their series takes its place.
    """

    def tower(u: Tensor, order: int) -> Tower:
        near = u.abs() < BESSEL_SERIES if is_regular else torch.zeros_like(u, dtype=torch.bool)
        away = torch.where(near, 1.0, u)
        result: Tower = [zeroth(u), first(u)][: order + 1]
        for m in range(order - 1):
            lower = u * result[m] + (m * result[m - 1] if m else 0)
            result.append(-((m + 1) * result[m + 1] + sign * lower) / away)
        return [torch.where(near, _series(u, m, sign), f) for m, f in enumerate(result)] if is_regular else result

    return tower


def _series(u: Tensor, m: int, sign: int) -> Tensor:
    """The m-th derivative of Σ (∓u²/4)^k/k!²."""
    small = u.clamp(-BESSEL_SERIES, BESSEL_SERIES)
    total = torch.zeros_like(u)
    for k in range(BESSEL_TERMS + (m + 1) // 2, (m - 1) // 2, -1):
        factor = (-sign) ** k * math.perm(2 * k, m) / (4**k * math.factorial(k) ** 2)
        total = total + factor * small ** (2 * k - m)
    return total


def _of_derivative(tower: TowerFunction, function: Callable, sign: int) -> Callable:
    """The tower of Z₁ = ±Z₀'."""

    def derivative(u: Tensor, order: int) -> Tower:
        return [function(u), *(f if sign > 0 else -f for f in tower(u, order + 1)[2:])]

    return derivative


def _scaled(
    zeroth: Callable[[Tensor], Tensor], first: Callable[[Tensor], Tensor], regular: Callable | None
) -> tuple[TowerFunction, TowerFunction]:
    """The towers of e^(−τu)·Z for Z = I₀, I₁ with τ = ±1, the sign of u, and for K₀, K₁ with τ = −1.

    With Z₀ = e^(τu)·y: u y'' + (1 + 2τu) y' + τ y = 0, differentiated m times; and Z₁ = ±Z₀' = ±e^(τu)·(y' + τ y).
    Near 0 the regular ones are products, with 0 for the slope of |u| at 0.

    Args:
        zeroth, first: e^(−τu)·Z₀ and e^(−τu)·Z₁.
        regular: the tower of I₀, None for K₀.
    """

    def equation(u: Tensor, order: int) -> Tower:
        rate = u.sign() if regular else -torch.ones_like(u)
        slope = first(u) if regular else -first(u)
        result: Tower = [zeroth(u), slope - rate * zeroth(u)]
        for m in range(order - 1):
            result.append(-((m + 1 + 2 * rate * u) * result[m + 1] + rate * (2 * m + 1) * result[m]) / u)
        return result[: order + 1]

    def product(u: Tensor, order: int) -> Tower:
        factor: Tower = [torch.exp(-u.abs())]
        for _ in range(order):
            factor.append(-u.sign() * factor[-1])
        return derivatives.times(factor, regular(u, order))

    def tower(u: Tensor, order: int) -> Tower:
        if regular is None:
            return equation(u, order)
        is_near = u.abs() < BESSEL_SERIES
        near = product(u.clamp(-BESSEL_SERIES, BESSEL_SERIES), order)
        away = equation(torch.where(is_near, BESSEL_SERIES, u), order)
        return [torch.where(is_near, f, g) for f, g in zip(near, away, strict=True)]

    def following(u: Tensor, order: int) -> Tower:
        found = tower(u, order + 1)
        rate = u.sign() if regular else -torch.ones_like(u)
        sums = [g + rate * f for f, g in pairwise(found)]
        return [first(u), *(s if regular else -s for s in sums[1:])]

    return tower, following


_J0 = _cylindrical(torch.special.bessel_j0, lambda u: -torch.special.bessel_j1(u), 1, True)
_Y0 = _cylindrical(torch.special.bessel_y0, lambda u: -torch.special.bessel_y1(u), 1, False)
_I0 = _cylindrical(torch.special.i0, torch.special.i1, -1, True)
_I1 = _of_derivative(_I0, torch.special.i1, 1)
_K0 = _cylindrical(torch.special.modified_bessel_k0, lambda u: -torch.special.modified_bessel_k1(u), -1, False)
_K1 = _of_derivative(_K0, torch.special.modified_bessel_k1, -1)

rule_of_tower(_J0, aten.special_bessel_j0.default, is_even=True)
rule_of_tower(_of_derivative(_J0, torch.special.bessel_j1, -1), aten.special_bessel_j1.default)
rule_of_tower(_Y0, aten.special_bessel_y0.default)
rule_of_tower(_of_derivative(_Y0, torch.special.bessel_y1, -1), aten.special_bessel_y1.default)
for _operation in (aten.i0.default, aten.special_modified_bessel_i0.default):
    rule_of_tower(_I0, _operation, is_even=True)
for _operation in (aten.special_i1.default, aten.special_modified_bessel_i1.default):
    rule_of_tower(_I1, _operation)
rule_of_tower(_K0, aten.special_modified_bessel_k0.default)
rule_of_tower(_K1, aten.special_modified_bessel_k1.default)
_I0E, _I1E = _scaled(torch.special.i0e, torch.special.i1e, _I0)
_K0E, _K1E = _scaled(torch.special.scaled_modified_bessel_k0, torch.special.scaled_modified_bessel_k1, None)
rule_of_tower(_I0E, aten.special_i0e.default)
rule_of_tower(_I1E, aten.special_i1e.default)
rule_of_tower(_K0E, aten.special_scaled_modified_bessel_k0.default)
rule_of_tower(_K1E, aten.special_scaled_modified_bessel_k1.default)


Line = tuple[float, float]  # a, b of a·u + b
Recurrence = Callable[[int], tuple[Line, float]]  # k → line and c of p_(k+1) = (a·u + b)·p_k − c·p_(k−1)


def _chebyshev(k: int) -> tuple[Line, float]:
    return (2, 0), 1


POLYNOMIALS: dict[str, tuple[Line, Recurrence]] = {  # p_1 and the recurrence; p_0 is 1
    "chebyshev_polynomial_t": ((1, 0), _chebyshev),
    "chebyshev_polynomial_u": ((2, 0), _chebyshev),
    "chebyshev_polynomial_v": ((2, -1), _chebyshev),
    "chebyshev_polynomial_w": ((2, 1), _chebyshev),
    "hermite_polynomial_h": ((2, 0), lambda k: ((2, 0), 2 * k)),
    "hermite_polynomial_he": ((1, 0), lambda k: ((1, 0), k)),
    "laguerre_polynomial_l": ((-1, 1), lambda k: ((-1 / (k + 1), (2 * k + 1) / (k + 1)), k / (k + 1))),
    "legendre_polynomial_p": ((1, 0), lambda k: (((2 * k + 1) / (k + 1), 0), k / (k + 1))),
}


def _times_line(line: Line, u: Tensor, tower: Tower) -> Tower:
    """The tower of (a·u + b)·φ."""
    slope, constant = line
    return derivatives.times([slope * u + constant, torch.full_like(u, slope), *[None] * len(tower)], tower)


def _polynomial(u: Tensor, order: int, degree: int, first: Line, recurrence: Recurrence) -> Tower:
    zero = torch.zeros_like(u)
    before: Tower = [torch.ones_like(u), *[zero] * order]
    if degree <= 0:
        return before if degree == 0 else [zero] * (order + 1)
    found = [zero if f is None else f for f in _times_line(first, u, before)]
    for k in range(1, degree):
        line, factor = recurrence(k)
        product = _times_line(line, u, found)
        before, found = found, [p - factor * q for p, q in zip(product, before, strict=True)]
    return found


def _register_polynomial(name: str, first: Line, recurrence: Recurrence, is_shifted: bool = False) -> None:
    @rule(getattr(aten, f"special_{name}").n_scalar)
    def apply(x: Jet, degree: Number) -> Jet:
        def tower(u: Tensor, order: int) -> Tower:
            found = _polynomial(2 * u - 1 if is_shifted else u, order, int(degree), first, recurrence)
            return [2**m * f for m, f in enumerate(found)] if is_shifted else found

        return elementwise(tower, x)


for _name, (_first, _recurrence) in POLYNOMIALS.items():
    _register_polynomial(_name, _first, _recurrence)
    if _name.startswith("chebyshev"):
        _register_polynomial(f"shifted_{_name}", _first, _recurrence, is_shifted=True)


@rule(aten.igamma.default)
def lower_gamma(a: Value, x: Value) -> Value:
    """P(a, x) for a constant a, with φ' = x^(a−1)·e^(−x)/Γ(a)."""
    return _incomplete_gamma(a, x, torch.special.gammainc, 1)


@rule(aten.igammac.default)
def upper_gamma(a: Value, x: Value) -> Value:
    """Q(a, x) = 1 − P(a, x) for a constant a."""
    return _incomplete_gamma(a, x, torch.special.gammaincc, -1)


def _incomplete_gamma(a: Value, x: Value, function: Callable[[Tensor, Tensor], Tensor], sign: int) -> Jet:
    if isinstance(a, Jet):
        raise MissingRule(
            "Incomplete gamma functions have a rule for a first argument that does not depend on x. Extend the rule in "
            "jetbench/torch/rules/special.py."
        )

    def tower(u: Tensor, order: int) -> Tower:
        if order == 0:
            return [function(a, u)]
        exponent = [(a - 1) * f for f in _logarithm_plus_one(u, order - 1)]
        exponent[0] = (a - 1) * torch.log(u) - u - torch.lgamma(a)
        if order > 1:
            exponent[1] = exponent[1] - 1
        return [function(a, u), *(sign * f for f in derivatives.exponential(exponent))]

    x = x if x.shape == torch.broadcast_shapes(a.shape, x.shape) else add(x, torch.zeros_like(a))
    return elementwise(tower, x, constants=[a])


@rule(aten.special_zeta.default, aten.special_zeta.self_scalar)
def zeta(s: Value | Number, x: Value) -> Jet:
    """Hurwitz' ζ(s, x) for a constant s, with ζ^(m) = (−1)^m s(s + 1)…(s + m − 1)·ζ(s + m, x)."""
    if isinstance(s, Jet):
        raise MissingRule(
            "The zeta function has a rule for a first argument that does not depend on x. Extend the rule in "
            "jetbench/torch/rules/special.py."
        )

    def tower(u: Tensor, order: int) -> Tower:
        result: Tower = [torch.special.zeta(s, u)]
        factor = 1.0
        for m in range(order):
            factor = -factor * (s + m)
            result.append(factor * torch.special.zeta(s + m + 1, u))
        return result

    constants = [s] if isinstance(s, Tensor) else []
    return elementwise(tower, x if not constants else add(x, torch.zeros_like(s)), constants=constants)
