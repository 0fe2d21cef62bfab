"""Collapsed Taylor mode: the highest coefficients are propagated summed, 1 + (K − 1)·R + 1 vectors for R directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

from jetbench.algebra.arrays import scaled, stack
from jetbench.algebra.base import Algebra, Array, Blocks, add, scale, take
from jetbench.algebra.directional import Monomials, contract, directional_plan, warn_of_many
from jetbench.operators.problem import Problem


class Collapsed(Algebra):
    """Jets (u, c_1, …, c_{K−1}, s) with s = Σ_r w_r ⟨∂^K u, v_r^⊗K⟩.

    The highest coefficient of each direction enters every rule linearly, so the weighted sum is propagated instead,
    one for each output. Directions of lower order contribute to the same sum; those of order 1 only to its seed.
    For K = 2 this is the forward Laplacian (Li et al., arXiv 2307.08214).
    Source: Dangel, Siebert, Zeinhofer, Walther, arXiv 2505.13644.
    """

    def __init__(self, problem: Problem) -> None:
        self.outputs = tuple(problem.operator.symbols)
        self.directions = directional_plan(problem)
        self.groups = self.directions.groups
        rows = self.directions.rows
        self._summed = tuple(name for name in self.outputs if any(row.order in row.reads.get(name, {}) for row in rows))
        lower = tuple(self.directions.count(k + 1) for k in range(1, self.directions.order))
        self.sizes = (*lower, len(self._summed)) if rows else ()
        warn_of_many(self.vectors, problem.operator)
        self._known_weights: dict[tuple[str, int, int], tuple[float, ...]] = {}
        self._groups: list[tuple[int, int, int]] = []
        for order in sorted({row.order for row in rows}, reverse=True):
            self._groups.append((order, self.directions.count(order + 1), self.directions.count(order)))

    def _weights(self, name: str, start: int, stop: int) -> tuple[float, ...]:
        found = self._known_weights.get((name, start, stop))
        if found is None:
            found = tuple(row.reads.get(name, {}).get(row.order, 0.0) for row in self.directions.rows[start:stop])
            self._known_weights[name, start, stop] = found
        return found

    def seeds(self, draws: Sequence[Array] = ()) -> list[Array | None]:
        if not self.sizes:
            return []
        result: list[Array | None] = [None] * self.order
        propagated = self.directions.count(2)
        if propagated:
            result[0] = self.directions.seeds(draws)[:propagated]
        first_order = self.directions.rows[propagated:]
        if first_order:
            directions = self.directions.seeds(draws)[propagated:]
            tops = [
                contract(self._weights(name, propagated, len(self.directions.rows)), directions)
                for name in self._summed
            ]
            known = next(top for top in tops if top is not None)
            result[-1] = stack([0 * known if top is None else top for top in tops])
        return result

    def _tops(self, terms: Callable[[int, int, int], tuple[Array | None, ...]]) -> list[Array | None]:
        """For each summed output Σ over groups of directions of its weights times terms(order, start, stop), which are
        given as an array or as two to be multiplied."""
        found = [(start, stop, terms(order, start, stop)) for order, start, stop in self._groups if order > 1]
        tops: list[Array | None] = []
        for name in self._summed:
            total = None
            for start, stop, arrays in found:
                weights = self._weights(name, start, stop)
                if arrays[0] is not None and any(weights):
                    total = add(total, contract(weights, *arrays))
            tops.append(total)
        return tops

    def compose(self, derivatives: Sequence[Array | None], blocks: Blocks) -> Blocks:
        result: Blocks = []
        monomials = [(start, stop, Monomials(blocks, start, stop)) for _, start, stop in self._groups]
        everything = Monomials(blocks, 0, self.sizes[0]) if len(self._groups) > 1 else monomials[0][2]
        for k, size in enumerate(self.sizes[:-1], 1):
            total = None
            for m in range(1, k + 1):
                bell = everything.bell(k, m, size) if derivatives[m - 1] is not None else None
                if bell is not None:
                    total = add(total, scaled(derivatives[m - 1], bell))
            result.append(total)
        of_group = {start: found for start, _, found in monomials}
        tops: list[Array | None] = [None] * len(self._summed)
        for m in range(2, self.directions.order + 1):
            if derivatives[m - 1] is None:
                continue

            def terms(order: int, start: int, stop: int, m: int = m) -> tuple[Array | None, ...]:
                if order == m == 2 and len(self._summed) == 1:
                    return (of_group[start]((1,)),) * 2  # squares are summed without being written down
                return (of_group[start].bell(order, m, stop - start),)

            sums = self._tops(terms)
            tops = [
                top if term is None else add(top, derivatives[m - 1] * term)
                for top, term in zip(tops, sums, strict=True)
            ]
        return [*result, self._join(tops, _times(derivatives[0], blocks[-1]))]

    def multiply(self, a: Array, a_blocks: Blocks, b: Array, b_blocks: Blocks, product: Callable) -> Blocks:
        def leibniz(k: int, start: int, stop: int) -> Array | None:
            total = None
            for j in range(1, k):
                left, right = a_blocks[j - 1], b_blocks[k - j - 1]
                if left is not None and right is not None:
                    total = add(total, scale(comb(k, j), product(take(left, start, stop), take(right, start, stop))))
            return total

        result: Blocks = []
        for k, size in enumerate(self.sizes, 1):
            total = None
            if b_blocks[k - 1] is not None:
                total = add(total, product(a[None], b_blocks[k - 1]))
            if a_blocks[k - 1] is not None:
                total = add(total, product(a_blocks[k - 1], b[None]))
            if k == self.order:
                contracted = getattr(product, "contracted", None)
                if contracted is not None and len(self._summed) == 1:
                    tops = [self._contracted_top(a_blocks, b_blocks, contracted)]
                else:
                    tops = self._tops(lambda order, start, stop: (leibniz(order, start, stop),))
                result.append(self._join(tops, total))
            else:
                result.append(add(total, leibniz(k, 0, size)))
        return result

    def _contracted_top(self, a_blocks: Blocks, b_blocks: Blocks, contracted: Callable) -> Array | None:
        """Σ_r w_r Σ_j C(K, j) product(a_j[r], b_{K−j}[r]), each sum over r within the product itself."""
        total = None
        for order, start, stop in self._groups:
            weights = self._weights(self._summed[0], start, stop)
            for j in range(1, order):
                left, right = a_blocks[j - 1], b_blocks[order - j - 1]
                if left is not None and right is not None and any(weights):
                    factors = [comb(order, j) * weight for weight in weights]
                    total = add(total, contracted(factors, take(left, start, stop), take(right, start, stop)))
        return total

    def _join(self, tops: list[Array | None], linear: Array | None) -> Array | None:
        """`linear`, (outputs, *S), plus the tops of shape S."""
        if all(top is None for top in tops):
            return linear
        if len(tops) == 1:
            return add(linear, tops[0][None])
        known = next(top for top in tops if top is not None)
        return add(linear, stack([0 * known if top is None else top for top in tops]))

    def read(self, primal: Array, blocks: Blocks) -> dict[str, Array | None]:
        result: dict[str, Array | None] = {}
        for name in self.outputs:
            weight = self.directions.primal[name]
            total = scale(weight, primal) if weight else None
            for k, block in enumerate(blocks[: self.directions.order - 1], 1):
                rows = self.directions.rows[: self.sizes[k - 1]]
                weights = [row.reads.get(name, {}).get(k, 0.0) for row in rows]
                if block is not None and any(weights):
                    total = add(total, contract(weights, block))
            if name in self._summed and blocks[-1] is not None:
                total = add(total, blocks[-1][self._summed.index(name)])
            result[name] = total
        return result


def _times(factor: Array | None, block: Array | None) -> Array | None:
    return None if factor is None or block is None else factor * block
