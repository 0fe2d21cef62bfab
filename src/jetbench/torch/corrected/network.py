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
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from jetbench.errors import JetbenchError, Unsupported
from jetbench.torch._compat import (
    FakeTensorMode,
    HigherOrderOperator,
    OpOverload,
    TorchDispatchMode,
    custom_function_call,
    functorch,
    is_wrapped,
    modes,
    pytree,
    saving_hooks,
    undisturbed,
)
from jetbench.torch.capture import SMALL, Capturing, casts
from jetbench.torch.corrected import FORMULAS
from jetbench.torch.corrected.roots import OF_ROOTS, RADICANDS, remembered
from jetbench.torch.steps import Captured, Described, contiguous, placed
from jetbench.torch.trusted import OPERATIONS

_KNOWN_AT_MOST = 20_000
#: `data` under torch.func keeps a part of the derivatives; what is meant is a constant.
_MEANT = {Tensor.data.__get__: Tensor.detach}


@dataclass(frozen=True)
class _Kind:
    """What is known of a function for one kind of arguments.

    Attributes:
        corrected: an operation has a formula.
        is_root: it is the square root.
        is_of_roots: roots among its arguments make a difference.
        refused: the operation that has neither trusted derivatives nor a formula.
    """

    corrected: bool
    is_root: bool = False
    is_of_roots: bool = False
    refused: str = ""


def _add_key(value: object, key: list, tensors: list[Tensor]) -> None:
    """Add what is equal for arguments for which a function has the same operations, which fractions do not decide."""
    kind = type(value)
    if isinstance(value, Tensor):
        tensors.append(value)
        key += (value.shape, value.dtype, value.device)
    elif value is None or kind is float:
        key.append(kind)
    elif kind is torch.SymFloat:
        key.append(float)
    elif kind in (list, tuple):
        key += (kind, len(value))
        for item in value:
            _add_key(item, key, tensors)
    elif kind is dict:
        key += (kind, len(value))
        for name, item in value.items():
            key.append(name)
            _add_key(item, key, tensors)
    elif kind is slice:
        key.append(kind)
        for item in (value.start, value.stop, value.step):
            _add_key(item, key, tensors)
    else:
        key += (kind, value)


def _is_differentiable(value: object) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


class _Recorder(TorchDispatchMode):
    """Notes the operations that map floating-point tensors to floating-point tensors.

    Args:
        is_blind: raise where an operation draws random numbers or looks at values, as those here are not the network's.
    """

    def __init__(self, is_blind: bool) -> None:
        super().__init__()
        self.operations: set[OpOverload] = set()
        self._is_blind = is_blind

    def __torch_dispatch__(self, operation: OpOverload, types: tuple, args: tuple = (), kwargs: dict | None = None):
        if self._is_blind and not _LOOKING.isdisjoint(operation.tags):
            raise NotImplementedError(f"{operation} depends on values")
        result = operation(*args, **(kwargs or {}))
        if any(map(_is_differentiable, pytree.tree_leaves((args, kwargs)))) and any(
            map(_is_differentiable, pytree.tree_leaves(result))
        ):
            self.operations.add(functional(operation))
        return result


_LOOKING = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
}


def functional(operation: OpOverload) -> OpOverload:
    """The operation of the same formula that changes nothing in place; itself if there is none."""
    name = operation._schema.name.partition("::")[2]
    if not operation._schema.is_mutable or not name.endswith("_"):
        return operation
    packet = getattr(getattr(torch.ops, operation.namespace), name[:-1], None)
    return getattr(packet, operation._overloadname, operation)


def _operations(function: Callable, args: tuple, kwargs: dict) -> set[OpOverload]:
    """The ATen operations of a call: on small tensors of ones, or on fake ones if it is larger or looks at values, or
    on tensors of ones of any size if it needs some."""
    leaves, structure = pytree.tree_flatten((args, kwargs))

    def recorded(make: Callable, is_blind: bool = False) -> set[OpOverload]:
        """Of a call with example tensors, outside of every transformation."""
        examples = [make(v.shape, dtype=v.dtype, device=v.device) if isinstance(v, Tensor) else v for v in leaves]
        inner_args, inner_kwargs = pytree.tree_unflatten(examples, structure)
        with sdpa_kernel(SDPBackend.MATH), _Recorder(is_blind) as recorder:
            function(*inner_args, **inner_kwargs)
        return recorder.operations

    with undisturbed(), torch.inference_mode(False), torch.no_grad(), contextlib.suppress(Exception):
        if sum(leaf.numel() for leaf in leaves if isinstance(leaf, Tensor)) <= SMALL:
            with contextlib.suppress(Exception):
                return recorded(torch.ones, is_blind=True)
        with contextlib.suppress(Exception), FakeTensorMode():
            return recorded(torch.empty)
        return recorded(torch.ones)
    return set()  # it raises an error for these arguments, or cannot run without the network's own values


_CAPTURING = Capturing()
_OF_STEPS = ChainMap(FORMULAS, OF_ROOTS)


def _described(tensor: Tensor) -> tuple:
    shape = tuple(tensor.shape)
    return shape, contiguous(shape), tensor.dtype, tensor.device, True


def _by_formulas(captured: Captured, tensors: Sequence[Tensor]) -> object:
    """Runs the operations of a function, with formulas in the place of those that have one."""
    values: dict[int, object] = {**dict(enumerate(tensors)), **captured.constants}

    for step in captured.steps:
        args, kwargs = placed((step.args, step.kwargs), values.__getitem__)
        result = _OF_STEPS.get(step.target, step.target)(*args, **kwargs)
        values.update(zip(step.results, result if step.several else (result,), strict=True))
    for index, place in captured.changed.items():
        tensors[index].copy_(values[place])

    def returned(leaf: object) -> object:
        if not isinstance(leaf, Described):
            return leaf
        if leaf.same is not None:
            return tensors[leaf.same]
        value = values[leaf.place]  # None where a formula leaves out what nothing reads
        # formulas promote types; functions of mixed types, as under autocast, may not
        return value.to(leaf.dtype) if isinstance(value, Tensor) else value

    return pytree.tree_map(returned, captured.output)


_SPECIAL = {custom_function_call, Tensor.detach_, torch.detach_}


def _refuse(function: Callable, args: tuple) -> None:
    """Raise where PyTorch's transformations would lose derivatives, or keep some that they should not."""
    if function is custom_function_call:
        _refuse_author(args[0])
    else:  # what is recorded of the network is differentiated then
        raise NotImplementedError("torch.func does not see a tensor that is detached in place.")


def _refuse_author(function: type[torch.autograd.Function]) -> None:
    """Raise where forward mode meets a derivative that its author gave and would lose it.

    PyTorch takes what `jvp` of a custom function returns for a constant, so that forward over forward is 0.
    """
    stack = functorch.get_interpreter_stack() or ()
    forward = sum(level.key() == functorch.TransformType.Jvp for level in stack)
    has_none = function.jvp is torch.autograd.Function.jvp
    if forward > 1 or (forward and has_none):
        why = "has no `jvp`" if has_none else "has a `jvp` that PyTorch does not differentiate again"
        raise Unsupported(
            f"The autograd.Function {function.__name__} {why}, and this method nests forward mode. Use "
            "method='nested_reverse', which needs `backward` alone."
        )


def _varies(tensor: Tensor) -> bool:
    """Whether a derivative by the tensor is asked for, at any level of torch.func or on the tape."""
    while True:
        if tensor.requires_grad or torch.autograd.forward_ad.unpack_dual(tensor, level=0).tangent is not None:
            return True
        if not is_wrapped(tensor):
            return False
        tensor = functorch.get_unwrapped(tensor)


def _kind(function: Callable, args: tuple, kwargs: dict) -> _Kind:
    operations = _operations(function, args, kwargs)
    untrusted = operations - OPERATIONS
    refused = sorted(str(operation) for operation in untrusted - FORMULAS.keys())
    is_root = operations == {torch.ops.aten.sqrt.default}
    return _Kind(bool(untrusted), is_root, not operations.isdisjoint(OF_ROOTS), refused[0] if refused else "")


class _Checked(TorchFunctionMode):
    """Sees the torch functions that a network calls.

    Args:
        sees_silence: where gradients are off, the network has switched them off.
    """

    def __init__(self, sees_silence: bool) -> None:
        super().__init__()
        self._sees_silence = sees_silence
        self._hooks = saving_hooks()

    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        result = self._call(_MEANT.get(function, function), args, kwargs or {})
        if not self._sees_silence or torch.is_grad_enabled() or (args and result is args[0]):
            return result
        return pytree.tree_map_only(Tensor, Tensor.detach, result)  # forward mode does not look at torch.no_grad

    def _call(self, function: Callable, args: tuple, kwargs: dict) -> object:
        tensors: list[Tensor] = []
        key: list = [function, len(FORMULAS)]
        for value in args:
            _add_key(value, key, tensors)
        if kwargs:
            _add_key(kwargs, key, tensors)
        if function in _SPECIAL:
            _refuse(function, args)
        if tensors and saving_hooks() != self._hooks:
            raise NotImplementedError("torch.func does not differentiate checkpoints and other hooks of saved tensors.")
        if not tensors or isinstance(function, HigherOrderOperator):
            return function(*args, **kwargs)
        is_cast = casts(tensors[0].device.type)
        key.append(is_cast)
        kind = self._kind(tuple(key), function, args, kwargs)
        if kind.is_root and len(tensors) == 1:
            result = function(*args, **kwargs)
            return result if result is tensors[0] else remembered(result, tensors[0])
        if not kind.corrected and not is_cast and not (kind.is_of_roots and any(t in RADICANDS for t in tensors)):
            return function(*args, **kwargs)
        if kind.refused:
            if any(map(_varies, tensors)):
                raise Unsupported(_REFUSAL.format(operation=kind.refused))
            return function(*args, **kwargs)
        return self._corrected(function, args, kwargs)

    def _kind(self, key: tuple, function: Callable, args: tuple, kwargs: dict) -> _Kind:
        try:
            found = _KINDS.get(key)
        except TypeError:  # an argument that has no key
            return _kind(function, args, kwargs)
        if found is None:
            if len(_KINDS) > _KNOWN_AT_MOST:
                _KINDS.clear()
            found = _KINDS[key] = _kind(function, args, kwargs)
        return found

    def _corrected(self, function: Callable, args: tuple, kwargs: dict) -> object:
        try:
            captured, tensors = _CAPTURING.function(function, args, kwargs, _described)
        except JetbenchError:  # it reads values
            return function(*args, **kwargs)
        device = tensors[0].device.type
        with torch.autocast(device, enabled=False) if casts(device) else contextlib.nullcontext():
            return _by_formulas(captured, tensors)


_KINDS: dict[tuple, _Kind] = {}
_REFUSAL = (
    "PyTorch's derivatives of {operation} are not known to be right to every order. Give a formula in other "
    "operations with @jetbench.torch.corrected.formula(torch.ops.{operation}), or use a method that propagates jets, "
    "such as collapsed, if it has a rule."
)


def corrected(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, with the formulas of `corrected` where they apply.

    Gradients are switched on around it, so that where they are off the network has switched them off; not where it is
    traced, since a trace would hold what autograd does.
    """

    def function(x: Tensor) -> Tensor:
        sees_silence = torch.is_grad_enabled() or not modes()
        with torch.set_grad_enabled(sees_silence), sdpa_kernel(SDPBackend.MATH), _Checked(sees_silence):
            return net(x)

    return function
