"""Applying the tables of an apolar algebra: to whole blocks, component by component, or with any bilinear product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jetbench.algebra.apolar.components import NO_FORMS, Form, Forms, Sums, sums_of
from jetbench.algebra.apolar.tables import Table
from jetbench.algebra.base import Array, add, scale


class Blockwise:
    """Values are whole blocks, arrays (h_k, *S), or None where they are zero.

    Few, large array operations.
    """

    def __init__(self) -> None:
        self._known: list[tuple[Array, Forms, Array]] = []

    def load(self, block: Array | None) -> Array | None:
        return block

    def add(self, x: Array | None, y: Array | None) -> Array | None:
        return add(x, y)

    def scale(self, factor: float, x: Array | None) -> Array | None:
        return None if x is None else scale(factor, x)

    def times(self, factor: Array, x: Array | None) -> Array | None:
        """factor · x for a factor of shape S."""
        return None if x is None else factor * x

    def product(self, table: Table, x: Array | None, y: Array | None) -> Array | None:
        if x is None or y is None:
            return None
        total = None
        for is_left, is_right, section in table.sections:
            left = self._sums(table.left_forms, x) if is_left else x
            right = self._sums(table.right_forms, y) if is_right else y
            total = add(total, section(left, right))
        return total

    def _sums(self, forms: Forms, x: Array) -> Array:
        for array, of_array, sums in self._known:
            if array is x and of_array is forms:
                return sums
        sums = forms.sums(x)
        self._known.append((x, forms, sums))
        return sums


class Unrolled:
    """Values are lists of components, arrays S, or None where they are zero.

    Many small operations, for a compiler to fuse.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple, tuple[list, Array | None]] = {}

    def load(self, block: Array | None) -> list[Array | None] | None:
        return None if block is None else [block[i] for i in range(block.shape[0])]

    def add(self, x: list | None, y: list | None) -> list | None:
        if x is None or y is None:
            return y if x is None else x
        return [add(a, b) for a, b in zip(x, y, strict=True)]

    def scale(self, factor: float, x: list | None) -> list | None:
        return None if x is None else [None if v is None else scale(factor, v) for v in x]

    def times(self, factor: Array, x: list | None) -> list | None:
        return None if x is None else [None if v is None else factor * v for v in x]

    def product(self, table: Table, x: list | None, y: list | None) -> list | None:
        if x is None or y is None:
            return None
        result = []
        for is_left, products in table.groups:
            outer, inner = (x, y) if is_left else (y, x)
            outer_forms, inner_forms = (
                (table.left_forms, table.right_forms) if is_left else (table.right_forms, table.left_forms)
            )
            total = None
            values = [value for _, form in products for _, value in form]
            common = values[0] if values and all(abs(v) == abs(values[0]) for v in values) else 1.0
            for index, form in products:
                factor = self._component(outer, outer_forms, index)
                scaled = tuple((b, value / common) for b, value in form)
                rest = self._sum(inner, inner_forms, scaled)
                if factor is not None and rest is not None:
                    total = add(total, factor * rest)
            result.append(None if total is None else scale(common, total))
        return result

    def _component(self, x: list, forms: Forms, index: int) -> Array | None:
        return x[index] if index < len(x) else self._sum(x, NO_FORMS, forms.terms[index - len(x)])

    def _sum(self, x: list, forms: Forms, form: Form) -> Array | None:
        if len(form) == 1 and form[0][1] == 1:
            return self._component(x, forms, form[0][0])
        key = (id(x), form)
        if key not in self._sums:
            total = None
            for b, value in form:
                component = self._component(x, forms, b)
                if component is not None:
                    total = add(total, scale(value, component))
            self._sums[key] = (x, total)
        return self._sums[key][1]


class Bilinear:
    """z_q = Σ c product(x_a, y_b) for any bilinear product, called once on all pairs that occur.

    Sums are taken before the product where that leaves fewer pairs, after it otherwise.
    """

    def __init__(self, table: Table) -> None:
        q, a, b, c = table.arrays
        width = int(b.max(initial=0)) + 1
        plain, uses = np.unique(a * width + b, return_inverse=True)
        summed = _summed_pairs(table) if table.products < len(q) else {}
        if summed and len(summed) < len(plain):
            self._left = sums_of([left for left, _ in summed], table.left_size, table.left_forms)
            self._right = sums_of([right for _, right in summed], table.right_size, table.right_forms)
            row = [q for of_pair in summed.values() for q in of_pair]
            uses = [number for number, of_pair in enumerate(summed.values()) for _ in of_pair]
            self._results = Sums(table.size, row, uses, np.ones(len(row)), len(summed))
            return
        rows, ones = np.arange(len(plain)), np.ones(len(plain))
        self._left = Sums(len(plain), rows, plain // width, ones, table.left_size, table.left_forms)
        self._right = Sums(len(plain), rows, plain % width, ones, table.right_size, table.right_forms)
        self._results = Sums(table.size, q, uses, c, len(plain))

    def __call__(self, x: Array, y: Array, product: Callable) -> Array:
        """(table.size, *S) from blocks (n, *S_x) and (m, *S_y); `product` maps (pairs, *S_x), (pairs, *S_y) to
        (pairs, *S)."""
        return self._results(product(self._left(x), self._right(y)))


def _summed_pairs(table: Table) -> dict[tuple[Form, Form], list[int]]:
    """The pairs of forms whose products the groups of a table take, and the components q in which each occurs."""
    pairs: dict[tuple[Form, Form], list[int]] = {}
    for q, (is_left, products) in enumerate(table.groups):
        for index, form in products:
            single = ((index, 1.0),)
            pairs.setdefault((single, form) if is_left else (form, single), []).append(q)
    return pairs
