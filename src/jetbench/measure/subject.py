"""What a backend gives to measuring: sessions, in which cases become subjects that can be called and asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from jetbench.measure.case import Case
from jetbench.measure.clock import Clock


class Subject(Protocol):
    """One case, ready to be called. `vectors`, `order`, `floor_vectors` and `network_flops` are fields of a record.

    Attributes:
        has_own_floor: whether the floor with the method's own number of vectors means anything for it.
        tolerance: relative error up to which a value counts as right, for the case's type.
        clock: the clock of the device.
        memory_source: what `peak_memory` relies on.
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
