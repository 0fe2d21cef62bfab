"""From the neutral form back to JAX: nodes are computed with its primitives, so that all transformations apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jetbench.algebra.arrays import scaled, summed
from jetbench.collapse.contraction import is_matrix_product, runs, summing_order
from jetbench.collapse.graph import Node, live
from jetbench.jax.propagate import bind
from jetbench.jax.rewriting.lower import LOWERINGS, Call
from jetbench.jax.rewriting.precision import Precisions
from jetbench.jax.varying import made_varying


class Evaluation:
    """Computes outputs from inputs.

    Attributes:
        outputs: the nodes that are wanted.
        precisions: of matrix products.
    """

    def __init__(self, outputs: Sequence[Node], precisions: Precisions) -> None:
        self.outputs, self.precisions = tuple(outputs), precisions
        self._nodes = live(outputs)

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        values: dict[Node, Any] = {}
        for node in self._nodes:
            if node.op == "input":
                values[node] = inputs[node.payload]
            else:
                values[node] = getattr(self, f"_{node.op}")(node, *[values[operand] for operand in node.operands])
        return [values[node] for node in self.outputs]

    def _constant(self, node: Node) -> Any:
        return node.payload

    def _fill(self, node: Node) -> jax.Array:
        return jnp.full((), node.attributes[0], node.dtype)

    def _view(self, node: Node, x: jax.Array) -> jax.Array:
        (axes,) = node.attributes
        kept = [a for a in axes if a is not None]
        x = lax.squeeze(x, [a for a in range(x.ndim) if a not in kept])
        x = lax.transpose(x, [sorted(kept).index(a) for a in kept])
        return lax.broadcast_in_dim(x, node.shape, [i for i, a in enumerate(axes) if a is not None])

    def _reshaped(self, node: Node, x: jax.Array) -> jax.Array:
        return lax.reshape(x, node.shape)

    _split = _merge = _reshape = _reshaped

    def _identity(self, node: Node) -> jax.Array:
        return jnp.eye(node.shape[0], dtype=node.dtype)

    def _diagonal(self, node: Node, x: jax.Array) -> jax.Array:
        """Pair by pair; what `jnp.diagonal` puts last goes to the place of the first of both axes."""
        labels = list(node.attributes[0])
        while (second := next((a for a, label in enumerate(labels) if label in labels[:a]), None)) is not None:
            first = labels.index(labels.pop(second))
            x = jnp.moveaxis(jnp.diagonal(x, axis1=first, axis2=second), -1, first)
        return x

    def _scale(self, node: Node, x: jax.Array) -> jax.Array:
        return _times(x, node.attributes[0])

    def _combine(self, node: Node, x: jax.Array, y: jax.Array) -> jax.Array:
        x_factor, y_factor = node.attributes
        if y_factor == -1:
            return _times(x, x_factor) - y
        if x_factor == -1:
            return _times(y, y_factor) - x
        return _times(x, x_factor) + _times(y, y_factor)

    def _product(self, node: Node, x: jax.Array, y: jax.Array) -> jax.Array:
        x_labels, y_labels, n_out = node.attributes
        contracted = [label for label in x_labels if label >= n_out]
        if not contracted:
            for mask, (axes, other, labels) in zip(
                node.operands, ((x_labels, y, y_labels), (y_labels, x, x_labels)), strict=True
            ):
                if mask.op == "identity":  # what lies beside the diagonal may be infinite
                    chosen = _with_axes(jnp.eye(mask.shape[0], dtype=bool), axes, range(n_out))
                    return jnp.where(chosen, _with_axes(other, labels, range(n_out)), 0)
            x, y = _with_axes(x, x_labels, range(n_out)), _with_axes(y, y_labels, range(n_out))
            for block, block_labels, factor, labels in ((x, x_labels, y, y_labels), (y, y_labels, x, x_labels)):
                if 0 in block_labels and 0 not in labels and n_out > 1:
                    return scaled(factor[0], block)
            return x * y
        if not is_matrix_product(node):
            order = summing_order(node)
            x, y = _with_axes(x, x_labels, order), _with_axes(y, y_labels, order)
            summed_over = [i for i, label in enumerate(order) if label >= n_out]
            return summed(x, y) if summed_over == [0] else (x * y).sum(summed_over)
        batch = [label for label in x_labels if label in y_labels and label < n_out]
        over = [[labels.index(label) for label in contracted] for labels in (x_labels, y_labels)]
        shared = [[labels.index(label) for label in batch] for labels in (x_labels, y_labels)]
        return lax.dot_general(x, y, (tuple(over), tuple(shared)), precision=self.precisions.of(node))

    def _reduce(self, node: Node, x: jax.Array) -> jax.Array:
        return _sum(x, node.attributes[0])

    def _weigh(self, node: Node, x: jax.Array) -> jax.Array:
        axis, weights = node.attributes
        total = None
        for weight, start, stop in runs(weights):
            if stop == start + 1:
                term = lax.index_in_dim(x, start, axis, keepdims=False)
            else:
                term = _sum(lax.slice_in_dim(x, start, stop, axis=axis), (axis,))
            term = _times(term, weight)
            total = term if total is None else total + term
        return total

    def _map(self, node: Node, *operands: jax.Array) -> jax.Array:
        return _bind(node.payload, operands)

    def _along(self, node: Node, *operands: jax.Array) -> jax.Array:
        kind, axis, static, _ = node.attributes
        match kind:
            case "slice":
                start, stop, step = static
                return lax.slice_in_dim(operands[0], start, stop, step, axis)
            case "concatenate":
                return lax.concatenate(operands, axis)
            case "pad":
                widths = [(0, 0, 0)] * node.ndim
                widths[axis] = (*static, 0)
                return lax.pad(operands[0], jnp.zeros((), node.dtype), widths)
            case "flip":
                return lax.rev(operands[0], (axis,))
        return lax.cumsum(operands[0], axis, *static)

    def _solve(self, node: Node, *operands: jax.Array) -> jax.Array:
        *matrices, right = operands
        _, batch, static = node.attributes
        return node.payload(matrices, right, batch, static)

    def _opaque(self, node: Node, *operands: Any) -> Any:
        return _bind(node.payload, operands)

    def _part(self, node: Node, whole: Sequence[Any]) -> Any:
        return whole[node.attributes[0]]


def known(node: Node) -> np.ndarray | None:
    """The numbers of a value made of numbers by primitives that have rules; None for all others."""
    for n in live([node]):
        unknown = n.op == "opaque" and n.attributes[0] not in LOWERINGS
        if unknown or n.op in ("input", "part") or isinstance(n.payload, jax.core.Tracer):
            return None
    with jax.ensure_compile_time_eval():
        return np.asarray(Evaluation([node], Precisions())([])[0])


def _bind(call: Call, operands: Sequence[Any]) -> Any:
    if call.varying is not None:
        operands = [made_varying(x, axes) for x, axes in zip(operands, call.varying, strict=True)]
    return bind(call.primitive, operands, call.params)


def _sum(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """The sum over axes; over the first one, which is where directions lie, as the jets take theirs."""
    return summed(x) if tuple(axes) == (0,) else x.sum(axes)


def _times(x: jax.Array, factor: complex) -> jax.Array:
    if factor == 1:
        return x
    return -x if factor == -1 else x * jnp.asarray(factor, x.dtype)


def _with_axes(x: jax.Array, labels: Sequence[int], order: Sequence[int]) -> jax.Array:
    """Axes in the given order, with axes of length 1 where x has none."""
    x = lax.transpose(x, [labels.index(label) for label in order if label in labels])
    return lax.expand_dims(x, [i for i, label in enumerate(order) if label not in labels])
