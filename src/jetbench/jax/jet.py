"""Jets in JAX: a primal and blocks of coefficients, and the four ways in which operations act on them.

Rules for single operations lie in `rules/`; they are made of `linear`, `multiply`, `elementwise` and sums of jets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from jetbench.algebra.arrays import scaled, summed
from jetbench.algebra.base import Algebra, Blocks, scale
from jetbench.algebra.derivatives import TowerFunction
from jetbench.algebra.jet import JetBase


class Jet(JetBase):
    """A primal and its coefficients.

    Coefficients that all rows share, as those of x itself, may have length 1 along axes where the primal is longer:
    the first layer multiplies them once. `shared` keeps them so, everything else sees full arrays.

    Attributes:
        is_apart: whether primal and blocks were computed one by one, so that what makes them smaller should be applied
            to each before they meet in one array.
    """

    is_apart: bool = False

    @property
    def shared(self) -> Array | None:
        """`rest`, (n, *T), where T may have length 1 along axes of S."""
        if self._rest is None and self.present:
            if self._whole is not None:
                self._rest = self._whole[1:]
            else:
                blocks = [self._blocks[k] for k in self.present]
                if len({block.shape[1:] for block in blocks}) > 1:
                    blocks = [jnp.broadcast_to(block, (block.shape[0], *self.shape)) for block in blocks]
                self._rest = blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks)
        return self._rest

    @property
    def rest(self) -> Array | None:
        """The non-zero blocks one after the other, (n, *S); None where all are zero."""
        shared = self.shared
        return shared if shared is None else _expand(shared, self.shape)

    @property
    def shared_blocks(self) -> Blocks:
        """One array (sizes[k], *T) a block, as in `shared`; None where it is zero."""
        if self._blocks is None:
            self._blocks = [None] * self.algebra.order
            start = 0
            for k in self.present:
                stop = start + self.algebra.sizes[k]
                self._blocks[k] = self.shared[start:stop] if len(self.present) > 1 else self.shared
                start = stop
        return self._blocks

    @property
    def blocks(self) -> Blocks:
        """One array (sizes[k], *S) a block; None where it is zero."""
        return [None if block is None else _expand(block, self.shape) for block in self.shared_blocks]


Value = Jet | Array


def primal(value: Value) -> Array:
    """The value itself, without derivatives."""
    return value.primal if isinstance(value, Jet) else value


def algebra_of(*values: object) -> Algebra:
    """The algebra of the jets among the values, the largest one where some are truncated."""
    return max((value.algebra for value in values if isinstance(value, Jet)), key=lambda algebra: algebra.order)


def aligned(*values: Value) -> list[Value]:
    """The values with all jets in one algebra."""
    if len({id(value.algebra) for value in values if isinstance(value, Jet)}) < 2:
        return list(values)
    algebra = algebra_of(*values)
    return [
        Jet(algebra, value.primal, [*value.shared_blocks, *[None] * (algebra.order - value.algebra.order)])
        if isinstance(value, Jet) and value.algebra is not algebra
        else value
        for value in values
    ]


def constant(algebra: Algebra, value: Array) -> Jet:
    """A value that does not depend on x as a jet."""
    return Jet(algebra, value, [None] * algebra.order)


def linear(
    fn: Callable[[Array], Array],
    jet: Jet,
    lifted: Callable[[Array], Array] | None = None,
    untouched: Sequence[int] = (),
    shared: Callable[[Array], Array] | None = None,
) -> Jet:
    """A map without constant part: it acts on the primal and on each coefficient alike.

    Args:
        fn: the map, from shape S to shape S'.
        lifted: the same with one leading axis of components; by default `fn` under `jax.vmap`.
        untouched: axes of S along which the map does not depend on the length.
        shared: as `lifted`, for coefficients with length 1 along untouched axes; by default `lifted`.
    """
    if jet.whole is None and jet.present and _is_shared_along(jet, untouched):
        found = (shared or lifted)(jet.shared)
        return Jet(jet.algebra, fn(jet.primal), rest=found, present=jet.present)
    lifted = lifted or jax.vmap(fn)
    if jet.whole is not None:
        return Jet.from_whole(jet.algebra, lifted(jet.whole), jet.present)
    if not jet.present:
        return constant(jet.algebra, fn(jet.primal))
    return Jet(jet.algebra, fn(jet.primal), rest=lifted(jet.rest), present=jet.present)


def _is_shared_along(jet: Jet, axes: Sequence[int]) -> bool:
    """Whether coefficients are shared, along some of these axes and no others."""
    shorter = {axis for axis in range(jet.ndim) if jet.shared.shape[axis + 1] != jet.shape[axis]}
    return bool(shorter) and shorter <= set(axes)


def linear_many(fn: Callable[[Array], Sequence[Array]], jet: Jet) -> list[Jet]:
    """A linear map with several results, such as a split."""
    primals = fn(jet.primal)
    if not jet.present:
        return [constant(jet.algebra, p) for p in primals]
    rests = jax.vmap(lambda t: tuple(fn(t)))(jet.rest)
    return [Jet(jet.algebra, p, rest=r, present=jet.present) for p, r in zip(primals, rests, strict=True)]


def jointly_linear(fn: Callable[[list[Array]], Array], values: Sequence[Value]) -> Jet:
    """A map that is linear in several arguments together, such as a concatenation; constants have zero coefficients."""
    algebra = algebra_of(*values)
    values = aligned(*values)
    if _have_wholes(values):
        whole = jax.vmap(lambda *parts: fn(list(parts)))(*(value.whole for value in values))
        return Jet.from_whole(algebra, whole, values[0].present)
    result = fn([primal(value) for value in values])
    columns = [value.blocks if isinstance(value, Jet) else [None] * algebra.order for value in values]
    blocks: Blocks = []
    for size, parts in zip(algebra.sizes, zip(*columns, strict=True), strict=True):
        if all(part is None for part in parts):
            blocks.append(None)
            continue
        filled = [
            jnp.zeros((size, *jnp.shape(primal(value))), primal(value).dtype) if part is None else part
            for value, part in zip(values, parts, strict=True)
        ]
        blocks.append(jax.vmap(lambda *parts: fn(list(parts)))(*filled))
    return Jet(algebra, result, blocks)


def _have_wholes(values: Sequence[Value]) -> bool:
    """Whether all values are jets with the same non-zero blocks, each in one array with its primal."""
    return all(
        isinstance(value, Jet) and value.whole is not None and value.present == values[0].present for value in values
    )


def add(a: Value, b: Value, sign: int = 1) -> Value:
    """a + sign · b with broadcasting."""
    a, b = aligned(a, b)
    if _have_wholes([a, b]) and a.shape == b.shape:
        return Jet.from_whole(a.algebra, a.whole + b.whole if sign == 1 else a.whole - b.whole, a.present)
    total = primal(a) + primal(b) if sign == 1 else primal(a) - primal(b)
    if not isinstance(a, Jet) and not isinstance(b, Jet):
        return total
    if not isinstance(b, Jet):
        return Jet(a.algebra, total, rest=_with_axes(a.shared, total.ndim), present=a.present)
    if not isinstance(a, Jet):
        rest = _with_axes(b.shared, total.ndim)
        return Jet(b.algebra, total, rest=rest if sign == 1 or rest is None else -rest, present=b.present)
    blocks: Blocks = []
    for left, right in zip(a.blocks, b.blocks, strict=True):
        left, right = _with_axes(left, total.ndim), _with_axes(right, total.ndim)
        if left is None:
            blocks.append(right if sign == 1 or right is None else -right)
        elif right is None:
            blocks.append(left)
        else:
            blocks.append(left + right if sign == 1 else left - right)
    return Jet(a.algebra, total, blocks)


def _with_axes(block: Array | None, ndim: int) -> Array | None:
    """The block with `ndim` axes beside that of components; missing axes go behind the component axis."""
    if block is None or block.ndim == ndim + 1:
        return block
    return block.reshape(block.shape[0], *(1,) * (ndim + 1 - block.ndim), *block.shape[1:])


def _expand(block: Array, shape: tuple[int, ...]) -> Array:
    """The block with the trailing shape `shape`."""
    return block if block.shape[1:] == shape else jnp.broadcast_to(block, (block.shape[0], *shape))


def multiply(fn: Callable[[Array, Array], Array], a: Value, b: Value) -> Value:
    """A bilinear map of two values, either or both of them jets."""
    if not isinstance(b, Jet):
        return linear(lambda t: fn(t, b), a) if isinstance(a, Jet) else fn(a, b)
    if not isinstance(a, Jet):
        return linear(lambda t: fn(a, t), b)

    a, b = aligned(a, b)

    def product(left: Array, right: Array) -> Array:
        if right.shape[0] == 1:
            return jax.vmap(fn, in_axes=(0, None))(left, right[0])
        if left.shape[0] == 1:
            return jax.vmap(fn, in_axes=(None, 0))(left[0], right)
        return jax.vmap(fn)(left, right)

    blocks = a.algebra.multiply(a.primal, a.blocks, b.primal, b.blocks, product)
    return Jet(a.algebra, fn(a.primal, b.primal), blocks)


def weighted(weights: Sequence[float], block: Array) -> Array:
    """weights[r] · block[r]."""
    if len(set(weights)) == 1:
        return scale(weights[0], block)
    return jnp.asarray(weights, block.dtype).reshape(-1, *(1,) * (block.ndim - 1)) * block


def times(a: Value, b: Value) -> Value:
    """The elementwise product with broadcasting."""
    if not isinstance(a, Jet):
        a, b = b, a
    if not isinstance(a, Jet):
        return a * b
    if not isinstance(b, Jet):
        shape = jnp.broadcast_shapes(a.shape, jnp.shape(b))
        if shape == a.shape:
            return linear(lambda t: t * b, a, lambda t: t * b)
        return times(broadcast(a, shape), b)
    shape = jnp.broadcast_shapes(a.shape, b.shape)
    a, b = aligned(broadcast(a, shape), broadcast(b, shape))
    blocks = a.algebra.multiply(a.primal, a.shared_blocks, b.primal, b.shared_blocks, _Elementwise())
    return Jet(a.algebra, a.primal * b.primal, blocks)


class _Elementwise:
    """The product entry by entry, as `Algebra.multiply` takes it."""

    def __call__(self, left: Array, right: Array) -> Array:
        if right.shape[0] == 1:
            left, right = right, left
        return scaled(left[0], right) if left.shape[0] == 1 else left * right

    def contracted(self, weights: Sequence[float], left: Array, right: Array) -> Array:
        if len(set(weights)) == 1:
            return scale(weights[0], summed(left, right))
        return summed(weighted(weights, left), right)


def broadcast(value: Value, shape: tuple[int, ...]) -> Value:
    """The value with a larger shape, by the rules of numpy."""
    if not isinstance(value, Jet):
        return value if jnp.shape(value) == shape else jnp.broadcast_to(value, shape)
    if value.shape == shape:
        return value
    rest = _with_axes(value.shared, len(shape))
    return Jet(value.algebra, jnp.broadcast_to(value.primal, shape), rest=rest, present=value.present)


def elementwise(tower: TowerFunction, jet: Jet) -> Jet:
    """φ applied entry by entry.

    Args:
        tower: (u, K) → [φ(u), φ'(u), …, φ^(K)(u)], with None for derivatives that vanish identically.
    """
    if not jet.present:
        return constant(jet.algebra, tower(jet.primal, 0)[0])
    algebra = jet.algebra
    value, *derivatives = tower(jet.primal, algebra.order)
    if algebra.composes_whole:
        whole = algebra.compose_whole(value, derivatives, jet.shared_blocks)
        if whole is not None:
            return Jet.from_whole(algebra, whole, tuple(range(algebra.order)))
    blocks = algebra.compose(derivatives, jet.shared_blocks)
    if any(block is None or block.shape[1:] != value.shape for block in blocks):
        return Jet(algebra, value, blocks)
    result = Jet(algebra, value, blocks, whole=jnp.concatenate([value[None], *blocks]))
    result.is_apart = True
    return result
