"""Divided powers in an apolar algebra, which elementwise functions need, by a recursion with few products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jetbench.algebra.apolar.arithmetic import Blockwise, Unrolled
from jetbench.algebra.apolar.components import NO_FORMS, Forms
from jetbench.algebra.apolar.space import InverseSystem
from jetbench.algebra.apolar.tables import Table, block_forms, with_forms
from jetbench.algebra.base import Array, Blocks


class Powers:
    """The divided powers w^m/m! of a nilpotent element w, as few products of blocks as possible.

    w = w_1 + … + w_K by blocks, and w^m/m! is the sum of all products of m of the w_j, divided by the factorials of how
    often each occurs. P(m, j, e) denotes the part of it whose smallest index is ≥ j and in which w_j occurs exactly e
    times, so that

        P(m, j, e) = w_j · P(m − 1, j, e − 1) / e,        P(m, j, 0) = Σ_e P(m, j + 1, e),

    and every product has a factor w_j with the smallest index there is: the coproduct has few terms there. In the
    highest block, from which no further products are made, the sum over e is taken before the product.

    Attributes:
        products: how many products of components `compose` takes when it is unrolled.
    """

    def __init__(self, system: InverseSystem, tables: dict[tuple[int, int, int], Table]) -> None:
        self.order = len(system.sizes)
        self._sizes = system.sizes
        self._tables = tables
        self._scaled: dict[tuple[int, int, int, int], Table] = {}
        self._squares = {(k, i): _square(table) for (k, i, j), table in tables.items() if i == j}
        self._monomials = {
            k: {pivot for pivot, element in zip(pivots, block, strict=True) if len(element) == 1}
            for k, (pivots, block) in enumerate(zip(system.pivots, system.blocks, strict=True), 1)
        }
        forms = block_forms(system)
        self._pure = {k: self._pure_tables(system, forms, k) for k in range(3, self.order + 1)}
        counter = _Counter()
        self.compose(counter, [True] * self.order, [[True] * size for size in self._sizes])
        self.products = counter.products

    def compose(self, arithmetic: Blockwise | Unrolled, derivatives: Sequence[Array | None], blocks: Blocks) -> list:
        """Blocks of φ(u), Σ_m φ^(m)(u) (w^m/m!), as values of the arithmetic."""
        w = [arithmetic.load(block) for block in blocks]
        run = _Run(self, arithmetic, w)
        result = []
        for k in range(1, self.order + 1):
            total = None if derivatives[0] is None else arithmetic.times(derivatives[0], w[k - 1])
            for m in range(2, k + 1):
                if derivatives[m - 1] is not None:
                    power = run.top(m) if k == self.order else run.power(m, 1, k)
                    total = arithmetic.add(total, arithmetic.times(derivatives[m - 1], power))
            result.append(total)
        return result

    def table(self, k: int, i: int, j: int, divisor: int) -> Table | None:
        """The product of blocks i and j in block k, divided by a number."""
        if (k, i, j) not in self._tables:
            return None
        if (k, i, j, divisor) not in self._scaled:
            table = self._tables[k, i, j]
            self._scaled[k, i, j, divisor] = table if divisor == 1 else table.scaled(1 / divisor)
        return self._scaled[k, i, j, divisor]

    def square(self, k: int, j: int) -> Table | None:
        """w_j · w_j / 2 in block k."""
        return self._squares.get((k, j))

    def pure(self, k: int, m: int) -> Table | None:
        """w_1 · (w_1^{m−1}/(m − 1)!)_{m−1} / m in block k, where it can be had from fewer terms; None otherwise."""
        return self._pure.get(k, {}).get(m)

    def _pure_tables(self, system: InverseSystem, forms: dict[int, Forms], k: int) -> dict[int, Table]:
        """(w_1^m/m!)_q is the part of degree m of q at the point w_1: one product for each of its monomials γ, namely
        w_1 at one variable times (w_1^{m−1}/(m−1)!) at the rest, provided that the rest is a basis element."""
        result: dict[int, Table] = {}
        ones = {pivot[0] for pivot in system.pivots[0]}
        for m in range(3, k + 1):
            known = self._monomials[m - 1]
            terms = []
            is_possible = True
            for q, element in enumerate(system.blocks[k - 1]):
                left = {g: float(c) for g, c in element.items() if len(g) == m and ones.issuperset(g)}
                while left and is_possible:
                    found: dict[int, list] = {}
                    for g in left:
                        for variable in dict.fromkeys(g):
                            at = g.index(variable)
                            rest = g[:at] + g[at + 1 :]
                            if rest in known:
                                found.setdefault(variable, []).append((g, rest))
                    if not found:
                        is_possible = False
                        break
                    variable = max(found, key=lambda v: len(found[v]))
                    a = system.positions[(variable,)]
                    terms.extend((q, a, system.positions[rest], left.pop(g)) for g, rest in found[variable])
            if is_possible and terms:
                entries: dict[int, list] = {}
                for q, a, b, c in terms:
                    entries.setdefault(q, []).append((a, b, c))
                sizes = system.sizes
                table = with_forms(sizes[k - 1], entries, sizes[0], sizes[m - 2], NO_FORMS, forms[m - 1])
                general = self._tables.get((k, 1, m - 1))
                if general is None or table.products < general.products:
                    result[m] = table
        return result


class _Run:
    """The powers of one element, each computed when it is first needed."""

    def __init__(self, powers: Powers, arithmetic: Blockwise | Unrolled, w: Sequence) -> None:
        self._powers, self._arithmetic, self._w = powers, arithmetic, w
        self._parts: dict[tuple[int, int, int, int], object] = {}
        self._totals: dict[tuple[int, int, int], object] = {}

    def power(self, m: int, j: int, k: int) -> object:
        """Block k of the part of w^m/m! with indices ≥ j."""
        if (m, j, k) not in self._totals:
            total = None
            if m * j <= k:
                for e in range(m, 0, -1):
                    total = self._arithmetic.add(total, self._part(m, j, e, k))
                total = self._arithmetic.add(total, self._without(m, j, k))
            self._totals[m, j, k] = total
        return self._totals[m, j, k]

    def _without(self, m: int, j: int, k: int) -> object:
        """P(m, j, 0) in block k."""
        return self.power(m, j + 1, k)

    def _part(self, m: int, j: int, e: int, k: int) -> object:
        """P(m, j, e) in block k."""
        if e == 0:
            return self._without(m, j, k)
        if m == 1:
            return self._w[k - 1] if j == k else None
        if e * j + (m - e) * (j + 1) > k:
            return None
        if (m, j, e, k) not in self._parts:
            self._parts[m, j, e, k] = self._multiply(m, j, e, k)
        return self._parts[m, j, e, k]

    def _multiply(self, m: int, j: int, e: int, k: int) -> object:
        w, arithmetic = self._w[j - 1], self._arithmetic
        if m == e == 2:
            table = self._powers.square(k, j)
            return None if table is None else arithmetic.product(table, w, w)
        pure = self._powers.pure(k, m) if j == 1 and e == m else None
        if pure is not None:
            return arithmetic.product(pure, w, self._part(m - 1, 1, m - 1, m - 1))
        total = None
        for i in range((m - 1) * j, k - j + 1):
            table = self._powers.table(k, j, i, e)
            if table is not None:
                rest = self._part(m - 1, j, e - 1, i)
                total = arithmetic.add(total, arithmetic.product(table, w, rest))
        return total

    def top(self, m: int) -> object:
        """w^m/m! in the highest block."""
        k, arithmetic = self._powers.order, self._arithmetic
        total = None
        for j in range(1, k // m + 1):
            w = self._w[j - 1]
            if m == 2:
                table = self._powers.square(k, j)
                if table is not None:
                    total = arithmetic.add(total, arithmetic.product(table, w, w))
            for i in range((m - 1) * j, k - j + 1):
                parts = [(e, self._part(m - 1, j, e - 1, i)) for e in range(1, m + 1) if m > 2 or e == 1]
                parts = [(e, part) for e, part in parts if part is not None]
                if not parts:
                    continue
                divisor = parts[0][0] if len(parts) == 1 else 1
                table = self._powers.table(k, j, i, divisor)
                if table is not None:
                    rest = None
                    for e, part in parts:
                        rest = arithmetic.add(rest, arithmetic.scale(divisor / e, part))
                    total = arithmetic.add(total, arithmetic.product(table, w, rest))
        return total


def _square(table: Table) -> Table:
    """The table of x·x/2: pairs a ≠ b occur in both orders and are merged."""
    q, a, b, c = table.arrays
    pairs = np.stack([q, np.minimum(a, b), np.maximum(a, b)])
    merged, first, where = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
    sums = np.bincount(where.ravel(), c / 2, minlength=len(first))
    kept = np.argsort(first)[sums[np.argsort(first)] != 0]
    return replace(table, arrays=(*merged[:, kept], sums[kept]))


class _Counter(Unrolled):
    """Unrolled arithmetic on truth values that counts products of components."""

    def __init__(self) -> None:
        super().__init__()
        self.products = self.sections = 0

    def load(self, block: list) -> list:
        return block

    def add(self, x: list | None, y: list | None) -> list | None:
        return x or y

    def scale(self, factor: float, x: list | None) -> list | None:
        return x

    def times(self, factor: bool, x: list | None) -> list | None:
        return x

    def product(self, table: Table, x: list | None, y: list | None) -> list | None:
        if x is None or y is None:
            return None
        self.products += table.products
        self.sections += len(table.sections)  # worked out here, so that nothing is left to a compiler's recording
        return [True] * table.size
