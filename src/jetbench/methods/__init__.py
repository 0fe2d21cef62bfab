"""What the methods are: every module of this folder holds one, and is found by itself.

A method that a backend can build is in the backend's `METHODS`, a dictionary of `REGISTRY`; users' own files add to it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from jetbench.errors import JetbenchError, Unsupported, unknown
from jetbench.methods.base import JetMethod, Method, Plan
from jetbench.methods.nested import NestedMethod
from jetbench.operators.problem import Problem
from jetbench.python_files import run

__all__ = [
    "METHODS",
    "REGISTRY",
    "JetMethod",
    "Method",
    "NestedMethod",
    "Plan",
    "counted",
    "load",
    "register",
    "smallest_vectors",
]


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def defined(module: ModuleType) -> list[type[Method]]:
    """The methods that a module defines."""
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Method)]
    return [each for each in found if each.__module__ == module.__name__ and hasattr(each, "name")]


def _by_rank(methods: Iterable) -> list:
    return sorted(methods, key=lambda method: (method.rank, method.name))


#: Name → what a method is, without a framework.
METHODS: dict[str, type[Method]] = {
    each.name: each for each in _by_rank(each for module in _modules(sys.modules[__name__]) for each in defined(module))
}
#: Backend → name → method that it can build, from the most vectors to the fewest.
REGISTRY: dict[str, dict[str, Method]] = {"torch": {}, "jax": {}}


def register(backend: str, methods: Iterable[Method]) -> dict[str, Method]:
    """Add methods to those of a backend, which are returned."""
    known = REGISTRY[backend]
    merged = {**known, **{method.name: method for method in methods}}
    known.clear()
    known.update((method.name, method) for method in _by_rank(merged.values()))
    return known


def counted(backend: str, name: str, problem: Problem) -> tuple[int | None, str | None]:
    """The vectors of a backend's method for a problem, and None; or None and why the method cannot do it.

    Raises:
        JetbenchError: the backend has no such method.
    """
    if name not in REGISTRY[backend]:
        raise JetbenchError(unknown("method", name, REGISTRY[backend]))
    try:
        return REGISTRY[backend][name].available_plan(problem).vectors, None
    except Unsupported as refusal:
        return None, str(refusal)


def smallest_vectors(backend: str, problem: Problem) -> int | None:
    """The smallest number of vectors per datum among the forward methods that can do a problem; None without any."""
    forward = [name for name, method in REGISTRY[backend].items() if not method.is_nested]
    counts = [counted(backend, name, problem)[0] for name in forward]
    return min((count for count in counts if count is not None), default=None)


def of_package(backend: str, package: ModuleType) -> dict[str, Method]:
    """The methods of a backend: those that can be built in the modules of its package, and users' own."""
    found = [each for module in _modules(package) for each in defined(module)]
    return register(backend, [each() for each in found if not inspect.isabstract(each)])


def load(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that defines methods, subclasses of `Method` with `build`; returns their names.

    Each is added to the methods of its `backends`. Loading the same file again replaces its methods.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it defines no method, or one that cannot be used; the message says why.
    """
    path = Path(path).resolve()
    module = run(path, "methods")
    found = [each for each in defined(module) if not inspect.isabstract(each)]
    if not found:
        raise ValueError(f"{path} defines no method; subclass jetbench.methods.Method and give it `plan` and `build`.")
    for each in found:
        missing = [backend for backend in each.backends if backend not in REGISTRY]
        if missing or not each.backends:
            raise ValueError(f"{each.name}: `backends` must be some of {', '.join(REGISTRY)}; got {each.backends}.")
        if each.name in METHODS or not each.name.isidentifier():
            raise ValueError(f"A method cannot be called {each.name!r}: choose another identifier.")
        for backend in each.backends:
            register(backend, [each()])
    return tuple(each.name for each in found)
