"""What the algebras need of arrays beyond the operators and methods that numpy, torch and JAX share.

The backends hand in what is theirs with `register`; no framework is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

Array = Any


class Arrays:
    """Operations on the arrays of numpy; a backend registers a subclass for its own.

    Attributes:
        kind: the type of the arrays.
        namespace: the module whose functions `stack`, `concatenate`, `exp`, … take these arrays.
        transforms: the module with `jvp`, `vjp` and `vmap`; None for numpy, which has none.
    """

    kind: type = np.ndarray
    namespace: ModuleType = np
    transforms: Any = None

    def like(self, values: Array | np.ndarray, array: Array) -> Array:
        """`values` in the framework, type and device of `array`."""
        return self.namespace.asarray(values, dtype=array.dtype)

    def constant(self, constant: Constant, array: Array) -> Array:
        """A `Constant` for use with `array`."""
        return self.like(constant.values, array) if constant.is_real else constant.values

    def between_devices(self, constant: Array, array: Array) -> Array:
        """A constant, taken to differ between devices as `array` does."""
        del array
        return constant

    def is_traced(self, array: Array) -> bool:
        """Whether operations on the array are being recorded by a compiler, which will fuse them."""
        del array
        return False

    def gather(self, array: Array, indices: Array) -> Array:
        """The entries of the first axis at the given indices."""
        return array[indices]

    def power(self, array: Array, exponent: float) -> Array:
        """array^exponent."""
        return array**exponent

    def filled(self, value: Array | float, array: Array) -> Array:
        """A number or an array, with the shape of `array`; a number has its type, too."""
        if not hasattr(value, "shape"):
            return self.namespace.full_like(array, value)
        return value if value.shape == array.shape else self.namespace.broadcast_to(value, array.shape)

    def copied(self, array: Array) -> Array:
        """The array where forward mode takes it, in memory that it shares with no other one."""
        return array

    def typed(self, array: Array, like: Array) -> Array:
        """The array in the type of another one, where the framework may have changed it."""
        del like
        return array

    def first_axis_last(self, array: Array) -> Array:
        """The array with its first axis behind the others."""
        return self.namespace.moveaxis(array, 0, -1)

    def row_among_zeros(self, row: Array, index: int, like: Array) -> Array:
        """An array like another one, which has one entry along its first axis that is not zero."""
        zeros = self.namespace.zeros_like(row)
        return self.namespace.stack([row if i == index else zeros for i in range(len(like))])

    def identity(self, n: int, array: Array) -> Array:
        """The identity matrix of n rows in the type and on the device of `array`."""
        return self.namespace.eye(n, dtype=array.dtype)

    def summed(self, array: Array, other: Array | None) -> Array:
        """The sum over the first axis of an array, or of the product of two."""
        return (array if other is None else array * other).sum(0)

    def scaled(self, factor: Array, block: Array) -> Array:
        """factor · block_r for all r, (*S) and (n, *T)."""
        return factor * block


_KNOWN: dict[str, Arrays] = {"numpy": Arrays()}


def register(package: str, arrays: Arrays) -> None:
    """Let the algebras use the arrays whose types are defined in a package."""
    _KNOWN[package] = arrays


def of(array: Array) -> Arrays:
    """The operations on arrays of this type.

    Raises:
        TypeError: it is not an array of numpy or of a backend that has been imported.
    """
    return _of_type(type(array))


@cache
def _of_type(kind: type) -> Arrays:
    for package in (base.__module__.partition(".")[0] for base in kind.__mro__):
        if package in _KNOWN:
            return _KNOWN[package]
    raise TypeError(
        f"{kind.__module__}.{kind.__qualname__} is not an array of numpy or of an imported backend; "
        "import jetbench.torch or jetbench.jax first."
    )


def like(values: np.ndarray, array: Array) -> Array:
    """`values` as a constant of the framework, type and device of `array`."""
    return of(array).like(values, array)


def summed(array: Array, other: Array | None = None) -> Array:
    """The sum over the first axis of an array, or of the product of two."""
    return of(array).summed(array, other)


def scaled(factor: Array, block: Array) -> Array:
    """factor · block_r for all r, (*S) and (n, *T)."""
    return of(block).scaled(factor, block)


def stack(arrays: Sequence[Array]) -> Array:
    """The arrays along a new first axis."""
    return of(arrays[0]).namespace.stack(arrays)


def concatenate(arrays: Sequence[Array]) -> Array:
    """The arrays one after the other along their first axis."""
    return of(arrays[0]).namespace.concatenate(arrays)


def is_traced(array: Array) -> bool:
    """Whether operations on the array are being recorded by a compiler, which will fuse them."""
    return of(array).is_traced(array)


def gather(array: Array, indices: Array) -> Array:
    """The entries of the first axis at the given indices."""
    return of(array).gather(array, indices)


class Constant:
    """A numpy array for computations in any framework: real numbers take the type of the arrays they meet.

    Attributes:
        values: the array.
        is_real: whether it holds real numbers, and not indices.
        kept: copies that a framework keeps, so that nothing is copied to a device again in each call.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.is_real = values.dtype.kind == "f"
        self.listed = values.tolist()  # what compilers for torch can record
        self.kept: dict[Any, Array] = {}

    def on(self, array: Array) -> Array:
        """The constant for use with `array`."""
        return of(array).constant(self, array)
