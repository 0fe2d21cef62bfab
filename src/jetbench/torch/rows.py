"""Checking that a network treats the rows of x as independent points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jetbench.errors import JetbenchError, MixedRows, NetworkFailed

SEED = 0


def check(net: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Raise where rows of x influence each other, or the output lacks the leading axes of x.

    Some rows are made NaN, and no other row of the output may become NaN. Each pair of rows is told apart by a bit of
    its index or by that bit's complement, so about 2·log₂(rows) forward passes see every mixture of two rows. Only
    arithmetic passes NaN on: rows that meet in comparisons alone have no derivatives in common. A network that refuses
    NaN, or decides by values what to compute (a loop until something converges would not end), is given other numbers
    in these rows instead.

    Raises:
        MixedRows: rows are mixed.
        JetbenchError: the network cannot be run on such an x, or returns something other than one tensor that begins
            with the leading axes of x.
    """
    leading = shape[:-1]
    if device.type == "meta":
        return  # there are no values to look at
    generator = torch.Generator().manual_seed(SEED)
    x = torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype=dtype, device=device)
    try:
        with torch.no_grad():
            y = net(x)
    except JetbenchError:
        raise
    except Exception as error:
        raise NetworkFailed(shape, dtype, device, error) from error
    if not isinstance(y, Tensor):
        raise JetbenchError(f"The network must return one tensor; it returned {type(y).__name__}.")
    if y.shape[: len(leading)] != leading:
        raise JetbenchError(
            f"The network maps x of shape {tuple(shape)} to {tuple(y.shape)}: its output must keep the leading axes "
            f"{tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
        )
    count = leading.numel() if isinstance(leading, torch.Size) else torch.Size(leading).numel()
    if count < 2 or y.numel() == 0:
        return
    clean = y.reshape(count, -1)
    index = torch.arange(count, device=device)
    for bit in range((count - 1).bit_length()):
        chosen = (index >> bit) & 1 == 1
        for poisoned in (chosen, ~chosen):
            if _others_change(net, x, clean, poisoned, generator):
                raise MixedRows(
                    "The network mixes rows of x: the value at one point depends on other points of the batch, as in a "
                    "batch norm in training mode or a sum over the batch. Call `net.eval()`, or let the mixed axes be "
                    "coordinates of one point."
                )


def _others_change(
    net: Callable[[Tensor], Tensor], x: Tensor, clean: Tensor, poisoned: Tensor, generator: torch.Generator
) -> bool:
    """Whether results at other rows change when the poisoned ones become NaN, or other numbers if it refuses NaN."""

    def others(rows: Tensor) -> Tensor:
        probe = x.reshape(len(clean), -1).clone()
        probe[poisoned] = rows.to(dtype=x.dtype, device=x.device)
        with torch.no_grad():
            return net(probe.reshape(x.shape)).reshape(len(clean), -1)[~poisoned]

    expected = clean[~poisoned]
    shape = (int(poisoned.sum()), x.shape[-1])
    try:
        with _Unread():
            found = others(torch.full(shape, torch.nan))
        return bool((found.isnan() & ~expected.isnan()).any())
    except RuntimeError:  # a matrix factorization, for example
        found = others(torch.rand(shape, generator=generator))
        return not torch.allclose(found, expected, rtol=torch.finfo(x.dtype).eps ** 0.5, equal_nan=True)


class _Unread(TorchDispatchMode):
    """Raises where a value is read, as by `if`, `while` and `.item()`."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if torch.Tag.data_dependent_output in function.tags:
            raise RuntimeError(f"{function} reads a value.")
        return function(*args, **(kwargs or {}))
