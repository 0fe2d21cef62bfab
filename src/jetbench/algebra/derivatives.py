"""Towers: lists [φ(u), φ'(u), …, φ^(K)(u)] of the derivatives of a scalar function at an array u, of any framework.

None stands for a derivative that vanishes identically. Everything has the shape of u: no direction takes part here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import zip_longest
from math import comb

from jetbench.algebra.arrays import Array, of

Tower = list[Array | None]
TowerFunction = Callable[[Array, int], Tower]
"""(u, K) → [φ(u), φ'(u), …, φ^(K)(u)]."""

Function = Callable[[Array], Array]
TANH_FLOW = (1, 0, -1)
LOGISTIC_FLOW = (0, 1, -1)


def solution(function: Function, slope: Callable[[Array, Array], Array | float]) -> TowerFunction:
    """The tower function of y = φ(u) from y' = slope(u, y) alone: y^(m+1) = (∂_u + y' ∂_y) y^(m).

    The derivatives of the slope are nested JVPs of the framework, whose cost doubles with each order.
    """

    def first(u: Array, y: Array) -> Array:
        return of(u).filled(slope(u, y), u)

    def slopes(u: Array, y: Array, order: int) -> tuple[Array, ...]:
        if order == 1:
            return (first(u, y),)
        arrays = of(u)
        u, y = arrays.copied(u), arrays.copied(y)
        moving = (arrays.namespace.ones_like(u), arrays.copied(first(u, y)))
        known, following = arrays.transforms.jvp(lambda u, y: slopes(u, y, order - 1), (u, y), moving)
        return (*known, following[-1])

    def tower(u: Array, order: int) -> Tower:
        value = function(u)
        return [value, *(slopes(u, value, order) if order else ())]

    return tower


def integral(function: Function, derivative: TowerFunction) -> TowerFunction:
    """The tower function of a function from that of its derivative."""

    def tower(u: Array, order: int) -> Tower:
        return [function(u), *(derivative(u, order - 1) if order else [])]

    return tower


def cycle(functions: Sequence[Function], signs: Sequence[int]) -> TowerFunction:
    """The tower function of a function whose derivatives repeat up to signs, such as sin."""

    def tower(u: Array, order: int) -> Tower:
        values = [f(u) for f in functions[: order + 1]]
        period = len(functions)
        return [values[k % period] if signs[k % len(signs)] > 0 else -values[k % period] for k in range(order + 1)]

    return tower


def exponential_of_square(factor: float, rate: float) -> TowerFunction:
    """The tower function of factor · exp(rate·u²)."""

    def tower(u: Array, order: int) -> Tower:
        return [factor * f for f in exponential(quadratic(u, order, 0.0, rate))]

    return tower


def times(a: Tower, b: Tower) -> Tower:
    """The tower of a·b by Leibniz's rule, as long as the shorter of the two."""
    result: Tower = []
    for k in range(min(len(a), len(b))):
        total = None
        for j in range(k + 1):
            if a[j] is not None and b[k - j] is not None:
                term = a[j] * b[k - j] if comb(k, j) == 1 else comb(k, j) * (a[j] * b[k - j])
                total = term if total is None else total + term
        result.append(total)
    return result


def polynomial(coefficients: list[int], variable: Array) -> Array | int:
    """Σ_i coefficients[i] variable^i by Horner's scheme; polynomials of one parity are evaluated in variable²."""
    if len(coefficients) > 2 and not any(coefficients[1::2]):
        return polynomial(coefficients[::2], variable * variable)
    if len(coefficients) > 2 and not any(coefficients[::2]):
        return variable * polynomial(coefficients[1::2], variable * variable)
    total: Array | int = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        if isinstance(total, int) and total == -1 and coefficient:
            total = coefficient - variable
            continue
        total = variable if isinstance(total, int) and total == 1 else total * variable
        total = total + coefficient if coefficient else total
    return total


def autonomous(value: Array, flow: tuple[int, ...], order: int) -> Tower:
    """The tower of a φ with φ' = F(φ) for a polynomial F, given by its coefficients: φ^(m) = F(φ)·Q_m(φ)."""
    if order == 0:
        return [value]
    first = polynomial(list(flow), value)
    return [value, first, *(first * polynomial(list(q), value) for q in _flow_derivatives(flow, order)[1:])]


@cache
def _flow_derivatives(flow: tuple[int, ...], order: int) -> list[list[int]]:
    """Q_1, …, Q_order with Q_1 = 1 and Q_{m+1} = F' Q_m + F Q_m'."""

    def product(a: list[int], b: list[int]) -> list[int]:
        result = [0] * (len(a) + len(b) - 1)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                result[i + j] += x * y
        return result

    def derivative(a: list[int]) -> list[int]:
        return [i * c for i, c in enumerate(a)][1:] or [0]

    found = [[1]]
    for _ in range(order - 1):
        terms = zip_longest(
            product(derivative(list(flow)), found[-1]), product(list(flow), derivative(found[-1])), fillvalue=0
        )
        q = [x + y for x, y in terms]
        while len(q) > 1 and q[-1] == 0:
            q.pop()
        found.append(q)
    return found


def exponential(inner: Tower) -> Tower:
    """The tower of e^g from that of g: h' = g' h, differentiated with Leibniz's rule."""
    result: Tower = [of(inner[0]).namespace.exp(inner[0])]
    for k in range(1, len(inner)):
        result.append(times(inner[1 : k + 1], result)[k - 1])
    return result


def power(inner: Tower, exponent: float) -> Tower:
    """The tower of g^p from that of g with g ≠ 0: g h' = p g' h, differentiated with Leibniz's rule."""
    result: Tower = [of(inner[0]).power(inner[0], exponent)]
    inverse = 1 / inner[0]
    for k in range(1, len(inner)):
        right = times(inner[1 : k + 1], result)[k - 1]
        total = None if right is None else exponent * right
        for j in range(1, k):
            if inner[j] is not None and result[k - j] is not None:
                term = comb(k - 1, j) * (inner[j] * result[k - j])
                total = -term if total is None else total - term
        result.append(None if total is None else total * inverse)
    return result


def real_power(u: Array, order: int, exponent: float) -> Tower:
    """The tower of u^p: the falling factorial p(p − 1)…(p − m + 1) times u^(p−m); whole p ≥ 0 end at m = p."""
    exponent = int(exponent) if float(exponent).is_integer() else exponent
    arrays = of(u)
    tower: Tower = [arrays.power(u, exponent)]
    factor = 1.0
    for m in range(1, order + 1):
        factor *= exponent - m + 1
        if factor == 0:
            tower.append(None)
        elif exponent == m:
            tower.append(arrays.namespace.full_like(u, factor))
        else:
            rest = u if exponent - m == 1 else arrays.power(u, exponent - m)
            tower.append(rest if factor == 1 else factor * rest)
    return tower


def quadratic(u: Array, order: int, constant: float, square: float) -> Tower:
    """The tower of constant + square·u²."""
    tower: Tower = [constant + square * u * u, 2 * square * u, of(u).namespace.full_like(u, 2 * square)]
    return (tower + [None] * order)[: order + 1]


def hyperbolic_tangent(inner: Tower) -> Tower:
    """The tower of tanh g from that of g: h' = g' (1 − h²), differentiated with Leibniz's rule."""
    result: Tower = [of(inner[0]).namespace.tanh(inner[0])]
    for k in range(1, len(inner)):
        square = times(result, result)
        complement = [1 - square[0], *(None if s is None else -s for s in square[1:])]
        result.append(times(inner[1 : k + 1], complement)[k - 1])
    return result
