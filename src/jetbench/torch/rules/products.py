"""Matrix products and convolutions: bilinear. A constant factor makes them linear, one product for all components."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number

import torch
from torch import Tensor

from jetbench.torch import storage
from jetbench.torch.jet import Jet, Value, add, linear, multiply, primal
from jetbench.torch.registry import rule

aten = torch.ops.aten


def _rows_times(left: Tensor, right: Tensor) -> Tensor:
    """(n, N, I) @ (I, O) as one product of all rows, as they lie in memory; rows that all data share only once."""
    components, rows, width = left.shape
    if rows > 1 and left.stride(1) == 0:
        return (left[:, 0] @ right).unsqueeze(1).expand(-1, rows, -1)
    if left.is_contiguous():
        return (left.reshape(components * rows, width) @ right).reshape(components, rows, right.shape[1])
    result = storage.stored(left).reshape(rows * components, width) @ right
    return storage.components(result.reshape(rows, components, right.shape[1]))


@rule(aten.mm.default)
def mm(a: Value, b: Value) -> Value:
    if isinstance(a, Jet) and not isinstance(b, Jet):
        return linear(lambda t: t @ b, a, lambda t: _rows_times(t, b))
    return multiply(torch.mm, a, b)


@rule(aten.addmm.default)
def addmm(bias: Value, a: Value, b: Value, *, beta: Number = 1, alpha: Number = 1) -> Value:
    product = mm(a, b) if isinstance(a, Jet) or isinstance(b, Jet) else a @ b
    if alpha != 1:
        product = linear(lambda t: alpha * t, product, lambda t: alpha * t)
    return add(product, bias if beta == 1 else multiply(torch.mul, bias, torch.full_like(primal(bias), beta)))


@rule(aten.bmm.default)
def bmm(a: Value, b: Value) -> Value:
    return multiply(torch.bmm, a, b)


@rule(aten.baddbmm.default)
def baddbmm(bias: Value, a: Value, b: Value, *, beta: Number = 1, alpha: Number = 1) -> Value:
    product = multiply(lambda s, t: alpha * torch.bmm(s, t), a, b)
    return add(product, bias if beta == 1 else multiply(torch.mul, bias, torch.full_like(primal(bias), beta)))


@rule(aten.mv.default)
def mv(a: Value, b: Value) -> Value:
    return multiply(torch.mv, a, b)


@rule(aten.addmv.default)
def addmv(bias: Value, a: Value, b: Value, *, beta: Number = 1, alpha: Number = 1) -> Value:
    product = multiply(lambda s, t: alpha * torch.mv(s, t), a, b)
    return add(product, bias if beta == 1 else multiply(torch.mul, bias, torch.full_like(primal(bias), beta)))


@rule(aten.dot.default)
def dot(a: Value, b: Value) -> Value:
    return multiply(torch.dot, a, b)


@rule(aten.convolution.default)
def convolution(
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    options = (stride, padding, dilation, transposed, output_padding, groups)
    product = multiply(lambda s, t: aten.convolution.default(s, t, None, *options), x, weight)
    if bias is None:
        return product
    shape = (-1, *(1,) * (product.ndim - 2))
    return add(product, linear(lambda t: t.reshape(shape), bias) if isinstance(bias, Jet) else bias.reshape(shape))


@rule(aten._trilinear.default)
def trilinear(
    a: Value,
    b: Value,
    c: Value,
    expand_a: Sequence[int],
    expand_b: Sequence[int],
    expand_c: Sequence[int],
    summed: Sequence[int],
    unroll_dim: int = 1,
) -> Value:
    """Σ a·b·c over some axes, after each factor has been given the axes that it lacks."""
    del unroll_dim

    def expanded(value: Value, axes: Sequence[int]) -> Value:
        def insert(t: Tensor) -> Tensor:
            for axis in sorted(axes):
                t = t.unsqueeze(axis)
            return t

        return linear(insert, value) if isinstance(value, Jet) else insert(value)

    first, second, third = expanded(a, expand_a), expanded(b, expand_b), expanded(c, expand_c)
    product = multiply(torch.mul, multiply(torch.mul, first, second), third)
    axes = tuple(summed)
    return linear(lambda t: t.sum(axes), product) if isinstance(product, Jet) else product.sum(axes)
