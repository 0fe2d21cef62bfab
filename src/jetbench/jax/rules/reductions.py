"""Sums, products and extrema over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.jax.jet import Jet, constant, jointly_linear, linear, times
from jetbench.jax.registry import rule


@rule(primitives.reduce_sum_p)
def reduce_sum(x: Jet, *, axes: Sequence[int], **params: object) -> Jet:
    del params
    axes, lifted = tuple(axes), tuple(axis + 1 for axis in axes)
    if x.is_apart:
        return Jet(x.algebra, x.primal.sum(axes), [block.sum(lifted) for block in x.blocks])
    return linear(lambda t: t.sum(axes), x, lambda t: t.sum(lifted))


def _extremum(x: Jet, axes: Sequence[int], best: Callable[[Array, int], Array]) -> Jet:
    """The extreme entries; among equal ones JAX's derivative is their mean. The first is taken by its position: XLA may
    compute an entry twice with different rounding, and then no entry equals the largest."""
    axes = tuple(axes)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    x = linear(lambda t: jnp.transpose(t, (*kept, *axes)).reshape(*(t.shape[axis] for axis in kept), -1), x)
    place = best(x.primal, -1)
    value = jnp.take_along_axis(x.primal, place[..., None], -1)
    hit = (x.primal == value) | (jnp.arange(x.shape[-1]) == place[..., None])
    share = hit / hit.sum(-1, keepdims=True, dtype=x.dtype)
    rest = None if x.rest is None else (x.rest * share).sum(-1)
    return Jet(x.algebra, value[..., 0], rest=rest, present=x.present)


@rule(primitives.reduce_max_p)
def reduce_max(x: Jet, *, axes: Sequence[int], **params: object) -> Jet:
    del params
    return _extremum(x, axes, jnp.argmax)


@rule(primitives.reduce_min_p)
def reduce_min(x: Jet, *, axes: Sequence[int], **params: object) -> Jet:
    del params
    return _extremum(x, axes, jnp.argmin)


@rule(primitives.reduce_prod_p)
def reduce_prod(x: Jet, *, axes: Sequence[int], **params: object) -> Jet:
    for axis in sorted(axes, reverse=True):
        x = _prod(x, axis)
    return x


def _prod(x: Jet, axis: int) -> Jet:
    """A balanced tree of products, which is right for zero entries too."""
    width = x.shape[axis]
    if width == 0:
        return constant(x.algebra, x.primal.prod(axis))
    while width > 1:
        half = width // 2
        first, second = (_part(x, axis, start, start + half) for start in (0, half))
        product = times(first, second)
        if width % 2:
            last = _part(x, axis, width - 1, width)
            product = jointly_linear(lambda parts: lax.concatenate(parts, axis), [product, last])
        x, width = product, half + width % 2
    return linear(lambda t: lax.squeeze(t, (axis,)), x)


def _part(x: Jet, axis: int, start: int, stop: int) -> Jet:
    return linear(lambda t: lax.slice_in_dim(t, start, stop, axis=axis), x)
