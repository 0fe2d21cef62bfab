"""The lower orders of another algebra, for derivatives that are multiplied by something nilpotent afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jetbench.algebra.base import Algebra, Array, Blocks


class Truncated(Algebra):
    """The quotient of an algebra by everything above a block: jets (u, block 1, …, block L).

    Args:
        algebra: the whole algebra, or a truncation of it.
        order: L, at most the order of `algebra`.

    Attributes:
        whole: the algebra that is truncated.
    """

    outputs = ()

    def __init__(self, algebra: Algebra, order: int) -> None:
        self.whole: Algebra = algebra.whole if isinstance(algebra, Truncated) else algebra
        self.sizes = algebra.sizes[:order]

    def seeds(self, draws: Sequence[Array] = ()) -> list[Array | None]:
        return self.whole.seeds(draws)[: self.order]

    def compose(self, derivatives: Sequence[Array | None], blocks: Blocks) -> Blocks:
        return self.whole.compose(self.extended(derivatives), self.extended(blocks))[: self.order]

    def multiply(self, a: Array, a_blocks: Blocks, b: Array, b_blocks: Blocks, product: Callable) -> Blocks:
        return self.whole.multiply(a, self.extended(a_blocks), b, self.extended(b_blocks), product)[: self.order]

    def read(self, primal: Array, blocks: Blocks) -> dict[str, Array | None]:
        return self.whole.read(primal, self.extended(blocks))

    def extended(self, entries: Sequence[Array | None]) -> list[Array | None]:
        """One entry for each block of the whole algebra, zero above those given."""
        return [*entries, *[None] * (self.whole.order - len(entries))]
