"""From the neutral form back to a graph of ATen operations."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Sequence
from math import prod

import torch
from torch import fx

from jetbench.collapse.contraction import is_matrix_product, runs, summing_order
from jetbench.collapse.graph import Node, live
from jetbench.torch.rewriting.lower import Call, Slot

aten = torch.ops.aten


class Emission:
    """Writes one graph.

    Attributes:
        module: the graph module that computes the outputs from the inputs.
    """

    def __init__(
        self,
        structure: Sequence[object],
        outputs: Sequence[Node],
        effects: Sequence[tuple[int, Node]],
        inputs: int,
        device: torch.device,
    ) -> None:
        self._graph, self._device = fx.Graph(), device
        self._root = torch.nn.Module()
        self._values: dict[Node, fx.Node] = {}
        self._placeholders = [self._graph.placeholder(f"input_{i}") for i in range(inputs)]
        for node in live([*outputs, *(value for _, value in effects)]):
            self._values[node] = getattr(self, f"_{node.op}")(node)
        replaced = iter(outputs)
        returned = tuple(self._values[next(replaced)] if isinstance(value, Node) else value for value in structure)
        for position, value in effects:
            self._do(
                aten.copy_.default, self._placeholders[position], self._do(aten.detach.default, self._values[value])
            )
        self._graph.output(returned)
        self._graph.eliminate_dead_code()
        self.module = fx.GraphModule(self._root, self._graph)

    def _do(self, operation: object, *args: object, **kwargs: object) -> fx.Node:
        return self._graph.call_function(operation, args, kwargs)

    def _operands(self, node: Node) -> list[fx.Node]:
        return [self._values[operand] for operand in node.operands]

    def _input(self, node: Node) -> fx.Node:
        return self._placeholders[node.payload]

    def _constant(self, node: Node) -> fx.Node:
        if isinstance(node.payload, int):
            return self._placeholders[node.payload]
        name = f"tensor_{node.index}"
        if isinstance(node.payload, torch.nn.Parameter):
            self._root.register_parameter(name, node.payload)
        else:
            self._root.register_buffer(name, node.payload, persistent=False)
        return self._graph.get_attr(name)

    def _fill(self, node: Node) -> fx.Node:
        return self._do(aten.full.default, [], node.attributes[0], dtype=_dtype(node), device=self._device)

    def _identity(self, node: Node) -> fx.Node:
        return self._do(aten.eye.default, node.shape[0], dtype=_dtype(node), device=self._device)

    def _diagonal(self, node: Node) -> fx.Node:
        """Pair by pair; what ATen puts last goes to the place of the first of both axes."""
        x, labels = self._values[node.operands[0]], list(node.attributes[0])
        while (second := next((a for a, label in enumerate(labels) if label in labels[:a]), None)) is not None:
            first = labels.index(labels.pop(second))
            x = self._do(aten.diagonal.default, x, 0, first, second)
            last = len(labels) - 1
            if first != last:
                x = self._do(aten.permute.default, x, [*range(first), last, *range(first, last)])
        return x

    def _view(self, node: Node) -> fx.Node:
        (x,), (axes,) = node.operands, node.attributes
        if x.op == "fill":
            value = x.attributes[0]
            return self._do(aten.full.default, list(node.shape), value, dtype=_dtype(node), device=self._device)
        return self._viewed(self._values[x], x.shape, axes, node.shape)

    def _viewed(self, x: fx.Node, old: Sequence[int], axes: Sequence[int | None], shape: Sequence[int]) -> fx.Node:
        kept = [a for a in axes if a is not None]
        dropped = [a for a in range(len(old)) if a not in kept]
        if dropped:
            x = self._do(aten.squeeze.dims, x, dropped)
        order = [sorted(kept).index(a) for a in kept]
        if order != sorted(order):
            x = self._do(aten.permute.default, x, order)
        for i, a in enumerate(axes):
            if a is None:
                x = self._do(aten.unsqueeze.default, x, i)
        if any(a is None and n != 1 for a, n in zip(axes, shape, strict=True)):
            x = self._do(aten.expand.default, x, list(shape))
        return x

    def _reshaped(self, node: Node) -> fx.Node:
        return self._do(aten.reshape.default, self._values[node.operands[0]], list(node.shape))

    _split = _merge = _reshape = _reshaped

    def _scale(self, node: Node) -> fx.Node:
        (x,), (factor,) = self._operands(node), node.attributes
        return self._do(aten.neg.default, x) if factor == -1 else self._do(aten.mul.Tensor, x, factor)

    def _combine(self, node: Node) -> fx.Node:
        (x, y), (x_factor, y_factor) = node.operands, node.attributes
        for constant, factor, other, other_factor in ((x, x_factor, y, y_factor), (y, y_factor, x, x_factor)):
            core = constant.operands[0] if constant.op == "view" else constant
            if core.op == "fill":
                return self._shifted(self._values[other], other_factor, factor * core.attributes[0])
        left, right = self._values[x], self._values[y]
        if x_factor != 1 and y_factor == 1:
            left, right, x_factor, y_factor = right, left, y_factor, x_factor
        if x_factor != 1:
            left = self._do(aten.mul.Tensor, left, x_factor)
        if y_factor == 1:
            return self._do(aten.add.Tensor, left, right)
        if y_factor == -1:
            return self._do(aten.sub.Tensor, left, right)
        return self._do(aten.add.Tensor, left, right, alpha=y_factor)

    def _shifted(self, x: fx.Node, factor: float, number: float) -> fx.Node:
        if factor == -1:
            return self._do(aten.rsub.Scalar, x, number)
        x = x if factor == 1 else self._do(aten.mul.Tensor, x, factor)
        return self._do(aten.add.Tensor, x, number)

    def _product(self, node: Node) -> fx.Node:
        """As an elementwise product, one that is summed, or a matrix product with the axes of each kind merged."""
        (x, y), (x_labels, y_labels, n_out) = node.operands, node.attributes
        left, right = self._operands(node)
        sizes = dict(zip((*x_labels, *y_labels), (*x.shape, *y.shape), strict=True))
        contracted = [label for label in x_labels if label >= n_out]
        if not contracted:
            order = range(n_out)
            return self._do(
                aten.mul.Tensor, self._with_axes(left, x_labels, order), self._with_axes(right, y_labels, order)
            )
        if not is_matrix_product(node):
            order = summing_order(node)
            left, right = self._with_axes(left, x_labels, order), self._with_axes(right, y_labels, order)
            axes = [i for i, label in enumerate(order) if label >= n_out]
            return self._do(aten.sum.dim_IntList, self._do(aten.mul.Tensor, left, right), axes)
        both = [label for label in x_labels if label in y_labels and label < n_out]
        x_free = [label for label in x_labels if label < n_out and label not in both]
        y_free = [label for label in y_labels if label < n_out and label not in both]
        left = self._matrix(left, x_labels, (both, x_free, contracted), sizes, flat=not both)
        right = self._matrix(right, y_labels, (both, contracted, y_free), sizes, flat=not both)
        operation = aten.bmm.default if both else aten.mm.default
        result = self._do(operation, left, right)
        if len(x_free) == len(y_free) == 1 and len(both) < 2:
            return result
        return self._do(aten.reshape.default, result, [sizes[label] for label in range(n_out)])

    def _matrix(self, x: fx.Node, labels: Sequence[int], groups: tuple, sizes: dict, flat: bool) -> fx.Node:
        order = [labels.index(label) for group in groups for label in group]
        if order != sorted(order):
            x = self._do(aten.permute.default, x, order)
        shape = [prod(sizes[label] for label in group) for group in (groups[1:] if flat else groups)]
        if shape == [sizes[label] for group in groups for label in group]:
            return x
        return self._do(aten.reshape.default, x, shape)

    def _with_axes(self, x: fx.Node, labels: Sequence[int], order: Sequence[int]) -> fx.Node:
        """Axes in the given order, with axes of length 1 where x has none."""
        axes = [labels.index(label) if label in labels else None for label in order]
        present = [a for a in axes if a is not None]
        if present != sorted(present):
            x = self._do(aten.permute.default, x, present)
        missing = next((i for i, a in enumerate(axes) if a is not None), len(axes))  # leading ones broadcast anyway
        for i, a in enumerate(axes[missing:]):
            if a is None:
                x = self._do(aten.unsqueeze.default, x, i)
        return x

    def _reduce(self, node: Node) -> fx.Node:
        return self._do(aten.sum.dim_IntList, self._values[node.operands[0]], list(node.attributes[0]))

    def _weigh(self, node: Node) -> fx.Node:
        (axis, weights), x, total = node.attributes, self._values[node.operands[0]], None
        for weight, start, stop in runs(weights):
            if stop == start + 1:
                term = self._do(aten.select.int, x, axis, start)
            else:
                term = self._do(aten.sum.dim_IntList, self._do(aten.slice.Tensor, x, axis, start, stop), [axis])
            if total is None:
                total = term if weight == 1 else self._do(aten.mul.Tensor, term, weight)
            else:
                total = self._do(aten.add.Tensor, total, term, alpha=weight)
        return total

    def _map(self, node: Node) -> fx.Node:
        return self._called(node.payload, self._operands(node))

    def _along(self, node: Node) -> fx.Node:
        (kind, axis, static, _), values = node.attributes, self._operands(node)
        match kind:
            case "slice":
                return self._do(aten.slice.Tensor, values[0], axis, *static)
            case "concatenate":
                return self._do(aten.cat.default, values, axis)
            case "pad":
                widths = [0, 0] * (node.ndim - 1 - axis) + list(static)
                return self._do(aten.constant_pad_nd.default, values[0], widths)
            case "gather":
                return self._do(aten.index.Tensor, values[0], [None] * axis + [values[1]])
            case "flip":
                return self._do(aten.flip.default, values[0], [axis])
        return self._do(aten.cumsum.default, values[0], axis)

    def _opaque(self, node: Node) -> fx.Node:
        return self._called(node.payload, self._operands(node))

    def _part(self, node: Node) -> fx.Node:
        return self._do(python_operator.getitem, self._values[node.operands[0]], node.attributes[0])

    def _called(self, call: Call, operands: Sequence[fx.Node]) -> fx.Node:
        def filled(value: object) -> object:
            if isinstance(value, Slot):
                return operands[value.index]
            if isinstance(value, (list, tuple)):
                return type(value)(filled(item) for item in value)
            return value

        kwargs = {key: filled(value) for key, value in call.kwargs.items()}
        return self._graph.call_function(call.target, filled(call.args), kwargs)


def _dtype(node: Node) -> torch.dtype:
    return getattr(torch, node.dtype)
