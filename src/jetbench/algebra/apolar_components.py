"""Choosing, scaling, summing and multiplying components of blocks, arrays (n, *S) with one leading component axis.

Everything here works on arrays of any framework and knows no algebra: indices and numbers are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jetbench.algebra.base import Array, add, concatenate, scale
from jetbench.algebra.constants import Constant, take

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

    def __init__(self, indices: Sequence[int], size: int, keep: bool = False) -> None:
        first, count = indices[0], len(indices)
        self._slice: slice | None = None
        self._indices: Constant | None = None
        if all(i == first for i in indices) and (count == 1 or not keep):
            self._slice = slice(first, first + 1)
        elif list(indices) == list(range(first, first + count)):
            self._slice = slice(first, first + count)
        else:
            self._indices = Constant(np.array(indices))
        self._is_all = self._slice == slice(0, size)

    def __call__(self, block: Array) -> Array:
        if self._is_all:
            return block
        return block[self._slice] if self._slice is not None else take(block, self._indices.on(block))


class Factors:
    """One number for each component, (n, *S) → (n, *S); a scalar, or nothing at all, where they are equal."""

    def __init__(self, values: Sequence[float]) -> None:
        self._common = values[0] if len(set(values)) == 1 else None
        self._values = Constant(np.array(values))

    def __call__(self, x: Array) -> Array:
        if self._common is not None:
            return scale(self._common, x)
        return self._values.on(x).reshape((-1, *(1,) * (x.ndim - 1))) * x


class Sums:
    """Linear forms of a block's components, (len(forms), *S) from (size, *S).

    Args:
        forms: their terms; indices from `size` on stand for those of `shared`.
    """

    def __init__(self, forms: Sequence[Form], size: int, shared: Forms | None = None) -> None:
        self._shared = shared.sums if shared and any(b >= size for form in forms for b, _ in form) else None
        size += len(shared.terms) if self._shared else 0
        length = max((len(form) for form in forms), default=0)
        padded = [list(form) + [(0, 0.0)] * (length - len(form)) for form in forms]
        self._rows = len(forms)
        self._is_gathered = len(forms) * length <= SMALL or len(forms) == 1
        columns = [[e for row in padded for e in row]] if self._is_gathered else list(zip(*padded, strict=True))
        self._length = length
        self._columns = [
            (Selection([b for b, _ in column], size), Factors([c for _, c in column])) for column in columns
        ]

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


class Forms:
    """Sums of a block's components that many products share.

    Attributes:
        terms: the sums.
        sums: the same for whole blocks; None where there is none.
    """

    def __init__(self, terms: Sequence[Form] = (), size: int = 0) -> None:
        self.terms = tuple(terms)
        self.sums = Sums(self.terms, size) if self.terms else None


NO_FORMS = Forms()


class Section:
    """z_q = Σ c x_a y_b on whole blocks, arrays (n, *S) with one leading component axis.

    Few terms are gathered at once and summed; many go in slots, the s-th term of every z_q in slot s, so that no
    temporary array is larger than the blocks.
    """

    def __init__(self, size: int, terms: Sequence[Term], left_size: int, right_size: int) -> None:
        self.size = size
        by_component: dict[int, list[Term]] = {q: [] for q in range(size)}
        for term in sorted(terms):
            by_component[term[0]].append(term)
        length = max(len(of_q) for of_q in by_component.values())
        table = [[term[1:] for term in by_component[q]] for q in range(size)]
        for s in range(length):  # what is missing repeats the indices of another entry, with value 0
            a, b, _ = next(row[s] for row in table if len(row) > s)
            for row in table:
                if len(row) == s:
                    row.append((a, b, 0.0))
        values = {term[3] for term in terms}
        self._common = (
            values.pop() if len(values) == 1 and all(len(r) == length for r in by_component.values()) else 1.0
        )
        self._length = length
        self._is_gathered = size == 1 or size * length <= max(SMALL, left_size + right_size)
        columns = [[e for row in table for e in row]] if self._is_gathered else list(zip(*table, strict=True))
        self._slots = [_Slot(column, left_size, right_size, self._common) for column in columns]

    def __call__(self, x: Array, y: Array) -> Array:
        total = None
        for slot in self._slots:
            total = add(total, slot(x, y))
        if self._is_gathered and self._length > 1:
            is_one = self.size == 1
            total = total.sum(0)[None] if is_one else total.reshape((self.size, self._length, *total.shape[1:])).sum(1)
        return scale(self._common, total)


class _Slot:
    """c_s x_{a_s} y_{b_s} / common, one product for each entry (a, b, c)."""

    def __init__(
        self, entries: Sequence[tuple[int, int, float]], left_size: int, right_size: int, common: float
    ) -> None:
        left, right = [a for a, _, _ in entries], [b for _, b, _ in entries]
        self._period = next(n for n in range(1, len(left) + 1) if left == left[:n] * (len(left) // n))
        is_periodic = 1 < self._period < len(left)
        self._left = Selection(left[: self._period] if is_periodic else left, left_size)
        self._right = Selection(right, right_size, keep=self._period == 1 or is_periodic)
        self._is_periodic, self._is_square = is_periodic, left == right and not is_periodic
        self._factors = Factors([c / common for _, _, c in entries])

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
