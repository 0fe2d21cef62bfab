"""Normalizations over axes of one row, activations and gates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jetbench.torch.corrected.formulas import formula
from jetbench.torch.corrected.reductions import p_norm

aten = torch.ops.aten


def _standardized(x: Tensor, axes: Sequence[int], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(x − mean)/√(variance + ε) over the axes, the mean and 1/√(variance + ε)."""
    mean = x.mean(axes, keepdim=True)
    deviation = x - mean
    scale = torch.rsqrt(deviation.square().mean(axes, keepdim=True) + eps)
    return deviation * scale, mean, scale


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@formula(aten.native_layer_norm.default)
def layer_norm(
    x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, scale = _standardized(x, tuple(range(-len(normalized_shape), 0)), eps)
    return _affine(y, weight, bias), mean, scale


@formula(aten._fused_rms_norm.default)
def rms_norm(
    x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, eps: float | None
) -> tuple[Tensor, Tensor]:
    axes = tuple(range(-len(normalized_shape), 0))
    scale = torch.rsqrt(x.square().mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps))
    return _affine(x * scale, weight, None), scale


@formula(aten.native_group_norm.default)
def group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, scale = _standardized(x.reshape(N, group, C // group * HxW), (-1,), eps)
    weight, bias = (None if v is None else v.reshape(C, *(1,) * (x.ndim - 2)) for v in (weight, bias))
    return _affine(y.reshape(x.shape), weight, bias), mean.squeeze(-1), scale.squeeze(-1)


def _over_batch(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    axes = (0, *range(2, x.ndim))
    y, mean, scale = _standardized(x, axes, eps)
    weight, bias = (None if v is None else v.reshape(-1, *(1,) * (x.ndim - 2)) for v in (weight, bias))
    return _affine(y, weight, bias), mean.reshape(-1), scale.reshape(-1)


@formula(aten._native_batch_norm_legit.no_stats)
def batch_norm_of_batch(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Channels standardized over the batch, as `instance_norm` does with an instance for each channel."""
    del training, momentum
    return _over_batch(x, weight, bias, eps)


@formula(aten.native_batch_norm.default)
def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if training or running_mean is None or running_var is None:
        return _over_batch(x, weight, bias, eps)
    shape = (-1, *(1,) * (x.ndim - 2))
    scale = torch.rsqrt(running_var.reshape(shape) + eps)
    weight, bias = (None if v is None else v.reshape(shape) for v in (weight, bias))
    empty = x.new_zeros(0)
    return _affine((x - running_mean.reshape(shape)) * scale, weight, bias), empty, empty


@formula(aten._native_batch_norm_legit_no_training.default)
def batch_norm_in_evaluation(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """PyTorch's own takes x in half precision and the rest in single precision, and does not differentiate that."""
    return batch_norm(x, weight, bias, running_mean, running_var, False, momentum, eps)


@formula(aten._weight_norm_interface.default)
def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
    """g·v/|v|, with norms over all axes but one, and the norms."""
    lengths = p_norm(v, 2, [axis for axis in range(v.ndim) if axis != dim % v.ndim], keepdim=True)
    return v * (g / lengths), lengths


@formula(aten.glu.default)
def glu(x: Tensor, dim: int = -1) -> Tensor:
    """a·σ(b) for the halves a and b of x."""
    first, second = x.chunk(2, dim)
    return first * torch.sigmoid(second)


@formula(aten.silu.default)
def silu(x: Tensor) -> Tensor:
    """x·σ(x); traced, as the compiler pass does it, PyTorch's own has no forward mode of second order."""
    return x * torch.sigmoid(x)


@formula(aten.celu.default)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """α(e^(x/α) − 1) for x < 0; PyTorch computes its slope in single precision."""
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0) / alpha))


@formula(aten.hardsigmoid.default)
def hardsigmoid(x: Tensor) -> Tensor:
    """max(0, min(6, x + 3))/6."""
    return functional.relu6(x + 3) / 6
