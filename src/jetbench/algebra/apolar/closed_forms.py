"""Inverse systems that are known without elimination: monomials, powers of a sum of squares, quadratic forms.

Each function returns None where the symbols are not of its form. The tests compare them with elimination.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement, product
from math import comb, factorial, prod

import numpy as np

from jetbench.algebra.apolar.space import InverseSystem, Monomial, Polynomial, assemble, degree, polynomial
from jetbench.operators.directions import decompose
from jetbench.operators.symbol import Symbol
from jetbench.operators.units import priors


def closed_form(symbols: Sequence[Symbol]) -> InverseSystem | None:
    """The inverse system of symbols of one of the known forms; None for all others."""
    return of_monomials(symbols) or of_power(symbols) or of_quadratic_form(symbols)


def of_monomials(symbols: Sequence[Symbol]) -> InverseSystem | None:
    """c ξ^α each, or polynomials in one variable: V is spanned by the divisors of ξ^α, prod (α_i + 1) of them."""
    tops: set[Monomial] = set()
    for symbol in symbols:
        p = polynomial(symbol)
        if len(p) > 1 and len({i for m in p for i in m}) > 1:
            return None
        tops.add(max(p, key=len, default=()))
    found: set[Monomial] = set()
    for top in tops:
        powers = [[(i,) * e for e in range(n + 1)] for i, n in sorted(Counter(top).items())]
        found.update(sum(choice, ()) for choice in product(*powers))
    order = max(map(len, tops), default=0)
    return assemble([{m: {m: 1} for m in found if len(m) == k} for k in range(1, order + 1)], symbols)


def of_power(symbols: Sequence[Symbol]) -> InverseSystem | None:
    """c (Σ_{i ∈ I} ξ_i²)^n with 1 ≤ n ≤ 4.

    V_k holds all monomials up to degree n, and V_{2n−j} = (ξ·ξ)^{n−j} · (all monomials of degree j) for j ≤ n: every
    j-th derivative of (ξ·ξ)^n has the factor (ξ·ξ)^{n−j}, and the dimensions agree because (ξ·ξ)^n has no
    annihilator of degree ≤ n. The element (ξ·ξ)^{n−j} ξ^α gets the pivot ξ_i^{2(n−j)} ξ^α with ξ_i the variable of
    highest power in ξ^α; for j ≤ 3 it occurs in no other element.
    """
    if len(symbols) != 1:
        return None
    p = polynomial(symbols[0])
    order = degree(p)
    n = order // 2
    used = sorted({i for m in p for i in m})
    if order % 2 or not 1 <= n <= 4 or len(p) != comb(len(used) + n - 1, n):
        return None
    power = _sum_of_squares(used, n)
    ratio = p.get((used[0],) * order, 0)
    slack = 0 if all(isinstance(c, int) for c in p.values()) else 1e-13 * abs(ratio)
    if not ratio or any(m not in p or abs(p[m] - ratio * c) > slack * c for m, c in power.items()):
        return None
    blocks: list[dict[Monomial, Polynomial]] = [
        {m: {m: 1} for m in combinations_with_replacement(used, k)} for k in range(1, n + 1)
    ]
    for j in range(n - 1, -1, -1):
        factor = _sum_of_squares(used, n - j)
        rows: dict[Monomial, Polynomial] = {}
        for m in combinations_with_replacement(used, j):
            main = max(m, key=m.count, default=used[0])
            rows[tuple(sorted(m + (main,) * (2 * (n - j))))] = {tuple(sorted(m + f)): c for f, c in factor.items()}
        blocks.append(rows)
    shapes = [
        {tuple(sorted((*m, i, i))): 1 for i in used}
        for k in range(2, n + 1)
        for m in combinations_with_replacement(used, k - 2)
    ]
    return assemble(blocks, symbols, shapes)


def _sum_of_squares(variables: Sequence[int], power: int) -> Polynomial:
    """(Σ_i ξ_i²)^power by the multinomial theorem."""
    result: Polynomial = {}
    for chosen in combinations_with_replacement(variables, power):
        count = factorial(power) // prod(factorial(n) for n in Counter(chosen).values())
        result[tuple(i for i in chosen for _ in range(2))] = count
    return result


def of_quadratic_form(symbols: Sequence[Symbol]) -> InverseSystem | None:
    """ξᵀAξ + b·ξ + c with a full matrix A: diagonal in eigenvectors, so that products are R squares and not R².

    The algebra's variables are ζ_r = v_r·ξ for the eigenvectors v_r of the R nonzero eigenvalues λ_r, and V is spanned
    by 1, the ζ_r and Σ_r λ_r ζ_r² + b·ξ. Which eigenvalues count as zero is decided in `directions`.
    """
    if len(symbols) != 1 or symbols[0].degree != 2:
        return None
    symbol = symbols[0]
    p = polynomial(symbol)
    quadratic = [m for m in p if len(m) == 2]
    if len(quadratic) <= len({i for m in quadratic for i in m}):
        return None
    found = decompose(symbol.parts[2], prior=priors(symbols)[0])
    values, vectors = found.weights, found.vectors
    largest = float(values[np.argmax(np.abs(values))])
    top: Polynomial = {(r, r): float(value) / largest for r, value in enumerate(values)}
    pivot = max(top, key=lambda m: abs(top[m]))
    linear = np.zeros((1, symbol.dim))
    for m, c in p.items():
        if len(m) == 1:
            linear[0, m[0]] = float(c) / largest
    return InverseSystem(
        blocks=(tuple({(r,): 1} for r in range(len(values))), (top,)),
        pivots=(tuple((r,) for r in range(len(values))), (pivot,)),
        seeds=(vectors, linear if linear.any() else None),
        readouts=((float(p.get((), 0)), ((2, 0, largest),)),),
    )
