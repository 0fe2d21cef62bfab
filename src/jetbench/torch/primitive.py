"""Functions whose nested derivatives PyTorch gets wrong, written in operations that it differentiates rightly.

Found by comparing nested AD (torch 2.13) with Chebyshev interpolation along a line, for all orders of nesting:
derivatives of layer norm and instance norm are wrong in forward over forward mode and from the third on, those of
determinants and of linear solves in forward over forward mode and in parts from the third on, without any error.
Forward mode through a cumulative product that meets a zero is wrong too. Gated linear units, hard sigmoids, attention
kernels and pairwise distances raise errors. The nested methods and the reference therefore run networks with the
formulas below. Jets have rules of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

REPLACED: dict[Callable, Callable] = {}


def _replaces(*functions: Callable) -> Callable[[Callable], Callable]:
    def register(formula: Callable) -> Callable:
        for function in functions:
            REPLACED[function] = formula
        return formula

    return register


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """(x − mean)/√(variance + ε) over the axes."""
    deviation = x - x.mean(axes, keepdim=True)
    return deviation * torch.rsqrt(deviation.square().mean(axes, keepdim=True) + eps)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@_replaces(functional.layer_norm, torch.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """As `functional.layer_norm`."""
    del cudnn_enable
    axes = tuple(range(-len(normalized_shape), 0))
    return _affine(_standardized(input, axes, eps), weight, bias)


@_replaces(functional.instance_norm)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `functional.instance_norm`, for x (N, channels, …)."""
    if not use_input_stats:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = (-1, *(1,) * (input.ndim - 2))
    weight, bias = (None if v is None else v.reshape(shape) for v in (weight, bias))
    return _affine(_standardized(input, tuple(range(2, input.ndim)), eps), weight, bias)


def _pivots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The pivots of Gaussian elimination with exchange of rows, (..., n), and the sign of the exchanges, (...)."""
    found, sign = [], torch.ones_like(matrix[..., 0, 0])
    while matrix.shape[-1]:
        chosen = matrix[..., :, 0].detach().abs().argmax(-1)
        sign = torch.where(chosen == 0, sign, -sign)
        rows = torch.arange(matrix.shape[-1], device=matrix.device)
        exchanged = torch.where(rows == chosen[..., None], 0, rows)
        exchanged = torch.where(rows == 0, chosen[..., None], exchanged)
        matrix = torch.take_along_dim(matrix, exchanged[..., None], -2)
        pivot = matrix[..., :1, :1]
        found.append(pivot[..., 0, 0])
        matrix = matrix[..., 1:, 1:] - matrix[..., 1:, :1] * (matrix[..., :1, 1:] / pivot)
    return torch.stack(found, -1), sign


@_replaces(torch.det, torch.linalg.det, Tensor.det)
def det(A: Tensor) -> Tensor:
    """The determinant of invertible matrices."""
    pivots, sign = _pivots(A)
    return sign * pivots.prod(-1)


@_replaces(torch.slogdet, torch.linalg.slogdet, Tensor.slogdet)
def slogdet(A: Tensor) -> torch.return_types.linalg_slogdet:
    """Sign and logarithm of the modulus of the determinant."""
    pivots, sign = _pivots(A)
    return torch.return_types.linalg_slogdet((sign * pivots.sgn().prod(-1), pivots.abs().log().sum(-1)))


@_replaces(torch.logdet, Tensor.logdet)
def logdet(input: Tensor) -> Tensor:
    """The logarithm of a positive determinant, NaN for negative ones."""
    sign, logarithm = slogdet(input)
    return torch.where(sign < 0, torch.nan, logarithm)


@_replaces(torch.linalg.solve)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """A⁻¹B, or BA⁻¹ with left=False."""
    inverse = torch.linalg.inv(A)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]):
        return (inverse @ B.unsqueeze(-1)).squeeze(-1)
    return inverse @ B if left else B @ inverse


@_replaces(functional.glu)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a·σ(b) for the halves a and b of x."""
    first, second = input.chunk(2, dim)
    return first * torch.sigmoid(second)


@_replaces(functional.silu)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x·σ(x); traced, as the compiler pass does it, PyTorch's own has no forward mode of second order."""
    del inplace
    return input * torch.sigmoid(input)


@_replaces(functional.hardsigmoid)
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, min(6, x + 3))/6."""
    del inplace
    return functional.relu6(input + 3) / 6


@_replaces(torch.cumprod, Tensor.cumprod)
def cumprod(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """One product after the other, which is right for zero entries too."""
    factors = (input if dtype is None else input.to(dtype)).unbind(dim)
    return torch.stack(list(itertools.accumulate(factors, torch.mul)), dim) if factors else input


@_replaces(torch.logcumsumexp, Tensor.logcumsumexp)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """One sum after the other."""
    return torch.stack(list(itertools.accumulate(input.unbind(dim), torch.logaddexp)), dim) if input.numel() else input


@_replaces(torch.cdist)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """|x1_i − x2_j| in the p-norm."""
    del compute_mode
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


class _Primitive(TorchFunctionMode):
    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        return REPLACED.get(function, function)(*args, **(kwargs or {}))


def in_primitive_operations(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, with the formulas of this module where they apply."""

    def function(x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH), _Primitive():
            return net(x)

    return function
