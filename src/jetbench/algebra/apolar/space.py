"""The space V that an apolar algebra multiplies in: monomials, polynomials, and a basis filtered by degree.

How a basis is found belongs in `elimination` and `closed_forms`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from math import comb

import numpy as np

from jetbench.operators.symbol import Symbol

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
