"""Layer normalization whose derivatives are right to any order.

PyTorch's native kernel has a wrong third derivative: in torch 2.13 the parameter gradient of a Laplacian, taken by
nested AD through `nn.LayerNorm`, differs from finite differences and from the same formula written in primitive
operations. The nested methods and the reference therefore run networks with the primitive formula. Jets have a rule of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean)/√(variance + ε) over the trailing axes, times weight, plus bias; as `functional.layer_norm`."""
    axes = tuple(range(-len(normalized_shape), 0))
    deviation = input - input.mean(axes, keepdim=True)
    result = deviation * torch.rsqrt(deviation.square().mean(axes, keepdim=True) + eps)
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


class _Primitive(TorchFunctionMode):
    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        if function is functional.layer_norm:
            return layer_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def with_primitive_layer_norm(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, with layer normalization in primitive operations."""

    def function(x: Tensor) -> Tensor:
        with _Primitive():
            return net(x)

    return function
