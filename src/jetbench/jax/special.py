"""Functions of jax.numpy and jax.scipy.special whose derivatives JAX gets wrong at or near single points.

Their formulas have a case there (sinc and sici at 0, fresnel at odd squares, hypot on the diagonal), a slope of |u|
(the Bessel functions at 0), a quotient that cancels, or squares that overflow (atan2). Jets use the towers below, and
nested methods run the same functions with these towers as their derivatives.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Sequence
from itertools import accumulate, permutations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive, jaxprs_in_params, primitives
from jax.scipy import special

from jetbench.algebra import derivatives
from jetbench.algebra.derivatives import Tower, TowerFunction
from jetbench.errors import MissingRule
from jetbench.jax.author import Authored

OF_JAX = os.path.dirname(jax.__file__) + os.sep
SINE_RADIUS, SINE_TERMS = 2.2, 36  # where a power series is used, and how much of it
BESSEL_RADIUS, BESSEL_TERMS = 8.0, 32
LOGARITHM_RADIUS, LOGARITHM_TERMS = 0.4, 48
OF_SPENCE = 4.65128586073990045278e-5  # the first number of JAX's formula for it
MILLS_RADIUS, MILLS_TERMS = 4.0, 48  # beyond which a continued fraction is used, and how much of it


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


_logarithmic_quotient = _quotient(
    lambda q, order: [
        jnp.log1p(q),
        *((-1) ** (m - 1) * math.factorial(m - 1) / (1 + q) ** m for m in range(1, order + 1)),
    ],
    [(-1) ** k / (k + 1) for k in range(LOGARITHM_TERMS)],
    LOGARITHM_RADIUS,
)


def spence(u: Array, order: int) -> Tower:
    """∫ log(t)/(1 − t) dt from 1 to u: φ' = −log(1 + q)/q with q = u − 1."""
    return [special.spence(u), *([-f for f in _logarithmic_quotient(u - 1, order - 1)] if order else [])]


def _log_mills(v: Array, order: int) -> list[Array]:
    """Derivatives by −v of log M from the first on, for Mills' ratio M of v ≥ MILLS_RADIUS.

    M(v − s) = Σ_m a_m s^m has a_(m−1) = v·a_m + (m + 1)·a_(m+1): downwards, a continued fraction of a_m/a_(m−1).
    """
    ratio, ratios = jnp.zeros_like(v), []
    for m in range(order + MILLS_TERMS, 0, -1):
        ratio = 1 / (v + (m + 1) * ratio)
        ratios.append(ratio)
    terms = list(accumulate(ratios[: -order - 1 : -1], operator.mul))  # a_m/a_0
    logarithm: list[Array] = []
    for n in range(1, order + 1):
        known = sum(k * logarithm[k - 1] * terms[n - k - 1] for k in range(1, n))
        logarithm.append(terms[n - 1] - known / n)
    return [math.factorial(n) * c for n, c in enumerate(logarithm, 1)]


def log_ndtr(u: Array, order: int) -> Tower:
    """log of the normal distribution function: φ' = h with h' = −h·(u + h), and for u far below 0, where u + h cancels,
    −u²/2 + log M(−u) with Mills' ratio M."""
    if order == 0:
        return [special.log_ndtr(u)]
    far = u < -MILLS_RADIUS
    near, v = jnp.where(far, 0, u).astype(u.dtype), jnp.where(far, -u, MILLS_RADIUS).astype(u.dtype)
    slopes = [jnp.exp(-(near**2) / 2) / (math.sqrt(2 * math.pi) * special.ndtr(near))]
    for m in range(1, order):
        above = [slopes[j] + (near if j == 0 else 1 if j == 1 else 0) for j in range(m)]
        slopes.append(-sum(math.comb(m - 1, j) * slopes[m - 1 - j] * above[j] for j in range(m)))
    of_square = [v, -jnp.ones_like(v), *[jnp.zeros_like(v)] * order]
    beyond = [t + square for t, square in zip(_log_mills(v, order), of_square, strict=False)]
    return [special.log_ndtr(u), *(jnp.where(far, b, s) for b, s in zip(beyond, slopes, strict=True))]


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


def complex_sign(u: Array) -> Array:
    """u/|u|, and 0 at 0. JAX has it as a primitive, which has no derivative before version 0.12."""
    return u / jnp.where(u == 0, 1, jnp.abs(u))


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


def acts_in_place(closed: ClosedJaxpr) -> bool:
    """Whether a function of one argument, the last after constants, is applied entry by entry: no axes are moved, as
    `vmap` may do."""
    shapes = {atom.aval.shape for atom in (closed.jaxpr.invars[-1], *closed.jaxpr.outvars)}
    return len(shapes) == 1 and not _moves_axes(closed.jaxpr)


def acts_on_two_in_place(closed: ClosedJaxpr) -> bool:
    """Likewise for two arguments, of one shape or numbers."""
    shapes = {atom.aval.shape for atom in closed.jaxpr.invars} - {()} or {()}
    return shapes == {atom.aval.shape for atom in closed.jaxpr.outvars} and not _moves_axes(closed.jaxpr)


def _moves_axes(jaxpr: Jaxpr) -> bool:
    return any(
        equation.primitive is primitives.transpose_p or any(map(_moves_axes, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
    )


def _axes_of_spence(closed: ClosedJaxpr) -> tuple[int, ...] | None:
    """Which axis of the argument each axis of the result is, where a piecewise function is Spence's by the first
    coefficient of JAX's formula; None for others."""
    if not any(
        np.ndim(c) and np.ravel(c)[0] == c.dtype.type(OF_SPENCE) for c in map(np.asarray, _known(closed.consts))
    ):
        return None
    shape = closed.in_avals[0].shape
    with jax.ensure_compile_time_eval():  # numbers that differ from entry to entry, each in the piece of the formula
        x = jnp.linspace(1.1, 1.4, math.prod(shape), dtype=closed.in_avals[0].dtype).reshape(shape)
        rest = [jnp.zeros(aval.shape, aval.dtype) for aval in closed.in_avals[1:]]
        found = np.asarray(*jax.core.eval_jaxpr(closed.jaxpr, closed.consts, x, *rest))
        expected = np.asarray(special.spence(x))
    for axes in permutations(range(len(shape))):
        moved = expected.transpose(axes)
        if moved.shape == found.shape and np.allclose(found, moved, rtol=1e-5):
            return axes
    return None


def _exponential_integral(n: int) -> TowerFunction:
    """E_n' = −E_(n−1), for all whole n; below 1 by E_m = (e^(−u) − m E_(m+1))/u."""

    def tower(u: Array, order: int) -> Tower:
        if order == 0 and n > 0:
            return [special.expn(n, u)]
        found: list[Array] = []
        below = jnp.exp(-u) / u  # E_0
        for m in range(n, n - order - 1, -1):
            if m < 0:
                below = (jnp.exp(-u) - m * below) / u
            value = differentiable(_exponential_integral(m))(u)[0] if m > 0 else below
            found.append(-value if (n - m) % 2 else value)
        return found

    return tower


def _index_of_expn(closed: ClosedJaxpr) -> int:
    """The n of a call of expn.

    Raises:
        MissingRule: it is not one whole number that is known when the network is traced.
    """
    calls = [
        equation
        for equation in closed.jaxpr.eqns
        if equation.primitive is primitives.jit_p and len(equation.invars) == 2
    ]
    index = calls[0].invars[0] if len(calls) == 1 else None
    if not isinstance(index, Literal) or np.ndim(index.val) or int(index.val) != index.val or index.val < 0:
        raise MissingRule(
            "JAX cannot differentiate jax.scipy.special.expn as often as operators ask for where its first argument is "
            "not one whole number. Call it for one number at a time, or give its derivative by jax.custom_jvp."
        )
    return int(index.val)


def _known(values: Sequence[object]) -> list[object]:
    return [value for value in values if not isinstance(value, jax.core.Tracer)]


class Entrywise(NamedTuple):
    """A function of JAX that is applied entry by entry.

    Attributes:
        towers: of its results, or how they are found for a call.
        applies: whether a call of it moves no axes, or which axis of the array each axis of the result is.
        place: of the array among the arguments.
    """

    towers: tuple[TowerFunction, ...] | Callable[[ClosedJaxpr], tuple[TowerFunction, ...]]
    applies: Callable[[ClosedJaxpr], bool | tuple[int, ...] | None] = acts_in_place
    place: int = -1

    def towers_of(self, closed: ClosedJaxpr) -> tuple[TowerFunction, ...]:
        """The towers for a call."""
        return self.towers(closed) if callable(self.towers) else self.towers


OF_ONE = {
    "sinc": Entrywise((sinc,)),
    "_i0": Entrywise((bessel_i0,)),
    "fresnel": Entrywise((_fresnel(0), _fresnel(1))),
    "sici": Entrywise((sine_integral, cosine_integral)),
    "log1mexp": Entrywise((log1mexp,)),
    "log_ndtr": Entrywise((log_ndtr,)),
    "_piecewise": Entrywise((spence,), _axes_of_spence, 0),
    "expn": Entrywise(lambda closed: (_exponential_integral(_index_of_expn(closed)),)),
}


REFUSED = {
    "bessel_jn": "JAX's bessel_jn is NaN at 0 and its derivatives are wrong near 0: its recurrence overflows. Put it "
    "into a function with jax.custom_jvp that says J_n' = (J_(n−1) − J_(n+1))/2 and is right at 0, or use a series."
}


def _without_derivatives(closed: ClosedJaxpr, sentence: str) -> Authored:
    """The function itself, with an error in the place of its derivative."""

    def derivative(primals: object, moving: object, tangents: object) -> tuple[list[Array], list[Array]]:
        raise MissingRule(sentence)

    return Authored(lambda *arrays: jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *arrays), derivative)


def arranged(x: Array, axes: tuple[int, ...] | None) -> Array:
    """With axes in the given order, or as they are."""
    return x if axes is None else jnp.transpose(x, axes)


def right_function(equation: JaxprEqn) -> Callable[..., list[Array]] | None:
    """What to run for an equation so that its derivatives are right; None where JAX's are."""
    if equation.primitive is primitives.atan2_p:
        return ANGLE
    if equation.primitive is primitives.sign_p and jnp.issubdtype(equation.invars[0].aval.dtype, jnp.complexfloating):
        return lambda u: [complex_sign(u)]
    if (tower := OF_PRIMITIVES.get(equation.primitive)) is not None:
        return differentiable(tower)
    closed = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    name = name_in_jax(closed) if isinstance(closed, ClosedJaxpr) else None
    if name in REFUSED:
        return _without_derivatives(closed, REFUSED[name])
    if (one := OF_ONE.get(name)) is not None and (axes := one.applies(closed)) not in (False, None):
        order = None if axes is True else axes
        return lambda *arrays: [arranged(differentiable(t)(arrays[one.place])[0], order) for t in one.towers_of(closed)]
    if name in OF_TWO and acts_on_two_in_place(closed):
        dtype = closed.out_avals[0].dtype  # a number among the arguments may have a wider one
        return lambda x, y: [OF_TWO[name](x, y).astype(dtype)]
    return None
