"""Softmax, log-sum-exp and normalization layers, shifted by constants so that nothing overflows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, elementwise, linear, times
from jetbench.torch.rules.elementwise import real_power
from jetbench.torch.rules.reductions import centered
from jetbench.torch.rules.registry import rule

aten = torch.ops.aten


def _exponentials(x: Jet, dims: Sequence[int]) -> tuple[Jet, Jet, Tensor]:
    """e^{x − m}, its sum over the axes (kept) and the largest entries m, which count as constants."""
    largest = x.primal.detach().amax(dims, keepdim=True)
    largest = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    shifted = add(x, largest, -1)
    powers = elementwise(lambda u, order: [torch.exp(u)] * (order + 1), shifted)
    return powers, linear(lambda t: t.sum(dims, keepdim=True), powers), largest


def _inverse(x: Jet) -> Jet:
    return elementwise(lambda u, order: real_power(u, order, -1), x)


def _log(x: Jet) -> Jet:
    return elementwise(lambda u, order: [torch.log(u), *(real_power(u, order - 1, -1) if order else [])], x)


@rule(aten._softmax.default, aten._safe_softmax.default)
def softmax(x: Jet, dim: int, half_to_float: bool = False, dtype: torch.dtype | None = None) -> Jet:
    del half_to_float, dtype
    powers, total, _ = _exponentials(x, (dim,))
    return times(powers, _inverse(total))


@rule(aten._log_softmax.default)
def log_softmax(x: Jet, dim: int, half_to_float: bool = False) -> Jet:
    del half_to_float
    _, total, largest = _exponentials(x, (dim,))
    return add(add(x, largest, -1), _log(total), -1)


@rule(aten.logsumexp.default)
def logsumexp(x: Jet, dim: Sequence[int], keepdim: bool = False) -> Jet:
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    _, total, largest = _exponentials(x, axes)
    result = add(_log(total), largest)
    if keepdim:
        return result
    return linear(lambda t: t.sum(axes), result)


def _normalized(x: Jet, axes: tuple[int, ...], eps: float) -> Jet:
    """(x − mean)/√(variance + ε) over the axes."""
    deviation = centered(x, axes)
    square = elementwise(lambda u, order: real_power(u, order, 2), deviation)
    spread = linear(lambda t: t.mean(axes, keepdim=True), square)
    return times(deviation, elementwise(lambda u, order: real_power(u, order, -0.5), add(spread, _full(x, eps))))


def _full(x: Jet, value: float) -> Tensor:
    return torch.full((), value, dtype=x.dtype, device=x.primal.device)


@rule(aten.native_layer_norm.default)
def layer_norm(
    x: Jet, shape: Sequence[int], weight: Value | None, bias: Value | None, eps: float
) -> tuple[Jet, None, None]:
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return _affine(_normalized(x, axes, eps), weight, bias), None, None


@rule(aten.native_group_norm.default)
def group_norm(
    x: Jet, weight: Value | None, bias: Value | None, batch: int, channels: int, space: int, groups: int, eps: float
) -> tuple[Jet, None, None]:
    shape = x.shape
    grouped = linear(lambda t: t.reshape(batch, groups, channels // groups * space), x)
    result = _normalized(grouped, (2,), eps)
    result = linear(lambda t: t.reshape(shape), result)
    trailing = (1, channels, *(1,) * (len(shape) - 2))
    weight, bias = (None if v is None else v.reshape(trailing) for v in (weight, bias))
    return _affine(result, weight, bias), None, None


def _affine(x: Jet, weight: Value | None, bias: Value | None) -> Jet:
    if weight is not None:
        x = times(x, weight)
    return x if bias is None else add(x, bias)


@rule(aten.logcumsumexp.default)
def logcumsumexp(x: Jet, dim: int) -> Jet:
    powers, _, largest = _exponentials(x, (dim,))
    return add(_log(linear(lambda t: t.cumsum(dim), powers)), largest)
