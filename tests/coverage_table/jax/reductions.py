"""Sums, means, norms, products and extrema over axes, whole or cumulative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from coverage_table.jax.inputs import features, matrix, table
from coverage_table.parameters import ROWS


def norm(h, order=2):
    return jnp.linalg.norm(h, order, -1)


def cosine_similarity(x):
    h = features(x)
    return h @ ROWS[0] / (norm(h) * jnp.linalg.norm(ROWS[0]))


FUNCTIONS = {
    "sum": lambda x: (features(x) ** 3).sum(-1),
    "mean": lambda x: (table(x) ** 3).mean((-2, -1), keepdims=True),
    "variance": lambda x: features(x).var(-1, ddof=1),
    "population_variance": lambda x: table(x).var((1, 2)),
    "std": lambda x: features(x).std(-1, ddof=1, keepdims=True),
    "var_mean": lambda x: jnp.stack([features(x).var(-1, ddof=1), features(x).mean(-1)], -1) ** 2,
    "norm": lambda x: norm(features(x)),
    "norm_1": lambda x: norm(features(x), 1) ** 2,
    "norm_3": lambda x: norm(features(x), 3),
    "norm_infinity": lambda x: norm(features(x), jnp.inf) ** 2,
    "frobenius": lambda x: jnp.linalg.matrix_norm(table(x)),
    "normalize": lambda x: features(x) / norm(features(x))[:, None],
    "cosine_similarity": cosine_similarity,
    "pairwise_distance": lambda x: norm(features(x) - ROWS[:1] + 1e-6),
    "cdist": lambda x: norm(features(x)[:, None] - ROWS),
    "logsumexp": lambda x: jax.nn.logsumexp(features(x), -1),
    "logsumexp_two_axes": lambda x: jax.nn.logsumexp(table(x), (1, 2), keepdims=True),
    "logsumexp_weighted": lambda x: jax.nn.logsumexp(features(x), -1, b=ROWS[0] ** 2),
    "logmeanexp": lambda x: jax.nn.logmeanexp(features(x), -1),
    "prod": lambda x: features(x).prod(-1),
    "prod_two_axes": lambda x: table(x).prod((1, 2)),
    "prod_with_zeros": lambda x: jnp.concatenate([features(x)[:, :3], 0 * x[:, :1], x[:, :1] - x[:, :1]], -1).prod(-1),
    "prod_with_zero_slope": lambda x: jnp.concatenate([features(x)[:, :3], x - lax.stop_gradient(x)], -1).prod(-1),
    "cumsum": lambda x: features(x).cumsum(-1) ** 2,
    "cumsum_reversed": lambda x: lax.cumsum(table(x), axis=2, reverse=True) ** 2,
    "cumprod": lambda x: features(x).cumprod(-1),
    "cumprod_reversed": lambda x: lax.cumprod(features(x), axis=1, reverse=True),
    "cumprod_with_zero": lambda x: jnp.concatenate(
        [x[:, :1], x[:, :1] - lax.stop_gradient(x[:, :1]), features(x)], -1
    ).cumprod(-1),
    "logcumsumexp": lambda x: lax.cumlogsumexp(features(x), axis=1),
    "cumulative_logarithms_reversed": lambda x: lax.cumlogsumexp(table(x), axis=2, reverse=True),
    "amax": lambda x: features(x).max(-1) ** 2,
    "amin": lambda x: table(x).min((1, 2)) ** 2,
    "max": lambda x: table(x).max(-1) ** 2,
    "min": lambda x: features(x).min(-1, keepdims=True) ** 2,
    "maximum_of_some": lambda x: features(x).max(-1, where=features(x) < 0.5, initial=-9.0) ** 2,
    "median": lambda x: jnp.sort(features(x), -1)[:, 2] ** 2,
    "quantile": lambda x: jnp.quantile(features(x), 0.3, axis=-1),
    "cummax": lambda x: lax.cummax(features(x), axis=1) ** 2,
    "cummin": lambda x: lax.cummin(features(x), axis=1, reverse=True) ** 2,
    "trace": lambda x: jnp.trace(matrix(x), axis1=1, axis2=2) ** 2,
}
