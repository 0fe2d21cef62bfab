"""What the functions of the coverage table start from: features of rows x (N, 3) and constants."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from coverage_table.parameters import WEIGHT


def features(x: Array) -> Array:
    """(N, 6): smooth, some of them negative."""
    return jnp.tanh(x @ WEIGHT.T) + 0.3 * (x @ WEIGHT.T)


def positive(x: Array) -> Array:
    """(N, 6)"""
    return 0.3 + features(x) ** 2


def table(x: Array) -> Array:
    """(N, 2, 3)"""
    return features(x).reshape(-1, 2, 3)


def tokens(x: Array) -> Array:
    """(N, 3, 2)"""
    return features(x).reshape(-1, 3, 2)


def matrix(x: Array) -> Array:
    """(N, 3, 3), far from singular"""
    columns = table(x)
    return columns[..., :1, :].mT * columns[..., 1:, :] + 3 * jnp.eye(3)
