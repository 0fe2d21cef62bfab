"""Apolar Taylor mode: propagation over the smallest algebra that determines p(∂)f, dim R[∂]·p vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from jetbench.algebra.apolar.arithmetic import Bilinear, Blockwise, Unrolled
from jetbench.algebra.apolar.inverse_system import inverse_system
from jetbench.algebra.apolar.powers import Powers
from jetbench.algebra.apolar.space import InverseSystem
from jetbench.algebra.apolar.tables import product_tables
from jetbench.algebra.arrays import concatenate, is_traced, stack
from jetbench.algebra.base import Algebra, Array, Blocks, add, scale
from jetbench.algebra.recorded import Expression, StraightLine, record
from jetbench.errors import unknown
from jetbench.operators.problem import Problem

# Larger algebras take a compiler too long component by component, and those of order 2 gain nothing by it.
UNROLLED_PRODUCTS, UNROLLED_VECTORS = 400, 128


class Apolar(Algebra):
    """Jets (u, q(∂)u for q in a basis of V) with V = R[∂]·p, the inverse system of the symbols p.

    Elementwise: q(∂)[φ(u)] = Σ_m φ^(m)(u)/m! (w^m)_q, where w = (q(∂)u)_q is the nilpotent part of u and powers are
    taken in the algebra R[ε]/Ann(p) dual to V, whose structure constants are those of the coproduct q(ξ + η).
    Choose it for any operator of order 3 or more; for p = ξ·ξ it is the forward Laplacian, for p = ξ₀^K univariate
    Taylor mode, for p = ξ₀ξ₁… hyper-dual numbers. New to our knowledge; the derivation is in docs/apolar.md.

    Args:
        problem: with the exact estimator.
        elementwise: "unrolled" multiplies component by component, for compilers to fuse; "blockwise" in few operations
            on whole blocks; "auto" unrolls algebras of moderate size under a compiler, and where a backend carries out
            their `straight_line`.

    Raises:
        ValueError: the estimator is random, or `elementwise` is unknown.
    """

    composes_whole = True

    def __init__(self, problem: Problem, elementwise: str = "auto") -> None:
        if not problem.estimator.is_exact:
            raise ValueError(
                f"The apolar algebra belongs to the exact operator; the estimator {problem.estimator.kind!r} draws"
                " directions. Use method='collapsed' with it."
            )
        if elementwise not in (allowed := ("auto", "unrolled", "blockwise")):
            raise ValueError(unknown("value", elementwise, allowed, "elementwise"))
        self.outputs = tuple(problem.operator.symbols)
        self.system: InverseSystem = inverse_system(tuple(problem.operator.symbols.values()))
        self.sizes = self.system.sizes
        self._elementwise = elementwise
        self._programs: dict[tuple, StraightLine | None] = {}

    @cached_property
    def _tables(self) -> dict:
        return product_tables(self.system)

    @cached_property
    def powers(self) -> Powers:
        """How powers are taken in the algebra; made when it is first used, since counting vectors does not need it."""
        return Powers(self.system, self._tables)

    @cached_property
    def _bilinear(self) -> dict:
        return {key: Bilinear(table) for key, table in self._tables.items()}

    @cached_property
    def has_programs(self) -> bool:
        return self._elementwise != "blockwise" and self._is_small

    def seeds(self, draws: Sequence[Array] = ()) -> list[Array | None]:
        del draws
        return list(self.system.seeds)

    def read(self, primal: Array, blocks: Blocks) -> dict[str, Array | None]:
        result: dict[str, Array | None] = {}
        for name, (constant, coordinates) in zip(self.outputs, self.system.readouts, strict=True):
            total = scale(constant, primal) if constant else None
            for k, position, value in coordinates:
                if blocks[k - 1] is not None:
                    total = add(total, scale(value, blocks[k - 1][position]))
            result[name] = total
        return result

    def compose(self, derivatives: Sequence[Array | None], blocks: Blocks) -> Blocks:
        if not self._is_unrolled(blocks):
            return self.powers.compose(Blockwise(), derivatives, blocks)
        lists = self.powers.compose(Unrolled(), derivatives, blocks)
        return [None if _is_zero(components) else stack(_filled(components)) for components in lists]

    def compose_whole(
        self,
        value: Array,
        derivatives: Sequence[Array | None],
        blocks: Blocks,
        join: Callable[[Sequence[Array]], Array] | None = None,
    ) -> Array | None:
        """Under a compiler every component is written once, to where the next linear layer reads it."""
        if not self._is_unrolled(blocks):
            return super().compose_whole(value, derivatives, blocks, join)
        lists = self.powers.compose(Unrolled(), derivatives, blocks)
        if any(_is_zero(components) for components in lists):
            return None
        components = [component for components in lists for component in components]
        return (join or concatenate)([value[None], *(array[None] for array in _filled(components))])

    def straight_line(self, derivatives: Sequence[bool], blocks: Sequence[bool]) -> StraightLine | None:
        if not self.has_programs:
            return None
        key = (tuple(derivatives), tuple(blocks))
        if key not in self._programs:
            self._programs[key] = self._recorded(*key)
        return self._programs[key]

    def _recorded(self, derivatives: Sequence[bool], blocks: Sequence[bool]) -> StraightLine | None:
        sizes = [size if is_there else 0 for size, is_there in zip(self.sizes, blocks, strict=True)]
        inputs = [Expression("input") for _ in range(sum(derivatives) + sum(sizes))]
        given = iter(inputs)
        towers = [next(given) if is_there else None for is_there in derivatives]
        loaded = [np.array([next(given) for _ in range(size)], dtype=object) if size else None for size in sizes]
        lists = self.powers.compose(Unrolled(), towers, loaded)
        if any(_is_zero(components) for components in lists):
            return None
        return record(inputs, [component for components in lists for component in components])

    def _is_unrolled(self, blocks: Blocks) -> bool:
        known = next((block for block in blocks if block is not None), None)
        if self._elementwise != "auto" or known is None:
            return self._elementwise == "unrolled"
        return self._is_small and is_traced(known)

    @cached_property
    def _is_small(self) -> bool:
        return self.order > 2 and self.powers.products <= UNROLLED_PRODUCTS and self.vectors <= UNROLLED_VECTORS

    def multiply(self, a: Array, a_blocks: Blocks, b: Array, b_blocks: Blocks, product: Callable) -> Blocks:
        result: Blocks = []
        for k in range(1, self.order + 1):
            total = None if b_blocks[k - 1] is None else product(a[None], b_blocks[k - 1])
            if a_blocks[k - 1] is not None:
                total = add(total, product(a_blocks[k - 1], b[None]))
            for i in range(1, k):
                for j in range(1, k - i + 1):
                    bilinear = self._bilinear.get((k, i, j))
                    if bilinear is not None and a_blocks[i - 1] is not None and b_blocks[j - 1] is not None:
                        total = add(total, bilinear(a_blocks[i - 1], b_blocks[j - 1], product))
            result.append(total)
        return result


def _is_zero(components: list[Array | None] | None) -> bool:
    return components is None or all(component is None for component in components)


def _filled(components: list[Array | None]) -> list[Array]:
    """The components with arrays of zeros in place of None; one of them is an array."""
    known = next(component for component in components if component is not None)
    return [0 * known if component is None else component for component in components]
