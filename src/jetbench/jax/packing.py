"""Jets as plain arrays and back, for loops and branches, which carry arrays only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jetbench.algebra.base import Algebra
from jetbench.jax.jet import Jet, Value, primal

Present = tuple[int, ...]  # which blocks of a value do not vanish; () for one that does not depend on x
Packed = list[tuple[Array, ...]]  # (primal,) or (primal, coefficients (n, *S)) for each value


@dataclass(frozen=True)
class Layout:
    """Which blocks each of several values has."""

    algebra: Algebra
    blocks: tuple[Present, ...]

    @classmethod
    def of(cls, algebra: Algebra, values: Sequence[Value]) -> Layout:
        """The blocks that the values have."""
        return cls(algebra, tuple(value.present if isinstance(value, Jet) else () for value in values))

    def union(self, other: Layout) -> Layout:
        """The blocks that either has."""
        both = zip(self.blocks, other.blocks, strict=True)
        return Layout(self.algebra, tuple(tuple(sorted({*a, *b})) for a, b in both))

    def pack(self, values: Sequence[Value]) -> Packed:
        """The values as arrays, zeros filled in where they lack blocks."""
        return [self._packed(value, wanted) for value, wanted in zip(values, self.blocks, strict=True)]

    def _packed(self, value: Value, wanted: Present) -> tuple[Array, ...]:
        if not wanted:
            return (jnp.asarray(primal(value)),)
        if isinstance(value, Jet) and value.present == wanted:
            return (value.primal, value.rest)
        u = jnp.asarray(primal(value))
        known = value.blocks if isinstance(value, Jet) else [None] * self.algebra.order
        zeros = [jnp.zeros_like(u, shape=(self.algebra.sizes[k], *u.shape)) for k in wanted if known[k] is None]
        return (u, jnp.concatenate([zeros.pop() if known[k] is None else known[k] for k in wanted]))

    def unpack(self, arrays: Packed) -> list[Value]:
        """The values that were packed."""
        return [
            Jet(self.algebra, parts[0], rest=parts[1], present=blocks) if blocks else parts[0]
            for parts, blocks in zip(arrays, self.blocks, strict=True)
        ]


def layout_of_result(
    function: Callable[[Sequence[Value]], Sequence[Value]], layout: Layout, arguments: Packed
) -> Layout:
    """Which blocks the results of a function have, found without computing anything."""
    found: list[Layout] = []

    def run(arrays: Packed) -> Packed:
        results = function(layout.unpack(arrays))
        found.append(Layout.of(layout.algebra, results))
        return found[-1].pack(results)

    jax.eval_shape(run, arguments)
    return found[-1]
