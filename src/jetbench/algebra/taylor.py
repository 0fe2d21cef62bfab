"""Standard Taylor mode: a full K-jet along every direction, 1 + K·R vectors for R directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

from jetbench.algebra.arrays import scaled
from jetbench.algebra.base import Algebra, Array, Blocks, add, scale, take
from jetbench.algebra.directional import Monomials, contract, directional_plan, warn_of_many
from jetbench.operators.problem import Problem


class Taylor(Algebra):
    """Jets (u, c_1, …, c_K) with c_k[r] = ⟨∂^k u, v_r^⊗k⟩; directions share the primal.

    Block k holds the directions that are propagated to at least order k.
    Source: Griewank and Walther, Evaluating Derivatives (2008), chapter 13.
    """

    def __init__(self, problem: Problem) -> None:
        self.outputs = tuple(problem.operator.symbols)
        self.directions = directional_plan(problem)
        self.groups = self.directions.groups
        self.sizes = tuple(self.directions.count(k) for k in range(1, self.directions.order + 1))
        warn_of_many(self.vectors, problem.operator)

    def seeds(self, draws: Sequence[Array] = ()) -> list[Array | None]:
        if not self.sizes:
            return []
        return [self.directions.seeds(draws), *[None] * (self.order - 1)]

    def compose(self, derivatives: Sequence[Array | None], blocks: Blocks) -> Blocks:
        result: Blocks = []
        monomials = Monomials(blocks, 0, self.sizes[0])
        for k, size in enumerate(self.sizes, 1):
            total = None
            for m in range(1, k + 1):
                bell = monomials.bell(k, m, size) if derivatives[m - 1] is not None else None
                if bell is not None:
                    total = add(total, scaled(derivatives[m - 1], bell))
            result.append(total)
        return result

    def multiply(self, a: Array, a_blocks: Blocks, b: Array, b_blocks: Blocks, product: Callable) -> Blocks:
        result: Blocks = []
        for k, size in enumerate(self.sizes, 1):
            total = None
            if b_blocks[k - 1] is not None:
                total = add(total, product(a[None], b_blocks[k - 1]))
            for j in range(1, k):
                left, right = a_blocks[j - 1], b_blocks[k - j - 1]
                if left is not None and right is not None:
                    total = add(total, scale(comb(k, j), product(take(left, 0, size), take(right, 0, size))))
            if a_blocks[k - 1] is not None:
                total = add(total, product(a_blocks[k - 1], b[None]))
            result.append(total)
        return result

    def read(self, primal: Array, blocks: Blocks) -> dict[str, Array | None]:
        result: dict[str, Array | None] = {}
        for name in self.outputs:
            weight = self.directions.primal[name]
            total = scale(weight, primal) if weight else None
            for k, block in enumerate(blocks, 1):
                weights = [row.reads.get(name, {}).get(k, 0.0) for row in self.directions.rows[: self.sizes[k - 1]]]
                if block is not None and any(weights):
                    total = add(total, contract(weights, block))
            result[name] = total
        return result
