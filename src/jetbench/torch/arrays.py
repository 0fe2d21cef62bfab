"""Tensors for the algebras: what PyTorch names differently from numpy."""

from __future__ import annotations

import numpy as np
import torch
import torch.func
from torch import Tensor

from jetbench.algebra.arrays import Arrays, Constant
from jetbench.torch._compat import FakeTensor, is_wrapped


class TorchArrays(Arrays):
    """Operations on tensors."""

    kind, namespace, transforms = Tensor, torch, torch.func

    def like(self, values: Tensor | np.ndarray, array: Tensor) -> Tensor:
        if isinstance(values, Tensor):
            return values.to(dtype=array.dtype, device=array.device)
        return torch.tensor(values, dtype=array.dtype, device=array.device)

    def is_traced(self, array: Tensor) -> bool:
        return torch.compiler.is_compiling() or isinstance(array, FakeTensor)

    def gather(self, array: Tensor, indices: Tensor) -> Tensor:
        return array.index_select(0, indices)  # several times as fast as general indexing, its gradient as well

    def copied(self, array: Tensor) -> Tensor:
        return array.clone(memory_format=torch.contiguous_format)

    def typed(self, array: Tensor, like: Tensor) -> Tensor:
        return array.to(like.dtype)

    def first_axis_last(self, array: Tensor) -> Tensor:
        return array.movedim(0, -1)

    def identity(self, n: int, array: Tensor) -> Tensor:
        return torch.eye(n, dtype=array.dtype, device=array.device)

    def constant(self, constant: Constant, array: Tensor) -> Tensor:
        """A copy that is kept for each device and type, so that nothing is copied to the device again in each call.

        It is not kept while a compiler records, or for special kinds of tensors: theirs must not outlive the recording.
        """
        is_plain = type(array) in (Tensor, torch.nn.Parameter)
        if self.is_traced(array) or not is_plain or torch.is_inference_mode_enabled():
            return _converted(constant, array)
        key = (array.device, array.dtype)
        if key not in constant.kept:
            made = _converted(constant, array)  # a special tensor where a mode or a transformation is under way
            if type(made) is not Tensor or is_wrapped(made):
                return made
            constant.kept[key] = made
        return constant.kept[key]


def _converted(constant: Constant, array: Tensor) -> Tensor:
    dtype = array.dtype if constant.is_real else torch.long
    return torch.tensor(constant.listed, dtype=dtype, device=array.device)
