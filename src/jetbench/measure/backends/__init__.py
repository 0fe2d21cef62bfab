"""Backends by name: `measure.backends.torch`, `measure.backends.jax`, or a module of one's own by its dotted name.

A module is a backend with the functions `methods`, `vectors`, `description` and `open_session`; what sessions and
subjects are is in `subject`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from jetbench.errors import BackendUnavailable, JetbenchError, unknown
from jetbench.methods import METHODS, REGISTRY

BACKENDS = tuple(REGISTRY)


def backend_module(backend: str) -> ModuleType:
    """The module of a backend: one of this folder, or the module of that dotted name.

    Raises:
        BackendUnavailable: its framework is not installed.
        JetbenchError: there is no such backend.
    """
    if not all(part.isidentifier() for part in backend.split(".")):
        raise JetbenchError(unknown("backend", backend, BACKENDS))
    module = backend if "." in backend else f"{__name__}.{backend}"
    try:
        with _nothing_collected():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise JetbenchError(unknown("backend", backend, BACKENDS)) from error
        raise BackendUnavailable(
            f"The backend {backend!r} needs {missing}, which is not installed here. "
            f"Install it with `pip install 'jetbench[{backend}]'`."
        ) from error
    except ImportError as error:
        raise JetbenchError(f"The backend {backend!r} cannot be loaded: {' '.join(str(error).split())}.") from error


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A framework makes a million objects that all stay: looking for garbage among them is a fifth of its loading."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def method_names(backend: str) -> tuple[str, ...] | None:
    """The methods of a backend of this package, found without its framework, with those of the user's own files.

    None for other backends: what they have is known when they are loaded.
    """
    if backend not in REGISTRY:
        return None
    own = [name for name in REGISTRY[backend] if name not in METHODS]
    return tuple(sorted([*(name for name, method in METHODS.items() if backend in method.backends), *own]))
