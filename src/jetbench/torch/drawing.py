"""Drawing random directions; which distributions is decided in `jetbench.operators.directions.randomize`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.operators.directions import RandomGroup


@torch.compiler.disable
def draw(groups: Sequence[RandomGroup], x: Tensor, seed: int) -> tuple[Tensor, ...]:
    """For each random group directions (samples, ..., n) for the points x (..., D), independent for each point."""
    generator = torch.Generator(device=x.device).manual_seed(seed)
    return tuple(_group(group, x, generator) for group in groups)


def _group(group: RandomGroup, x: Tensor, generator: torch.Generator) -> Tensor:
    matrix = torch.tensor(group.matrix, dtype=x.dtype, device=x.device)
    batch, columns = x.shape[:-1], matrix.shape[1]
    if group.kind == "coordinate":
        keys = torch.rand((*batch, columns), generator=generator, device=x.device)
        chosen = keys.argsort(-1)[..., : group.samples]
        return matrix.T[chosen].movedim(-2, 0)
    shape = (group.samples, *batch, columns)
    if group.kind == "normal":
        noise = torch.randn(shape, generator=generator, dtype=torch.float32, device=x.device).to(x.dtype)
    else:
        noise = torch.randint(0, 2, shape, generator=generator, device=x.device).to(x.dtype) * 2 - 1
    return noise @ matrix.T
