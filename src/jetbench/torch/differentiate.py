"""Derivatives of functions of independent rows by PyTorch's own AD: the bricks of the nested methods.

Everywhere f maps (..., D) to (..., C…) and treats rows independently. A direction v broadcasts against x and counts as
a constant. Each brick takes a function of x and returns another one with outputs of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import jvp, vjp

from jetbench.errors import Unsupported

Function = Callable[[Tensor], Tensor]


def forward(f: Function, v: Tensor) -> Function:
    """x ↦ v·∂f(x) by forward mode."""

    def derivative(x: Tensor) -> Tensor:
        y, tangent = jvp(f, (x,), (v.expand(x.shape),))
        return tangent.to(y.dtype)  # PyTorch's formulas for arguments of mixed types, as under autocast, promote them

    return derivative


def gradients(f: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """∂f_c(x) of every output c by reverse mode, (C, ..., D), and f(x)."""
    y, pull = vjp(f, x)
    if y.is_complex():
        raise Unsupported(
            "Reverse mode in x loses the imaginary part of a network with complex values. Return real and imaginary "
            "part as two real outputs, as torch.view_as_real does, or use a method without reverse mode, such as "
            "collapsed."
        )
    outputs = y.shape[x.ndim - 1 :].numel()
    if outputs == 1:
        return pull(torch.ones_like(y))[0][None], y
    basis = torch.eye(outputs, dtype=y.dtype, device=y.device)
    basis = basis.reshape(outputs, *(1,) * (x.ndim - 1), *y.shape[x.ndim - 1 :]).expand(outputs, *y.shape)
    return torch.vmap(lambda cotangent: pull(cotangent)[0])(basis), y


def _shaped(values: Tensor, like: Tensor) -> Tensor:
    """(C, ...) → (..., C…) in shape and type as `like`, whose type autocast may have changed."""
    return values.movedim(0, -1).reshape(like.shape).to(like.dtype)


def reverse(f: Function, v: Tensor) -> Function:
    """x ↦ v·∂f(x) by reverse mode."""

    def derivative(x: Tensor) -> Tensor:
        found, y = gradients(f, x)
        return _shaped((found * v).sum(-1), y)

    return derivative


def forward_over_reverse(f: Function, v: Tensor) -> Function:
    """x ↦ vᵀ ∂²f(x) v: a vector-Hessian-vector product, forward mode over the gradient."""

    def derivative(x: Tensor) -> Tensor:
        _, found, y = jvp(lambda point: gradients(f, point), (x,), (v.expand(x.shape),), has_aux=True)
        return _shaped((found * v).sum(-1), y)

    return derivative


def reverse_over_reverse(f: Function, directions: Sequence[Tensor], weights: Sequence[float]) -> Function:
    """x ↦ Σ_r w_r v_rᵀ ∂²f(x) v_r: one gradient, then one more reverse pass through it for each direction."""

    def derivative(x: Tensor) -> Tensor:
        found, pull, y = vjp(lambda point: gradients(f, point), x, has_aux=True)
        outputs = found.shape[0]
        total = torch.zeros_like(y)
        if outputs == 0:
            return total
        for v, weight in zip(directions, weights, strict=True):
            columns = []
            for c in range(outputs):
                direction = v.expand(x.shape)
                rows = [direction if row == c else torch.zeros_like(direction) for row in range(outputs)]
                cotangent = torch.stack(rows)
                columns.append((pull(cotangent)[0] * v).sum(-1))
            total = total + weight * _shaped(torch.stack(columns), y)
        return total

    return derivative


def weighted_sum(
    brick: Callable[[Function, Tensor], Function], f: Function, v: Tensor, weights: Sequence[float]
) -> Function:
    """x ↦ Σ_r w_r brick(f, v_r)(x) for directions (R, ..., D), all of them at once."""

    def derivative(x: Tensor) -> Tensor:
        if len(v) == 1:
            found = brick(f, v[0])(x)
            return found if weights[0] == 1 else weights[0] * found
        values = torch.vmap(lambda direction: brick(f, direction)(x))(v)
        if all(w == 1 for w in weights):
            return values.sum(0)
        return torch.tensordot(torch.tensor(weights, dtype=values.dtype, device=values.device), values, 1)

    return derivative
