"""Matrix products, convolutions and pooling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from coverage_table.jax.inputs import features, matrix, table
from coverage_table.parameters import MIXED, ROWS, THIRD, normal


def parameter(name, *shape):
    return normal(name, *shape) / 2


def convolution(h, weight, padding="VALID", **options):
    return lax.conv_general_dilated(h, jnp.asarray(weight, h.dtype), (1,) * (h.ndim - 2), padding, **options)


def conv2d(x):
    first = convolution(table(x)[:, None], parameter("conv2d.0.weight", 3, 1, 2, 2))
    hidden = jnp.tanh(first + parameter("conv2d.0.bias", 3)[:, None, None])
    second = convolution(hidden, parameter("conv2d.1.weight", 2, 3, 1, 2))
    return second + parameter("conv2d.1.bias", 2)[:, None, None]


def conv_transpose(x):
    weight = np.flip(parameter("conv_transpose.weight", 2, 3, 2), -1).transpose(1, 0, 2)
    found = convolution(table(x), weight, [(1, 1)], lhs_dilation=(2,))
    return jnp.sin(found + parameter("conv_transpose.bias", 3)[:, None])


def conv_with_weight_of_x(x):
    return lax.conv_general_dilated(features(x)[None], x[:, None], (1,), [(1, 1)], feature_group_count=len(x))[0]


def pooled(h, initial, operation, stride=2):
    return lax.reduce_window(h, initial, operation, (1, 2), (1, stride), "VALID")


FUNCTIONS = {
    "matmul_of_x": lambda x: table(x) @ matrix(x),
    "matmul_vector": lambda x: jnp.matvec(matrix(x), x),
    "constant_matmul_left": lambda x: MIXED[:, :2] @ table(x),
    "einsum": lambda x: jnp.einsum("ni,oij,nj->no", features(x), THIRD, features(x)),
    "einsum_of_x": lambda x: jnp.einsum("nij,njk,nk->ni", table(x), matrix(x), x),
    "bmm": lambda x: matrix(x) @ matrix(x).mT,
    "outer": lambda x: jax.vmap(jnp.outer)(jnp.sin(x), features(x)),
    "dot": lambda x: jax.vmap(jnp.dot)(jnp.sin(x), x),
    "inner": lambda x: jnp.inner(features(x), ROWS) ** 2,
    "baddbmm": lambda x: 0.5 * table(x) + 2 * table(x) @ matrix(x),
    "addmm": lambda x: 2 * MIXED[0] + 0.5 * features(x) ** 2 @ MIXED,
    "kron": lambda x: jax.vmap(jnp.kron)(jnp.sin(x), x),
    "cross": lambda x: jnp.cross(jnp.sin(x), jnp.cos(x)),
    "tensordot": lambda x: jnp.tensordot(features(x) ** 2, THIRD, ([1], [1])),
    "matrix_power": lambda x: jnp.linalg.matrix_power(matrix(x), 3),
    "multi_dot": lambda x: jnp.linalg.multi_dot([features(x) ** 2, MIXED, MIXED[:, :2]]),
    "conv1d": lambda x: jnp.tanh(convolution(features(x)[:, None], ROWS[:2, None, :3], [(1, 1)])),
    "conv2d": conv2d,
    "conv_transpose": conv_transpose,
    "conv_with_weight_of_x": conv_with_weight_of_x,
    "conv_of_numpy": lambda x: jax.vmap(lambda h: jnp.convolve(h, jnp.sin(h[:3]), mode="same"))(features(x)),
    "conv_in_batch_groups": jax.vmap(
        lambda u: convolution(features(u).reshape(2, 1, 3), ROWS[:2, None, :2], batch_group_count=2)[0] ** 2
    ),
    "conv_with_weight_of_each_row": jax.vmap(
        lambda u: convolution(features(u)[None, None], jnp.sin(u)[None, None], [(1, 1)])[0, 0] ** 2
    ),
    "avg_pool": lambda x: (pooled(features(x), 0.0, lax.add) / 2) ** 2,
    "max_pool": lambda x: pooled(features(x), -jnp.inf, lax.max) ** 2,
    "max_pool_overlapping": lambda x: pooled(features(x), -jnp.inf, lax.max, stride=1) ** 2,
    "min_pool": lambda x: pooled(features(x), jnp.inf, lax.min) ** 2,
    "product_pool": lambda x: lax.reduce_window(features(x), 1.0, lax.mul, (1, 3), (1, 1), "SAME"),
    "adaptive_pool": lambda x: features(x).reshape(-1, 2, 3).mean(-1) ** 2,
    "interpolate": lambda x: jax.image.resize(features(x), (len(x), 9), "linear", antialias=False) ** 2,
    "pixel_shuffle": lambda x: (features(x)[:, :4] ** 2).reshape(-1, 1, 2, 2),
}
