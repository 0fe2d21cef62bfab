"""Roots and norms to even powers, which are smooth where the root is not: at 0.

The derivatives of √s at s = 0 are not finite, so that those of (√s)² come out as NaN. What a root was taken of is
therefore remembered as long as the root lives, and even powers are taken of that.
"""

from __future__ import annotations

from numbers import Number

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

aten = torch.ops.aten
RADICANDS = WeakIdKeyDictionary()  # √s → s


def root(radicand: Tensor) -> Tensor:
    return remembered(radicand.sqrt(), radicand)


def remembered(root: Tensor, radicand: Tensor) -> Tensor:
    RADICANDS[root] = radicand
    return root


def _power(x: Tensor, exponent: Number) -> Tensor:
    radicand = RADICANDS.get(x)
    if radicand is None or isinstance(exponent, complex) or exponent % 2:
        return aten.pow.Tensor_Scalar(x, exponent)
    return aten.pow.Tensor_Scalar(radicand, exponent / 2)


def _product(x: Tensor, y: Tensor) -> Tensor:
    return RADICANDS[x] if x is y and x in RADICANDS else aten.mul.Tensor(x, y)


#: operation → what to do where a root is among its arguments
OF_ROOTS = {aten.sqrt.default: root, aten.pow.Tensor_Scalar: _power, aten.mul.Tensor: _product}
