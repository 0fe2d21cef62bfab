"""Networks run so that PyTorch's own AD differentiates them rightly to every order, or not at all.

PyTorch's derivative formulas belong to ATen operations, and some are wrong beyond the first order, in forward mode, at
single points, or missing without an error (docs/pytorch-derivatives.md). A mode sees every torch function of a network.
What it consists of, as ATen operations, is found once for each function and kind of arguments:

- where all are among `trusted.OPERATIONS`, the function is called as it is;
- where some have a formula in `corrected`, its operations are run one by one, with the formulas in their place;
- any other operation is refused where what it is applied to depends on x or on a parameter.

The nested methods and the reference run networks in this way. Jets have rules of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import HigherOrderOperator, OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from jetbench.errors import Unsupported
from jetbench.torch.capture import undisturbed
from jetbench.torch.corrected import FORMULAS
from jetbench.torch.trusted import OPERATIONS

_KNOWN_AT_MOST = 20_000
#: `data` under torch.func keeps a part of the derivatives; what is meant is a constant.
_MEANT = {Tensor.data.__get__: Tensor.detach}


@dataclass(frozen=True)
class _Kind:
    """What is known of a function for one kind of arguments.

    Attributes:
        corrected: an operation has a formula.
        refused: the operation that has neither trusted derivatives nor a formula.
    """

    corrected: bool
    refused: str = ""


def _key(value: object, exact: bool, tensors: list[Tensor]) -> object:
    """Equal for arguments for which a function has the same operations; `exact` tells floats apart."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.shape, value.dtype, value.device
    kind = type(value)
    if kind is float and not exact:
        return float
    if kind in (list, tuple):
        return kind, *[_key(item, exact, tensors) for item in value]
    if kind is dict:
        return dict, *[(name, _key(item, exact, tensors)) for name, item in value.items()]
    if kind is slice:
        return slice, *[_key(item, exact, tensors) for item in (value.start, value.stop, value.step)]
    return kind, value


def _is_differentiable(value: object) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


class _Recorder(TorchDispatchMode):
    """Notes the operations that map floating-point tensors to floating-point tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[OpOverload] = set()

    def __torch_dispatch__(self, operation: OpOverload, types: tuple, args: tuple = (), kwargs: dict | None = None):
        result = operation(*args, **(kwargs or {}))
        if any(map(_is_differentiable, tree_flatten((args, kwargs))[0])) and any(
            map(_is_differentiable, tree_flatten(result)[0])
        ):
            self.operations.add(functional(operation))
        return result


def functional(operation: OpOverload) -> OpOverload:
    """The operation of the same formula that changes nothing in place; itself if there is none."""
    name = operation._schema.name.partition("::")[2]
    if not operation._schema.is_mutable or not name.endswith("_"):
        return operation
    packet = getattr(getattr(torch.ops, operation.namespace), name[:-1], None)
    return getattr(packet, operation._overloadname, operation)


def _of_examples(function: Callable, args: tuple, kwargs: dict, run: Callable[[Callable, list[Tensor]], Any]) -> Any:
    """run(function of the tensors alone, fake tensors in their place), outside of every transformation."""
    flat, spec = tree_flatten((args, kwargs))
    places = [i for i, value in enumerate(flat) if isinstance(value, Tensor)]

    def call(*tensors: Tensor) -> object:
        values = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            values[place] = tensor
        inner_args, inner_kwargs = tree_unflatten(values, spec)
        return function(*inner_args, **inner_kwargs)

    with undisturbed(), torch.no_grad():
        return run(call, [flat[place] for place in places])


def _operations(function: Callable, args: tuple, kwargs: dict) -> set[OpOverload]:
    """The ATen operations of a call; those on tensors of ones where fake ones have too few values."""

    def on_fake(call: Callable, tensors: list[Tensor]) -> set[OpOverload]:
        with FakeTensorMode(), _Recorder() as recorder:
            call(*[torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in tensors])
        return recorder.operations

    def on_ones(call: Callable, tensors: list[Tensor]) -> set[OpOverload]:
        with _Recorder() as recorder:
            call(*[torch.ones(t.shape, dtype=t.dtype, device=t.device) for t in tensors])
        return recorder.operations

    for run in (on_fake, on_ones):
        with contextlib.suppress(Exception):
            return _of_examples(function, args, kwargs, run)
    return set()  # it raises an error for these arguments, or cannot run without the network's own values


def _traced(function: Callable, args: tuple, kwargs: dict) -> tuple[fx.GraphModule, object]:
    """A call as a graph of ATen operations that takes its tensors, and the structure of its result."""
    structure: list[object] = []

    def trace(call: Callable, tensors: list[Tensor]) -> fx.GraphModule:
        def flat(*inner: Tensor) -> list:
            results, spec = tree_flatten(call(*inner))
            structure[:] = [spec]
            return results

        examples = [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in tensors]
        with sdpa_kernel(SDPBackend.MATH):
            return make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)

    return _of_examples(function, args, kwargs, trace), structure[0]


class _Formulas(fx.Interpreter):
    """Runs a graph with the formulas of `corrected` in the place of their operations."""

    def call_function(self, target: Callable, args: tuple, kwargs: dict) -> object:
        if not isinstance(target, OpOverload):
            return super().call_function(target, args, kwargs)
        formula = FORMULAS.get(functional(target), target)
        if formula is target or functional(target) is target:
            return formula(*args, **kwargs)
        return args[0].copy_(formula(*args, **kwargs))


def _varies(tensor: Tensor) -> bool:
    """Whether a derivative of the tensor is asked for, at any level of torch.func or on the tape."""
    while True:
        if tensor.requires_grad or torch.autograd.forward_ad.unpack_dual(tensor).tangent is not None:
            return True
        if not torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return False
        tensor = torch._C._functorch.get_unwrapped(tensor)


def _ambient() -> tuple:
    """The state that decides which operations a function has, besides its arguments."""
    if not torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled("cuda"):
        return ()
    return tuple((torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda"))


_KINDS: dict[object, _Kind] = {}
_GRAPHS: dict[object, tuple[fx.GraphModule, object]] = {}


def _remembered(table: dict, key: object, make: Callable[[], Any]) -> Any:
    """table[key], made where it is missing; for arguments that have no key, made at every call."""
    try:
        found = table.get(key)
    except TypeError:
        return make()
    if found is None:
        if len(table) > _KNOWN_AT_MOST:
            table.clear()
        found = table[key] = make()
    return found


def _kind(function: Callable, args: tuple, kwargs: dict) -> _Kind:
    operations = _operations(function, args, kwargs) - OPERATIONS
    refused = sorted(str(operation) for operation in operations - FORMULAS.keys())
    return _Kind(bool(operations), refused[0] if refused else "")


class _Checked(TorchFunctionMode):
    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        function = _MEANT.get(function, function)
        if isinstance(function, HigherOrderOperator):
            return function(*args, **kwargs)
        tensors: list[Tensor] = []
        ambient = _ambient()
        key = function, ambient, _key(args, False, tensors), _key(kwargs, False, tensors) if kwargs else None
        if not tensors:
            return function(*args, **kwargs)
        kind = _remembered(_KINDS, key, lambda: _kind(function, args, kwargs))
        if not kind.corrected and not ambient:
            return function(*args, **kwargs)
        if kind.refused:
            if any(_varies(t) for t in tensors if _is_differentiable(t)):
                raise Unsupported(_REFUSAL.format(operation=kind.refused))
            return function(*args, **kwargs)
        exact = function, ambient, _key(args, True, []), _key(kwargs, True, [])
        graph, spec = _remembered(_GRAPHS, exact, lambda: _traced(function, args, kwargs))
        return tree_unflatten(_Formulas(graph).run(*tensors), spec)


_REFUSAL = (
    "PyTorch's derivatives of {operation} are not known to be right to every order. Give a formula in other "
    "operations with @jetbench.torch.corrected.formula(torch.ops.{operation}), or use a method that propagates jets, "
    "such as collapsed, if it has a rule."
)


def in_primitive_operations(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, with the formulas of `corrected` where they apply."""

    def function(x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH), _Checked():
            return net(x)

    return function
