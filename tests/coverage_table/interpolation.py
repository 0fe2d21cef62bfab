"""Derivatives along lines from values alone: Chebyshev interpolation in float64, with an estimate of its error.

No rule of differentiation takes part. On an interval of length 2h the interpolant through n Chebyshev points has
p^(k)(0) = Σ_j W_kj g(t_j). It errs by what is cut off, which shrinks as n grows or h falls, and by the rounding of g,
at most ε Σ_j |W_kj| max|g|, which grows as (n/h)^k, or as (n²/h)^k near the ends. Several n and h are tried, around 0
and to both sides of it, and for every entry and order the one of the smallest estimate is taken: on smooth parts large
h are the most exact, and where a kink is near, one side is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import comb, factorial, prod

import numpy as np
from numpy.polynomial import chebyshev

from jetbench.operators.symbol import Symbol

ORDER = 4
_ROUNDING = 4 * np.finfo(float).eps  # of the functions' own values, relative to the largest


def weights(count: int, width: float, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Points t_j (n,) and W (5, n): p^(k)(0) = Σ_j W_kj g(t_j) for k = 0 … 4."""
    nodes = chebyshev.chebpts1(count)
    to_coefficients = np.linalg.inv(chebyshev.chebvander(nodes, count - 1))
    rows = [chebyshev.chebval(-centre, chebyshev.chebder(np.eye(count), k)) / width**k for k in range(ORDER + 1)]
    return (nodes + centre) * width, np.stack(rows) @ to_coefficients


class Grid:
    """Intervals and numbers of points to try.

    Args:
        widths: half the lengths h of the intervals.
        centres: where 0 lies, in units of h to the left of the middle.
        counts: numbers n of points; estimates of neighbours are compared.
    """

    def __init__(self, widths: Sequence[float], centres: Sequence[float], counts: Sequence[int]) -> None:
        self.rules = [[weights(n, width, centre) for n in counts] for width in widths for centre in centres]
        self.steps = np.concatenate([nodes for row in self.rules for nodes, _ in row])

    def derivatives(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d^k/dt^k g(0) for k = 0 … 4 and the errors' estimates, (5, ...), from g at the steps, (len(steps), ...)."""
        found, errors, place = [], [], 0
        for row in self.rules:
            estimates, rounding = [], []
            for nodes, matrix in row:
                part = values[place : place + len(nodes)]
                place += len(nodes)
                estimates.append(np.tensordot(matrix, part, 1))
                rounding.append(np.multiply.outer(np.abs(matrix).sum(1), np.abs(part).max(0)) * _ROUNDING)
            apart = [np.abs(b - a) for a, b in pairwise(estimates)]
            for i in range(1, len(row) - 1):  # those with two neighbours: one may agree by chance
                found.append(estimates[i])
                errors.append(apart[i - 1] + apart[i] + rounding[i])
        found, errors = np.stack(found), np.where(np.isfinite(errors), errors, np.inf)
        best = errors.argmin(0)[None]
        return np.take_along_axis(found, best, 0)[0], np.take_along_axis(errors, best, 0)[0]


SIDES = Grid((1.6, 0.8, 0.4, 0.2, 0.1, 0.05, 0.02, 0.008), (0.0, 0.97, -0.97), (9, 13, 18, 24, 32))
CENTRED = Grid((1.0, 0.3, 0.08), (0.0,), (9, 13, 18))


def lines(symbol: Symbol) -> dict[tuple[tuple[int, ...], int], float]:
    """(direction, k) → weight: p(∂) = Σ weight (direction·∂)^k, by the polarization of every monomial."""
    total: dict[tuple[tuple[int, ...], int], float] = {}
    for exponents, coefficient in symbol.terms.items():
        degree = sum(exponents)
        for beta in np.ndindex(*(e + 1 for e in exponents)):
            sign = (-1) ** sum(beta)
            binomials = prod(comb(e, b) for e, b in zip(exponents, beta, strict=True))
            direction = tuple(e - 2 * b for e, b in zip(exponents, beta, strict=True))
            first = next((entry for entry in direction if entry), 1)
            if first < 0:
                direction, sign = tuple(-entry for entry in direction), sign * (-1) ** degree
            weight = coefficient * sign * binomials / (factorial(degree) * 2**degree)
            if any(direction) or not degree:
                total[direction, degree] = total.get((direction, degree), 0.0) + weight
    return {line: weight for line, weight in total.items() if weight}


def evaluate(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], symbols: Mapping[str, Symbol], points: np.ndarray
) -> dict[str, tuple[np.ndarray, float]]:
    """Output name → p(∂)f at the points (N, D), (N, ...), and its largest error, relative to its largest value or 1.

    Args:
        function: f at rows (R, D), and the points (R, D) that they are near, for what f holds constant.
    """
    plans = {name: lines(symbol) for name, symbol in symbols.items()}
    directions = list(dict.fromkeys(direction for plan in plans.values() for direction, _ in plan))
    units = {d: np.array(d, float) / max(1, np.abs(d).max()) for d in directions}
    rows = points + SIDES.steps[:, None, None, None] * np.stack([units[d] for d in directions])[:, None]
    rows_and_centres = [a.reshape(-1, points.shape[1]) for a in (rows, np.broadcast_to(points, rows.shape))]
    chunks = zip(*(np.split(a, len(SIDES.steps) // 32) for a in rows_and_centres), strict=True)
    values = np.concatenate([function(*chunk) for chunk in chunks])
    found, errors = SIDES.derivatives(values.reshape(*rows.shape[:3], *values.shape[1:]))
    results = {}
    for name, plan in plans.items():
        terms = [(weight * max(1, max(map(abs, d))) ** k, k, directions.index(d)) for (d, k), weight in plan.items()]
        value = sum(weight * found[k, place] for weight, k, place in terms)
        error = sum(abs(weight) * errors[k, place] for weight, k, place in terms)
        results[name] = value, float(error.max(initial=0.0) / max(1.0, np.abs(value).max(initial=0.0)))
    return results


def agree(entries: Sequence[tuple[np.ndarray, float]]) -> bool:
    """Whether several evaluations of the same values differ by no more than their errors."""
    (value, error), *others = entries
    scale = max(1.0, np.abs(value).max(initial=0.0))
    return all(v.shape == value.shape and np.abs(v - value).max(initial=0.0) <= (error + e) * scale for v, e in others)
