"""Sums, differences, products, quotients and powers."""

from __future__ import annotations

import math
from numbers import Number

import torch
from torch import Tensor

from jetbench.algebra.derivatives import Tower
from jetbench.torch.jet import Jet, Value, add, elementwise, linear, primal, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.powers import inverse, logarithm, power, relative, rooted, scaled

aten = torch.ops.aten


def _promoted(value: Value | Number, like: Value | Number) -> Value | Number:
    """A number as a tensor of the type of `like`, or its complex one; jets and tensors as they are."""
    if isinstance(value, Number):
        dtype = like.dtype.to_complex() if isinstance(value, complex) else like.dtype
        return torch.full((), value, dtype=dtype, device=primal(like).device)
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
    return scaled(x, -1, linear(torch.neg, x, torch.neg))


@rule(aten.mul.Tensor, aten.mul.Scalar)
def mul(a: Value, b: Value | Number) -> Jet:
    if a is b and a.root is not None:
        return power(a, 2)
    if isinstance(a, Jet):
        return times(a, b) if isinstance(b, Jet) else scaled(a, b, times(a, b))
    return scaled(b, a, times(b, a))


@rule(aten.div.Tensor, aten.div.Scalar)
def div(a: Value, b: Value | Number) -> Jet:
    """a/b₀ · 1/(1 + ν) with b = b₀(1 + ν); the derivatives of 1/(1 + ν) are (−1)^m m!."""
    if isinstance(b, Jet):

        def tower(u: Tensor, order: int) -> Tower:
            return [torch.full_like(u, (-1) ** m * math.factorial(m)) for m in range(order + 1)]

        numerator = linear(lambda t: t / b.primal, a) if isinstance(a, Jet) else _promoted(a, b) / b.primal
        result = times(elementwise(tower, relative(b)), numerator)
        return Jet(result.algebra, primal(a) / b.primal, result.blocks)
    if isinstance(b, Tensor) and b.ndim > a.ndim:
        return linear(lambda t: t / b, a)
    return scaled(a, 1 / b, linear(lambda t: t / b, a, lambda t: t / b))


@rule(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(a: Value, b: Value | Number, *, rounding_mode: str | None) -> Value:
    """Rounded quotients are constant almost everywhere."""
    if rounding_mode is None:
        return div(a, b)
    return torch.div(primal(a), primal(b) if isinstance(b, Jet) else b, rounding_mode=rounding_mode)


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
    if isinstance(base, Jet):
        inner = times(exponent, logarithm(base))
    else:
        # 0^b is 0 for every b > 0, although log 0 is not finite
        base = _promoted(base, exponent)
        inner = times(exponent, torch.where(base == 0, 1, base).log())
    value = torch.pow(primal(base), exponent.primal)
    result = elementwise(lambda u, order: [torch.exp(u)] * (order + 1), inner)
    if not isinstance(base, Jet):
        result = linear(lambda t: torch.where((base == 0) & (exponent.primal.real > 0), 0, t), result)
    return Jet(result.algebra, value, rest=result.rest, present=result.present)


@rule(aten.remainder.Scalar)
def remainder(x: Jet, divisor: Number) -> Jet:
    """x − divisor·⌊x/divisor⌋: the quotient is constant almost everywhere."""
    return Jet(x.algebra, torch.remainder(x.primal, divisor), rest=x.rest, present=x.present)


@rule(aten.remainder.Tensor)
def remainder_tensor(a: Value, b: Value) -> Jet:
    """a − b·⌊a/b⌋."""
    return _rest(a, b, torch.remainder(primal(a), primal(b)))


@rule(aten.fmod.Scalar)
def fmod(x: Jet, divisor: Number) -> Jet:
    """x − divisor·trunc(x/divisor)."""
    return Jet(x.algebra, torch.fmod(x.primal, divisor), rest=x.rest, present=x.present)


@rule(aten.fmod.Tensor)
def fmod_tensor(a: Value, b: Value) -> Jet:
    """a − b·trunc(a/b)."""
    return _rest(a, b, torch.fmod(primal(a), primal(b)))


def _rest(a: Value, b: Value, value: Tensor) -> Jet:
    """a − b·n for the whole number n that belongs to the value."""
    quotient = torch.round((primal(a) - value) / primal(b))
    found = add(a, _scaled_by(b, quotient) if isinstance(b, Jet) else torch.zeros_like(quotient), -1)
    return Jet(found.algebra, value, rest=found.rest, present=found.present)


def _scaled_by(value: Value, factor: Tensor) -> Value:
    return times(value, factor) if isinstance(value, Jet) else value * factor


def _turned(a: Value, b: Value) -> tuple[Jet, Jet]:
    """The plane turned so that the primal of (a, b) lies on the first axis; the primal of the second one is 0."""
    largest = torch.maximum(primal(a).abs(), primal(b).abs()).detach()  # whose square may be out of range
    along, across = primal(a) / largest, primal(b) / largest
    length = torch.hypot(along, across)
    along, across = along / length, across / length
    first = add(_scaled_by(a, along), _scaled_by(b, across))
    second = add(_scaled_by(b, along), _scaled_by(a, across), -1)
    return first, Jet(second.algebra, torch.zeros_like(second.primal), rest=second.rest, present=second.present)


def _below(x: Jet) -> Jet:
    """x without its highest block, which does not enter a product with a jet whose primal is 0; it may overflow."""
    return Jet(x.algebra, x.primal, [*x.blocks[:-1], None] if x.present else None)


@rule(aten.atan2.default)
def atan2(y: Value, x: Value) -> Jet:
    """The angle of (x, y): turned by the angle of the primals, it is the arctangent of a ratio that vanishes there."""

    def tower(u: Tensor, order: int) -> Tower:
        """atan at 0: Σ (−1)^k u^(2k+1)/(2k + 1)."""
        odd = {m: (-1) ** (m // 2) * math.factorial(m - 1) for m in range(1, order + 1, 2)}
        return [u, *(torch.full_like(u, odd[m]) if m in odd else None for m in range(1, order + 1))]

    along, across = _turned(x, y)
    turned = elementwise(tower, times(across, _below(inverse(along))))
    return Jet(turned.algebra, torch.atan2(primal(y), primal(x)), rest=turned.rest, present=turned.present)


@rule(aten.hypot.default)
def hypot(a: Value, b: Value) -> Jet:
    """√(a² + b²) = p·√(1 + t²) with t = q/p for (a, b) turned to (p, q): p + Σ_{k ≥ 1} C(1/2, k)·q·t^(2k−1)."""
    result, across = _turned(a, b)
    ratio = _below(times(across, _below(inverse(result))))
    term, factor = times(across, ratio), 0.5
    for k in range(1, across.algebra.order // 2 + 1):
        result = add(result, linear(lambda t, c=factor: c * t, term))
        term, factor = times(times(term, ratio), ratio), factor * (0.5 - k) / (k + 1)
    result = Jet(result.algebra, torch.hypot(primal(a), primal(b)), rest=result.rest, present=result.present)
    return rooted(result, lambda: add(_square(a), _square(b)), 2)


def _square(value: Value) -> Value:
    return power(value, 2) if isinstance(value, Jet) else value * value
