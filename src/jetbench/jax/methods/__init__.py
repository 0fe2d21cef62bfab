"""Methods in JAX: every module of this folder holds one `Method` subclass and is found by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from jetbench.operators.problem import Method


def _discover() -> dict[str, Method]:
    found: dict[str, Method] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Method) and member.__module__ == module.__name__ and not inspect.isabstract(member):
                found[member.name] = member()
    order = ("nested", "nested_reverse", "taylor", "collapsed", "forward_laplacian", "apolar")
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


METHODS: dict[str, Method] = _discover()
