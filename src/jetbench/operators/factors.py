"""Symbols as sums of products of powers of directional derivatives, which is what nested differentiation applies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jetbench.operators.directions import decompose
from jetbench.operators.symbol import Symbol
from jetbench.operators.units import priors


@dataclass(frozen=True)
class Brick:
    """Σ_r w_r (d_r·∂)^order for directions d_r in the variables of the symbols, (R, n) in float64."""

    directions: np.ndarray
    weights: tuple[float, ...]
    order: int


@dataclass(frozen=True)
class Term:
    """A product of bricks, the first applied first, or a number times f where there are none."""

    bricks: tuple[Brick, ...]
    constant: float = 1.0


def terms(symbol: Symbol, scheme: str) -> tuple[Term, ...]:
    """The homogeneous parts of a symbol as products of bricks."""
    found = []
    (prior,) = priors([symbol])
    for degree, part in symbol.parts.items():
        if degree == 0:
            found.append(Term((), float(part.terms[(0,) * part.dim])))
            continue
        bricks = []
        for factor in factors(part):
            split = decompose(factor, scheme, prior)
            weights = tuple(float(w) for w in split.weights)
            bricks.append(Brick(split.vectors, weights, factor.degree))
        found.append(Term(tuple(bricks)))
    return tuple(found)


def factors(part: Symbol) -> tuple[Symbol, ...]:
    """The factors of a homogeneous symbol, where it is a product of homogeneous ones of degree at least 1.

    A monomial is the product of its powers ξ_i^a, which needs no directions between the axes. Equal factors of degree 1
    are paired, (v·ξ)(v·ξ) = (v·ξ)²: one nested level in place of two.
    """
    if len(part.terms) == 1 and len(part.factors) == 1:
        return _powers(part)
    found = part.factors
    if not all(f.is_homogeneous and f.degree for f in found):
        return (part,)
    paired: list[Symbol] = []
    single: list[Symbol] = []
    for factor in found:
        if factor.degree == 1 and factor in single:
            single.remove(factor)
            paired.append(factor * factor)
        else:
            (single if factor.degree == 1 else paired).append(factor)
    return (*paired, *single)


def _powers(monomial: Symbol) -> tuple[Symbol, ...]:
    """c ξ_i^a, ξ_j^b, … for c ξ^α."""
    ((indices, powers),), (coefficient,) = monomial.supports, monomial.terms.values()
    axes = [tuple(power * (j == i) for j in range(monomial.dim)) for i, power in zip(indices, powers, strict=True)]
    return tuple(Symbol(monomial.dim, {axis: 1 if n else coefficient}) for n, axis in enumerate(axes))
