"""Vectors that the methods carry, counted from the symbol of an operator alone. Nothing here is measured."""

from __future__ import annotations

from functools import cache

from jetbench.algebra.apolar.inverse_system import inverse_system
from jetbench.methods.nested import Nested
from jetbench.operators.directions import decompose
from jetbench.operators.symbol import Symbol, variables


class _InPyTorch(Nested):
    """Nested differentiation as it is carried out by PyTorch."""

    multiplies_zeros = True


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
    return _InPyTorch().count(2, rank) ** (order // 2)


def nested_per_sample(order: int) -> int:
    """Vectors that one more random direction costs nested differentiation in PyTorch."""
    return _InPyTorch().count(order, 2) - _InPyTorch().count(order, 1)
