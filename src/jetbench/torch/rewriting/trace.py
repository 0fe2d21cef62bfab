"""From a function of tensors to a graph of ATen operations without changes in place."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from jetbench.torch._compat import (
    FakeTensorMode,
    OpOverload,
    TracingContext,
    compiled_parts_as_written,
    core_aten_decompositions,
    decomposition_table,
    functorch,
    tracing,
    undisturbed,
)
from jetbench.torch.rewriting import arrange, compute  # noqa: F401  their rules are registered by importing them
from jetbench.torch.rewriting.lower import LOWERINGS
from jetbench.torch.rewriting.outside import Outside

aten = torch.ops.aten
RESHAPED = {
    aten.squeeze_.default: aten.squeeze.default,
    aten.squeeze_.dim: aten.squeeze.dim,
    aten.squeeze_.dims: aten.squeeze.dims,
    aten.unsqueeze_.default: aten.unsqueeze.default,
}
NEW_ZEROS = {
    aten.zeros.default,
    aten.zeros_like.default,
    aten.new_zeros.default,
    aten._new_zeros_with_same_feature_meta.default,
}


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


@dataclass
class Traced:
    """A function as a graph of ATen operations, of which none but the last ones works in place.

    Attributes:
        module: with a placeholder for each tensor that does not come from the trace, and with operations at the end
            that copy into those that the function changes.
        outside: these tensors, the examples first, and what else is known of them.
    """

    module: fx.GraphModule
    outside: Outside


def trace(
    function: Callable[..., Sequence[object]], examples: Sequence[Tensor], known: Sequence[Tensor] = ()
) -> Traced:
    """The graph of a function from tensors to a tuple, for inputs like the examples, and for tensors known beforehand.

    Autograd records during the trace as it does around it, as the function may differentiate by itself. What works in
    place is put right in the traced graph only: the function may hold the levels of its functional transforms as
    numbers, as those from `torch.compile` do, and one more transform around it would shift them.
    """
    outside = functools.partial(Outside, (*examples, *known), functorch.peek_interpreter_stack() is not None)
    with _alone():
        try:
            traced = _recorded(function, examples, outside(), "fake")
        except RuntimeError as error:
            # PyTorch 2.11 has no type of its own for it
            if re.search("two (different )?devices", str(error)) is None:
                raise
            # adding forward mode's zeros to a number goes through the device "meta", which only real tensors can do
            with _one_fake_mode():
                traced = _recorded(function, examples, outside(), "real")
        if not _put_right(traced.module.graph):
            _make_functional(traced)
    return traced


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Outside of what is under way, with autograd as it is, and what operations do by themselves made explicit."""
    records, caches = torch.is_grad_enabled(), torch.is_autocast_cache_enabled()
    with contextlib.ExitStack() as stack:
        stack.enter_context(undisturbed())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(records))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(compiled_parts_as_written())
        torch.set_autocast_cache_enabled(False)
        stack.callback(torch.set_autocast_cache_enabled, caches)
        yield


def _recorded(function: Callable, examples: Sequence[Tensor], outside: Outside, mode: str) -> Traced:
    def run() -> tuple:
        with outside.watching():
            values = function(*outside.given(examples))
            return tuple(outside.returned(value) if isinstance(value, Tensor) else value for value in values)

    module = make_fx(run, _decompositions(), tracing_mode=mode, _allow_non_fake_inputs=mode == "fake")()
    first = next(node for node in module.graph.nodes if node.op != "placeholder")
    for node in [node for node in module.graph.nodes if node.op == "placeholder"]:
        first.prepend(node)
    module.graph.eliminate_dead_code()
    return Traced(module, outside)


def _make_functional(traced: Traced) -> None:
    """Without operations in place, but for copies into tensors from outside at the end."""
    traced.module.recompile()
    inputs = [node.meta["val"] for node in traced.module.graph.nodes if node.op == "placeholder"]
    with torch.no_grad():
        function = functionalize(traced.module, remove="mutations")
        traced.module = make_fx(function, _decompositions(), tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    traced.module.graph.eliminate_dead_code()


@contextlib.contextmanager
def _one_fake_mode() -> Iterator[None]:
    """What is noted of each value of a trace of real tensors is noted in one mode, in place of a new one for each."""
    if TracingContext.try_get() is not None:
        yield
        return
    with tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True))):
        yield


def _put_right(graph: fx.Graph) -> bool:
    """Put operations that return a new tensor for those that work in place; whether none of these is left.

    It is done for tensors that only get another shape, for new zeros that a tangent is copied to, and for a diagonal of
    new zeros that is filled, which is how `jacfwd` makes its directions, unless something else looks at them.
    """
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
            continue
        changed, value = node.args[0], node.meta.get("val")
        if not isinstance(value, Tensor) or value.is_complex():  # copying these may also carry out a conjugation
            return False
        if changed.op != "call_function" or any(position.get(user, 0) > position[node] for user in changed.users):
            return False
        if node.target in RESHAPED:
            node.target = RESHAPED[node.target]
        elif node.target is aten.copy_.default and changed.target in NEW_ZEROS and len(changed.users) == 1:
            node.target = aten.copy.default
        elif node.target is aten.fill_.Scalar and changed.target is aten.diagonal.default:
            zeros = changed.args[0]
            others = [user for user in zeros.users if user is not changed]
            if zeros.target not in NEW_ZEROS or any(position.get(user, 0) < position[node] for user in others):
                return False
            node.target = aten.full_like.default
            with graph.inserting_after(node):
                filled = graph.call_function(aten.diagonal_scatter.default, (zeros, node, *changed.args[1:]))
            filled.meta["val"] = zeros.meta["val"]
            for user in others:
                user.replace_input_with(zeros, filled)
        else:
            return False
    return True
