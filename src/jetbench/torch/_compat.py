"""The parts of PyTorch that have no public name, for versions 2.11 to 2.15, in one place."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import OpOverload
from torch.autograd import forward_ad
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import _disable_current_modes

without_torch_function = torch._C.DisableTorchFunctionSubclass
with_torch_function = torch._C._EnableTorchFunction


def operations(*names: str) -> list[OpOverload]:
    """The ATen operations of names such as add.Tensor that this version of PyTorch has."""
    pairs = [name.split(".") for name in names]
    known = [getattr(getattr(torch.ops.aten, packet, None), overload, None) for packet, overload in pairs]
    return [operation for operation in known if operation is not None]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Outside of any transformation or tracing that is under way, such as torch.vmap around an operator."""
    with temporarily_clear_interpreter_stack(), _disable_current_modes(), torch._guards.tracing(None):
        yield


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Functions that `torch.compile` returned run as the Python that they were made from."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    from torch._dynamo.eval_frame import DynamoStance, _set_stance

    before = _set_stance(DynamoStance("force_eager"))
    try:
        yield
    finally:
        _set_stance(before)


def levels() -> tuple[int, int]:
    """How many transformations of `torch.func`, and levels of forward-mode AD, are under way."""
    return torch._C._functorch.maybe_current_level() or 0, forward_ad._current_level + 1


def is_transformed() -> bool:
    """Whether any of these is under way."""
    return levels() != (0, 0)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Errors of functions on fake tensors are raised and not printed, too."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def is_wrapped(tensor: Tensor) -> bool:
    """Whether a transformation of `torch.func` wraps the tensor."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def unwrapped(tensor: Tensor) -> Tensor:
    """The numbers of a tensor without the transformations around it; one example of those that `torch.vmap` maps."""
    while is_wrapped(tensor):
        inner = torch._C._functorch.get_unwrapped(tensor)
        if torch._C._functorch.is_batchedtensor(tensor):
            inner = inner.select(torch._C._functorch.maybe_get_bdim(tensor), 0)
        tensor = inner
    return tensor


def function_node(tensor: Tensor) -> BackwardCFunction | None:
    """The node of the user's `autograd.Function` that returned the tensor; None if none did."""
    with without_torch_function():
        node = tensor.grad_fn
    return node if isinstance(node, BackwardCFunction) else None


def modes() -> int:
    """How many modes are active that see operations."""
    return torch._C._len_torch_dispatch_stack()


def unseen() -> contextlib.AbstractContextManager:
    """For what only the first call does: the hooks of a checkpoint around an operator see the same at each call."""
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return contextlib.nullcontext()
    return saved_tensors_hooks(_as_it_is, _as_it_is)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
