"""Determinants, inverses, solutions of linear systems, factorizations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve, expm, solve_triangular

from coverage_table.jax.inputs import features, matrix, table
from coverage_table.parameters import MIXED


def symmetric(x):
    """(N, 3, 3) with eigenvalues far apart"""
    return 0.2 * (matrix(x) + matrix(x).mT) + np.diag([0.0, 2.0, 5.0])


def gram(x):
    """(N, 3, 3), positive definite"""
    return matrix(x) @ matrix(x).mT + jnp.eye(3)


def gaussian_process(x):
    """The mean of a Gaussian process with a kernel of x."""
    return jax.vmap(lambda a, b: cho_solve(cho_factor(a), b))(gram(x), x)


FUNCTIONS = {
    "det": lambda x: jnp.linalg.det(matrix(x)),
    "det_large": lambda x: jnp.linalg.det(features(x)[..., None] * features(x)[:, None] / 4 + 2 * jnp.eye(6)),
    "slogdet": lambda x: jnp.linalg.slogdet(matrix(x) - 6 * jnp.eye(3))[1],
    "logdet": lambda x: jnp.linalg.slogdet(matrix(x) @ matrix(x).mT)[1],
    "inverse": lambda x: jnp.linalg.inv(matrix(x)),
    "pseudoinverse": lambda x: jnp.linalg.inv(table(x) @ table(x).mT) @ table(x),
    "solve": lambda x: jnp.linalg.solve(matrix(x), jnp.sin(x)[..., None])[..., 0],
    "solve_constant_matrix": lambda x: jnp.linalg.solve(MIXED + 3 * jnp.eye(6), features(x)[..., None] ** 2),
    "solve_constant_vector": lambda x: jnp.linalg.solve(matrix(x), np.array([[1.0], [2.0], [-1.0]])),
    "solve_right": lambda x: jnp.linalg.solve(matrix(x).mT, table(x).mT).mT,
    "cholesky": lambda x: jnp.linalg.cholesky(gram(x)),
    "cholesky_solve": gaussian_process,
    "solve_triangular": lambda x: solve_triangular(jnp.tril(matrix(x)), table(x).mT, lower=True),
    "solve_triangular_transposed": lambda x: solve_triangular(matrix(x), table(x).mT, trans=1),
    "solve_triangular_unit": lambda x: solve_triangular(matrix(x), table(x).mT, lower=True, unit_diagonal=True),
    "eigenvalues": lambda x: jnp.linalg.eigvalsh(symmetric(x)),
    "eigenvectors": lambda x: jnp.linalg.eigh(symmetric(x))[1] ** 2,
    "qr": lambda x: jnp.linalg.qr(matrix(x))[1],
    "qr_orthogonal": lambda x: jnp.linalg.qr(jnp.concatenate([matrix(x), table(x)], 1))[0] ** 2,
    "singular_values": lambda x: jnp.linalg.svd(table(x), compute_uv=False),
    "matrix_exponential": lambda x: expm(matrix(x) / 4),
    "vander": lambda x: jax.vmap(lambda u: jnp.vander(u, N=4, increasing=True))(jnp.sin(x)),
}
