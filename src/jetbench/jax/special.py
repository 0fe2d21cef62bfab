"""Functions of jax.numpy and jax.scipy.special whose derivatives JAX gets wrong at or near single points.

Their formulas have a case there (sinc and sici at 0, fresnel at odd squares, hypot on the diagonal), a slope of |u|
(the Bessel functions at 0), a quotient that cancels, or squares that overflow (atan2). Jets use the towers below, and
nested methods run the same functions with these towers as their derivatives.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Primitive, jaxprs_in_params, primitives
from jax.scipy import special

from jetbench.algebra import derivatives
from jetbench.algebra.derivatives import Tower
from jetbench.jax.author import Authored

TowerFunction = Callable[[Array, int], Tower]

OF_JAX = os.path.dirname(jax.__file__) + os.sep
SINE_RADIUS, SINE_TERMS = 2.2, 36  # where a power series is used, and how much of it
BESSEL_RADIUS, BESSEL_TERMS = 8.0, 32


def _series(coefficients: Sequence[float], u: Array, m: int) -> Array:
    """The m-th derivative of Σ_k a_k u^k, in a few operations."""
    exponents = range(m, len(coefficients))
    weights = jnp.asarray([coefficients[k] * math.perm(k, m) for k in exponents], u.dtype)
    return (weights * u[..., None] ** jnp.arange(len(exponents), dtype=u.dtype)).sum(-1)


def _quotient(numerator: TowerFunction, coefficients: Sequence[float], radius: float) -> TowerFunction:
    """The tower of φ = g(u)/u = Σ_k a_k u^k: by the power series near 0, by differentiating u·φ = g away from it."""

    def tower(u: Array, order: int) -> Tower:
        near = jnp.abs(u) < radius
        away, small = jnp.where(near, radius, u).astype(u.dtype), jnp.where(near, u, 0)
        above = numerator(away, order)
        result: Tower = []
        quotient = above[0] / away
        for m in range(order + 1):
            quotient = quotient if m == 0 else (above[m] - m * quotient) / away
            result.append(jnp.where(near, _series(coefficients, small, m), quotient))
        return result

    return tower


def _sines(u: Array, order: int) -> Tower:
    values = (jnp.sin(u), jnp.cos(u))
    return [values[m % 2] * (-1) ** (m // 2) for m in range(order + 1)]


def _cosines(u: Array, order: int) -> Tower:
    return _sines(u, order + 1)[1:]


_sine_quotient = _quotient(
    _sines, [0 if k % 2 else (-1) ** (k // 2) / math.factorial(k + 1) for k in range(SINE_TERMS)], SINE_RADIUS
)


def sinc(u: Array, order: int) -> Tower:
    """sin(πu)/(πu)."""
    return [math.pi**m * f for m, f in enumerate(_sine_quotient(math.pi * u, order))]


def sine_integral(u: Array, order: int) -> Tower:
    """φ' = sin(u)/u."""
    return [special.sici(u)[0], *(_sine_quotient(u, order - 1) if order else [])]


def cosine_integral(u: Array, order: int) -> Tower:
    """φ' = cos(u)/u."""
    inverse = [(-1) ** m * math.factorial(m) * u ** -(m + 1) for m in range(order)]
    return [special.sici(u)[1], *(derivatives.times(_cosines(u, order - 1), inverse) if order else [])]


def _fresnel(index: int) -> TowerFunction:
    """S' = sin(πu²/2), C' = cos(πu²/2), with s' = πu·c and c' = −πu·s."""

    def tower(u: Array, order: int) -> Tower:
        angle = math.pi * lax.rem(u * u / 2, jnp.full_like(u, 2))
        waves = [[jnp.sin(angle)], [jnp.cos(angle)]]
        for m in range(order - 1):
            slopes = [math.pi * (u * wave[m] + (m * wave[m - 1] if m else 0)) for wave in waves]
            waves[0].append(slopes[1])
            waves[1].append(-slopes[0])
        return [special.fresnel(u)[index], *waves[index][:order]]

    return tower


def log1mexp(u: Array, order: int) -> Tower:
    """log(1 − e^(−u)): φ' = n = 1/(e^u − 1) with n' = −n − n²."""
    slopes = derivatives.autonomous(1 / jnp.expm1(u), (0, -1, -1), order - 1) if order else []
    return [jax.nn.log1mexp(u), *slopes]


def _scaled_bessel(a: Array, last: int) -> list[Array]:
    """e^(−a) I_n(a) for n = 0 … last and a ≥ 0: by power series, and by I_(n+1) = I_(n−1) − 2n/a·I_n beyond them."""
    near = a < BESSEL_RADIUS
    small, large = jnp.where(near, a, 0), jnp.where(near, BESSEL_RADIUS, a).astype(a.dtype)
    found = [lax.bessel_i0e(a), lax.bessel_i1e(a)]
    beyond = [lax.bessel_i0e(large), lax.bessel_i1e(large)]
    for n in range(1, last):
        beyond.append(beyond[n - 1] - 2 * n / large * beyond[n])
        inverse = [1 / (math.factorial(k) * math.factorial(k + n + 1)) for k in range(BESSEL_TERMS)]
        series = (small / 2) ** (n + 1) * _series(inverse, small**2 / 4, 0) * jnp.exp(-small)
        found.append(jnp.where(near, series, beyond[n + 1]))
    return found


def _scaled_slopes(a: Array, order: int, index: int) -> list[Array]:
    """e^(−a) times the derivatives of I_ν at a ≥ 0, by I_n' = (I_(n−1) + I_(n+1))/2."""
    values = _scaled_bessel(a, index + order)
    return [
        sum(math.comb(m, i) * values[abs(index - m + 2 * i)] for i in range(m + 1)) / 2**m for m in range(order + 1)
    ]


def _signs(u: Array) -> Array:
    """The slope of |u|, at 0 that of JAX."""
    return jnp.where(u >= 0, 1, -1).astype(u.dtype)


def _exponentially_scaled(index: int) -> TowerFunction:
    """e^(−|u|) I_ν(u) for ν = 0 and 1; at 0 with the derivatives of positive u, as |u| has."""

    def tower(u: Array, order: int) -> Tower:
        slopes = _scaled_slopes(jnp.abs(u), order, index)
        mixed = [sum((-1) ** (m - j) * math.comb(m, j) * slopes[j] for j in range(m + 1)) for m in range(order + 1)]
        return [_signs(u) ** ((m + index) % 2) * f for m, f in enumerate(mixed)]

    return tower


def bessel_i0(u: Array, order: int) -> Tower:
    """I_0."""
    a = jnp.abs(u)
    return [_signs(u) ** (m % 2) * jnp.exp(a) * f for m, f in enumerate(_scaled_slopes(a, order, 0))]


def _scale(x: Array, y: Array) -> Array:
    """The larger of |x| and |y| as a constant: squares of very large or small numbers leave their range."""
    largest = lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    return jnp.where((largest == 0) | jnp.isinf(largest), 1, largest).astype(largest.dtype)


def hypot(x: Array, y: Array) -> Array:
    """√(x² + y²)."""
    scale = _scale(x, y)
    return scale * jnp.sqrt((x / scale) ** 2 + (y / scale) ** 2)


def _angle_and_slope(
    primals: Sequence[Array], moving: Sequence[int], tangents: Sequence[Array]
) -> tuple[list[Array], list[Array]]:
    """atan2(y, x) and (x·dy − y·dx)/(x² + y²)."""
    scale = _scale(*primals)
    y, x = (value / scale for value in primals)
    turned = sum(t / scale * (x, -y)[i] for i, t in zip(moving, tangents, strict=True))
    return ANGLE(*primals), [turned / (x**2 + y**2)]


ANGLE = Authored(lambda y, x: [lax.atan2(y, x)], _angle_and_slope)

OF_PRIMITIVES: dict[Primitive, TowerFunction] = {
    primitives.bessel_i0e_p: _exponentially_scaled(0),
    primitives.bessel_i1e_p: _exponentially_scaled(1),
}
OF_ONE: dict[str, tuple[TowerFunction, ...]] = {
    "sinc": (sinc,),
    "_i0": (bessel_i0,),
    "fresnel": (_fresnel(0), _fresnel(1)),
    "sici": (sine_integral, cosine_integral),
    "log1mexp": (log1mexp,),
}
OF_TWO: dict[str, Callable[[Array, Array], Array]] = {"hypot": hypot}


def differentiable(tower: TowerFunction, m: int = 0) -> Authored:
    """φ^(m), with φ^(m+1) as its derivative."""

    def derivative(
        primals: Sequence[Array], moving: Sequence[int], tangents: Sequence[Array]
    ) -> tuple[list[Array], list[Array]]:
        del moving
        (slope,) = differentiable(tower, m + 1)(*primals)
        return differentiable(tower, m)(*primals), [slope * tangents[0]]

    return Authored(lambda u: [tower(u, m)[m]], derivative)


def name_in_jax(closed: ClosedJaxpr) -> str | None:
    """The name of the function of JAX that a call's jaxpr was made from."""
    name, _, place = str(getattr(closed.jaxpr.debug_info, "func_src_info", "")).partition(" at ")
    return name if place.startswith(OF_JAX) else None


def acts_in_place(jaxpr: Jaxpr) -> bool:
    """Whether a function of one argument, the last after constants, is applied entry by entry: no axes are moved, as
    `vmap` may do."""
    shapes = {atom.aval.shape for atom in (jaxpr.invars[-1], *jaxpr.outvars)}
    return len(shapes) == 1 and not _moves_axes(jaxpr)


def acts_on_two_in_place(jaxpr: Jaxpr) -> bool:
    """Likewise for two arguments, of one shape or numbers."""
    shapes = {atom.aval.shape for atom in jaxpr.invars} - {()} or {()}
    return shapes == {atom.aval.shape for atom in jaxpr.outvars} and not _moves_axes(jaxpr)


def _moves_axes(jaxpr: Jaxpr) -> bool:
    return any(
        equation.primitive is primitives.transpose_p or any(map(_moves_axes, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
    )


def right_function(equation: JaxprEqn) -> Callable[..., list[Array]] | None:
    """What to run for an equation so that its derivatives are right; None where JAX's are."""
    if equation.primitive is primitives.atan2_p:
        return ANGLE
    if (tower := OF_PRIMITIVES.get(equation.primitive)) is not None:
        return differentiable(tower)
    closed = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    name = name_in_jax(closed) if isinstance(closed, ClosedJaxpr) else None
    if name in OF_ONE and acts_in_place(closed.jaxpr):
        return lambda *arrays: [differentiable(tower)(arrays[-1])[0] for tower in OF_ONE[name]]
    if name in OF_TWO and acts_on_two_in_place(closed.jaxpr):
        dtype = closed.out_avals[0].dtype  # a number among the arguments may have a wider one
        return lambda x, y: [OF_TWO[name](x, y).astype(dtype)]
    return None
