"""Folding of symbolic zeros in traced programs.

Forward-mode AD starts from zeros without storage (`aten._efficientzerotensor`), which PyTorch skips when it runs
eagerly. A traced program would read through their null pointers once compiled, or multiply matrices of zeros.
"""

from __future__ import annotations

import torch
from torch import fx

from jetbench.torch._compat import OpOverload

aten = torch.ops.aten

_SOURCES = {aten._efficientzerotensor.default, aten.zeros.default, aten.zeros_like.default}
# zero where their first argument is
_LINEAR = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.t.default,
    aten.transpose.int,
    aten.permute.default,
    aten.expand.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.alias.default,
    aten.clone.default,
    aten.neg.default,
    aten.sum.dim_IntList,
    aten.sum.default,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.tanh_backward.default,
    aten.sigmoid_backward.default,
}
# zero where any of their arguments is
_BILINEAR = {aten.mul.Tensor, aten.mm.default, aten.bmm.default, aten.mv.default}


def fold_zeros(program: fx.GraphModule) -> None:
    """Remove what is multiplied by zero, and sums with zero, from a program of traced ATen operations."""
    graph = program.graph
    zeros: set[fx.Node] = set()
    written = _written(graph)
    for node in list(graph.nodes):
        if node in written:
            continue
        if node.op != "call_function" or not isinstance(node.meta.get("val"), torch.Tensor):
            continue
        tensors = [argument for argument in node.args if isinstance(argument, fx.Node)]
        if (
            node.target in _SOURCES
            or (node.target in _LINEAR and node.args[0] in zeros)
            or (node.target in _BILINEAR and any(argument in zeros for argument in tensors))
        ):
            zeros.add(node)
        elif node.target in (aten.add.Tensor, aten.sub.Tensor) and len(tensors) == 2:
            _fold_sum(node, zeros)
    for node in zeros:
        if any(user not in zeros for user in node.users):
            _materialize(graph, node)
    graph.eliminate_dead_code()
    program.recompile()


def _written(graph: fx.Graph) -> set[fx.Node]:
    """Values that an operation in place changes, directly or through a view of them."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if isinstance(node.target, OpOverload) and node.target._schema.is_mutable:
            target = node.args[0]
            while isinstance(target, fx.Node) and target not in found:
                found.add(target)
                target = target.args[0] if target.op == "call_function" and target.args else None
    return found


def _fold_sum(node: fx.Node, zeros: set[fx.Node]) -> None:
    left, right = node.args
    if left in zeros and right in zeros:
        zeros.add(node)
    elif right in zeros and _alike(left, node):
        node.replace_all_uses_with(left)
    elif left in zeros and node.target is aten.add.Tensor and not node.kwargs and _alike(right, node):
        node.replace_all_uses_with(right)


def _alike(one: fx.Node, other: fx.Node) -> bool:
    """Whether two values have the same shape and type."""
    return one.meta["val"].shape == other.meta["val"].shape and one.meta["val"].dtype == other.meta["val"].dtype


def _materialize(graph: fx.Graph, node: fx.Node) -> None:
    """Real zeros for the users of a zero that could not be folded."""
    value = node.meta["val"]
    with graph.inserting_after(node):
        zero = graph.call_function(
            aten.zeros.default, (list(value.shape),), {"dtype": value.dtype, "device": value.device}
        )
        zero.meta["val"] = value
    node.replace_all_uses_with(zero)
