"""Outputs of every shape, constants, integers and types."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coverage_table.torch.inputs import INDEX, features


def integers(x):
    counts = torch.arange(6).remainder(4)
    return features(x) ** counts * counts + F.one_hot(INDEX, 6).sum(0)


FUNCTIONS = {
    "output_without_axis": lambda x: x.sin().sum(-1),
    "output_of_three_axes": lambda x: torch.einsum("ni,nj,nk->nijk", x, x.sin(), x.cos()),
    "empty_output": lambda x: features(x)[:, :0],
    "integers": integers,
    "linear_in_x": lambda x: 2 * x - 1,
    "identity": lambda x: x,
    "constant": lambda x: torch.ones(x.shape[0], 2, dtype=x.dtype),
    "constant_beside_x": lambda x: torch.stack([torch.ones_like(x[:, 0]), x[:, 0] ** 2], -1),
    "zero_times_x": lambda x: 0 * features(x),
    "comparison_as_number": lambda x: (features(x) > 0).to(x.dtype) * features(x) ** 2,
    "of_float": lambda x: features(x).to(torch.float64).double().type_as(x) ** 2,
}
