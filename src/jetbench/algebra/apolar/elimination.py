"""Bases of inverse systems by Gaussian elimination, exact wherever the coefficients are rational and not rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ldexp
from numbers import Rational

import numpy as np

from jetbench.algebra.apolar.space import (
    InverseSystem,
    Monomial,
    Polynomial,
    assemble,
    degree,
    derivatives,
    polynomial,
    subtract,
)
from jetbench.operators.symbol import Symbol
from jetbench.operators.units import common_units


def as_exact(p: Polynomial) -> Polynomial | None:
    """The same polynomial over the rationals; None if a coefficient is a float that may have been rounded.

    Floats with at most 40 binary digits, such as 0.5, count as exact: rounding leaves all 53 filled.
    """
    result: Polynomial = {}
    for monomial, coefficient in p.items():
        value = Fraction(coefficient) if isinstance(coefficient, Rational) else Fraction(float(coefficient))
        digits = value.numerator // (value.numerator & -value.numerator)
        if not isinstance(coefficient, Rational) and abs(digits) >= 2**40:
            return None
        result[monomial] = value
    return result


@dataclass(frozen=True)
class Rounded:
    """A number that was computed, and the largest of the numbers that it was computed from, the scale of its error."""

    value: float
    size: float

    def __mul__(self, factor: int) -> Rounded:
        return Rounded(self.value * factor, self.size * factor)


def by_elimination(symbols: Sequence[Symbol]) -> InverseSystem:
    """The inverse system by Gaussian elimination on all derivatives, from the highest degree down.

    Rational coefficients are treated exactly. Otherwise what is left of a coefficient counts as zero below 256·n·ε
    times the largest number that it was computed from, for n derivatives of that degree, which bounds the accumulated
    rounding. A coefficient that is merely small, beside others in other units, is kept, and pivots are chosen where
    units are alike.
    """
    exponents = _binary_units(symbols)
    exact = [as_exact(polynomial(symbol)) for symbol in symbols]
    is_exact = all(p is not None for p in exact)
    waiting: dict[int, list[Polynomial]] = {}
    for p in exact if is_exact else map(polynomial, symbols):
        scaled = {m: _scaled(c, sum(exponents[i] for i in m)) for m, c in p.items() if m}
        if scaled:
            largest = max(map(abs, scaled.values()))
            scaled = {m: c / largest if is_exact else Rounded(c / largest, abs(c) / largest) for m, c in scaled.items()}
            waiting.setdefault(degree(scaled), []).append(scaled)
    blocks: list[dict[Monomial, Polynomial]] = []
    for k in range(max(waiting, default=0), 0, -1):
        rows, rest = (_eliminate_exactly if is_exact else _eliminate)(waiting.pop(k, []), k)
        for p in (*rest, *(d for row in rows.values() for d in derivatives(row).values())):
            if degree(p):
                waiting.setdefault(degree(p), []).append(p)
        blocks.insert(0, {pivot: _in_given_units(row, pivot, exponents) for pivot, row in rows.items()})
    return assemble(blocks, symbols)


def _binary_units(symbols: Sequence[Symbol]) -> list[int]:
    """log₂ of the `units` of the symbols' variables, in whole numbers, so that scaling rounds nothing."""
    parts = [part for symbol in symbols for k, part in symbol.parts.items() if k]
    found = common_units(parts)
    return [0] * symbols[0].dim if found is None else np.round(np.log2(found)).astype(int).tolist()


def _scaled(number: float | Fraction, exponent: int) -> float | Fraction:
    """number · 2^exponent."""
    if isinstance(number, Fraction):
        return number * Fraction(2) ** exponent
    return ldexp(float(number), exponent)


def _in_given_units(row: Polynomial, pivot: Monomial, exponents: Sequence[int]) -> Polynomial:
    """An element with coefficient 1 at its pivot, in the variables of the symbols."""
    own = sum(exponents[i] for i in pivot)
    numbers = ((m, c.value if isinstance(c, Rounded) else c) for m, c in row.items())
    return {m: _scaled(c, own - sum(exponents[i] for i in m)) for m, c in numbers}


def _eliminate_exactly(candidates: list[Polynomial], k: int) -> tuple[dict[Monomial, Polynomial], list[Polynomial]]:
    """Row-reduce polynomials of degree k by their terms of degree k: (pivot → element, what is left of lower degree).

    The sparsest come first, so that monomials become basis elements and remove themselves from all others.
    """
    rows: dict[Monomial, Polynomial] = {}
    users: dict[Monomial, set[Monomial]] = {}  # monomial of degree k → pivots of the rows in which it occurs
    rest: list[Polynomial] = []
    graded = all(len(m) == k for p in candidates for m in p)
    touched = {m for p in candidates for m in p if len(m) == k}
    for candidate in sorted(candidates, key=len):
        if graded and len(rows) == len(touched):
            break
        p = dict(candidate)
        for monomial in [m for m in p if m in rows]:
            subtract(p, p[monomial], rows[monomial])
        leading = [m for m in p if len(m) == k]
        if not leading:
            rest.append(p)
            continue
        pivot = min(leading, key=lambda m: (-abs(p[m]), m))
        p = {m: c / p[pivot] for m, c in p.items()}
        for other in users.pop(pivot, ()):
            before = set(rows[other])
            subtract(rows[other], rows[other][pivot], p)
            for m in before ^ set(rows[other]):
                if len(m) == k and m != pivot:
                    (users.setdefault(m, set()).add if m in rows[other] else users[m].discard)(other)
        rows[pivot] = p
        for m in p:
            if len(m) == k and m != pivot:
                users.setdefault(m, set()).add(pivot)
    return rows, rest


def _eliminate(candidates: list[Polynomial], k: int) -> tuple[dict[Monomial, Polynomial], list[Polynomial]]:
    """The same for `Rounded` coefficients: Gauss–Jordan elimination with complete pivoting."""
    monomials = sorted({m for p in candidates for m in p}, key=lambda m: (-len(m), m))
    column = {m: index for index, m in enumerate(monomials)}
    leading = sum(len(m) == k for m in monomials)
    values, sizes = np.zeros((2, len(candidates), len(monomials)))
    for index, p in enumerate(candidates):
        for m, c in p.items():
            values[index, column[m]], sizes[index, column[m]] = c.value, c.size
    tolerance = 256 * len(candidates) * np.finfo(float).eps
    done: dict[int, int] = {}  # row → its pivot's column
    open_rows = np.ones(len(candidates), dtype=bool)
    while open_rows.any() and leading:
        part = np.abs(values[:, :leading]) * open_rows[:, None]
        row, pivot = np.unravel_index(np.argmax(part), part.shape)
        if part[row, pivot] == 0:
            break
        sizes[row] /= abs(values[row, pivot])
        values[row] /= values[row, pivot]
        open_rows[row] = False
        done[int(row)] = int(pivot)
        used = np.flatnonzero(values[:, pivot])
        _subtract_row(values, sizes, used[used != row], row, pivot, tolerance)

    def polynomial_of(row: int) -> Polynomial:
        kept = np.flatnonzero(values[row])
        return {monomials[c]: Rounded(float(values[row, c]), float(sizes[row, c])) for c in kept}

    return (
        {monomials[pivot]: polynomial_of(row) for row, pivot in done.items()},
        [polynomial_of(row) for row in np.flatnonzero(open_rows)],
    )


def _subtract_row(
    values: np.ndarray, sizes: np.ndarray, rows: np.ndarray, row: int, pivot: int, tolerance: float
) -> None:
    """Clears a column of some rows by a row that is 1 there; the error of a product is that of its factors."""
    factors, of_factors = values[rows, pivot][:, None], sizes[rows, pivot][:, None]
    products = factors * values[row]
    errors = np.maximum(np.abs(factors) * sizes[row], of_factors * np.abs(values[row]))
    errors = np.maximum(errors, sizes[row, pivot] * np.abs(products))
    results = values[rows] - products
    sizes[rows] = np.maximum(sizes[rows], errors)
    results[np.abs(results) <= tolerance * sizes[rows]] = 0
    results[:, pivot] = 0
    values[rows] = results
