"""Functions that are linear in pieces: each piece is chosen by the primal."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number

import torch
from torch import Tensor

from jetbench.errors import Unsupported
from jetbench.torch.jet import Jet, Value, add, elementwise, jointly_linear, linear, primal
from jetbench.torch.registry import rule
from jetbench.torch.rules.arithmetic import hypot
from jetbench.torch.rules.powers import power, rooted

aten = torch.ops.aten


def _with_rest(x: Jet, value: Tensor, fn: Callable[[Tensor], Tensor]) -> Jet:
    """A jet with the given value, and `fn` of the coefficients of x, (n, *S)."""
    return Jet(x.algebra, value, rest=fn(x.rest) if x.present else None, present=x.present)


def _kept(x: Jet, value: Tensor, mask: Tensor) -> Jet:
    """The derivatives of x where the mask is true, none elsewhere, even if those of x are infinite there."""
    return _with_rest(x, value, lambda t: torch.where(mask, t, 0))


@rule(aten.relu.default)
def relu(x: Jet) -> Jet:
    return _kept(x, torch.relu(x.primal), ~(x.primal <= 0))


@rule(aten.leaky_relu.default)
def leaky_relu(x: Jet, negative_slope: Number = 0.01) -> Jet:
    slope = torch.full_like(x.primal, negative_slope).masked_fill(x.primal > 0, 1)
    return _with_rest(x, torch.nn.functional.leaky_relu(x.primal, negative_slope), lambda t: t * slope)


@rule(aten.rrelu_with_noise.default)
def rrelu(
    x: Jet,
    noise: Tensor,
    lower: Number = 1 / 8,
    upper: Number = 1 / 3,
    training: bool = False,
    generator: object = None,
) -> Jet:
    """In evaluation mode a leaky ReLU with the mean slope, which draws nothing."""
    del noise, generator
    if training:
        raise Unsupported("torch.nn.RReLU draws random slopes in training mode. Call `net.eval()`.")
    return leaky_relu(x, (lower + upper) / 2)


@rule(aten.rrelu_with_noise_functional.default)
def rrelu_functional(x: Jet, noise: Tensor, *args: object, **kwargs: object) -> tuple[Jet, Tensor]:
    return rrelu(x, noise, *args, **kwargs), noise


@rule(aten.abs.default)
def absolute(x: Jet) -> Jet:
    """|u| = √(u²), whose even powers are smooth; at 0 PyTorch's slope is 0."""
    if x.dtype.is_complex:
        return hypot(linear(torch.real, x, torch.real), linear(torch.imag, x, torch.imag))
    is_zero, sign = x.primal == 0, torch.sign(x.primal)
    result = _with_rest(x, torch.abs(x.primal), lambda t: (t * sign).masked_fill(is_zero, 0))
    return rooted(result, lambda: power(x, 2), 2)


@rule(aten.copysign.Tensor, aten.copysign.Scalar)
def copysign(x: Value, sign: Value | Number) -> Value:
    """|u| with another sign; at u = 0 PyTorch's slope is 0."""
    value = torch.copysign(primal(x), primal(sign))
    if not isinstance(x, Jet):
        return value
    signed = x if value.shape == x.shape else add(x, torch.zeros_like(value))
    is_turned = torch.signbit(x.primal) != torch.signbit(value)
    return _kept(_with_rest(signed, value, lambda t: torch.where(is_turned, -t, t)), value, x.primal != 0)


@rule(aten.frexp.Tensor)
def frexp(x: Jet) -> tuple[Jet, Tensor]:
    """u·2^(−n) between 1/2 and 1, and the whole number n."""
    mantissa, exponent = torch.frexp(x.primal)
    return _with_rest(x, mantissa, lambda t: torch.ldexp(t, -exponent)), exponent


@rule(aten.threshold.default)
def threshold(x: Jet, threshold: Number, value: Number) -> Jet:
    """The identity above the threshold, a number elsewhere."""
    return _kept(x, torch.nn.functional.threshold(x.primal, threshold, value), ~(x.primal <= threshold))


@rule(aten.hardshrink.default)
def hardshrink(x: Jet, width: Number = 0.5) -> Jet:
    """0 between −width and width, the identity beyond."""
    return _kept(x, torch.nn.functional.hardshrink(x.primal, width), ~(x.primal.abs() <= width))


@rule(aten.softshrink.default)
def softshrink(x: Jet, width: Number = 0.5) -> Jet:
    """0 between −width and width, the distance to it beyond."""
    return _kept(x, torch.nn.functional.softshrink(x.primal, width), ~(x.primal.abs() <= width))


@rule(aten.hardsigmoid.default)
def hardsigmoid(x: Jet) -> Jet:
    """u/6 + 1/2 between −3 and 3, constant there and beyond."""
    value = torch.nn.functional.hardsigmoid(x.primal)
    inside = (x.primal > -3) & (x.primal < 3)
    return _with_rest(x, value, lambda t: torch.where(inside, t / 6, 0))


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
    return _kept(x, torch.clamp(x.primal, lower, upper), (x.primal > lower) & (x.primal < upper))


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
    return _kept(x, value, inside)


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

    def part(x: Value, weight: Tensor) -> Value:
        if not isinstance(x, Jet):
            return torch.zeros_like(value)

        def weighted(t: Tensor) -> Tensor:
            return (t * weight).masked_fill(weight == 0, 0)  # coefficients that are not taken may be infinite

        return linear(weighted, x, weighted if x.shape == value.shape else None)

    mixed = add(part(a, share), part(b, 1 - share))
    return Jet(mixed.algebra, value, rest=mixed.rest, present=mixed.present)


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
