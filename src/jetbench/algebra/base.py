"""What an algebra of jets is. The rules here use only operators and methods that torch and JAX arrays share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

from jetbench.algebra.arrays import Array, concatenate
from jetbench.algebra.recorded import StraightLine
from jetbench.operators.directions import RandomGroup

Blocks = list[Array | None]


class Algebra(ABC):
    """The rules by which jets multiply.

    A jet is a primal, an array of some shape S, and blocks of derivative coefficients: block k = 1 … K has
    `sizes[k − 1]` components, an array that broadcasts against (sizes[k − 1], *S). A block that is identically zero is
    None and is never multiplied. Block lists are indexed from 0, so block k is `blocks[k − 1]`. The product of
    components of blocks i and j lies in blocks k ≥ i + j only: the algebra is nilpotent above the primal.

    Attributes:
        sizes: components of each block.
        outputs: names of what `read` returns.
        composes_whole: whether `compose_whole` is more than `compose` and a concatenation.
        has_programs: whether `straight_line` has any.
        groups: of random directions, in the order of the draws.
    """

    sizes: tuple[int, ...]
    outputs: tuple[str, ...]
    composes_whole: bool = False
    has_programs: bool = False
    groups: Sequence[RandomGroup] = ()

    @cached_property
    def order(self) -> int:
        """K, the number of blocks; φ^(m) is needed for m ≤ K."""
        return len(self.sizes)

    @cached_property
    def vectors(self) -> int:
        """1 + Σ_k sizes[k]: what passes through each linear layer, per datum."""
        return 1 + sum(self.sizes)

    @abstractmethod
    def seeds(self, draws: Sequence[Array] = ()) -> list[Array | None]:
        """For each block an array (sizes[k], R) or, for random directions, (sizes[k], ..., R): the derivatives of
        the R coordinate functions ζ themselves, or None where they are all zero. `draws` are the arrays of random
        directions that the estimator drew, each (samples, ..., R)."""

    @abstractmethod
    def compose(self, derivatives: Sequence[Array | None], blocks: Blocks) -> Blocks:
        """The blocks of φ(u) for an elementwise φ (Faà di Bruno).

        Args:
            derivatives: φ'(u), …, φ^(K)(u), each of shape S; None where identically zero.
            blocks: the blocks of u.
        """

    def compose_whole(
        self,
        value: Array,
        derivatives: Sequence[Array | None],
        blocks: Blocks,
        join: Callable[[Sequence[Array]], Array] | None = None,
    ) -> Array | None:
        """φ(u) and all the blocks of `compose` in one array (1 + Σ sizes, *S), as the next linear layer wants them;
        None where a block vanishes or does not have the shape of the value.

        Args:
            join: puts arrays (n_i, *S) one after the other, as `concatenate` does, which is the default.
        """
        composed = self.compose(derivatives, blocks)
        if any(block is None or block.shape[1:] != value.shape for block in composed):
            return None
        return (join or concatenate)([value[None], *composed])

    def straight_line(self, derivatives: Sequence[bool], blocks: Sequence[bool]) -> StraightLine | None:
        """`compose` as a program on components: from the derivatives and blocks that are not zero, as told, to all
        components. None where a block would vanish, or whole blocks are the better unit."""
        del derivatives, blocks
        return None

    @abstractmethod
    def multiply(self, a: Array, a_blocks: Blocks, b: Array, b_blocks: Blocks, product: Callable) -> Blocks:
        """The blocks of a bilinear product of two jets, without its primal (Leibniz).

        Args:
            a, b: the primals.
            product: called on arrays with one leading component axis each, (n, *S_a) and (n, *S_b), or (1, *S_a)
                where a primal takes part (broadcast over components); returns (n, *S). It may have an attribute
                `contracted`, called on weights (n) and two such arrays for Σ_r weights[r] · product, of shape S.
        """

    @abstractmethod
    def read(self, primal: Array, blocks: Blocks) -> dict[str, Array | None]:
        """Output name → L_o f from the jet of f; None where it is identically zero."""


def add(left: Array | None, right: Array | None) -> Array | None:
    """left + right with symbolic zeros."""
    if left is None:
        return right
    return left if right is None else left + right


def take(array: Array, start: int, stop: int) -> Array:
    """array[start:stop], or the array itself where that is all of it: a slice would cost in the backward pass."""
    return array if start == 0 and stop >= array.shape[0] else array[start:stop]


def scale(factor: float, array: Array) -> Array:
    """factor · array, without a multiplication by 1."""
    return array if factor == 1 else factor * array
