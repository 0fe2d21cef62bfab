"""Sums, differences, products, quotients and powers."""

from __future__ import annotations

from numbers import Number

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, elementwise, linear, primal, times
from jetbench.torch.rules.elementwise import arctangent, real_power
from jetbench.torch.rules.registry import rule

aten = torch.ops.aten


def _promoted(value: Value | Number, like: Value | Number) -> Value | Number:
    """A number as a tensor of the type of `like`; jets and tensors as they are."""
    if isinstance(value, Number):
        return torch.full((), value, dtype=primal(like).dtype, device=primal(like).device)
    return value


def _scaled(value: Value, factor: Number) -> Value:
    return value if factor == 1 else times(value, factor) if isinstance(value, Jet) else value * factor


@rule(aten.add.Tensor, aten.add.Scalar)
def add_rule(a: Value, b: Value | Number, alpha: Number = 1) -> Jet:
    return add(_promoted(a, b), _scaled(_promoted(b, a), alpha))


@rule(aten.sub.Tensor, aten.sub.Scalar)
def sub_rule(a: Value, b: Value | Number, alpha: Number = 1) -> Jet:
    return add(_promoted(a, b), _scaled(_promoted(b, a), alpha), -1)


@rule(aten.rsub.Tensor, aten.rsub.Scalar)
def rsub_rule(a: Value, b: Value | Number, alpha: Number = 1) -> Jet:
    return add(_promoted(b, a), _scaled(_promoted(a, b), alpha), -1)


@rule(aten.neg.default)
def neg(x: Jet) -> Jet:
    return linear(torch.neg, x, torch.neg)


@rule(aten.mul.Tensor, aten.mul.Scalar)
def mul(a: Value, b: Value | Number) -> Jet:
    return times(a, b) if isinstance(a, Jet) else times(b, a)


@rule(aten.div.Tensor, aten.div.Scalar)
def div(a: Value, b: Value | Number) -> Jet:
    if isinstance(b, Jet):
        inverse = elementwise(lambda u, order: real_power(u, order, -1), b)
        result = times(inverse, a)
        return Jet(result.algebra, primal(a) / b.primal, result.blocks)
    if isinstance(b, Tensor) and b.ndim > a.ndim:
        return linear(lambda t: t / b, a)
    return linear(lambda t: t / b, a, lambda t: t / b)


@rule(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(a: Value, b: Value | Number, *, rounding_mode: str | None) -> Value:
    """Rounded quotients are constant almost everywhere."""
    if rounding_mode is None:
        return div(a, b)
    return torch.div(primal(a), primal(b) if isinstance(b, Jet) else b, rounding_mode=rounding_mode)


@rule(aten.pow.Tensor_Scalar)
def pow_scalar(x: Jet, exponent: Number) -> Jet:
    return elementwise(lambda u, order: real_power(u, order, exponent), x)


@rule(aten.pow.Tensor_Tensor, aten.pow.Scalar)
def pow_tensor(base: Value | Number, exponent: Value) -> Jet:
    """a^b = exp(b log a) where the exponent depends on x; falling factorials of b where it does not."""
    if not isinstance(exponent, Jet):

        def tower(u: Tensor, order: int) -> list[Tensor | None]:
            # where p − m + 1 = 0 the derivative vanishes, although u^(p−m) may be infinite
            result: list[Tensor | None] = [u**exponent]
            factor = torch.ones_like(exponent)
            for m in range(1, order + 1):
                factor = factor * (exponent - (m - 1))
                safe = torch.where(factor == 0, torch.zeros_like(exponent), exponent - m)
                result.append(factor * u**safe)
            return result

        if exponent.ndim > base.ndim or torch.broadcast_shapes(exponent.shape, base.shape) != base.shape:
            shape = torch.broadcast_shapes(exponent.shape, base.shape)
            base = add(base, torch.zeros(shape, dtype=base.dtype, device=base.primal.device))
        return elementwise(tower, base, constants=[exponent])
    logarithm: Value
    if isinstance(base, Jet):
        logarithm = elementwise(lambda u, order: [torch.log(u), *(real_power(u, order - 1, -1) if order else [])], base)
    else:
        logarithm = torch.log(_promoted(base, exponent))
    inner = times(exponent, logarithm)
    return elementwise(lambda u, order: [torch.exp(u)] * (order + 1), inner)


@rule(aten.remainder.Scalar)
def remainder(x: Jet, divisor: Number) -> Jet:
    """x − divisor·⌊x/divisor⌋: the quotient is constant almost everywhere."""
    return Jet(x.algebra, torch.remainder(x.primal, divisor), rest=x.rest, present=x.present)


@rule(aten.remainder.Tensor)
def remainder_tensor(a: Value, b: Value) -> Jet:
    """a − b·⌊a/b⌋."""
    quotient = torch.floor(primal(a) / primal(b))
    found = add(a, times(b, quotient) if isinstance(b, Jet) else b * quotient, -1)
    return Jet(found.algebra, torch.remainder(primal(a), primal(b)), rest=found.rest, present=found.present)


@rule(aten.fmod.Scalar)
def fmod(x: Jet, divisor: Number) -> Jet:
    """x − divisor·trunc(x/divisor)."""
    return Jet(x.algebra, torch.fmod(x.primal, divisor), rest=x.rest, present=x.present)


@rule(aten.fmod.Tensor)
def fmod_tensor(a: Value, b: Value) -> Jet:
    """a − b·trunc(a/b)."""
    quotient = torch.trunc(primal(a) / primal(b))
    found = add(a, times(b, quotient) if isinstance(b, Jet) else b * quotient, -1)
    return Jet(found.algebra, torch.fmod(primal(a), primal(b)), rest=found.rest, present=found.present)


def _scaled_by(value: Value, factor: Tensor) -> Value:
    return times(value, factor) if isinstance(value, Jet) else value * factor


@rule(aten.atan2.default)
def atan2(y: Value, x: Value) -> Jet:
    """The angle of (x, y): turned by the angle of the primals, it is the arctangent of a ratio that vanishes there."""
    y0, x0 = primal(y), primal(x)
    across = add(_scaled_by(y, x0), _scaled_by(x, y0), -1)
    along = add(_scaled_by(x, x0), _scaled_by(y, y0))
    inverse = elementwise(lambda u, order: real_power(u, order, -1), along)
    turned = elementwise(arctangent, times(across, inverse))
    return Jet(turned.algebra, torch.atan2(y0, x0), rest=turned.rest, present=turned.present)


@rule(aten.hypot.default)
def hypot(a: Value, b: Value) -> Jet:
    """√(a² + b²)."""
    total = add(times(a, a) if isinstance(a, Jet) else a * a, times(b, b) if isinstance(b, Jet) else b * b)
    root = elementwise(lambda u, order: real_power(u, order, 0.5), total)
    return Jet(root.algebra, torch.hypot(primal(a), primal(b)), rest=root.rest, present=root.present)
