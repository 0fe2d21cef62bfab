"""Leaving a network as it was: what it stores in itself while an operator runs it is taken back."""

from __future__ import annotations

import builtins
import contextlib
import functools
import types
import weakref
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from jetbench.torch._compat import is_wrapped, undisturbed

_SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_PLAIN = (*_SIMPLE, Tensor, types.ModuleType)
_DEPTH, _MOST = 24, 10_000  # of objects that are visited
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.BuiltinFunctionType)
_LIBRARIES = ("torch", "numpy")  # whose code stores nothing
_STATE = ("_parameters", "_buffers", "_modules")


def reachable(net: object) -> tuple[list[nn.Module], list[object], list[dict | list | set]]:
    """The modules, other objects with attributes, and containers that a callable refers to, as far as Python shows."""
    modules: list[nn.Module] = []
    holders: list[object] = []
    containers: list[dict | list | set] = []
    seen: set[int] = set()

    def visit(value: object, depth: int) -> None:
        if isinstance(value, _PLAIN) or id(value) in seen or depth > _DEPTH or len(seen) > _MOST:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            visit_module(value, depth)
        elif isinstance(value, functools.partial):
            visit_all((value.func, *value.args, *value.keywords.values()), depth)
        elif isinstance(value, types.MethodType):
            visit_all((value.__self__, value.__func__), depth)
        elif isinstance(value, types.FunctionType):
            visit_function(value, depth)
        elif isinstance(value, dict):
            containers.append(value)
            visit_all(value.values(), depth)
        elif isinstance(value, (list, set)):
            containers.append(value)
            visit_all(value, depth)
        elif isinstance(value, (tuple, frozenset)):
            visit_all(value, depth)
        elif isinstance(value, type):
            visit_class(value, depth)
        elif hasattr(value, "__dict__") or hasattr(value, "__slots__"):
            holders.append(value)
            visit_all(_attributes(value).values(), depth)
            visit_class(type(value), depth)

    def visit_all(values: object, depth: int) -> None:
        for value in list(values):
            visit(value, depth + 1)

    def visit_class(kind: type, depth: int) -> None:
        own = [base for base in kind.__mro__ if not _is_of_library(base)]
        for value in [value for base in own for value in vars(base).values()]:
            value = getattr(value, "__func__", getattr(value, "fget", value))  # of a class method, of a property
            if not isinstance(value, _DESCRIPTORS):
                visit(value, depth + 1)

    def visit_module(module: nn.Module, depth: int) -> None:
        modules.append(module)
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            visit_all(hooks.values(), depth)
        for child in module._modules.values():
            visit(child, 0)
        if not _is_plain(module):
            own = {name: value for name, value in vars(module).items() if name not in _NEW}
            visit_all(own.values(), depth)
            visit_class(type(module), depth)

    def visit_function(function: types.FunctionType, depth: int) -> None:
        if _is_of_library(function):
            return
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # a cell that is not filled yet
                visit(cell.cell_contents, depth + 1)
        visit_all((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()), depth)
        visit_all(vars(function).values(), depth)
        for name in names(function.__code__):
            if name in function.__globals__:
                visit(function.__globals__[name], depth + 1)

    visit(net, 0)
    return modules, holders, containers


def _is_of_library(thing: type | types.FunctionType) -> bool:
    """Whether a class or function is Python's or of a library; code that is run by `exec` calls its own Python's."""
    module = thing.__module__ or ""
    if module == "builtins":
        return getattr(builtins, thing.__name__, None) is thing
    return module.partition(".")[0] in _LIBRARIES


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's own without hooks: these store nothing but in their buffers."""
    return type(module).__module__.startswith("torch.nn.modules.") and not (
        module._forward_hooks or module._forward_pre_hooks
    )


_NEW = frozenset(vars(nn.Module()))


def names(code: types.CodeType) -> Iterator[str]:
    """The global names that code refers to, also that of functions defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names(constant)


def unchanged(net: Callable) -> Callable[[], bool]:
    """A function that says whether modules and objects in `net` still have the same hooks and names of attributes."""
    modules, holders, _ = reachable(net)
    before = [(weakref.ref(holder), frozenset(vars(holder))) for holder in (*modules, *holders) if _is_watched(holder)]
    hooks = [(weakref.ref(module), _hooks(module)) for module in modules]

    def holds() -> bool:
        for reference, names in before:
            holder = reference()
            if holder is None or vars(holder).keys() != names:
                return False
        return all((module := reference()) is not None and _hooks(module) == keys for reference, keys in hooks)

    return holds


def _hooks(module: nn.Module) -> tuple[int, ...]:
    """The numbers of a module's hooks, of which PyTorch gives each only once."""
    return (*module._forward_hooks, *module._forward_pre_hooks)


def _is_watched(holder: object) -> bool:
    return hasattr(holder, "__dict__") and type(holder).__weakrefoffset__ > 0


@contextlib.contextmanager
def untouched(net: Callable) -> Iterator[None]:
    """A run of the network in this context leaves attributes, containers and buffers as they are.

    Buffers are copied where their module is in training mode, as otherwise networks do not change them.
    """
    modules, holders, containers = reachable(net)
    slotted = [(holder, _attributes(holder)) for holder in holders if not hasattr(holder, "__dict__")]
    holders = [holder for holder in holders if hasattr(holder, "__dict__")]
    own = [module for module in modules if not _is_plain(module)]
    dictionaries = [vars(holder) for holder in (*own, *holders)]
    state = [getattr(module, name) for module in own for name in _STATE]
    dictionaries += [dictionary for dictionary in state if isinstance(dictionary, dict)]
    dictionaries += [container for container in containers if isinstance(container, dict)]
    before = [(dictionary, dict(dictionary)) for dictionary in dictionaries]
    others = [(container, type(container)(container)) for container in containers if not isinstance(container, dict)]
    buffers = [b for module in modules if module.training for b in module._buffers.values() if b is not None]
    with undisturbed(), torch.no_grad():
        copies = [(b, b.clone()) for b in buffers if not b.is_inference() and not is_wrapped(b)]
    try:
        yield
    finally:
        for dictionary, old in before:
            for name in [name for name in dictionary if name not in old]:
                del dictionary[name]
            for name, value in old.items():
                if dictionary.get(name, old) is not value:
                    dictionary[name] = value
        for container, old in others:
            if len(container) != len(old) or any(a is not b for a, b in zip(container, old, strict=True)):
                container.clear()
                container.extend(old) if isinstance(container, list) else container.update(old)
        for holder, old in slotted:
            for name, value in old.items():
                if getattr(holder, name, old) is not value:
                    setattr(holder, name, value)
            for name in _attributes(holder).keys() - old.keys():
                delattr(holder, name)
        with undisturbed(), torch.no_grad():
            for buffer, value in copies:  # some operations change them without a new version
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def _attributes(holder: object) -> dict[str, object]:
    """The attributes of an object, also those in `__slots__`."""
    slots = [name for kind in type(holder).__mro__ for name in _slots(kind)]
    return getattr(holder, "__dict__", {}) | {name: getattr(holder, name) for name in slots if hasattr(holder, name)}


def _slots(kind: type) -> tuple[str, ...]:
    found = vars(kind).get("__slots__", ())
    found = (found,) if isinstance(found, str) else tuple(found)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__") and not name.startswith("__"))
