"""Inverse systems: the smallest space V ∋ p of polynomials that is closed under ∂/∂ξ_i, for one or several symbols p.

Bases, Hilbert functions, coordinates and coproducts belong here; what is computed with them lies in `apolar`.
Symbols of a known form get their basis at once from `closed_forms`; everything else goes through elimination, exact
in rational numbers wherever the coefficients are rational numbers that were not rounded.

Source: Macaulay's inverse systems, see Iarrobino and Kanev, Power Sums, Gorenstein Algebras, and Determinantal Loci,
Springer 1999.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from math import comb, ldexp
from numbers import Rational

import numpy as np

from jetbench.operators.symbol import Symbol
from jetbench.operators.units import common_units

Monomial = tuple[int, ...]  # the variables' indices in ascending order: ξ₀²ξ₃ is (0, 0, 3)
Polynomial = dict[Monomial, float | Fraction]


@dataclass(frozen=True)
class InverseSystem:
    """A basis of V = R[∂]·(p_1, p_2, …), filtered by degree: blocks 0 … k together span the elements of degree ≤ k.

    Block 0 is the constant 1 and is not listed. Every other element has no constant term, has coefficient 1 at its own
    pivot, a monomial of its degree, and 0 at the pivots of all others: coordinates in this basis are coefficients at
    pivots.

    Attributes:
        blocks: blocks[k − 1] are the elements of degree k, polynomials in the variables ζ of the algebra.
        pivots: their pivots.
        seeds: seeds[k − 1] is (h_k, R), the linear parts of the elements in the R variables of the symbols, or None
            where they are all zero.
        readouts: for each symbol its constant term and its coordinates (block k, position in it, value).
        shapes: polynomials of V in which many products can be expressed more briefly, such as ξ·ξ.
    """

    blocks: tuple[tuple[Polynomial, ...], ...]
    pivots: tuple[tuple[Monomial, ...], ...]
    seeds: tuple[np.ndarray | None, ...]
    readouts: tuple[tuple[float, tuple[tuple[int, int, float], ...]], ...]
    shapes: tuple[Polynomial, ...] = field(default=())

    @property
    def sizes(self) -> tuple[int, ...]:
        """h_1 … h_K."""
        return tuple(len(block) for block in self.blocks)

    @property
    def hilbert(self) -> tuple[int, ...]:
        """The Hilbert function h_0 … h_K: how many basis elements there are of each degree."""
        return (1, *self.sizes)

    @property
    def dimension(self) -> int:
        """dim V, constants included."""
        return sum(self.hilbert)

    @cached_property
    def positions(self) -> dict[Monomial, int]:
        """Pivot → position in its block; the block is the pivot's degree."""
        return {pivot: index for block in self.pivots for index, pivot in enumerate(block)}

    def coordinates(self, polynomial: Polynomial) -> list[tuple[int, int, float | Fraction]]:
        """Coordinates (block k, position in it, value) of an element of V, without its constant term."""
        return [(len(m), self.positions[m], c) for m, c in polynomial.items() if m in self.positions and c]

    def contains(self, polynomial: Polynomial, tolerance: float = 0.0) -> bool:
        """Whether a polynomial lies in V, up to coefficients of that size."""
        rest = dict(polynomial)
        for k, position, value in self.coordinates(polynomial):
            subtract(rest, value, self.blocks[k - 1][position])
        return all(abs(c) <= tolerance for monomial, c in rest.items() if monomial)

    def coproduct(self, k: int, position: int) -> Iterator[tuple[Monomial, Monomial, float | Fraction]]:
        """(pivot a, pivot b, T_ab) with q(ξ + η) = Σ T_ab b_a(ξ) b_b(η), for both factors of degree ≥ 1.

        V is closed under ∂, so q(ξ + η) lies in V ⊗ V, and its coordinates there are its coefficients at products of
        pivots: the coefficient of q at the product times binomial coefficients.
        """
        positions = self.positions
        for monomial, coefficient in self.blocks[k - 1][position].items():
            for left, right, ways in splits(monomial):
                if left in positions and right in positions:
                    yield left, right, coefficient * ways


def splits(monomial: Monomial) -> tuple[tuple[Monomial, Monomial, int], ...]:
    """All (α, β, C(γ, α)) with α + β = γ and neither of them 1."""
    return _all_splits(monomial)[1:-1]


@lru_cache(maxsize=200_000)
def _all_splits(monomial: Monomial) -> tuple[tuple[Monomial, Monomial, int], ...]:
    """All (α, β, C(γ, α)) with α + β = γ, from α = 1 to α = γ."""
    if not monomial:
        return (((), (), 1),)
    variable, exponent = monomial[-1], monomial.count(monomial[-1])
    powers = [((variable,) * e, (variable,) * (exponent - e), comb(exponent, e)) for e in range(exponent + 1)]
    return tuple(
        (left + of_left, right + of_right, ways * more)
        for left, right, ways in _all_splits(monomial[:-exponent])
        for of_left, of_right, more in powers
    )


def polynomial(symbol: Symbol) -> Polynomial:
    """A symbol's terms, by sorted variable indices."""
    result: Polynomial = {}
    for exponents, coefficient in symbol.terms.items():
        key = tuple(i for i, e in enumerate(exponents) if e for _ in range(e))
        result[key] = coefficient
    return result


def derivatives(p: Polynomial) -> dict[int, Polynomial]:
    """Variable → ∂p/∂ξ_variable, for the variables that occur."""
    result: dict[int, Polynomial] = {}
    for monomial, coefficient in p.items():
        for variable, exponent in Counter(monomial).items():
            at = monomial.index(variable)
            result.setdefault(variable, {})[monomial[:at] + monomial[at + 1 :]] = coefficient * exponent
    return result


def degree(p: Polynomial) -> int:
    """Largest degree of a term; 0 for constants."""
    return max(map(len, p), default=0)


def subtract(target: Polynomial, factor: float | Fraction, p: Polynomial) -> None:
    """target −= factor · p, dropping what cancels exactly."""
    for monomial, coefficient in p.items():
        value = target.get(monomial, 0) - factor * coefficient
        if value:
            target[monomial] = value
        else:
            target.pop(monomial, None)


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


@lru_cache(maxsize=64)
def inverse_system(symbols: tuple[Symbol, ...]) -> InverseSystem:
    """The inverse system of one or several symbols in the same variables.

    Raises:
        ValueError: there is no symbol, or they have different variables.
    """
    if not symbols or len({symbol.dim for symbol in symbols}) != 1:
        raise ValueError("An inverse system needs at least one symbol, and all of them in the same variables.")
    from jetbench.algebra.closed_forms import closed_form

    return closed_form(symbols) or by_elimination(symbols)


def dimension(symbols: Symbol | Sequence[Symbol]) -> int:
    """dim V of one or several symbols: how many vectors of layer width the apolar method pushes through a layer."""
    return inverse_system((symbols,) if isinstance(symbols, Symbol) else tuple(symbols)).dimension


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


def assemble(
    blocks: Sequence[dict[Monomial, Polynomial]], symbols: Sequence[Symbol], shapes: Sequence[Polynomial] = ()
) -> InverseSystem:
    """An inverse system from pivots and elements by degree, reduced within each degree but not yet by lower ones."""
    known: dict[Monomial, Polynomial] = {}
    for rows in blocks:
        for row in rows.values():
            row.pop((), None)
            for monomial in [m for m in row if m in known]:
                subtract(row, row[monomial], known[monomial])
        known.update(rows)
    ordered = [dict(sorted(rows.items())) for rows in blocks]
    variables = symbols[0].dim
    seeds: list[np.ndarray | None] = []
    for rows in ordered:
        array = np.zeros((len(rows), variables))
        for index, row in enumerate(rows.values()):
            for monomial, coefficient in row.items():
                if len(monomial) == 1:
                    array[index, monomial[0]] = float(coefficient)
        seeds.append(array if array.any() else None)
    system = InverseSystem(
        tuple(tuple(rows.values()) for rows in ordered), tuple(tuple(rows) for rows in ordered), tuple(seeds), ()
    )
    given = [polynomial(symbol) for symbol in symbols]
    readouts = tuple(
        (float(p.get((), 0)), tuple((k, i, float(c)) for k, i, c in sorted(system.coordinates(p)))) for p in given
    )
    return InverseSystem(system.blocks, system.pivots, system.seeds, readouts, _shapes(system, symbols, shapes))


def _shapes(system: InverseSystem, symbols: Sequence[Symbol], more: Sequence[Polynomial]) -> tuple[Polynomial, ...]:
    """Factors of the symbols that lie in V without being multiples of a basis element, and `more` of that kind."""
    candidates = [*more, *(polynomial(f) for s in symbols if len(s.factors) > 1 for f in s.factors)]
    shapes: list[Polynomial] = []
    for p in candidates:
        is_new = all(p != shape for shape in shapes)
        if is_new and degree(p) > 1 and len(system.coordinates(p)) > 2 and system.contains(p):
            shapes.append(p)
    return tuple(shapes)


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
