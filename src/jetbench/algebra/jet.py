"""What a jet is in every backend; how coefficients are split, joined and acted on is in the backends' `jet`."""

from __future__ import annotations

from typing import Any, Self

from jetbench.algebra.arrays import Array
from jetbench.algebra.base import Algebra, Blocks


class JetBase:
    """A primal of shape S and its coefficients.

    Coefficients are stored in `blocks` (one (sizes[k], *S) array or None a block), in `rest` (the non-zero blocks one
    after the other, (n, *S)), or in `whole` (the primal in front of them, (1 + n, *S)); each is made from the others
    when it is first asked for, so that a linear layer is one matrix product.

    Args:
        algebra: gives the sizes of blocks.
        primal: (*S).
        blocks: as above, or None where `rest` is given.
        rest: with `present`, the indices of the blocks in it.
        whole: likewise; its first entry is the primal.
    """

    def __init__(
        self,
        algebra: Algebra,
        primal: Array,
        blocks: Blocks | None = None,
        rest: Array | None = None,
        whole: Array | None = None,
        present: tuple[int, ...] = (),
    ) -> None:
        self.algebra, self.primal = algebra, primal
        self._blocks, self._rest, self._whole = blocks, rest, whole
        if blocks is not None:
            present = tuple([k for k, block in enumerate(blocks) if block is not None])
        self.present = present

    @classmethod
    def from_whole(cls, algebra: Algebra, whole: Array, present: tuple[int, ...]) -> Self:
        """A jet whose primal is whole[0] and whose non-zero blocks follow."""
        return cls(algebra, whole[0], whole=whole, present=present)

    @property
    def whole(self) -> Array | None:
        """The primal and the non-zero blocks in one array, if they are; None otherwise."""
        return self._whole

    @property
    def shape(self) -> Any:
        return self.primal.shape

    @property
    def ndim(self) -> int:
        return self.primal.ndim

    @property
    def dtype(self) -> Any:
        return self.primal.dtype
