"""Checking that a network treats the rows of x as independent points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jetbench.errors import JetbenchError, MixedRows

SEED = 0


def check(net: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Raise where rows of x influence each other, or the output lacks the leading axes of x.

    Some rows are made NaN, and no other row of the output may become NaN. Each pair of rows is told apart by a bit of
    its index or by that bit's complement, so about 2·log₂(rows) forward passes see every mixture of two rows. Only
    arithmetic passes NaN on: rows that meet in comparisons alone have no derivatives in common.

    Raises:
        MixedRows: rows are mixed.
        JetbenchError: the output does not begin with the leading axes of x.
    """
    leading = shape[:-1]
    generator = torch.Generator().manual_seed(SEED)
    x = torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype=dtype, device=device)
    with torch.no_grad():
        y = net(x)
    if y.shape[: len(leading)] != leading:
        raise JetbenchError(
            f"The network maps x of shape {tuple(shape)} to {tuple(y.shape)}: its output must keep the leading axes "
            f"{tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
        )
    count = leading.numel() if isinstance(leading, torch.Size) else torch.Size(leading).numel()
    if count < 2 or y.numel() == 0:
        return
    finite = ~y.isnan().reshape(count, -1)
    index = torch.arange(count, device=device)
    for bit in range((count - 1).bit_length()):
        chosen = (index >> bit) & 1 == 1
        for poisoned in (chosen, ~chosen):
            probe = x.reshape(count, -1).clone()
            probe[poisoned] = torch.nan
            with torch.no_grad():
                found = net(probe.reshape(shape)).reshape(count, -1)
            if (found.isnan() & finite)[~poisoned].any():
                raise MixedRows(
                    "The network mixes rows of x: the value at one point depends on other points of the batch, as in a "
                    "batch norm in training mode or a sum over the batch. Call `net.eval()`, or let the mixed axes be "
                    "coordinates of one point."
                )
