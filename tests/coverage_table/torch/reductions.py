"""Sums, means, norms, products and extrema over axes, whole or cumulative."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coverage_table.torch.inputs import ROWS, features, matrix, table

FUNCTIONS = {
    "sum": lambda x: (features(x) ** 3).sum(-1),
    "mean": lambda x: (table(x) ** 3).mean((-2, -1), keepdim=True),
    "variance": lambda x: features(x).var(-1),
    "population_variance": lambda x: table(x).var((1, 2), correction=0),
    "std": lambda x: features(x).std(-1, keepdim=True),
    "var_mean": lambda x: torch.stack(torch.var_mean(features(x), -1)).movedim(0, -1) ** 2,
    "norm": lambda x: features(x).norm(dim=-1),
    "norm_1": lambda x: features(x).norm(p=1, dim=-1) ** 2,
    "norm_3": lambda x: torch.linalg.vector_norm(features(x), 3, -1),
    "norm_infinity": lambda x: torch.linalg.vector_norm(features(x), float("inf"), -1) ** 2,
    "frobenius": lambda x: torch.linalg.matrix_norm(table(x)),
    "normalize": lambda x: F.normalize(features(x), dim=-1),
    "cosine_similarity": lambda x: F.cosine_similarity(features(x), ROWS[0], dim=-1),
    "pairwise_distance": lambda x: F.pairwise_distance(features(x), ROWS[:1]),
    "cdist": lambda x: torch.cdist(features(x)[:, None], ROWS)[:, 0],
    "logsumexp": lambda x: torch.logsumexp(features(x), -1),
    "logsumexp_two_axes": lambda x: table(x).logsumexp((1, 2), keepdim=True),
    "prod": lambda x: features(x).prod(-1),
    "prod_with_zeros": lambda x: torch.cat([features(x)[:, :3], 0 * x[:, :1], x[:, :1] - x[:, :1]], -1).prod(-1),
    "prod_with_zero_slope": lambda x: torch.cat([features(x)[:, :3], x - x.detach()], -1).prod(-1),
    "cumsum": lambda x: features(x).cumsum(-1) ** 2,
    "cumprod": lambda x: features(x).cumprod(-1),
    "cumprod_with_zero": lambda x: torch.cat([x[:, :1], x[:, :1] - x[:, :1].detach(), features(x)], -1).cumprod(-1),
    "logcumsumexp": lambda x: torch.logcumsumexp(features(x), -1),
    "amax": lambda x: features(x).amax(-1) ** 2,
    "amin": lambda x: table(x).amin((1, 2)) ** 2,
    "max": lambda x: table(x).max(-1).values ** 2,
    "min": lambda x: features(x).min(-1, keepdim=True)[0] ** 2,
    "median": lambda x: features(x).median(-1).values ** 2,
    "cummax": lambda x: features(x).cummax(-1).values ** 2,
    "trace": lambda x: matrix(x).diagonal(dim1=-2, dim2=-1).sum(-1) ** 2,
}
