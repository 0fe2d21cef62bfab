"""Symbols: the polynomials p(ξ) behind linear differential operators L = p(∂).

Only polynomial arithmetic belongs here. How an operator is evaluated is decided in `directions` and `algebra`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import prod
from numbers import Real
from types import MappingProxyType
from typing import Any, cast, overload

import numpy as np

Exponents = tuple[int, ...]
#: A coefficient; integers and numpy's real numbers are float for type checkers.
Number = float | Fraction
#: Exponents that a product may run through, and the highest degree. What is larger is a slip of the pen, and would fill
#: the memory: the square of the Laplacian in 1,000 dimensions has 500,500 terms of 1,000 exponents.
MOST_EXPONENTS = 10**8
MOST_VARIABLES = 4000
HIGHEST_DEGREE = 64
OTHER_UNITS = "choose units of the coordinates in which the coefficients are closer to 1."


class Symbol:
    """A polynomial p(ξ) = Σ_α c_α ξ^α in `dim` variables; the operator it stands for is p(∂) = Σ_α c_α ∂^α.

    Symbols add, subtract, multiply and take integer powers, with numbers too. Products remember their `factors`, so
    that a method may evaluate (ξ·ξ)² as a Laplacian of a Laplacian.

    Args:
        dim: number of variables D.
        terms: exponents (α_1, …, α_D) → real coefficient. Zero coefficients are dropped.
        factors: symbols whose product this is, if known.

    Raises:
        ValueError: a tuple of exponents has the wrong length or a negative entry, or a coefficient is not finite.
    """

    def __init__(self, dim: int, terms: Mapping[Exponents, Number], factors: Sequence[Symbol] = ()) -> None:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
            raise ValueError(f"A symbol needs a whole number of variables, at least 1; got dim={dim!r}.")
        self.dim = int(dim)
        kept: dict[Exponents, Number] = {}
        for exponents, coefficient in terms.items():
            try:
                key = tuple(int(e) for e in exponents)
                is_finite = isinstance(coefficient, Real) and bool(np.isfinite(float(coefficient)))
            except (OverflowError, TypeError) as error:
                raise ValueError(f"The term {exponents!r}: {coefficient!r} is not possible: {error}.") from error
            if sum(key) > HIGHEST_DEGREE:
                raise ValueError(f"The degree of a symbol is at most {HIGHEST_DEGREE}; got a term of {sum(key)}.")
            if len(key) != dim or any(e < 0 for e in key) or key != tuple(exponents):
                raise ValueError(f"Exponents must be {dim} non-negative whole numbers; got {tuple(exponents)}.")
            if not is_finite:
                raise ValueError(f"The coefficient of {key} must be a finite real number; got {coefficient!r}.")
            if coefficient != 0:
                if float(coefficient) == 0:
                    raise ValueError(f"The coefficient of {key} is too small for floating-point numbers; {OTHER_UNITS}")
                kept[key] = coefficient
        self.terms: Mapping[Exponents, Number] = MappingProxyType(kept)
        self._factors = tuple(factors)

    def __reduce__(self) -> tuple:
        return Symbol, (self.dim, dict(self.terms), self._factors)

    @property
    def factors(self) -> tuple[Symbol, ...]:
        """Symbols whose product this symbol is; itself alone where no factorization is known."""
        return self._factors or (self,)

    @cached_property
    def degree(self) -> int:
        """Largest |α| of a term; 0 for the zero symbol."""
        return max((sum(e) for e in self.terms), default=0)

    @cached_property
    def parts(self) -> Mapping[int, Symbol]:
        """The homogeneous parts by degree, ascending; only those that are not zero."""
        by_degree: dict[int, dict[Exponents, Number]] = {}
        for exponents, coefficient in self.terms.items():
            by_degree.setdefault(sum(exponents), {})[exponents] = coefficient
        if len(by_degree) == 1:
            return MappingProxyType({self.degree: self})
        return MappingProxyType({k: Symbol(self.dim, by_degree[k]) for k in sorted(by_degree)})

    @cached_property
    def supports(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """For each term the variables that occur in it, ascending, and their exponents."""
        found = (tuple(i for i, e in enumerate(alpha) if e) for alpha in self.terms)
        return tuple(
            (indices, tuple(alpha[i] for i in indices)) for indices, alpha in zip(found, self.terms, strict=True)
        )

    @property
    def is_homogeneous(self) -> bool:
        """Whether every term has the same degree."""
        return len(self.parts) <= 1

    def derivative(self, index: int) -> Symbol:
        """∂p/∂ξ_index."""
        if not 0 <= index < self.dim:
            raise ValueError(f"There is no variable {index} in {self.dim} variables.")
        return Symbol(
            self.dim,
            {(*e[:index], e[index] - 1, *e[index + 1 :]): c * e[index] for e, c in self.terms.items() if e[index]},
        )

    def quadratic_form(self) -> np.ndarray:
        """The symmetric matrix A of shape (D, D) with p(ξ) = ξᵀAξ.

        Raises:
            ValueError: the symbol is not homogeneous of degree 2.
        """
        if self.degree != 2 or not self.is_homogeneous:
            raise ValueError(f"Only a homogeneous symbol of degree 2 is a quadratic form; got {self}.")
        form = np.zeros((self.dim, self.dim))
        for (indices, _), coefficient in zip(self.supports, self.terms.values(), strict=True):
            i, j = indices[0], indices[-1]
            form[i, j] += float(coefficient) / 2
            form[j, i] += float(coefficient) / 2
        return form

    def extended(self, dim: int) -> Symbol:
        """The same polynomial seen in `dim` ≥ D variables; the added ones do not occur in it."""
        if dim < self.dim:
            raise ValueError(f"Cannot see a symbol of {self.dim} variables in {dim}.")
        if dim == self.dim:
            return self
        pad = (0,) * (dim - self.dim)
        return Symbol(dim, {e + pad: c for e, c in self.terms.items()}, [f.extended(dim) for f in self._factors])

    def __call__(self, xi: Sequence[Number]) -> Number:
        """p(ξ) at a point ξ of D numbers."""
        if len(xi) != self.dim:
            raise ValueError(f"A point of {self.dim} coordinates is needed; got {len(xi)}.")
        return sum(c * prod(x**e for x, e in zip(xi, k, strict=True) if e) for k, c in self.terms.items())

    def _coerce(self, other: object) -> Symbol | None:
        if isinstance(other, Symbol):
            if other.dim != self.dim:
                raise ValueError(f"Symbols of {self.dim} and {other.dim} variables cannot be combined.")
            return other
        if isinstance(other, Real):
            return Symbol(self.dim, {(0,) * self.dim: cast(Number, other)})
        if hasattr(other, "dtype") and not isinstance(other, np.ndarray):  # numpy would make an array of symbols
            raise TypeError(
                f"The coefficients of a symbol are numbers that are fixed when the operator is made; got a "
                f"{type(other).__name__}. For a constant, give float(…) or a numpy array. For a coefficient that is "
                'learned or traced, give the parts as a dictionary, {"u_t": xi[0], "u_xx": xi[1] ** 2}, to '
                "linear_operator, and multiply its outputs by the coefficient."
            )
        return None

    def __add__(self, other: Symbol | Number) -> Symbol:
        if (added := self._coerce(other)) is None:
            return NotImplemented
        terms = dict(self.terms)
        for exponents, coefficient in added.terms.items():
            terms[exponents] = terms.get(exponents, 0) + coefficient
        return Symbol(self.dim, terms)

    __radd__ = __add__

    def __neg__(self) -> Symbol:
        return self * -1

    def __sub__(self, other: Symbol | Number) -> Symbol:
        subtracted = self._coerce(other)
        return NotImplemented if subtracted is None else self + subtracted * -1

    def __rsub__(self, other: Number) -> Symbol:
        return -self + other

    def __mul__(self, other: Symbol | Number) -> Symbol:
        factor = self._coerce(other)
        if factor is None:
            return NotImplemented
        if (steps := len(self.terms) * len(factor.terms) * self.dim) > MOST_EXPONENTS:
            raise ValueError(
                f"The product of symbols of {len(self.terms)} and {len(factor.terms)} terms in {self.dim} variables is "
                f"too large: {steps} exponents, at most {MOST_EXPONENTS}."
            )
        terms: dict[Exponents, Number] = {}
        for a, ca in self.terms.items():
            for b, cb in factor.terms.items():
                key = tuple(i + j for i, j in zip(a, b, strict=True))
                if (product := ca * cb) == 0:
                    raise ValueError(f"The product of {ca} and {cb} is too small for a float; {OTHER_UNITS}")
                terms[key] = terms.get(key, 0) + product
        if factor.degree == 0 or self.degree == 0:
            number, rest = (factor, self) if factor.degree == 0 else (self, factor)
            first, *others = rest.factors
            factors = (Symbol(self.dim, (number * first).terms), *others) if others else ()
            return Symbol(self.dim, terms, factors)
        return Symbol(self.dim, terms, self.factors + factor.factors)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Symbol:
        if not isinstance(other, Real):
            self._coerce(other)  # says what to do where it is an array of a framework
            return NotImplemented
        return self * (Fraction(1, other) if isinstance(other, int) else 1 / other)

    def __pow__(self, power: int) -> Symbol:
        if isinstance(power, bool) or not isinstance(power, int) or power < 0:
            raise ValueError(f"A symbol takes non-negative whole powers; got {power!r}.")
        if power > HIGHEST_DEGREE:
            raise ValueError(f"A symbol takes powers up to {HIGHEST_DEGREE}; got {power}.")
        if power == 0:
            return Symbol(self.dim, {(0,) * self.dim: 1})
        result = self
        for _ in range(power - 1):
            result = result * self
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and self.dim == other.dim and dict(self.terms) == dict(other.terms)

    def __hash__(self) -> int:
        return hash((self.dim, frozenset(self.terms.items())))

    def __repr__(self) -> str:
        def monomial(exponents: Exponents) -> str:
            return "·".join(f"ξ{i}" + (f"^{e}" if e > 1 else "") for i, e in enumerate(exponents) if e) or "1"

        shown = [f"{c}·{monomial(e)}" if c != 1 else monomial(e) for e, c in list(self.terms.items())[:6]]
        more = f" + … ({len(self.terms)} terms)" if len(self.terms) > 6 else ""
        return f"Symbol(dim={self.dim}: {' + '.join(shown) or '0'}{more})"


class Variables(Sequence[Symbol]):
    """The vector ξ = (ξ_1, …, ξ_D) of variables; `xi[i]` is a symbol and `@` the inner product.

    `xi @ xi` is ξ·ξ, `xi[1:] @ xi[1:]` leaves out the first variable, `b @ xi` is Σ_i b_i ξ_i for numbers b, and
    `xi @ A @ xi` is ξᵀAξ for a (D, D) array A.
    """

    __array_ufunc__ = None  # so that `array @ xi` comes here

    def __init__(self, entries: Sequence[Symbol]) -> None:
        self._entries = tuple(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._entries)

    @overload
    def __getitem__(self, index: int) -> Symbol: ...

    @overload
    def __getitem__(self, index: slice) -> Variables: ...

    def __getitem__(self, index: int | slice) -> Symbol | Variables:
        return Variables(self._entries[index]) if isinstance(index, slice) else self._entries[index]

    @overload
    def __matmul__(self, other: np.ndarray) -> Any: ...

    @overload
    def __matmul__(self, other: Sequence) -> Symbol: ...

    def __matmul__(self, other: Sequence | np.ndarray) -> Symbol | Variables:
        rows = list(other)
        if len(rows) != len(self):
            raise ValueError(f"Shapes do not fit: {len(self)} variables against {len(rows)} entries.")
        if isinstance(other, np.ndarray) and other.ndim == 2:
            return Variables([self @ column for column in other.T])
        return _inner(self._entries, [r.item() if isinstance(r, np.generic) else r for r in rows])

    def __rmatmul__(self, other: Sequence | np.ndarray) -> Any:
        if isinstance(other, np.ndarray) and other.ndim == 2:
            return Variables([self @ row for row in other])
        return self @ other

    def __repr__(self) -> str:
        return f"Variables({list(self._entries)})"


def _inner(left: Sequence[Symbol], right: Sequence[Symbol | Number]) -> Symbol:
    """Σ_i left_i right_i, in one pass and without a memory of factors."""
    if not left:
        raise ValueError("The inner product of no variables is not a symbol: its number of variables is unknown.")
    terms: dict[Exponents, Number] = {}
    for a, b in zip(left, right, strict=True):
        for exponents, coefficient in (a * b).terms.items():
            terms[exponents] = terms.get(exponents, 0) + coefficient
    return Symbol(left[0].dim, terms)


def variables(dim: int) -> Variables:
    """Return the variables ξ_1, …, ξ_D of symbols in `dim` = D dimensions.

    Raises:
        ValueError: `dim` is not a whole number from 1 to 4000.

    Examples:
        The symbol of the heat operator ∂_t − ∂_x², and of the biharmonic operator in three dimensions:

        >>> t, x = variables(2)
        >>> t - x**2
        Symbol(dim=2: ξ0 + -1·ξ1^2)
        >>> xi = variables(3)
        >>> ((xi @ xi) ** 2).degree
        4
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise ValueError(f"The number of variables must be a whole number, at least 1; got {dim!r}.")
    dim = int(dim)
    if dim > MOST_VARIABLES:
        raise ValueError(f"There can be at most {MOST_VARIABLES} variables; got {dim}.")
    return Variables([Symbol(dim, {tuple(int(i == j) for j in range(dim)): 1}) for i in range(dim)])
