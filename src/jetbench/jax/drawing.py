"""Drawing random directions; which distributions is decided in `jetbench.operators.directions.randomize`."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from jetbench.operators.directions import RandomGroup


def draw(groups: Sequence[RandomGroup], x: Array, key: Array) -> tuple[Array, ...]:
    """For each random group directions (samples, ..., n) for the points x (..., D), independent for each point."""
    keys = jax.random.split(key, len(groups))
    return tuple(_group(group, x, of_group) for group, of_group in zip(groups, keys, strict=True))


def _group(group: RandomGroup, x: Array, key: Array) -> Array:
    matrix = jnp.asarray(group.matrix, dtype=x.dtype)
    batch, columns = x.shape[:-1], matrix.shape[1]
    if group.kind == "coordinate":
        chosen = jax.random.uniform(key, (*batch, columns)).argsort(-1)[..., : group.samples]
        return jnp.moveaxis(matrix.T[chosen], -2, 0)
    shape = (group.samples, *batch, columns)
    if group.kind == "normal":
        noise = jax.random.normal(key, shape, dtype=jnp.float32).astype(x.dtype)
    else:
        noise = jax.random.rademacher(key, shape, dtype=x.dtype)
    return noise @ matrix.T
