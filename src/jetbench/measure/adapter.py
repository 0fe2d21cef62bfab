"""What measuring needs of a backend. `jetbench.<backend>.measuring` provides it; no other module of a backend is used.

A module fulfils it with the functions `methods`, `vectors`, `description` and `open_session`.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

from jetbench.errors import BackendUnavailable, JetbenchError, unknown
from jetbench.measure.case import BACKENDS, Case
from jetbench.measure.clock import Clock
from jetbench.methods import METHODS, REGISTRY


class Subject(Protocol):
    """One case, ready to be called.

    Attributes:
        vectors: through each linear layer per datum; None where the method has no such number.
        order: K of the operator.
        floor_vectors: the smallest number known for the operator; None where there is none.
        has_own_floor: whether the floor with the method's own number of vectors means anything for it.
        tolerance: relative error up to which a value counts as right, for the case's type.
        clock: the clock of the device.
        memory_source: what `peak_memory` relies on.
        network_flops: of one plain forward pass.
    """

    vectors: int | None
    order: int
    floor_vectors: int | None
    has_own_floor: bool
    tolerance: float
    clock: Clock
    memory_source: str
    network_flops: int

    def value(self) -> Any:
        """The operator's value, without a graph, in the case's mode; the first call traces and compiles."""

    def gradient(self) -> Any:
        """The operator and the gradient of its mean square with respect to the parameters."""

    def floor(self, vectors: int) -> Callable[[], Any]:
        """The network's matrix products alone, on so many vectors per datum."""

    def relative_error(self, value: Any) -> float:
        """Of a result of `value`, on a few rows, against nested AD in float64."""

    def sampling_error(self) -> float:
        """Of a random estimator, in float64: `accuracy.sampling_error` on a few rows, whatever the method."""

    def flops(self) -> int:
        """Floating-point operations of the products in one evaluation."""

    def compiler_flops(self) -> int | None:
        """Floating-point operations of one evaluation as its compiler counts them; None where none does."""

    def peak_memory(self, differentiable: bool) -> int:
        """Peak bytes of one evaluation above what lay there before, with or without the graph for the parameters."""


class Session(Protocol):
    """One worker process on one device."""

    def prepare(self, case: Case) -> Subject:
        """Build what is to be measured. Raises `Unsupported` where the method cannot do it."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an error means that memory was exhausted."""

    def release(self) -> None:
        """Give back what the last subject held, compiled code and cached memory included."""


def find(backend: str) -> ModuleType:
    """The adapter of a backend: `jetbench.<backend>.measuring`, or the module of that dotted name.

    Raises:
        BackendUnavailable: its framework is not installed.
        JetbenchError: there is no such backend.
    """
    if not all(part.isidentifier() for part in backend.split(".")):
        raise JetbenchError(unknown("backend", backend, BACKENDS))
    module = backend if "." in backend else f"jetbench.{backend}.measuring"
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
