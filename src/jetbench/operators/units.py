"""Units of coordinates in which the coefficients of symbols are alike, so that nothing is small for its units alone.

Operators in SI units have coefficients such as c² = 9·10¹⁶. With ξ_i = s_i ζ_i a coefficient c_α becomes c_α s^α, and
what is found in the variables ζ does not depend on the units of the coordinates. How small a number may be to count as
zero is decided there, by those who work with directions and bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp

import numpy as np
from scipy.sparse import csr_array, issparse

from jetbench.operators.symbol import Symbol

# What the coefficients leave open: parts are weighed as given rather than scaled as a whole, at last scales stay at 1.
AS_GIVEN, AT_REST = 1e-3, 1e-7
ALIKE = 1.0  # Units within a factor of 2 of each other are left alone: directions then are whole numbers.
# From a ratio of a million on, other outputs are asked for units that an output does not tell: up to there few digits
# are lost without, and outputs may differ in size for other reasons.
FAR = 20.0
SAME = 1e-9  # Units that only rounding tells apart.
DENSE = 1 << 16  # Entries up to which a full matrix is faster than a sparse one.
LARGEST = 1000.0  # log₂ of units that floating-point numbers hold


def units(parts: Sequence[Symbol], prior: np.ndarray | None = None) -> np.ndarray:
    """Units s of the variables of homogeneous symbols, such that every c_α s^α of a part has about the same size.

    With l = log₂ s it minimizes Σ (log₂|c_α| + α·l + t)², with a number t for each part, and then lets each variable
    grow until one of its terms is as large as any of its part, so that coefficients which are nothing but rounding have
    no say. For other units of the coordinates the same c_α s^α result.

    Args:
        parts: homogeneous symbols of degree ≥ 1 in the same D variables.
        prior: (D,), units that are kept wherever the coefficients say nothing; 1 by default.

    Returns:
        (D,), accurate to rounding.
    """
    result = np.ones(parts[0].dim) if prior is None else prior.copy()
    terms = _Terms(parts)
    found, offsets = np.log2(result[terms.used]), np.zeros(len(parts))
    for _ in range(3):  # each round starts from the last one, so that the pull towards what is at rest vanishes
        whole = np.round(found)
        found, offsets = terms.fit(whole, found - whole, offsets)
    whole = np.clip(np.round(found), -LARGEST, LARGEST)
    result[terms.used] = _clustered(np.ldexp(np.exp2(terms.lifted(whole, found - whole)), whole.astype(int)))
    return result


def common_units(parts: Sequence[Symbol], prior: np.ndarray | None = None) -> np.ndarray | None:
    """The `units` of all parts together; the prior where no variables occur together; None where they are alike."""
    if not any(_together(part) for part in parts) or (prior is None and _spread(parts) <= ALIKE):
        return prior
    found = units(parts, prior)
    return None if np.ptp(np.log2(found)) <= ALIKE else found


def priors(symbols: Sequence[Symbol]) -> list[tuple[np.ndarray, ...]]:
    """For each symbol the units in which its parts may be split: those of all symbols, then its own.

    Its own ones are what the parts together say, since their terms add up. What they leave open is asked of the other
    symbols where these say that units are far from 1.
    """
    parts = [[part for k, part in symbol.parts.items() if k] for symbol in symbols]
    together = common_units([part for of_symbol in parts for part in of_symbol]) if len(symbols) > 1 else None
    start = together if together is not None and np.ptp(np.log2(together)) > FAR else None
    found = [(together, common_units(own, start) if len(own) > 1 else start) for own in parts]
    ones = np.ones(symbols[0].dim)
    return [tuple(ones if u is None else u for u in pair) if any(u is not None for u in pair) else () for pair in found]


def units_of_part(part: Symbol, prior: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The units in which a homogeneous symbol is split into directions: 1 if that fits, then the priors, then its own.

    Units fit if those of the variables that occur together differ by at most a factor of 2 from the part's own ones,
    apart from a common factor, which changes nothing. A monomial says nothing on units: the last prior is its own.
    """
    ones, together = np.ones(part.dim), _together(part)
    if not together or (not prior and _spread([part]) <= ALIKE):
        return ones
    own = units([part], prior[-1] if prior else None)
    for given in (ones, *prior):
        if np.ptp(np.log2(own / given)[together]) <= ALIKE:
            return given
    return own


def _together(part: Symbol) -> list[int]:
    """The variables that occur in a term with others."""
    return sorted({i for indices, _ in part.supports if len(indices) > 1 for i in indices})


def _spread(parts: Sequence[Symbol]) -> float:
    """log₂ of the ratio of the largest and the smallest coefficient."""
    sizes = [abs(float(c)) for part in parts for c in part.terms.values()]
    return float(np.log2(max(sizes)) - np.log2(min(sizes)))


def rounded(values: np.ndarray) -> np.ndarray:
    """The values to 12 significant digits each, for telling whether two are equal."""
    mantissas, exponents = np.frexp(values)
    return np.ldexp(np.round(mantissas, 12), exponents) + 0.0


class _Terms:
    """The terms of several symbols as a sparse matrix of the exponents of the variables that are `used`."""

    def __init__(self, parts: Sequence[Symbol]) -> None:
        rows, columns, exponents, self._split, of_part = [], [], [], [], []
        for number, part in enumerate(parts):
            for (indices, powers), coefficient in zip(part.supports, part.terms.values(), strict=True):
                rows.extend([len(of_part)] * len(indices))
                columns.extend(indices)
                exponents.extend(powers)
                self._split.append(frexp(abs(float(coefficient))))
                of_part.append(number)
        self.used, columns = np.unique(columns, return_inverse=True)
        shape = (len(of_part), len(self.used))
        self._entries = (np.array(rows), columns, np.array(exponents, dtype=float))
        sparse = csr_array((self._entries[2], self._entries[:2]), shape=shape)
        self._exponents = sparse.toarray() if len(of_part) * len(self.used) <= DENSE else sparse
        self._of_part = np.array(of_part)
        self._counts = np.bincount(self._of_part, minlength=len(parts))
        ones = np.ones(len(of_part))
        self._sums = csr_array((ones, (self._of_part, np.arange(len(of_part)))), shape=(len(parts), len(of_part)))

    def _sizes(self, whole: np.ndarray) -> np.ndarray:
        """log₂|c_α s^α| for s = 2^whole, without loss where it is near 0."""
        mantissas, exponents = np.array(self._split).T
        return np.log2(mantissas) + (exponents + self._exponents @ whole)

    def fit(self, whole: np.ndarray, rest: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step of least squares, (l, t) from l = whole + rest and t; the t are eliminated."""
        a, by_part = self._exponents, self._sums @ self._exponents
        residuals = self._sizes(whole) + a @ rest + offsets[self._of_part]
        weights = 1 / (self._counts + AS_GIVEN)
        normal = a.T @ a - by_part.T @ (by_part * weights[:, None])
        normal = (normal.toarray() if issparse(normal) else normal) + AT_REST * np.eye(len(self.used))
        of_parts = self._sums @ residuals
        step = np.linalg.solve(normal, by_part.T @ (weights * of_parts) - a.T @ residuals)
        return whole + (rest + step), offsets - weights * (of_parts + by_part @ step)

    def lifted(self, whole: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """`rest` after each variable has grown until its largest term is within a factor of 2 of the largest."""
        rows, columns, exponents = self._entries
        sizes, rest = self._sizes(whole), rest.copy()
        for _ in range(64):
            now = sizes + self._exponents @ rest
            largest = np.full(len(self._counts), -np.inf)
            np.maximum.at(largest, self._of_part, now)
            lack = np.full(len(self.used), -np.inf)
            np.maximum.at(lack, columns, (now - largest[self._of_part])[rows] / exponents)
            if lack.min() >= -1:
                break
            rest -= np.where(lack < -1, lack / 2, 0)
        return rest


def _clustered(values: np.ndarray) -> np.ndarray:
    """The values with those that differ by rounding made equal, so that variables that are alike stay exactly so."""
    order = np.argsort(values, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(values[order]) > SAME * values[order][:-1]) + 1)
    result = values.copy()
    for group in groups:
        result[group] = values[group[0]]
    return result
