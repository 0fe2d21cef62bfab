"""Jets in PyTorch: a primal and blocks of coefficients, and the four ways in which operations act on them.

Rules for single operations lie in `rules/`; they are made of `linear`, `multiply`, `elementwise` and sums of jets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Number

import torch
from torch import Tensor

from jetbench.algebra.base import Algebra, Blocks
from jetbench.algebra.derivatives import TowerFunction
from jetbench.algebra.jet import JetBase
from jetbench.torch import storage
from jetbench.torch.composition import Composition, Recipe, Recomputed, is_plain, is_small


@dataclass(frozen=True)
class Root:
    """A jet x = factor · r^(1/degree), where r may be smooth at points where x is not: |x|² and |x| at 0.

    Attributes:
        radicand: gives the jet of r; called when a power of x is taken that is a whole power of r.
        degree: such as 2 for norms.
        factor: a constant that broadcasts against x.
    """

    radicand: Callable[[], Jet]
    degree: float
    factor: Number | Tensor = 1


class Jet(JetBase):
    """A primal and its coefficients.

    Attributes:
        recipe: how to compute `whole` again, if the backward pass need not keep it.
        root: what the jet is a root of, if it is known to be one.
    """

    recipe: Recipe | None = None
    root: Root | None = None

    @property
    def rest(self) -> Tensor | None:
        """The non-zero blocks one after the other, (n, *S); None where all are zero."""
        if self._rest is None and self.present:
            if self._whole is not None:
                self._rest = self._whole[1:]
            else:
                blocks = [self._blocks[k] for k in self.present]
                self._rest = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        return self._rest

    @property
    def blocks(self) -> Blocks:
        """One tensor (sizes[k], *S) a block; None where it is zero."""
        if self._blocks is None:
            self._blocks = [None] * self.algebra.order
            if self.present:
                sizes = [self.algebra.sizes[k] for k in self.present]
                if self._rest is None:
                    _, *parts = torch.split_with_sizes(self._whole, [1, *sizes])
                else:
                    parts = torch.split_with_sizes(self._rest, sizes)
                for k, block in zip(self.present, parts, strict=True):
                    self._blocks[k] = block
        return self._blocks


Value = Jet | Tensor


def primal(value: Value) -> Tensor:
    """The value itself, without derivatives."""
    return value.primal if isinstance(value, Jet) else value


def algebra_of(*values: object) -> Algebra:
    """The algebra of the first jet among the values."""
    return next(value.algebra for value in values if isinstance(value, Jet))


def linear(fn: Callable[[Tensor], Tensor], jet: Jet, lifted: Callable[[Tensor], Tensor] | None = None) -> Jet:
    """A map without constant part: it acts on the primal and on each coefficient alike.

    Args:
        fn: the map, from shape S to shape S'.
        lifted: the same with one leading axis of components; by default `fn` under `torch.vmap`.
    """
    lifted = lifted or torch.vmap(fn)
    if jet.whole is not None:
        with contextlib.nullcontext() if jet.recipe is None else jet.recipe.instead_of(jet.whole):
            return Jet.from_whole(jet.algebra, lifted(jet.whole), jet.present)
    if not jet.present:
        return Jet(jet.algebra, fn(jet.primal))
    return Jet(jet.algebra, fn(jet.primal), rest=lifted(jet.rest), present=jet.present)


def linear_many(fn: Callable[[Tensor], Sequence[Tensor]], jet: Jet) -> tuple[Jet, ...]:
    """A linear map with several results, such as a split."""
    primals = fn(jet.primal)
    if not jet.present:
        return tuple(Jet(jet.algebra, p) for p in primals)
    rests = torch.vmap(lambda t: tuple(fn(t)))(jet.rest)
    return tuple(Jet(jet.algebra, p, rest=r, present=jet.present) for p, r in zip(primals, rests, strict=True))


def jointly_linear(fn: Callable[[list[Tensor]], Tensor], values: Sequence[Value]) -> Jet:
    """A map that is linear in several arguments together, such as a concatenation; constants have zero coefficients."""
    algebra = algebra_of(*values)
    result = fn([primal(value) for value in values])
    blocks: Blocks = []
    for k, size in enumerate(algebra.sizes):
        parts = [value.blocks[k] if isinstance(value, Jet) else None for value in values]
        if all(part is None for part in parts):
            blocks.append(None)
            continue
        zeros = [
            torch.zeros_like(primal(value)).expand(size, *value.shape) if part is None else part
            for value, part in zip(values, parts, strict=True)
        ]
        blocks.append(torch.vmap(lambda *parts: fn(list(parts)))(*zeros))
    return Jet(algebra, result, blocks)


def add(a: Value, b: Value, sign: int = 1) -> Value:
    """a + sign · b with broadcasting."""
    total = primal(a) + primal(b) if sign == 1 else primal(a) - primal(b)
    if not isinstance(a, Jet) and not isinstance(b, Jet):
        return total
    if not isinstance(b, Jet):
        return Jet(a.algebra, total, rest=_broadcast(a, total), present=a.present)
    if not isinstance(a, Jet):
        rest = _broadcast(b, total)
        return Jet(b.algebra, total, rest=rest if sign == 1 or rest is None else -rest, present=b.present)
    if a.present == b.present and a.present:
        left, right = _broadcast(a, total), _broadcast(b, total)
        return Jet(a.algebra, total, rest=left + right if sign == 1 else left - right, present=a.present)
    blocks: Blocks = []
    for left, right in zip(a.blocks, b.blocks, strict=True):
        left, right = _expand(left, total), _expand(right, total)
        if left is None:
            blocks.append(right if sign == 1 or right is None else -right)
        elif right is None:
            blocks.append(left)
        else:
            blocks.append(left + right if sign == 1 else left - right)
    return Jet(a.algebra, total, blocks)


def _expand(block: Tensor | None, like: Tensor) -> Tensor | None:
    """The block with the type and trailing shape of `like`; missing axes go behind the component axis."""
    if block is None:
        return None
    if block.dtype != like.dtype:
        block = block.to(like.dtype)
    if block.shape[1:] == like.shape:
        return block
    missing = like.ndim - (block.ndim - 1)
    return block.reshape(block.shape[0], *(1,) * missing, *block.shape[1:]).expand(block.shape[0], *like.shape)


def _broadcast(jet: Jet, like: Tensor) -> Tensor | None:
    return _expand(jet.rest, like)


def multiply(fn: Callable[[Tensor, Tensor], Tensor], a: Value, b: Value) -> Value:
    """A bilinear map of two values, either or both of them jets."""
    if not isinstance(b, Jet):
        return linear(lambda t: fn(t, b), a) if isinstance(a, Jet) else fn(a, b)
    if not isinstance(a, Jet):
        return linear(lambda t: fn(a, t), b)

    def product(left: Tensor, right: Tensor) -> Tensor:
        dims = (0 if left.shape[0] > 1 or right.shape[0] == 1 else None, 0 if right.shape[0] > 1 else None)
        if dims == (0, None) and right.shape[0] == 1:
            right = right[0]
        elif dims == (None, 0):
            left = left[0]
        return torch.vmap(fn, in_dims=dims)(left, right)

    blocks = a.algebra.multiply(a.primal, a.blocks, b.primal, b.blocks, product)
    return Jet(a.algebra, fn(a.primal, b.primal), blocks)


def times(a: Value, b: Value) -> Value:
    """The elementwise product with broadcasting."""
    if isinstance(a, Jet) and isinstance(b, Jet) and a.shape == b.shape:
        blocks = a.algebra.multiply(a.primal, a.blocks, b.primal, b.blocks, torch.mul)
        return Jet(a.algebra, a.primal * b.primal, blocks)
    if isinstance(b, Jet) and not isinstance(a, Jet):
        a, b = b, a
    if not isinstance(b, Jet) and (not isinstance(b, Tensor) or b.ndim <= a.ndim):
        return linear(lambda t: t * b, a, lambda t: t * b)
    return multiply(torch.mul, a, b)


def elementwise(tower: TowerFunction, jet: Jet, constants: Sequence[Value] = ()) -> Jet:
    """φ applied entry by entry.

    Args:
        tower: (u, K) → [φ(u), φ'(u), …, φ^(K)(u)], with None for derivatives that vanish identically.
        constants: the tensors that `tower` refers to, if any, so that gradients flow to them too.
    """
    if not jet.present:
        return Jet(jet.algebra, tower(jet.primal, 0)[0])
    algebra, u, blocks = jet.algebra, jet.primal, jet.blocks
    given = [block for block in blocks if block is not None]
    if not constants and u.ndim and not is_small(algebra, u) and is_plain(u, *given):
        composition = Composition(algebra, tower, jet.present)
        with torch.no_grad():
            whole = composition.in_pieces(u, given)
        if whole is not None:
            result_blocks = tuple(range(algebra.order))
            if not torch.is_grad_enabled() or not any(t.requires_grad for t in (u, *given)):
                return Jet.from_whole(algebra, whole, result_blocks)
            result = Jet.from_whole(algebra, Recomputed.apply(composition, whole, u, *given), result_blocks)
            result.recipe = Recipe(composition, u, given)
            return result
    value, *derivatives = tower(u, algebra.order)
    whole = algebra.compose_whole(value, derivatives, blocks, storage.join if u.ndim else None)
    if whole is not None:
        return Jet.from_whole(algebra, whole, tuple(range(algebra.order)))
    return Jet(algebra, value, algebra.compose(derivatives, blocks))
