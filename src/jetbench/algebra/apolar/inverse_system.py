"""Inverse systems: the smallest space V ∋ p of polynomials that is closed under ∂/∂ξ_i, for one or several symbols p.

Symbols of a known form get their basis at once from `closed_forms`; everything else goes through `elimination`. What
is computed with a basis belongs in `algebra`.

Source: Macaulay's inverse systems, see Iarrobino and Kanev, Power Sums, Gorenstein Algebras, and Determinantal Loci,
Springer 1999.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from jetbench.algebra.apolar.closed_forms import closed_form
from jetbench.algebra.apolar.elimination import by_elimination
from jetbench.algebra.apolar.space import InverseSystem
from jetbench.operators.symbol import Symbol


@lru_cache(maxsize=64)
def inverse_system(symbols: tuple[Symbol, ...]) -> InverseSystem:
    """The inverse system of one or several symbols in the same variables.

    Raises:
        ValueError: there is no symbol, or they have different variables.
    """
    if not symbols or len({symbol.dim for symbol in symbols}) != 1:
        raise ValueError("An inverse system needs at least one symbol, and all of them in the same variables.")
    return closed_form(symbols) or by_elimination(symbols)


def dimension(symbols: Symbol | Sequence[Symbol]) -> int:
    """dim V of one or several symbols: how many vectors of layer width the apolar method pushes through a layer."""
    return inverse_system((symbols,) if isinstance(symbols, Symbol) else tuple(symbols)).dimension
