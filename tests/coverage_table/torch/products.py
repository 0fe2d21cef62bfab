"""Matrix products, convolutions and pooling."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from coverage_table.torch.inputs import MIXED, ROWS, THIRD, features, matrix, module, table

CONVOLUTION = nn.Sequential(
    module("conv2d.0", nn.Conv2d, 1, 3, 2), nn.Tanh(), module("conv2d.1", nn.Conv2d, 3, 2, (1, 2))
)
TRANSPOSED = module("conv_transpose", nn.ConvTranspose1d, 2, 3, 2, stride=2)

FUNCTIONS = {
    "matmul_of_x": lambda x: table(x) @ matrix(x),
    "matmul_vector": lambda x: (matrix(x) @ x[..., None]).squeeze(-1),
    "constant_matmul_left": lambda x: MIXED[:, :2] @ table(x),
    "einsum": lambda x: torch.einsum("ni,oij,nj->no", features(x), THIRD, features(x)),
    "einsum_of_x": lambda x: torch.einsum("nij,njk,nk->ni", table(x), matrix(x), x),
    "bmm": lambda x: torch.bmm(matrix(x), matrix(x).mT),
    "outer": lambda x: torch.vmap(torch.outer)(x.sin(), features(x)),
    "dot": lambda x: torch.vmap(torch.dot)(x.sin(), x),
    "inner": lambda x: torch.inner(features(x), ROWS) ** 2,
    "baddbmm": lambda x: torch.baddbmm(table(x), table(x), matrix(x), beta=0.5, alpha=2),
    "addmm": lambda x: torch.addmm(MIXED[0], features(x) ** 2, MIXED, beta=2, alpha=0.5),
    "kron": lambda x: torch.vmap(torch.kron)(x.sin(), x),
    "cross": lambda x: torch.linalg.cross(x.sin(), x.cos()),
    "tensordot": lambda x: torch.tensordot(features(x) ** 2, THIRD, ([1], [1])),
    "matrix_power": lambda x: torch.linalg.matrix_power(matrix(x), 3),
    "multi_dot": lambda x: torch.chain_matmul(features(x) ** 2, MIXED, MIXED[:, :2]),
    "conv1d": lambda x: F.conv1d(features(x)[:, None], ROWS[:2, None, :3], padding=1).tanh(),
    "conv2d": lambda x: CONVOLUTION(table(x)[:, None]),
    "conv_transpose": lambda x: TRANSPOSED(table(x)).sin(),
    "conv_with_weight_of_x": lambda x: F.conv1d(features(x)[None], x[:, None], padding=1, groups=x.shape[0])[0],
    "avg_pool": lambda x: F.avg_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "max_pool": lambda x: F.max_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "adaptive_pool": lambda x: F.adaptive_avg_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "interpolate": lambda x: F.interpolate(features(x)[:, None], size=9, mode="linear")[:, 0] ** 2,
    "pixel_shuffle": lambda x: F.pixel_shuffle(features(x)[:, :4, None, None] ** 2, 2),
}
