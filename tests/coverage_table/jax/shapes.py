"""Outputs of every shape, constants, integers and types."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from coverage_table.jax.inputs import features
from coverage_table.parameters import INDEX


def integers(x):
    counts = jnp.arange(6) % 4
    return features(x) ** counts * counts + jax.nn.one_hot(INDEX, 6).sum(0)


FUNCTIONS = {
    "output_without_axis": lambda x: jnp.sin(x).sum(-1),
    "output_of_three_axes": lambda x: jnp.einsum("ni,nj,nk->nijk", x, jnp.sin(x), jnp.cos(x)),
    "empty_output": lambda x: features(x)[:, :0],
    "integers": integers,
    "linear_in_x": lambda x: 2 * x - 1,
    "identity": lambda x: x,
    "constant": lambda x: jnp.ones((len(x), 2)),
    "constant_beside_x": lambda x: jnp.stack([jnp.ones(len(x)), x[:, 0] ** 2], -1),
    "zero_times_x": lambda x: 0 * features(x),
    "comparison_as_number": lambda x: (features(x) > 0).astype(x.dtype) * features(x) ** 2,
    "of_float": lambda x: features(x).astype(jnp.float64) ** 2,
}
