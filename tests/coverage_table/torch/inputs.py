"""What the functions of the coverage table start from: features of rows x (N, 3) and constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from coverage_table import parameters


def normal(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(parameters.normal(name, *shape))


WEIGHT, MIXED, THIRD, ROWS, INDEX, DISTINCT, MASK = (
    torch.from_numpy(getattr(parameters, name))
    for name in ("WEIGHT", "MIXED", "THIRD", "ROWS", "INDEX", "DISTINCT", "MASK")
)


def features(x: Tensor) -> Tensor:
    """(N, 6): smooth, some of them negative."""
    return torch.tanh(x @ WEIGHT.T) + 0.3 * (x @ WEIGHT.T)


def positive(x: Tensor) -> Tensor:
    """(N, 6)"""
    return 0.3 + features(x).square()


def table(x: Tensor) -> Tensor:
    """(N, 2, 3)"""
    return features(x).unflatten(-1, (2, 3))


def tokens(x: Tensor) -> Tensor:
    """(N, 3, 2)"""
    return features(x).unflatten(-1, (3, 2))


def matrix(x: Tensor) -> Tensor:
    """(N, 3, 3), far from singular"""
    columns = table(x)
    return columns[..., :1, :].mT * columns[..., 1:, :] + 3 * torch.eye(3, dtype=x.dtype)


def module(label: str, kind: type[nn.Module], *args: object, **options: object) -> nn.Module:
    """A module in float64 and evaluation mode whose parameters and statistics depend on `label` alone."""
    made = nn.utils.skip_init(kind, *args, **options, dtype=torch.float64).eval()
    with torch.no_grad():
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(normal(f"{label}.{name}", *tensor.shape) * 0.5)
                if "var" in name:
                    tensor.abs_().add_(0.5)
    return made
