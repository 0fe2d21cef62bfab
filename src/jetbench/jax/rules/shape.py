"""Primitives that move, copy, select by position or repeat entries: linear, so every coefficient is moved alike."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import Primitive, primitives

from jetbench.jax.jet import Jet, Value, algebra_of, constant, jointly_linear, linear, linear_many, primal
from jetbench.jax.registry import rule


def _linear(primitive: Primitive) -> None:
    @rule(primitive)
    def apply(x: Jet, **params: object) -> Jet:
        return linear(lambda t: primitive.bind(t, **params), x)


for _primitive in (
    primitives.copy_p,
    primitives.name_p,
    primitives.reduce_precision_p,
    primitives.rev_p,
    primitives.sharding_constraint_p,
    lax.tile_p,
):
    _linear(_primitive)


@rule(primitives.reshape_p)
def reshape(x: Jet, *, new_sizes: Sequence[int], dimensions: None = None, **params: object) -> Jet:
    del params
    if dimensions is not None:
        return linear(lambda t: lax.reshape(t, new_sizes, dimensions), x)
    kept = 0
    while kept < min(x.ndim, len(new_sizes)) and x.shape[kept] == new_sizes[kept]:
        kept += 1
    return linear(
        lambda t: t.reshape(new_sizes),
        x,
        lambda t: t.reshape(t.shape[0], *new_sizes),
        untouched=range(kept),
        shared=lambda t: t.reshape(*t.shape[: kept + 1], *new_sizes[kept:]),
    )


@rule(primitives.transpose_p)
def transpose(x: Jet, *, permutation: Sequence[int]) -> Jet:
    lifted = (0, *(axis + 1 for axis in permutation))
    return linear(
        lambda t: lax.transpose(t, permutation), x, lambda t: lax.transpose(t, lifted), untouched=range(x.ndim)
    )


@rule(primitives.squeeze_p)
def squeeze(x: Jet, *, dimensions: Sequence[int]) -> Jet:
    lifted = tuple(axis + 1 for axis in dimensions)
    return linear(lambda t: lax.squeeze(t, dimensions), x, lambda t: lax.squeeze(t, lifted), untouched=range(x.ndim))


@rule(primitives.slice_p)
def slice_rule(
    x: Jet, *, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None
) -> Jet:
    starts, steps = (0, *start_indices), None if strides is None else (1, *strides)
    whole = [axis for axis in range(x.ndim) if limit_indices[axis] - start_indices[axis] == x.shape[axis]]

    def lifted(t: Array) -> Array:
        limits = (t.shape[axis + 1] if axis in whole else limit for axis, limit in enumerate(limit_indices))
        return lax.slice(t, starts, (t.shape[0], *limits), steps)

    return linear(lambda t: lax.slice(t, start_indices, limit_indices, strides), x, lifted, untouched=whole)


@rule(primitives.broadcast_in_dim_p)
def broadcast_in_dim(
    x: Value, *sizes: Array, shape: Sequence[int], broadcast_dimensions: Sequence[int], **params: object
) -> Jet:
    del params
    lifted = (0, *(axis + 1 for axis in broadcast_dimensions))
    return linear(
        lambda t: lax.broadcast_in_dim(t, shape, broadcast_dimensions),
        x,
        lambda t: lax.broadcast_in_dim(t, (t.shape[0], *shape), lifted),
    )


@rule(primitives.convert_element_type_p)
def convert_element_type(x: Jet, *, new_dtype: np.dtype, **params: object) -> Value:
    """Another type; one that is not real or complex has no derivatives."""
    if not jnp.issubdtype(new_dtype, jnp.inexact):
        return x.primal.astype(new_dtype)
    if jnp.issubdtype(x.dtype, jnp.complexfloating) and not jnp.issubdtype(new_dtype, jnp.complexfloating):
        x = linear(jnp.real, x, jnp.real)
    return linear(lambda t: t.astype(new_dtype), x, lambda t: t.astype(new_dtype))


@rule(primitives.concatenate_p)
def concatenate(*values: Value, dimension: int) -> Jet:
    return jointly_linear(lambda parts: lax.concatenate(parts, dimension), values)


@rule(primitives.pad_p)
def pad(x: Value, filling: Value, *, padding_config: Sequence[tuple[int, int, int]]) -> Jet:
    return jointly_linear(lambda parts: lax.pad(parts[0], parts[1], padding_config), [x, filling])


@rule(lax.split_p)
def split(x: Jet, *, sizes: Sequence[int], axis: int) -> list[Jet]:
    return linear_many(lambda t: lax.split(t, sizes, axis), x)


@rule(lax.stack_p)
def stack(*values: Value, **params: object) -> Jet:
    return jointly_linear(lambda parts: lax.stack_p.bind(*parts, **params), values)


@rule(lax.unstack_p)
def unstack(x: Jet, **params: object) -> list[Jet]:
    return linear_many(lambda t: lax.unstack_p.bind(t, **params), x)


@rule(primitives.device_put_p)
def device_put(*values: Value, **params: object) -> list[Value]:
    """The placement was chosen for arrays without components; coefficients stay where they are."""
    moved = primitives.device_put_p.bind(*(primal(value) for value in values), **params)
    return [
        Jet(value.algebra, array, rest=value.rest, present=value.present) if isinstance(value, Jet) else array
        for value, array in zip(values, moved, strict=True)
    ]


@rule(lax.optimization_barrier_p)
def optimization_barrier(*values: Value, **params: object) -> list[Value]:
    """Values that are to be computed together; so are their coefficients."""
    del params
    algebra = algebra_of(*values)
    jets = [value if isinstance(value, Jet) else constant(algebra, value) for value in values]
    primals, rests = lax.optimization_barrier(([jet.primal for jet in jets], [jet.rest for jet in jets]))
    return [
        Jet(algebra, array, rest=rest, present=jet.present) if rest is not None else array
        for array, rest, jet in zip(primals, rests, jets, strict=True)
    ]
