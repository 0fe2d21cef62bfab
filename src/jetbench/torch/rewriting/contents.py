"""What a function can read besides its arguments: a walk over all that Python lets it reach.

Whatever can be reached is either understood, and is then part of a key of plain values, or makes the contents opaque:
then nobody knows whether they have changed. Nothing in a key keeps a tensor alive. Putting back what a run has changed
is done in `restored`.
"""

from __future__ import annotations

import builtins
import dis
import enum
import functools
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jetbench.torch.rewriting.ambient import described

#: The code of these packages is taken as it is: it computes from its arguments, and from the state in `ambient`.
TRUSTED = frozenset((
    "abc", "array_api_compat", "ast", "builtins", "cmath", "collections", "contextlib", "copy", "copyreg",
    "dataclasses", "enum", "fractions", "functools", "functorch", "heapq", "inspect", "itertools", "jetbench",
    "keyword", "math", "numbers", "numpy", "operator", "opt_einsum", "re", "reprlib", "scipy", "statistics",
    "string", "textwrap", "torch", "types", "typing", "typing_extensions", "warnings", "_abc", "_collections",
    "_functools", "_operator", "_collections_abc", "_weakrefset",
))  # fmt: skip
#: Parts of these packages that answer with something else each time.
CHANGING = ("numpy.random", "scipy.stats")
ASKING = frozenset({"breakpoint", "compile", "eval", "exec", "globals", "input", "locals", "open", "__import__"})
PLAIN = frozenset((
    bool, int, complex, str, bytes, type(None), type(...), type(NotImplemented), range,
    torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size,
))  # fmt: skip
LEAVES = (np.dtype,)
HOOKS = [value for name, value in vars(nn.modules.module).items() if name.startswith("_global") and "hooks" in name]
MODULE_STATE = frozenset(vars(nn.Module())) - {"training"}
COMPILED = (
    types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
    types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType, np.ufunc,
)  # fmt: skip
SEQUENCES, SETS, MAPPINGS = (list, tuple, deque), (set, frozenset), (dict, types.MappingProxyType)
CONTAINERS = (object, *PLAIN, float, *SEQUENCES, *SETS, *MAPPINGS, OrderedDict, defaultdict)
ABOUT_CLASSES = frozenset((
    "__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__annotations__", "__annotate_func__",
    "__annotations_cache__", "__static_attributes__", "__firstlineno__", "__abstractmethods__", "_abc_impl",
    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__", "__orig_bases__",
    "__slots__",
))  # fmt: skip
MOST_NUMBERS, MOST_OBJECTS = 2**16, 50_000


class Contents:
    """What some objects hold, together.

    Attributes:
        key: equal for contents that make a function compute the same, but for the values of `tensors`.
        tensors: all that were found, each once, in an order that the key determines.
        modules: the networks among the objects.
        opaque: why the contents are not fully known, in words; None if they are.
        containers: what holds values that a run may replace.
        names: global names that code reads, each with where it is looked up.
        caches: of `functools.lru_cache`.
    """

    def __init__(self, *roots: object) -> None:
        self.tensors: list[Tensor] = []
        self.modules: list[nn.Module] = []
        self.opaque: str | None = None
        self.containers: list[object] = []
        self.caches: list[functools._lru_cache_wrapper] = []
        self.names: list[tuple[dict, str]] = []
        self._keys: list[object] = []
        self._seen: dict[int, int] = {}
        self._waiting: list[object] = []
        self._modules: dict[types.ModuleType, set[str]] = {}
        self._attributes: set[str] = set()
        alive: list[object] = []  # so that no other object gets the identity of one that was seen
        self._take(roots)
        while self._waiting and len(self._seen) < MOST_OBJECTS:
            alive.append(self._waiting.pop())
            _way(type(alive[-1]))(self, alive[-1])
            if not self._waiting:
                self._read_modules()
        if self._waiting:
            self._hide("it can reach too many objects to look through all of them")
        self.key = tuple(self._keys)

    def _hide(self, why: str) -> None:
        self.opaque = self.opaque or why

    def _take(self, values: Iterable[object]) -> None:
        """Plain values become part of the key; for others their types do, and they are looked into later, in order."""
        keys, seen, later = self._keys, self._seen, []
        for value in values:
            kind = type(value)
            if kind in PLAIN:
                keys += (kind, value)  # as 1 equals True
            elif kind is float:
                keys.append(value.hex())  # tells zeros of different signs apart, and NaN equals itself
            elif id(value) in seen:
                keys += ("again", seen[id(value)])
            else:
                seen[id(value)] = len(seen)
                keys.append(kind)
                later.append(value)
        self._waiting += reversed(later)

    def _leaf(self, value: object) -> None:
        self._keys.append(value)

    def _tensor(self, value: Tensor) -> None:
        self.tensors.append(value)
        self._keys.append(described(value))
        self._take([vars(value)] if getattr(value, "__dict__", None) else ())

    def _network(self, module: nn.Module) -> None:
        if not self.modules:
            self._take(HOOKS)
        self.modules.append(module)
        state = vars(module)
        self.containers += [state, *(value for value in state.values() if isinstance(value, dict))]
        self._take([part for item in state.items() if item[0] not in MODULE_STATE or item[1] for part in item])
        self._take([type(module)])

    def _function(self, function: types.FunctionType) -> None:
        # the module of its code: a decorator may have given the function the name of another one, or none
        namespace, cells = function.__globals__, function.__closure__ or ()
        self._keys += (function.__code__, len(cells))
        parts: list[object] = [function.__defaults__, function.__kwdefaults__, *cells]
        parts += [vars(function)] if vars(function) else []
        if not is_trusted(namespace.get("__name__")):
            loaded, attributes = _names(function.__code__)
            self._attributes |= attributes
            self.containers.append(namespace)
            self.names += [(namespace, name) for name in loaded if name in namespace]
            parts += [self._named(name, namespace) for name in loaded]
        self._take(parts)

    def _named(self, name: str, namespace: dict) -> object:
        """What a name stands for in code, or whether it is one of Python's own."""
        if name in namespace:
            return namespace[name]
        if name in ASKING:
            self._hide(f"it calls {name}")
        if hasattr(builtins, name):
            return True
        package = name.partition(".")[0]
        return (sys.modules.get(package), sys.modules.get(name)) if package in sys.modules else None

    def _class(self, cls: type) -> None:
        self._keys.append(cls)
        own = [each for each in cls.__mro__ if not is_trusted(each.__module__)]
        if any(_hidden_fields(each) for each in own):
            self._hide(f"it uses {cls.__module__}.{cls.__qualname__}")
        elif cls in own:
            self.containers.append(cls)
            self._take([part for item in vars(cls).items() if item[0] not in ABOUT_CLASSES for part in item])
            self._take([*cls.__bases__, type(cls)])
        else:
            self._take(own)

    def _module(self, module: types.ModuleType) -> None:
        self._keys.append(_Same(module))
        self._modules.setdefault(module, set())

    def _read_modules(self) -> None:
        """Of the modules, what has a name that some code reads from something."""
        for module, read in list(self._modules.items()):
            unread = sorted(self._attributes - read)
            read |= self._attributes
            found = [(name, vars(module)[name]) for name in unread if name in vars(module)]
            if is_trusted(module.__name__):
                for _, value in found:
                    if isinstance(value, types.ModuleType) and value.__name__ in CHANGING:
                        self._hide(f"it uses {value.__name__}")
                continue
            if "__dict__" in unread:
                self._hide(f"it may read any name from the module {module.__name__}")
            self.containers.append(vars(module))
            self._take([part for item in found for part in item])

    def _compiled(self, value: object) -> None:
        """A function that is not written in Python: known by its home, and by the object that it belongs to."""
        owner = getattr(value, "__self__", None)
        home = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__module__", None)
        self._keys += (getattr(value, "__qualname__", str(value)), home)
        if owner is not None and not isinstance(owner, types.ModuleType):
            self._take([owner])
        elif isinstance(value, types.BuiltinFunctionType) and not is_trusted(home):
            self._hide(f"it calls {home}.{value.__name__}")

    def _method(self, value: types.MethodType) -> None:
        self._take([value.__self__, value.__func__])

    def _partial(self, value: functools.partial) -> None:
        self._take([value.func, *value.args, *value.keywords, *value.keywords.values(), vars(value)])

    def _wrapped(self, value: staticmethod | classmethod) -> None:
        self._take([value.__func__])

    def _property(self, value: property) -> None:
        self._take([value.fget, value.fset, value.fdel])

    def _cell(self, value: types.CellType) -> None:
        self.containers.append(value)
        self._take(_held(value))

    def _cached(self, value: functools._lru_cache_wrapper) -> None:
        self.caches.append(value)
        self._take([value.__wrapped__])

    def _numbers(self, value: np.ndarray | np.generic) -> None:
        if value.dtype.hasobject or value.size > MOST_NUMBERS:
            self._hide("it holds a large numpy array")
        else:
            self._keys += (value.shape, value.dtype, value.tobytes())

    def _object(self, value: object) -> None:
        kind = type(value)
        if any(_hidden_fields(each) for each in kind.__mro__):
            self._hide(f"it holds an object of {kind.__module__}.{kind.__qualname__}")
            return
        if kind not in CONTAINERS:
            self._take([kind])
        self._entries(value)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            self._take([attributes])
        if slots(kind):
            self.containers.append(value)
            self._take([part for slot in slots(kind) for part in _held(value, slot)])

    def _entries(self, value: object) -> None:
        if isinstance(value, (list, deque, dict, set)):
            self.containers.append(value)
        if isinstance(value, MAPPINGS):
            self._keys.append(len(value))
            self._take([part for item in value.items() for part in item])
        elif isinstance(value, (*SEQUENCES, *SETS)):
            self._keys.append(len(value))
            self._take(list(value))
        elif isinstance(value, (*PLAIN, float)):
            self._keys.append(repr(value))
        if isinstance(value, defaultdict):
            self._take([value.default_factory])

    def _own(self, value: object) -> None:
        """An object of this package, which nobody changes: itself, and what it holds of the user."""
        self._keys.append(_Same(value))
        in_slots = (part for slot in slots(type(value)) for part in _held(value, slot))
        for part in (*getattr(value, "__dict__", {}).values(), *in_slots):
            if callable(part) or isinstance(part, Tensor) or type(part).__module__.startswith("jetbench."):
                self._take([part])


@functools.lru_cache(maxsize=4096)
def _way(kind: type) -> Callable[[Contents, Any], None]:
    """How objects of a type are looked into."""
    for kinds, way in (
        (Tensor, Contents._tensor),
        (nn.Module, Contents._network),
        (types.FunctionType, Contents._function),
        (type, Contents._class),
        (types.ModuleType, Contents._module),
        (COMPILED, Contents._compiled),
        (types.MethodType, Contents._method),
        ((functools.partial, functools.partialmethod), Contents._partial),
        ((staticmethod, classmethod), Contents._wrapped),
        (property, Contents._property),
        (types.CellType, Contents._cell),
        (functools._lru_cache_wrapper, Contents._cached),
        ((np.ndarray, np.generic), Contents._numbers),
        ((*LEAVES, types.CodeType, enum.Enum), Contents._leaf),
    ):
        if issubclass(kind, kinds):
            return way
    return Contents._own if kind.__module__.startswith("jetbench.") else Contents._object


class _Same:
    """Equal only to that of the very same object, which it does not keep alive."""

    __slots__ = ("_number", "_reference")

    def __init__(self, value: object) -> None:
        self._number = id(value)
        try:
            self._reference = weakref.ref(value)
        except TypeError:  # it cannot be referred to without keeping it alive
            self._reference = lambda: value

    def __eq__(self, other: object) -> bool:
        alive = self._reference()
        return isinstance(other, _Same) and alive is not None and alive is other._reference()

    def __hash__(self) -> int:
        return self._number


def is_trusted(module: object) -> bool:
    """Whether the code of the module with this name is taken as it is."""
    return isinstance(module, str) and module.partition(".")[0] in TRUSTED and not module.startswith(CHANGING)


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """The global names that code loads or imports, and the names of attributes; also those of functions in it."""
    loaded: dict[str, None] = {}
    attributes: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "IMPORT_NAME"):
            loaded[step.argval] = None
        elif isinstance(step.argval, str) and any(part in step.opname for part in ("ATTR", "METHOD", "IMPORT_FROM")):
            attributes.add(step.argval)
        elif isinstance(step.argval, types.CodeType):
            inner, inner_attributes = _names(step.argval)
            loaded |= dict.fromkeys(inner)
            attributes |= inner_attributes
    if loaded.keys() & {"getattr", "vars"}:
        attributes.add("__dict__")
    return tuple(loaded), frozenset(attributes)


@functools.lru_cache(maxsize=4096)
def _hidden_fields(cls: type) -> bool:
    """Whether objects have more than those of the base has: other than attributes, slots and entries."""
    if cls in CONTAINERS or cls.__base__ is None:
        return False
    known = len(_own_slots(cls)) + ("__dict__" in vars(cls)) + ("__weakref__" in vars(cls))
    return cls.__basicsize__ - cls.__base__.__basicsize__ > 8 * known


def _own_slots(cls: type) -> list[types.MemberDescriptorType]:
    return [value for value in vars(cls).values() if isinstance(value, types.MemberDescriptorType)]


@functools.lru_cache(maxsize=4096)
def slots(cls: type) -> tuple[types.MemberDescriptorType, ...]:
    return tuple(slot for each in cls.__mro__ if each not in CONTAINERS for slot in _own_slots(each))


def _held(holder: object, slot: types.MemberDescriptorType | None = None) -> Iterator[object]:
    """What a cell or a slot holds; nothing where it is empty."""
    try:
        yield holder.cell_contents if slot is None else slot.__get__(holder)
    except (ValueError, AttributeError):
        yield "empty"
