"""Leaving a network as it was: what it stores in itself while an operator runs it is taken back.

What it refers to is looked for by a walk over attributes, containers, closures and globals, which is made again only
where something on the way has changed.
"""

from __future__ import annotations

import builtins
import functools
import operator
import types
import weakref
from collections.abc import Callable, Collection, Iterable
from itertools import chain

import torch
from torch import Tensor, nn

from jetbench.torch._compat import is_wrapped, undisturbed

_SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_PLAIN = (*_SIMPLE, Tensor, types.ModuleType)
_DEPTH, _MOST = 24, 10_000  # of objects that are visited
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.BuiltinFunctionType)
_LIBRARIES = ("torch", "numpy")  # whose code stores nothing
_STATE = ("_parameters", "_buffers", "_modules")


class _Walk:
    """All that a callable refers to, as far as Python shows.

    What was seen is remembered by identity and tensors are not kept alive, so that `is_current` can tell in little time
    whether another walk would find the same.

    Attributes:
        modules: the networks.
        holders: other objects with attributes.
        containers: dictionaries, lists and sets.
    """

    def __init__(self, net: object) -> None:
        self.modules: list[nn.Module] = []
        self.holders: list[object] = []
        self.containers: list[dict | list | set] = []
        self._seen: set[int] = set()
        self._classes: set[int] = set()
        self._views: list[Collection] = []  # what the walk went through and may change
        self._functions: list[types.FunctionType] = []
        self._cells: list[types.CellType] = []
        self._globals: list[tuple[dict, tuple[str, ...]]] = []
        self._slotted: list[object] = []
        self._visit(net, 0)
        self._dead: list[weakref.ref] = []
        held = self._held()
        self._alive = [net, *(weakref.ref(v, self._dead.append) if isinstance(v, Tensor) else v for v in held)]
        self._lengths, self._identities = [*map(len, self._views)], [*map(id, held)]

    def _held(self) -> list[object]:
        held = [*chain.from_iterable(self._views), *map(type, self.modules), *map(type, self.holders)]
        held += chain.from_iterable(map(_PARTS, self._functions))
        held += [_content(cell) for cell in self._cells]
        for namespace, names in self._globals:
            held += map(namespace.get, names)
        for holder in self._slotted:
            held += _attributes(holder).values()
        return held

    def is_current(self) -> bool:
        """Whether all that the walk went through is what it was."""
        return (
            not self._dead
            and self._lengths == [*map(len, self._views)]
            and self._identities == [*map(id, self._held())]
        )

    def _visit(self, value: object, depth: int) -> None:
        seen = self._seen
        if isinstance(value, _SKIPPED) or id(value) in seen or depth > _DEPTH or len(seen) > _MOST:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            self._visit_module(value, depth)
        elif isinstance(value, functools.partial):
            self._visit_all((value.func, *value.args), depth)
            self._visit_view(value.keywords.values(), depth)
        elif isinstance(value, types.MethodType):
            self._visit_all((value.__self__, value.__func__), depth)
        elif isinstance(value, types.FunctionType):
            self._visit_function(value, depth)
        elif isinstance(value, dict):
            self.containers.append(value)
            self._visit_view(value.values(), depth)
        elif isinstance(value, (list, set)):
            self.containers.append(value)
            self._visit_view(value, depth)
        elif isinstance(value, (tuple, frozenset)):
            self._visit_all(value, depth)
        elif isinstance(value, type):
            self._visit_class(value, depth)
        elif type(value).__module__.startswith("jetbench."):
            self._visit_own(value, depth)
        elif hasattr(value, "__dict__"):
            self.holders.append(value)
            self._visit_view(vars(value).values(), depth)
            self._visit_slots(value, depth)
            self._visit_class(type(value), depth)
        elif hasattr(value, "__slots__"):
            self.holders.append(value)
            self._visit_slots(value, depth)
            self._visit_class(type(value), depth)

    def _visit_all(self, values: Iterable[object], depth: int) -> None:
        for value in list(values):
            self._visit(value, depth + 1)

    def _visit_view(self, view: Collection, depth: int) -> None:
        self._views.append(view)
        self._visit_all(view, depth)

    def _visit_own(self, value: object, depth: int) -> None:
        """An object of this package, such as an operator: what it holds of the user; its caches are its own."""
        attributes = getattr(value, "__dict__", {}).values()
        self._views.append(attributes)
        self._visit_all([v for v in attributes if callable(v) or type(v).__module__.startswith("jetbench.")], depth)

    def _visit_slots(self, holder: object, depth: int) -> None:
        if any(_slots(kind) for kind in type(holder).__mro__):
            self._slotted.append(holder)
            self._visit_all(_attributes(holder).values(), depth)

    def _visit_class(self, kind: type, depth: int) -> None:
        for base in kind.__mro__:
            if id(base) in self._classes or _is_of_library(base):
                continue
            self._classes.add(id(base))
            self._views.append(vars(base).values())
            for value in list(vars(base).values()):
                value = getattr(value, "__func__", getattr(value, "fget", value))  # of a class method, of a property
                if not isinstance(value, _DESCRIPTORS):
                    self._visit(value, depth + 1)

    def _visit_module(self, module: nn.Module, depth: int) -> None:
        self.modules.append(module)
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            self._visit_view(hooks.values(), depth)
        self._views.append(module._modules.values())
        for child in module._modules.values():
            self._visit(child, 0)
        if not _is_plain(module):
            self._views.append(vars(module).values())
            self._visit_all([value for name, value in vars(module).items() if name not in _NEW], depth)
            self._visit_class(type(module), depth)

    def _visit_function(self, function: types.FunctionType, depth: int) -> None:
        if _is_of_library(function):
            return
        self._functions.append(function)
        cells = function.__closure__ or ()
        self._cells += cells
        self._visit_all(map(_content, cells), depth)
        self._visit_all(function.__defaults__ or (), depth)
        self._visit_view(vars(function).values(), depth)
        if function.__kwdefaults__:
            self._visit_view(function.__kwdefaults__.values(), depth)
        names = tuple(_names(function.__code__))
        self._globals.append((function.__globals__, names))
        self._visit_all(map(function.__globals__.get, names), depth)


_PARTS = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")


def _content(cell: types.CellType) -> object:
    """What a cell of a closure holds; None if it is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


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


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> frozenset[str]:
    """The global names that code refers to, also that of functions defined in it."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


def unchanged(net: Callable) -> Callable[[], bool]:
    """A function that says whether modules and objects in `net` still have the same hooks and names of attributes."""
    walk = _Walk(net)
    holders = [holder for holder in (*walk.modules, *walk.holders) if _is_watched(holder)]
    before = [(weakref.ref(holder), frozenset(vars(holder))) for holder in holders]
    hooks = [(weakref.ref(module), _hooks(module)) for module in walk.modules]

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
    """Whether it has attributes and can be referred to weakly; the offset is negative since Python 3.12."""
    return hasattr(holder, "__dict__") and type(holder).__weakrefoffset__ != 0


class Untouched:
    """A network, and runs of it that leave attributes, containers and buffers as they are."""

    def __init__(self, net: Callable) -> None:
        self.net = net
        self._walk: _Walk | None = None

    def __reduce__(self) -> tuple:
        return Untouched, (self.net,)

    def kept(self) -> _Kept:
        """A context for a run."""
        if self._walk is None or not self._walk.is_current():
            self._walk = _Walk(self.net)
        return _Kept(self._walk)


_SKIPPED = (*_PLAIN, Untouched)


class _Kept:
    """What a network stores in itself in this context is taken back.

    Buffers are copied where their module is in training mode, as otherwise networks do not change them.
    """

    def __init__(self, walk: _Walk) -> None:
        self._slotted = [(holder, _attributes(holder)) for holder in walk.holders if not hasattr(holder, "__dict__")]
        own = [module for module in walk.modules if not _is_plain(module)]
        dictionaries = [vars(holder) for holder in (*own, *walk.holders) if hasattr(holder, "__dict__")]
        state = [getattr(module, name) for module in own for name in _STATE]
        dictionaries += [dictionary for dictionary in state if isinstance(dictionary, dict)]
        containers = walk.containers
        dictionaries += [container for container in containers if isinstance(container, dict)]
        self._before = [(dictionary, dict(dictionary)) for dictionary in dictionaries]
        self._others = [(other, type(other)(other)) for other in containers if not isinstance(other, dict)]
        self._copies: list[tuple[Tensor, Tensor]] = []
        training = [module._buffers.values() for module in walk.modules if module.training and module._buffers]
        buffers = [buffer for of_module in training for buffer in of_module if buffer is not None]
        if buffers:
            with undisturbed(), torch.no_grad():
                self._copies = [(b, b.clone()) for b in buffers if not b.is_inference() and not is_wrapped(b)]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        for dictionary, old in self._before:
            if not (_is_same(dictionary, old) and _is_same(dictionary.values(), old.values())):
                _put_back(dictionary, old)
        for container, old in self._others:
            if not _is_same(container, old):
                container.clear()
                container.extend(old) if isinstance(container, list) else container.update(old)
        for holder, old in self._slotted:
            for name, value in old.items():
                if getattr(holder, name, old) is not value:
                    setattr(holder, name, value)
            for name in _attributes(holder).keys() - old.keys():
                delattr(holder, name)
        if self._copies:
            with undisturbed(), torch.no_grad():
                for buffer, value in self._copies:  # some operations change them without a new version
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)


def _is_same(left: Collection, right: Collection) -> bool:
    return len(left) == len(right) and all(map(operator.is_, left, right))


def _put_back(dictionary: dict, old: dict) -> None:
    for name in [name for name in dictionary if name not in old]:
        del dictionary[name]
    for name, value in old.items():
        if dictionary.get(name, old) is not value:
            dictionary[name] = value


def _attributes(holder: object) -> dict[str, object]:
    """The attributes of an object, also those in `__slots__`."""
    slots = [name for kind in type(holder).__mro__ for name in _slots(kind)]
    return getattr(holder, "__dict__", {}) | {name: getattr(holder, name) for name in slots if hasattr(holder, name)}


def _slots(kind: type) -> tuple[str, ...]:
    found = vars(kind).get("__slots__", ())
    found = (found,) if isinstance(found, str) else tuple(found)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__") and not name.startswith("__"))
