"""Copies, parts written into others, and conjugates, for which derivatives or rules of torch.vmap are missing."""

from __future__ import annotations

import torch
from torch import Tensor

from jetbench.torch.corrected.registry import formula

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


@formula(aten._conj.default)
def conj(z: Tensor) -> Tensor:
    """Carried out at once: parts of conjugates yet to be carried out have no rule in torch.vmap."""
    return torch.complex(z.real, -z.imag)
