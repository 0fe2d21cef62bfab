"""Coefficients that depend on the point: factors σ(x) made from matrices and drifts, and the defaults of the zoo.

Everything here works on numpy, torch and jax arrays alike: arithmetic, indexing, `@`, and constants made by `like`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jetbench.algebra.arrays import like


def with_identity(matrix: Callable[[Any], Any], dim: int) -> Callable[[Any], Any]:
    """x ↦ [I, A(x)], (..., D, 2·D): with it Σ_i ζ_i ζ_{D+i} is tr(A ∇²)."""
    first = np.eye(dim, 2 * dim)
    second = np.eye(dim, 2 * dim, k=dim)

    def factor(x: Any) -> Any:
        return like(first, x) + matrix(x) @ like(second, x)

    return factor


def drifted(drift: Callable[[Any], Any], diffusion: Callable[[Any], Any], dim: int, noise: int) -> Callable[[Any], Any]:
    """x = (t, x_1, …, x_d) ↦ the matrix (..., D, m + 1) whose columns are (0, σ(x)) and, last, (1, b(x)).

    Args:
        drift: x (..., D) ↦ b (..., d).
        diffusion: x (..., D) ↦ σ (..., d, m), or (d, m) where it is constant.
        dim: D = d + 1.
        noise: m.

    Raises:
        ValueError: when called, if b or σ has another shape.
    """
    below_time = np.eye(dim, dim - 1, k=-1)
    first_columns = np.eye(noise, noise + 1)
    time_and_drift = np.zeros((dim, noise + 1))
    time_and_drift[0, noise] = 1
    last_column = np.eye(1, noise + 1, k=noise)

    def factor(x: Any) -> Any:
        b, sigma = drift(x), diffusion(x)
        if tuple(sigma.shape[-2:]) != (dim - 1, noise) or b.shape[-1] != dim - 1:
            raise ValueError(
                f"In {dim - 1} dimensions beside time, b(x) must have shape (..., {dim - 1}) and σ(x) "
                f"(..., {dim - 1}, {noise}); got {tuple(b.shape)} and {tuple(sigma.shape)}."
            )
        noise_columns = like(below_time, x) @ sigma @ like(first_columns, x)
        drift_column = (like(below_time, x) @ b[..., None]) @ like(last_column, x)
        return like(time_and_drift, x) + noise_columns + drift_column

    return factor


def ornstein_uhlenbeck(x: Any) -> Any:
    """b(x) = −x, for x without its first coordinate, the time."""
    return -x[..., 1:]


def triangular_diffusion(x: Any) -> Any:
    """The constant σ with ones on the diagonal and 1/(2d) below it."""
    size = x.shape[-1] - 1
    return like(np.eye(size) + np.tril(np.ones((size, size)), -1) / (2 * size), x)


def quadratic_diffusion(x: Any) -> Any:
    """σ(x) = S + ¼ x xᵀ with S as in `triangular_diffusion`, for x without its first coordinate."""
    space = x[..., 1:]
    return triangular_diffusion(x) + 0.25 * space[..., :, None] * space[..., None, :]
