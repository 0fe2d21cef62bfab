"""Softmax, log-sum-exp and normalization layers, shifted by constants so that nothing overflows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, elementwise, jointly_linear, linear, primal, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.powers import inverse, logarithm, power
from jetbench.torch.rules.precision import accumulated, in_type
from jetbench.torch.rules.reductions import centered

aten = torch.ops.aten


def _exponentials(x: Jet, dims: Sequence[int]) -> tuple[Jet, Jet, Tensor]:
    """e^{x − m}, its sum over the axes (kept) and the largest entries m, which count as constants."""
    largest = x.primal.detach().real.amax(dims, keepdim=True)
    largest = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    shifted = add(x, largest, -1)
    powers = elementwise(lambda u, order: [torch.exp(u)] * (order + 1), shifted)
    return powers, linear(lambda t: t.sum(dims, keepdim=True), powers), largest


@rule(aten._softmax.default)
def softmax(x: Jet, dim: int, half_to_float: bool = False) -> Jet:
    del half_to_float
    powers, total, _ = _exponentials(x, (dim,))
    return times(powers, inverse(total))


@rule(aten._safe_softmax.default)
def safe_softmax(x: Jet, dim: int, dtype: torch.dtype | None = None) -> Jet:
    """As `softmax`, but 0 where all entries are −∞."""
    found = softmax(x if dtype is None else in_type(x, dtype), dim)
    masked = (x.primal == -torch.inf).all(dim, keepdim=True)
    return linear(lambda t: t.masked_fill(masked, 0), found)


@rule(aten._log_softmax.default)
def log_softmax(x: Jet, dim: int, half_to_float: bool = False) -> Jet:
    del half_to_float
    _, total, largest = _exponentials(x, (dim,))
    return add(add(x, largest, -1), logarithm(total), -1)


def _log_of_total(total: Jet, value: Tensor) -> Jet:
    """The logarithm of a sum of exponentials, given its value; it does not depend on x where all of them are 0."""
    is_zero = total.primal == 0
    found = logarithm(Jet(total.algebra, total.primal.masked_fill(is_zero, 1), rest=total.rest, present=total.present))
    return Jet(found.algebra, value, rest=found.rest, present=found.present)


@rule(aten.logsumexp.default)
def logsumexp(x: Jet, dim: Sequence[int], keepdim: bool = False) -> Jet:
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    _, total, _ = _exponentials(x, axes)
    result = _log_of_total(total, torch.logsumexp(x.primal, axes, keepdim=True))
    return result if keepdim else linear(lambda t: t.sum(axes), result)


@rule(aten.logaddexp.default)
def logaddexp(a: Value, b: Value) -> Jet:
    """log(e^a + e^b), smooth also where a = b."""
    largest = torch.maximum(*(primal(v).detach().real for v in (a, b)))
    largest = torch.where(largest.isinf(), 0, largest)

    def shifted(value: Value) -> Value:
        if not isinstance(value, Jet):
            return torch.exp(value - largest)
        return elementwise(lambda u, order: [torch.exp(u)] * (order + 1), add(value, largest, -1))

    return _log_of_total(add(shifted(a), shifted(b)), torch.logaddexp(primal(a), primal(b)))


@rule(aten.logaddexp2.default)
def logaddexp2(a: Value, b: Value) -> Jet:
    """log₂(2^a + 2^b)."""
    natural = math.log(2)
    found = logaddexp(*(times(v, natural) if isinstance(v, Jet) else v * natural for v in (a, b)))
    return times(found, 1 / natural)


@rule(aten.logcumsumexp.default)
def logcumsumexp(x: Jet, dim: int) -> Jet:
    """Sums over 1, 2, 4, … entries before each one, so that each prefix is shifted by its own largest entry."""
    result, width, count = x, 1, x.shape[dim] if x.ndim else 1
    while width < count:
        head = linear(lambda t, n=width: t.narrow(dim, 0, n), result)
        tail = linear(lambda t, n=width: t.narrow(dim, n, count - n), result)
        before = linear(lambda t, n=width: t.narrow(dim, 0, count - n), result)
        result = jointly_linear(lambda parts: torch.cat(parts, dim), [head, logaddexp(tail, before)])
        width *= 2
    return result


@accumulated
def _normalized(x: Jet, axes: tuple[int, ...], eps: float) -> Jet:
    """(x − mean)/√(variance + ε) over the axes."""
    deviation = centered(x, axes)
    square = power(deviation, 2)
    spread = linear(lambda t: t.mean(axes, keepdim=True), square)
    return times(deviation, power(add(spread, _full(x, eps)), -0.5))


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
    """x · weight + bias in the type of x, which the parameters need not be of."""
    y = x if weight is None else times(x, weight)
    return in_type(y if bias is None else add(y, bias), x.dtype)
