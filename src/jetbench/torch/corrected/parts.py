"""Copies, parts written into others, and conjugates, for which derivatives or rules of torch.vmap are missing."""

from __future__ import annotations

import torch
from torch import Tensor

from jetbench.torch.corrected.formulas import formula

aten = torch.ops.aten


@formula(aten.copy.default)
def copy(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """The source in the shape and type of x, as recorded networks have it in place of copies into a tensor."""
    del non_blocking
    return source.to(x.dtype).expand(x.shape).clone()


@formula(aten.slice_scatter.default)
def slice_scatter(
    x: Tensor, source: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """As it is, with bounds inside of the axis, since torch.vmap counts with those that are not."""
    start, end, _ = slice(start, end).indices(x.shape[dim])
    return aten.slice_scatter.default(x, source, dim, start, end, step)


def _at(x: Tensor, dim: int, positions: Tensor) -> Tensor:
    """Which entries of x lie at the positions along an axis, in a shape that broadcasts to that of x."""
    chosen = torch.zeros(x.shape[dim], dtype=torch.bool, device=x.device).index_fill(0, positions, True)
    return chosen.reshape(-1, *[1] * (x.ndim - 1 - dim % x.ndim))


@formula(aten.select_scatter.default)
def select_scatter(x: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    """By choice: under torch.vmap PyTorch's own gives the source several times its gradient."""
    position = torch.tensor([index % x.shape[dim]], device=x.device)
    return torch.where(_at(x, dim, position), source.unsqueeze(dim), x)


@formula(aten.index_fill.int_Tensor)
def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor) -> Tensor:
    """By choice: under torch.vmap PyTorch's own takes one of several values for all."""
    if not x.ndim:
        return torch.where(torch.tensor(index.numel() > 0), value, x)
    return torch.where(_at(x, dim, index), value, x)


@formula(aten._conj.default)
def conj(z: Tensor) -> Tensor:
    """Carried out at once: parts of conjugates yet to be carried out have no rule in torch.vmap."""
    return torch.complex(z.real, -z.imag)
