"""Determinants, inverses, solutions of linear systems, factorizations."""

from __future__ import annotations

import torch

from coverage_table.torch.inputs import MIXED, features, matrix, table

FUNCTIONS = {
    "det": lambda x: torch.linalg.det(matrix(x)),
    "slogdet": lambda x: torch.linalg.slogdet(matrix(x) - 6 * torch.eye(3, dtype=x.dtype))[1],
    "logdet": lambda x: torch.logdet(matrix(x) @ matrix(x).mT),
    "inverse": lambda x: torch.linalg.inv(matrix(x)),
    "solve": lambda x: torch.linalg.solve(matrix(x), x.sin()),
    "solve_constant_matrix": lambda x: torch.linalg.solve(MIXED + 3 * torch.eye(6), features(x)[..., None] ** 2),
    "solve_right": lambda x: torch.linalg.solve(matrix(x), table(x), left=False),
    "cholesky": lambda x: torch.linalg.cholesky(matrix(x) @ matrix(x).mT + torch.eye(3, dtype=x.dtype)),
    "solve_triangular": lambda x: torch.linalg.solve_triangular(matrix(x).tril(), table(x).mT, upper=False),
    "vander": lambda x: torch.linalg.vander(x.sin(), N=4),
}
