"""Functions of two numbers whose derivatives PyTorch squares, divides or exponentiates beyond the range of the type."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from jetbench.torch.corrected.formulas import formula

aten = torch.ops.aten


def _size(a: Tensor, b: Tensor) -> Tensor:
    """The larger modulus, as a constant; 1 where it is 0 or not finite."""
    size = torch.maximum(a.detach().abs(), b.detach().abs())
    return torch.where((size == 0) | ~size.isfinite(), 1, size)


@formula(aten.atan2.default)
def atan2(y: Tensor, x: Tensor) -> Tensor:
    """The angle does not depend on the size."""
    size = _size(y, x)
    return aten.atan2.default(y / size, x / size)


@formula(aten.hypot.default)
def hypot(a: Tensor, b: Tensor) -> Tensor:
    size = _size(a, b)
    return size * aten.hypot.default(a / size, b / size)


@formula(aten.logaddexp.default)
def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """log(e^a + e^b), shifted by the larger one, which counts as a constant."""
    largest = torch.maximum(a.detach(), b.detach())
    largest = torch.where(largest.isfinite(), largest, 0)
    return largest + ((a - largest).exp() + (b - largest).exp()).log()


@formula(aten.logaddexp2.default)
def logaddexp2(a: Tensor, b: Tensor) -> Tensor:
    return logaddexp(a * log(2), b * log(2)) / log(2)
