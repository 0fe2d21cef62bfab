"""The parts of PyTorch that have no public name, for versions 2.11 to 2.15, in one place."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Iterator

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, decomposition_table
from torch._functorch.autograd_function import custom_function_call
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._guards import TracingContext, active_fake_mode, tracing
from torch._higher_order_ops import dynamo_bypassing_wrapper
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.autograd import forward_ad
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import saved_tensors_hooks
from torch.fx._lazy_graph_module import _LazyGraphModule
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import _StopRecomputationError as StopRecomputation

__all__ = [
    "DataDependentOutputException", "DeviceContext", "DispatchKey", "DynamicOutputShapeException", "FakeTensor",
    "FakeTensorMode", "HigherOrderOperator", "LazyGraphModule", "OpOverload", "OpOverloadPacket", "StopRecomputation",
    "TorchDispatchMode",
    "TracingContext", "active_fake_mode", "below_autograd", "core_aten_decompositions", "custom_function_call",
    "decomposition_table", "dispatch_modes", "dynamo_bypassing_wrapper", "function_modes", "functorch", "pytree",
    "temporarily_clear_interpreter_stack", "tracing", "with_torch_function", "without_modes", "without_torch_function",
    "without_torch_functions",
]  # fmt: skip

DispatchKey, LazyGraphModule, functorch = torch._C.DispatchKey, _LazyGraphModule, torch._C._functorch
function_modes, dispatch_modes = _get_current_function_mode_stack, _get_current_dispatch_mode_stack
without_modes, below_autograd = _disable_current_modes, torch._C._AutoDispatchBelowAutograd
without_torch_function, with_torch_function = torch._C.DisableTorchFunctionSubclass, torch._C._EnableTorchFunction
without_torch_functions = torch._C.DisableTorchFunction


def operations(*names: str) -> list[OpOverload]:
    """The ATen operations of names such as add.Tensor that this version of PyTorch has."""
    pairs = [name.split(".") for name in names]
    known = [getattr(getattr(torch.ops.aten, packet, None), overload, None) for packet, overload in pairs]
    return [operation for operation in known if operation is not None]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Outside of any transformation or tracing that is under way, such as torch.vmap around an operator."""
    with temporarily_clear_interpreter_stack(), without_modes(), tracing(None):
        yield


class without_compiler:
    """A context in which functions that `torch.compile` returned run as the Python that they were made from."""

    def __enter__(self) -> None:
        self._before = None
        if "torch._dynamo" in sys.modules:
            change, eager = _stances()
            self._before = change(eager)

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            _stances()[0](self._before)


@functools.cache
def _stances() -> tuple[Callable, object]:
    """How the compiler is told what to do, and to do nothing."""
    from torch._dynamo.eval_frame import DynamoStance, _set_stance

    return _set_stance, DynamoStance("force_eager")


def recording_gradients() -> contextlib.AbstractContextManager:
    """A context in which autograd records, also in one in which it does not."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else torch.enable_grad()


def guarded(holds: Callable[[], bool], words: str) -> None:
    """Called while `torch.compile` traces: the compiled code is used only as long as `holds` returns True."""
    from torch._dynamo.guards import install_guard
    from torch._dynamo.source import GlobalStateSource

    def create(builder: object, guard: object) -> None:
        builder.guard_manager.root.add_lambda_guard(lambda _: holds(), [words], None)

    install_guard(GlobalStateSource().make_guard(create))


def levels() -> tuple[int, int]:
    """How many transformations of `torch.func`, and levels of forward-mode AD, are under way."""
    return functorch.maybe_current_level() or 0, forward_ad._current_level + 1


def with_plain_floats(graph: fx.Graph) -> bool:
    """Put the values of Python's floats into a graph of Dynamo that has them as variables; whether there were any.

    The compiled code is then used for these values only.
    """
    from torch.fx.experimental.symbolic_shapes import guard_scalar

    found = False
    for node in graph.find_nodes(op="placeholder"):
        number = getattr(node.meta.get("example_value"), "item_memo", None)
        for user in list(node.users):
            if user.target == "item" and isinstance(number, torch.SymFloat) and number.node.has_hint():
                user.replace_all_uses_with(guard_scalar(number))
                graph.erase_node(user)
                found = True
    return found


@contextlib.contextmanager
def ended_on_errors(device_type: str) -> Iterator[None]:
    """An error in a graph of Dynamo, which has no `with`, ends the modes and transformations that the graph began."""
    depth, (_, dual_level) = functorch.get_dynamic_layer_stack_depth(), levels()
    dtype, is_cast = torch.get_autocast_dtype(device_type), torch.is_autocast_enabled(device_type)
    grad = torch.is_grad_enabled()
    try:
        yield
    except BaseException:
        functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)
        while levels()[1] > dual_level:
            forward_ad.exit_dual_level()
        torch.set_grad_enabled(grad)
        torch.set_autocast_enabled(device_type, is_cast)
        torch.set_autocast_dtype(device_type, dtype)
        raise


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
    return functorch.is_functorch_wrapped_tensor(tensor)


def unwrapped(tensor: Tensor) -> Tensor:
    """The numbers of a tensor without the transformations around it; one example of those that `torch.vmap` maps."""
    if not is_wrapped(tensor):
        return tensor
    # the inner levels first: an axis is counted among those that they leave
    numbers = unwrapped(functorch.get_unwrapped(tensor))
    if not functorch.is_batchedtensor(tensor):
        return numbers
    return numbers.select(functorch.maybe_get_bdim(tensor), 0)


def function_node(tensor: Tensor) -> BackwardCFunction | None:
    """The node of the user's `autograd.Function` that returned the tensor; None if none did."""
    with without_torch_function():
        node = tensor.grad_fn
    return node if isinstance(node, BackwardCFunction) else None


def modes() -> int:
    """How many modes are active that see operations."""
    return torch._C._len_torch_dispatch_stack()


def saving_hooks() -> tuple | None:
    """The hooks for tensors that are saved for a backward pass, as a checkpoint sets them; None if there are none."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


def unseen() -> contextlib.AbstractContextManager:
    """For what is computed on example tensors, which a checkpoint around an operator does not have to save."""
    if saving_hooks() is None:
        return contextlib.nullcontext()
    return saved_tensors_hooks(_as_it_is, _as_it_is)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def nothing_looks() -> bool:
    """Whether no mode sees operations and no transformation is under way."""
    return (
        torch._C._len_torch_dispatch_stack() == 0
        and functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
    )


def default_device() -> torch.device | None:
    """The device on which a mode of `torch.set_default_device` makes tensors; None without modes."""
    return torch.get_default_device() if torch._C._len_torch_function_stack() else None


def has_functions(tensor: Tensor) -> bool:
    """Whether a tensor is of a class that has functions of its own in place of PyTorch's."""
    own = type(tensor).__torch_function__
    plain = (Tensor.__torch_function__.__func__, torch._C._disabled_torch_function_impl)
    return getattr(own, "__func__", own) not in plain


def compiled_parts_as_written() -> contextlib.AbstractContextManager:
    """A context in which functions that `torch.compile` returned are traced as the Python that they were made from."""
    return torch._dynamo.config.patch(error_on_nested_fx_trace=False)


def inductor(module: fx.GraphModule, examples: list, options: dict) -> Callable:
    """A graph compiled by Inductor."""
    from torch._inductor.compile_fx import compile_fx

    return compile_fx(module, examples, **options)


def find_cpp_compiler() -> None:
    """Raise an exception, of a kind that differs between versions, where Inductor finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    get_cpp_compiler()
