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
from math import comb
from numbers import Rational

import numpy as np

from jetbench.symbol import Symbol

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
        for monomial, coefficient in self.blocks[k - 1][position].items():
            for left, right, ways in splits(monomial):
                if left in self.positions and right in self.positions:
                    yield left, right, coefficient * ways


@lru_cache(maxsize=200_000)
def splits(monomial: Monomial) -> tuple[tuple[Monomial, Monomial, int], ...]:
    """All (α, β, C(γ, α)) with α + β = γ and neither of them 1."""
    found: list[tuple[Monomial, Monomial, int]] = [((), (), 1)]
    for variable, exponent in sorted(Counter(monomial).items()):
        found = [
            (left + (variable,) * e, right + (variable,) * (exponent - e), ways * comb(exponent, e))
            for left, right, ways in found
            for e in range(exponent + 1)
        ]
    return tuple(item for item in found if item[0] and item[1])


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

    Floats with at most 20 binary places, such as 0.5, count as exact: rounding leaves all 53 filled.
    """
    result: Polynomial = {}
    for monomial, coefficient in p.items():
        value = Fraction(coefficient) if isinstance(coefficient, Rational) else Fraction(float(coefficient))
        if not isinstance(coefficient, Rational) and (value.denominator > 2**20 or abs(value.numerator) > 2**40):
            return None
        result[monomial] = value
    return result


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

    Rational coefficients are treated exactly. Otherwise the symbols' largest coefficient is scaled to 1 and what is
    left of a derivative after elimination with complete pivoting counts as zero below 256·n·ε for n derivatives of that
    degree, which bounds the accumulated rounding for pivot growth of order 1. What is dropped changes the operator by
    no more than that.
    """
    given = [polynomial(symbol) for symbol in symbols]
    exact = [as_exact(p) for p in given]
    is_exact = all(p is not None for p in exact)
    waiting: dict[int, list[Polynomial]] = {}
    for p in exact if is_exact else given:
        largest = max((abs(c) for m, c in p.items() if m), default=0)
        if largest:
            waiting.setdefault(degree(p), []).append({m: c / largest for m, c in p.items()})
    blocks: list[dict[Monomial, Polynomial]] = []
    for k in range(max(waiting, default=0), 0, -1):
        rows, rest = (_eliminate_exactly if is_exact else _eliminate)(waiting.pop(k, []), k)
        for p in (*rest, *(d for row in rows.values() for d in derivatives(row).values())):
            if degree(p):
                waiting.setdefault(degree(p), []).append(p)
        blocks.insert(0, rows)
    return assemble(blocks, symbols)


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
    """The same in floating point: Gauss–Jordan elimination with complete pivoting and a tolerance."""
    monomials = sorted({m for p in candidates for m in p}, key=lambda m: (-len(m), m))
    column = {m: index for index, m in enumerate(monomials)}
    leading = sum(len(m) == k for m in monomials)
    matrix = np.zeros((len(candidates), len(monomials)))
    for index, p in enumerate(candidates):
        for m, c in p.items():
            matrix[index, column[m]] = float(c)
    tolerance = 256 * len(candidates) * np.finfo(float).eps
    done: dict[int, int] = {}  # row → its pivot's column
    open_rows = np.ones(len(candidates), dtype=bool)
    while open_rows.any() and leading:
        part = np.abs(matrix[:, :leading]) * open_rows[:, None]
        row, pivot = np.unravel_index(np.argmax(part), part.shape)
        if part[row, pivot] <= tolerance:
            break
        matrix[row] /= matrix[row, pivot]
        others = matrix[:, pivot].copy()
        others[row] = 0
        used = np.flatnonzero(others)
        matrix[used] -= others[used, None] * matrix[row]
        matrix[used, pivot] = 0
        open_rows[row] = False
        done[int(row)] = int(pivot)
    matrix[np.abs(matrix) <= tolerance] = 0
    matrix[open_rows, :leading] = 0

    def polynomial_of(row: int) -> Polynomial:
        return {monomials[c]: float(matrix[row, c]) for c in np.flatnonzero(matrix[row])}

    return (
        {monomials[pivot]: polynomial_of(row) for row, pivot in done.items()},
        [polynomial_of(row) for row in np.flatnonzero(open_rows)],
    )
