"""Operations whose result has no derivative in x: comparisons, rounding, indices, shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from jetbench.torch._compat import pytree
from jetbench.torch.jet import Jet
from jetbench.torch.registry import rule

aten = torch.ops.aten


def _constant(operation: Callable) -> None:
    @rule(operation)
    def apply(*args: object, **kwargs: object) -> object:
        args, kwargs = pytree.tree_map_only(Jet, lambda jet: jet.primal, (args, kwargs))
        return operation(*args, **kwargs)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _constant(getattr(aten, _name).Tensor)
    _constant(getattr(aten, _name).Scalar)
for _name in ("sign", "floor", "ceil", "round", "trunc", "isnan", "isinf", "argmax", "argmin", "logical_not"):
    _constant(getattr(aten, _name).default)
for _name in ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "detach"):
    _constant(getattr(aten, _name).default)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _constant(getattr(aten, _name).Tensor)
_constant(aten.floor_divide.default)
_constant(aten.heaviside.default)
_constant(aten._new_zeros_with_same_feature_meta.default)  # of forward mode inside of the network
for _name in ("signbit", "isposinf", "isneginf", "isfinite", "isreal"):
    _constant(getattr(aten, _name).default)
for _operation in (aten.bucketize.Tensor, aten.searchsorted.Tensor):
    _constant(_operation)
_constant(aten.sym_size.int)
