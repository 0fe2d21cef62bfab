"""Functions that are linear in pieces: each piece is chosen by the primal."""

from __future__ import annotations

from numbers import Number

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, elementwise, jointly_linear, linear, primal, times
from jetbench.torch.rules.registry import rule

aten = torch.ops.aten


def _sloped(x: Jet, value: Tensor, slope: Tensor) -> Jet:
    """A function whose derivative in the present piece is `slope` and whose higher derivatives vanish there."""
    if not x.present:
        return Jet(x.algebra, value)
    scaled = linear(lambda t: t * slope, Jet(x.algebra, x.primal, rest=x.rest, present=x.present), lambda t: t * slope)
    return Jet(x.algebra, value, rest=scaled.rest, present=x.present)


@rule(aten.relu.default)
def relu(x: Jet) -> Jet:
    return _sloped(x, torch.relu(x.primal), (x.primal > 0).to(x.dtype))


@rule(aten.leaky_relu.default)
def leaky_relu(x: Jet, negative_slope: Number = 0.01) -> Jet:
    slope = torch.full_like(x.primal, negative_slope).masked_fill(x.primal > 0, 1)
    return _sloped(x, torch.nn.functional.leaky_relu(x.primal, negative_slope), slope)


@rule(aten.abs.default)
def absolute(x: Jet) -> Jet:
    return _sloped(x, torch.abs(x.primal), torch.sign(x.primal))


@rule(aten.threshold.default)
def threshold(x: Jet, threshold: Number, value: Number) -> Jet:
    """The identity above the threshold, a number elsewhere."""
    return _sloped(x, torch.nn.functional.threshold(x.primal, threshold, value), (x.primal > threshold).to(x.dtype))


@rule(aten.hardshrink.default)
def hardshrink(x: Jet, width: Number = 0.5) -> Jet:
    """0 between −width and width, the identity beyond."""
    return _sloped(x, torch.nn.functional.hardshrink(x.primal, width), (x.primal.abs() > width).to(x.dtype))


@rule(aten.softshrink.default)
def softshrink(x: Jet, width: Number = 0.5) -> Jet:
    """0 between −width and width, the distance to it beyond."""
    return _sloped(x, torch.nn.functional.softshrink(x.primal, width), (x.primal.abs() > width).to(x.dtype))


@rule(aten.hardsigmoid.default)
def hardsigmoid(x: Jet) -> Jet:
    """u/6 + 1/2 between −3 and 3, constant there and beyond."""
    inside = (x.primal > -3) & (x.primal < 3)
    return _sloped(x, torch.nn.functional.hardsigmoid(x.primal), inside.to(x.dtype) / 6)


@rule(aten.hardswish.default)
def hardswish(x: Jet) -> Jet:
    """u(u + 3)/6 between −3 and 3, 0 below and u above; the slope at −3 is 0 and at 3 it is 1."""

    def tower(u: Tensor, order: int) -> list[Tensor | None]:
        middle = torch.where(u <= -3, 0.0, torch.where(u < 3, u / 3 + 0.5, 1.0))
        curved = ((u > -3) & (u < 3)).to(u.dtype) / 3
        return [torch.nn.functional.hardswish(u), middle, curved, *[None] * order][: order + 1]

    return elementwise(tower, x)


@rule(aten.hardtanh.default)
def hardtanh(x: Jet, lower: Number = -1, upper: Number = 1) -> Jet:
    """Between the bounds the identity, constant on them and beyond."""
    inside = (x.primal > lower) & (x.primal < upper)
    return _sloped(x, torch.clamp(x.primal, lower, upper), inside.to(x.dtype))


@rule(aten.clamp.default, aten.clamp.Tensor)
def clamp(x: Value, lower: Number | Value | None = None, upper: Number | Value | None = None) -> Jet:
    """Between constant bounds the identity, beyond them constant; bounds that depend on x take the maximum rule."""
    if not isinstance(x, Jet) or isinstance(lower, Jet) or isinstance(upper, Jet):
        result: Value = x
        for bound, choose in ((lower, maximum), (upper, minimum)):
            if bound is not None:
                result = (
                    choose(result, bound)
                    if isinstance(result, Jet) or isinstance(bound, Jet)
                    else (torch.maximum if choose is maximum else torch.minimum)(result, bound)
                )
        return result
    inside = torch.ones_like(x.primal, dtype=torch.bool)
    if lower is not None:
        inside = inside & (x.primal >= lower)
    if upper is not None:
        inside = inside & (x.primal <= upper)
    value = torch.clamp(x.primal, lower, upper)
    if value.shape != x.shape:
        x = add(x, torch.zeros_like(value))
    return _sloped(x, value, inside.to(x.dtype))


@rule(aten.clamp_min.default, aten.clamp_min.Tensor)
def clamp_min(x: Value, lower: Number | Value) -> Jet:
    return clamp(x, lower, None)


@rule(aten.clamp_max.default, aten.clamp_max.Tensor)
def clamp_max(x: Value, upper: Number | Value) -> Jet:
    return clamp(x, None, upper)


@rule(aten.where.self)
def where(condition: Value, a: Value, b: Value) -> Value:
    condition = primal(condition)
    if not isinstance(a, Jet) and not isinstance(b, Jet):
        return torch.where(condition, a, b)
    return jointly_linear(lambda values: torch.where(condition, *values), [a, b])


@rule(aten.maximum.default)
def maximum(a: Value, b: Value) -> Jet:
    """The larger of two values; where they are equal, PyTorch's derivative is the mean of both."""
    return _choose(a, b, torch.maximum(primal(a), primal(b)), primal(a) > primal(b))


@rule(aten.minimum.default)
def minimum(a: Value, b: Value) -> Jet:
    """The smaller of two values; where they are equal, PyTorch's derivative is the mean of both."""
    return _choose(a, b, torch.minimum(primal(a), primal(b)), primal(a) < primal(b))


def _choose(a: Value, b: Value, value: Tensor, first: Tensor) -> Jet:
    share = torch.where(primal(a) == primal(b), 0.5, first.to(value.dtype)).to(value.dtype)
    mixed = add(times(a, share) if isinstance(a, Jet) else a * share, _share(b, 1 - share))
    return Jet(mixed.algebra, value, rest=mixed.rest, present=mixed.present)


def _share(value: Value, share: Tensor) -> Value:
    return times(value, share) if isinstance(value, Jet) else value * share


@rule(aten.fmax.default)
def fmax(a: Value, b: Value) -> Jet:
    """The larger of two values, the one that is a number if the other is not; the first where they are equal."""
    return where((primal(a) >= primal(b)) | primal(b).isnan(), *_broadcast(a, b))


@rule(aten.fmin.default)
def fmin(a: Value, b: Value) -> Jet:
    """The smaller of two values, the one that is a number if the other is not; the first where they are equal."""
    return where((primal(a) <= primal(b)) | primal(b).isnan(), *_broadcast(a, b))


def _broadcast(a: Value, b: Value) -> tuple[Value, Value]:
    zeros = torch.zeros_like(primal(a) + primal(b))
    return add(a, zeros), add(b, zeros)
