"""Choosing, scaling, summing and multiplying components of blocks, arrays (n, *S) with one leading component axis.

Everything here works on arrays of any framework and knows no algebra: indices and numbers are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jetbench.algebra.arrays import Constant, concatenate, gather
from jetbench.algebra.base import Array, add, scale

Form = tuple[tuple[int, float], ...]  # Σ value · component, as (component, value)
Term = tuple[int, int, int, float]  # z_q += c · x_a · y_b, as (q, a, b, c)

SMALL = 96  # up to so many terms, or as many as the factors have components, are gathered and summed in one go


class Selection:
    """Components of a block by index; a slice where they lie one after the other, a broadcast where they are the same.

    Args:
        indices: which components.
        size: how many there are.
        keep: whether equal indices are to give as many components nevertheless.
    """

    def __init__(self, indices: Sequence[int] | np.ndarray, size: int, keep: bool = False) -> None:
        indices = np.asarray(indices)
        first, count = int(indices[0]), len(indices)
        self._slice: slice | None = None
        self._indices: Constant | None = None
        if (count == 1 or not keep) and (indices == first).all():
            self._slice = slice(first, first + 1)
        elif (indices == np.arange(first, first + count)).all():
            self._slice = slice(first, first + count)
        else:
            self._indices = Constant(indices)
        self._is_all = self._slice == slice(0, size)

    def __call__(self, block: Array) -> Array:
        if self._is_all:
            return block
        return block[self._slice] if self._slice is not None else gather(block, self._indices.on(block))


class Factors:
    """One number for each component, (n, *S) → (n, *S); a scalar, or nothing at all, where they are equal."""

    def __init__(self, values: Sequence[float] | np.ndarray) -> None:
        values = np.asarray(values)
        self._common = float(values[0]) if (values == values[0]).all() else None
        self._values = Constant(values)

    def __call__(self, x: Array) -> Array:
        if self._common is not None:
            return scale(self._common, x)
        return self._values.on(x).reshape((-1, *(1,) * (x.ndim - 1))) * x


class Sums:
    """Linear forms of a block's components, (rows, *S) from (size, *S).

    Args:
        rows: how many forms.
        row, component, value: their terms, a form's own ones in order; components from `size` on stand for those of
            `shared`.
        size: number of components.
    """

    def __init__(
        self,
        rows: int,
        row: Sequence[int] | np.ndarray,
        component: Sequence[int] | np.ndarray,
        value: Sequence[float] | np.ndarray,
        size: int,
        shared: Forms | None = None,
    ) -> None:
        row, component, value = np.asarray(row, int), np.asarray(component, int), np.asarray(value, float)
        self._shared = shared.sums if shared and (component >= size).any() else None
        size += len(shared.terms) if self._shared else 0
        place = _places(row, rows)
        length = int(place.max(initial=-1)) + 1
        components, values = np.zeros((rows, length), int), np.zeros((rows, length))
        components[row, place], values[row, place] = component, value
        self._rows = rows
        self._is_gathered = rows * length <= SMALL or rows == 1
        columns = (
            [(components.ravel(), values.ravel())] if self._is_gathered else zip(components.T, values.T, strict=True)
        )
        self._length = length
        self._columns = [(Selection(of_column, size), Factors(factors)) for of_column, factors in columns]

    def __call__(self, x: Array) -> Array:
        if self._shared is not None:
            x = concatenate([x, self._shared(x)])
        total = None
        for selection, factors in self._columns:
            total = add(total, factors(selection(x)))
        if not self._is_gathered or self._length == 1:
            return total
        total = total if total.shape[0] > 1 else concatenate([total] * (self._rows * self._length))
        return total.reshape((self._rows, self._length, *total.shape[1:])).sum(1)


def sums_of(forms: Sequence[Form], size: int, shared: Forms | None = None) -> Sums:
    """`Sums` of linear forms."""
    terms = [(row, component, value) for row, form in enumerate(forms) for component, value in form]
    return Sums(len(forms), *zip(*terms, strict=True), size, shared)


def _places(row: np.ndarray, rows: int) -> np.ndarray:
    """How many entries before each one belong to the same row."""
    counts = np.bincount(row, minlength=rows)
    order = np.argsort(row, kind="stable")
    places = np.empty(len(row), int)
    places[order] = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places


class Forms:
    """Sums of a block's components that many products share.

    Attributes:
        terms: the sums.
        sums: the same for whole blocks; None where there is none.
    """

    def __init__(self, terms: Sequence[Form] = (), size: int = 0) -> None:
        self.terms = tuple(terms)
        self.sums = sums_of(self.terms, size) if self.terms else None


NO_FORMS = Forms()


class Section:
    """z_q = Σ c x_a y_b on whole blocks, arrays (n, *S) with one leading component axis.

    Few terms are gathered at once and summed; many go in slots, the s-th term of every z_q in slot s, so that no
    temporary array is larger than the blocks.
    """

    def __init__(self, size: int, terms: Sequence[np.ndarray], left_size: int, right_size: int) -> None:
        self.size = size
        order = np.lexsort(terms[::-1])
        q, a, b, c = (column[order] for column in terms)
        place = _places(q, size)
        length = int(place.max()) + 1
        (lefts, rights), values = np.zeros((2, size, length), int), np.zeros((size, length))
        is_there = np.zeros((size, length), bool)
        lefts[q, place], rights[q, place], values[q, place], is_there[q, place] = a, b, c, True
        for s in np.flatnonzero(~is_there.all(axis=0)):  # what is missing repeats another entry's indices, with value 0
            other = is_there[:, s].argmax()
            lefts[~is_there[:, s], s], rights[~is_there[:, s], s] = lefts[other, s], rights[other, s]
        self._common = float(c[0]) if is_there.all() and (c == c[0]).all() else 1.0
        self._length = length
        self._is_gathered = size == 1 or size * length <= max(SMALL, left_size + right_size)
        entries = [array.ravel() if self._is_gathered else array.T for array in (lefts, rights, values / self._common)]
        columns = [entries] if self._is_gathered else zip(*entries, strict=True)
        self._slots = [_Slot(*column, left_size, right_size) for column in columns]

    def __call__(self, x: Array, y: Array) -> Array:
        total = None
        for slot in self._slots:
            total = add(total, slot(x, y))
        if self._is_gathered and self._length > 1:
            is_one = self.size == 1
            total = total.sum(0)[None] if is_one else total.reshape((self.size, self._length, *total.shape[1:])).sum(1)
        return scale(self._common, total)


class _Slot:
    """c_s x_{a_s} y_{b_s}, one product for each entry (a, b, c)."""

    def __init__(
        self, left: np.ndarray, right: np.ndarray, values: np.ndarray, left_size: int, right_size: int
    ) -> None:
        self._period = _period(left)
        is_periodic = 1 < self._period < len(left)
        self._left = Selection(left[: self._period] if is_periodic else left, left_size)
        self._right = Selection(right, right_size, keep=self._period == 1 or is_periodic)
        self._is_periodic, self._is_square = is_periodic, not is_periodic and bool((left == right).all())
        self._factors = Factors(values)

    def __call__(self, x: Array, y: Array) -> Array:
        left = self._left(x)
        if self._is_square and x is y:
            products = left * left
        elif self._is_periodic:  # the same x for every run of y: no copies of it
            right = self._right(y)
            products = left[None] * right.reshape((len(right) // self._period, self._period, *right.shape[1:]))
            products = products.reshape((len(right), *products.shape[2:]))
        else:
            products = left * self._right(y)
        return self._factors(products)


def _period(indices: np.ndarray) -> int:
    """The smallest n such that the indices repeat the first n."""
    count = len(indices)
    again = np.flatnonzero(indices == indices[0])
    return next((n for n in again[1:].tolist() if count % n == 0 and (indices[n:] == indices[:-n]).all()), count)
