"""What a computation depends on besides its operands: the modes that are on, and what else tensors are part of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.autograd import forward_ad

from jetbench.torch._compat import DeviceContext, function_modes, functorch


def layers(tensor: Tensor) -> Iterator[Tensor]:
    """The tensor, and what it is wrapped around for each transformation of `torch.func` that it is part of."""
    yield tensor
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
        yield tensor


def bare(tensor: Tensor) -> Tensor:
    """The tensor without the transformations that it is part of."""
    *_, last = layers(tensor)
    return last


def is_batched(tensor: Tensor) -> bool:
    """Whether a `vmap` around it has given it an axis that its shape does not show."""
    return any(functorch.is_batchedtensor(layer) for layer in layers(tensor))


def is_differentiable(tensor: Tensor) -> bool:
    """Whether somebody may take derivatives by it: autograd, a transformation, or forward mode as a dual."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    if tensor.requires_grad or functorch.is_functorch_wrapped_tensor(tensor):
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None


def described(tensor: Tensor) -> tuple:
    """All of a tensor but its values."""
    strides = tuple(tensor.stride()) if tensor.layout is torch.strided else None
    return (
        type(tensor), tuple(tensor.shape), strides, tensor.dtype, tensor.device, tensor.layout, tensor.requires_grad,
        is_differentiable(tensor),
    )  # fmt: skip


def settings(tensors: Iterable[Tensor]) -> tuple:
    """The modes that decide what operations compute, for operands on the devices of the tensors."""
    kinds = sorted({"cpu", *(tensor.device.type for tensor in tensors)} - {"meta"})
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled(),
        *((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds),
    )  # fmt: skip


def unknown_mode() -> str | None:
    """Why one does not know what operations compute at the moment, in words; None if one does."""
    for mode in function_modes():
        if not isinstance(mode, DeviceContext):
            return f"the mode {type(mode).__name__} is on"
    return None


@contextlib.contextmanager
def without_autocast(tensors: Iterable[Tensor]) -> Iterator[None]:
    """For a graph that has the casts in it."""
    kinds = {"cpu", *(tensor.device.type for tensor in tensors)} - {"meta"}
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
