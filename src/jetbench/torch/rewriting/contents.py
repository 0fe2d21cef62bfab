"""What a function that is traced whole refers to."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

_MODULE_STATE = frozenset(vars(nn.Module())) - {"training"}
_SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_DEPTH = 6


@contextlib.contextmanager
def unchanged(net: Callable) -> Iterator[None]:
    """Runs of the network in this context leave its buffers, such as running statistics, as they are."""
    buffers = [buffer for module in _contents(net)[0] for buffer in module._buffers.values() if buffer is not None]
    before = [(buffer, buffer._version, buffer.clone()) for buffer in buffers if not buffer.is_inference()]
    try:
        yield
    finally:
        for buffer, version, value in before:
            if buffer._version != version:
                buffer.copy_(value)


class _Same:
    """A key that equals only that of the very same object, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _contents(net: object) -> tuple[list[nn.Module], list[object]]:
    """The modules that a callable holds, and keys for all else that it refers to, as far as Python shows it."""
    modules: list[nn.Module] = []
    keys: list[object] = []
    seen: set[int] = set()

    def visit(value: object, depth: int) -> None:
        if isinstance(value, _SIMPLE):
            keys.append(value)
            return
        if id(value) in seen or depth > _DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            visit_module(value, depth)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                visit(part, depth + 1)
        elif isinstance(value, types.MethodType):
            visit(value.__self__, depth + 1)
            visit(value.__func__, depth + 1)
        elif isinstance(value, types.FunctionType):
            visit_function(value, depth)
        elif isinstance(value, (list, tuple, set, frozenset)):
            keys.append(len(value))
            for item in value:
                visit(item, depth + 1)
        elif isinstance(value, dict):
            keys.append(tuple(str(key) for key in value))
            for item in value.values():
                visit(item, depth + 1)
        else:
            keys.append(_Same(value))
            if hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType, Tensor)):
                visit(vars(value), depth + 1)

    def visit_module(module: nn.Module, depth: int) -> None:
        modules.append(module)
        keys.append(_Same(module))
        for name, value in vars(module).items():
            if name not in _MODULE_STATE:
                keys.append(name)
                visit(value, depth + 1)
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for hook in hooks.values():
                visit(hook, depth + 1)
        for name, child in module._modules.items():
            keys.append(name)
            visit(child, 0)

    def visit_function(function: types.FunctionType, depth: int) -> None:
        keys.append(_Same(function.__code__))
        if function.__module__.partition(".")[0] == "torch":  # PyTorch's own functions do not change
            return
        for cell in function.__closure__ or ():
            try:
                visit(cell.cell_contents, depth + 1)
            except ValueError:  # a cell that is not filled yet
                continue
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            visit(default, depth + 1)
        for name in _names(function.__code__):
            if name in function.__globals__ and not isinstance(function.__globals__[name], types.ModuleType):
                visit(function.__globals__[name], depth + 1)

    visit(net, 0)
    return modules, keys


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names that code refers to, also that of functions defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def settings(net: Callable) -> list[tuple[nn.Module, str, object]]:
    """Module, name and value of each plain attribute of the modules in `net`, such as `training`, and of each child."""
    found: list[tuple[nn.Module, str, object]] = []
    for module in _contents(net)[0]:
        attributes = [(name, value) for name, value in vars(module).items() if name not in _MODULE_STATE]
        found += [(module, name, value) for name, value in attributes if isinstance(value, _SIMPLE)]
        found += [(module, name, child) for name, child in module._modules.items()]
    return found


def fingerprint(net: Callable) -> tuple:
    """What a captured graph depends on besides x: it is captured anew when this changes.

    Modules count by their identity, attributes and hooks; their parameters and buffers by shape, type and by which of
    them are shared, as the tensors themselves may be replaced. What else a function refers to counts by identity,
    numbers and texts by value.
    """
    modules, keys = _contents(net)
    known: dict[int, int] = {}
    for module in modules:
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    place = known.setdefault(id(tensor), len(known))
                    keys.append((name, place, tensor.shape, tensor.dtype, tensor.device))
    return tuple(keys)
