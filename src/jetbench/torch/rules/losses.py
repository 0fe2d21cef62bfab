"""Losses, which PyTorch's own decompositions write with moduli that lose the second derivative at 0."""

from __future__ import annotations

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, elementwise, linear, primal
from jetbench.torch.registry import rule
from jetbench.torch.rules.arithmetic import mul, neg
from jetbench.torch.rules.normalization import logaddexp

aten = torch.ops.aten

NONE, MEAN = 0, 1  # PyTorch's numbers for reductions; 2 is the sum


def _reduced(x: Jet, reduction: int) -> Jet:
    if reduction == NONE:
        return x
    return linear(torch.mean if reduction == MEAN else torch.sum, x)


def _parabola(d: Jet, value: Tensor, width: float, steepness: float) -> Jet:
    """steepness · d²/2 for |d| < width, straight lines beyond."""

    def tower(u: Tensor, order: int) -> list[Tensor | None]:
        slope = steepness * u.clamp(-width, width) if width else u.sign()
        curvature = torch.where(u.abs() < width, steepness, 0.0).to(u.dtype)
        return [u, slope, curvature, *[None] * order][: order + 1]

    found = elementwise(tower, d)
    return Jet(found.algebra, value, rest=found.rest, present=found.present)


@rule(aten.smooth_l1_loss.default)
def smooth_l1_loss(x: Value, target: Value, reduction: int = MEAN, beta: float = 1.0) -> Jet:
    """d²/2β for |d| < β, |d| − β/2 beyond."""
    value = torch.nn.functional.smooth_l1_loss(primal(x), primal(target), reduction="none", beta=beta)
    return _reduced(_parabola(add(x, target, -1), value, beta, 1 / beta if beta else 0.0), reduction)


@rule(aten.huber_loss.default)
def huber_loss(x: Value, target: Value, reduction: int = MEAN, delta: float = 1.0) -> Jet:
    """d²/2 for |d| < δ, δ(|d| − δ/2) beyond."""
    value = torch.nn.functional.huber_loss(primal(x), primal(target), reduction="none", delta=delta)
    return _reduced(_parabola(add(x, target, -1), value, delta, 1.0), reduction)


@rule(aten.soft_margin_loss.default)
def soft_margin_loss(x: Value, target: Value, reduction: int = MEAN) -> Jet:
    """log(1 + e^{−tx})."""
    exponent = neg(mul(x, target))
    return _reduced(logaddexp(exponent, torch.zeros_like(exponent.primal)), reduction)
