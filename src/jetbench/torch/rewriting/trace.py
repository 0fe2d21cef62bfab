"""From a function of tensors to a graph of ATen operations without changes in place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, decomposition_table
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from jetbench.torch.capture import undisturbed
from jetbench.torch.rewriting import arrange, compute  # noqa: F401  their rules are registered by importing them
from jetbench.torch.rewriting.lower import LOWERINGS


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer norm with its mean and inverse deviation, in the sums that its derivatives consist of too."""
    axes = list(range(x.ndim - len(shape), x.ndim))
    mean = x.mean(axes, keepdim=True)
    centered = x - mean
    rstd = torch.rsqrt((centered * centered).mean(axes, keepdim=True) + eps)
    result = centered * rstd
    result = result if weight is None else result * weight
    return (result if bias is None else result + bias), mean, rstd


@functools.cache
def _decompositions() -> dict:
    """PyTorch's own decompositions of everything that has no lowering."""
    table = {**decomposition_table, **core_aten_decompositions()}
    own = {torch.ops.aten.native_layer_norm.default: _layer_norm}
    return own | {
        operation: function
        for operation, function in table.items()
        if operation not in LOWERINGS
        and not (isinstance(operation, OpOverload) and operation._schema.is_mutable)
        and operation not in own
        and not function.__module__.startswith("torch._refs")
    }


def trace(function: Callable[..., Sequence[Tensor]], examples: Sequence[Tensor]) -> fx.GraphModule:
    """The graph of a function from tensors to a tuple of tensors, for inputs like the examples.

    What works in place is put right in the traced graph only: the function may hold the levels of its functional
    transforms as numbers, as those from `torch.compile` do, and one more transform around it would shift them.
    """
    with undisturbed(), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        examples = [torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=t.device) for t in examples]

        def run(function: Callable) -> fx.GraphModule:
            table = _decompositions()
            try:
                found = make_fx(function, table, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
            except FakeTensorDeviceMismatchError:
                # adding forward mode's zeros to a number goes through the device "meta", which only real tensors can do
                found = make_fx(function, table, tracing_mode="real")(*examples)
            found.graph.eliminate_dead_code()
            return found

        module = run(function)
        changes = [n for n in module.graph.nodes if isinstance(n.target, OpOverload) and n.target._schema.is_mutable]
        if all(map(_fills_new_memory, changes)):
            for node in changes:
                node.replace_all_uses_with(node.args[1])
                module.graph.erase_node(node)
            module.graph.eliminate_dead_code()
        else:
            module = run(functionalize(module, remove="mutations"))
    return module


def _fills_new_memory(node: fx.Node) -> bool:
    """Whether a change in place only copies a tensor to memory of its own, as forward mode does with tangents.

    Copying complex numbers may also carry out a conjugation, so they are left to be copied.
    """
    if node.target is not torch.ops.aten.copy_.default:
        return False
    memory, source = node.args
    new = memory.target is torch.ops.aten._new_zeros_with_same_feature_meta.default and len(memory.users) == 1
    found, given = node.meta["val"], source.meta["val"]
    same = (found.shape, found.dtype, found.device) == (given.shape, given.dtype, given.device)
    return new and same and not found.is_complex()
