"""What the methods are: every module of this folder holds one, and is found by itself.

A method that a backend can build is in the backend's `METHODS`, a dictionary of `REGISTRY`; users' own files add to it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from types import ModuleType

from jetbench.methods.base import JetMethod, Method, Plan
from jetbench.methods.nested import NestedMethod

__all__ = ["METHODS", "REGISTRY", "JetMethod", "Method", "NestedMethod", "Plan", "register"]


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


def of_package(backend: str, package: ModuleType) -> dict[str, Method]:
    """The methods of a backend: those that can be built in the modules of its package, and users' own."""
    found = [each for module in _modules(package) for each in defined(module)]
    return register(backend, [each() for each in found if not inspect.isabstract(each)])
