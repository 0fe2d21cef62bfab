"""Vectors that the methods carry, counted from the symbol of an operator alone. Nothing here is measured."""

from __future__ import annotations

from functools import cache

from jetbench.algebra.inverse_system import inverse_system
from jetbench.directions import decompose
from jetbench.symbol import Symbol, variables

#: Vectors that one more direction costs nested differentiation in PyTorch, by the order of the operator.
NESTED_PER_DIRECTION = {2: 2, 4: 28}


@cache
def polyharmonic(order: int, dim: int) -> Symbol:
    """(ξ·ξ)^(order/2) in `dim` coordinates: the Laplacian, the biharmonic, the triharmonic."""
    return sum(xi**2 for xi in variables(dim)) ** (order // 2)


@cache
def by_order(symbol: Symbol, scheme: str = "polarization") -> dict[str, tuple[int, ...]]:
    """Method → how many vectors of order 0 … K it carries for a homogeneous symbol of degree K.

    Taylor mode carries one of each order along each of R directions; collapsed, one of order K for their sum; apolar,
    as many as the derivatives of the symbol span.
    """
    order, directions = symbol.degree, len(decompose(symbol, scheme).weights)
    return {
        "taylor": (1, *[directions] * order),
        "collapsed": (1, *[directions] * (order - 1), 1),
        "apolar": tuple(inverse_system((symbol,)).hilbert),
    }


def per_datum(symbol: Symbol, scheme: str = "polarization") -> dict[str, int]:
    """Method → its vectors per datum, the sums of `by_order`."""
    return {method: sum(numbers) for method, numbers in by_order(symbol, scheme).items()}


def nested_per_datum(order: int, rank: int) -> int:
    """Vectors of nested differentiation in PyTorch for a Laplacian of some rank, or for one applied to another."""
    return (4 + NESTED_PER_DIRECTION[2] * rank) ** (order // 2)
