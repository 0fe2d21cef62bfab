"""Constants of the algebras in the framework, type and device of the arrays they meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from jetbench.algebra.base import Array, like


def is_traced(array: Array) -> bool:
    """Whether operations on the array are being recorded by a compiler, which will fuse them."""
    package = type(array).__module__.partition(".")[0]
    if package in ("jax", "jaxlib"):
        import jax

        return isinstance(array, jax.core.Tracer)
    if package == "torch":
        import torch
        from torch._subclasses import FakeTensor

        return torch.compiler.is_compiling() or isinstance(array, FakeTensor)
    return False


class Constant:
    """A numpy array for computations in any framework: real numbers take the type of the arrays they meet.

    Copies for torch are kept, one for each device and type, so that nothing is copied to the device again in each call.
    They are not kept while a compiler records, or for special kinds of tensors: theirs must not outlive the recording.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._is_real = values.dtype.kind == "f"
        self._listed = values.tolist()  # what compilers for torch can record
        self._kept: dict[Any, Array] = {}

    def on(self, array: Array) -> Array:
        """The constant for use with `array`."""
        if isinstance(array, np.ndarray):
            return self._convert(array)
        if type(array).__module__.partition(".")[0] != "torch" or is_traced(array):
            return self._convert(array)
        import torch

        if type(array) not in (torch.Tensor, torch.nn.Parameter) or torch.is_inference_mode_enabled():
            return self._convert(array)
        key = (array.device, array.dtype)
        if key not in self._kept:
            made = self._convert(array)  # a special kind of tensor where a mode or a transformation is under way
            if type(made) is not torch.Tensor or torch._C._functorch.is_functorch_wrapped_tensor(made):
                return made
            self._kept[key] = made
        return self._kept[key]

    def _convert(self, array: Array) -> Array:
        if type(array).__module__.partition(".")[0] == "torch":
            import torch

            dtype = array.dtype if self._is_real else torch.long
            return torch.tensor(self._listed, dtype=dtype, device=array.device)
        return like(self.values, array) if self._is_real else self.values


def take(array: Array, indices: Array) -> Array:
    """The entries of the first axis at the given indices."""
    if type(array).__module__.partition(".")[0] == "torch":
        return array.index_select(0, indices)  # several times as fast as general indexing, its gradient as well
    return array[indices]
