"""From a graph of ATen operations to the neutral form. Rules for single operations lie in `arrange` and `compute`.

An operation without a rule, or one that its rule cannot do with these arguments, becomes an opaque node.
"""

from __future__ import annotations

import operator as python_operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from jetbench.collapse.build import Builder
from jetbench.collapse.graph import Node, is_inexact
from jetbench.collapse.ops import CUT
from jetbench.torch._compat import OpOverload

Rule = Callable[..., Node | None]
LOWERINGS: dict[OpOverload, Rule] = {}


@dataclass(frozen=True)
class Slot:
    """The place of an operand in the arguments of an operation."""

    index: int


@dataclass(frozen=True)
class Call:
    """An ATen operation with its arguments, operands replaced by slots."""

    target: Callable
    args: tuple
    kwargs: dict


def lowering(*operations: OpOverload) -> Callable[[Rule], Rule]:
    """Register a rule: it gets the lowering, the traced value of the result, and the operation's arguments."""

    def register(function: Rule) -> Rule:
        for operation in operations:
            LOWERINGS[operation] = function
        return function

    return register


def unrecorded(x: Tensor) -> Tensor:
    """x as autograd takes it under `torch.no_grad`: without a derivative, but for that of forward mode."""
    with torch.no_grad():
        return x.view_as(x)


def dtype_name(dtype: torch.dtype) -> str:
    """The neutral name of a type, as "float32"."""
    return str(dtype).removeprefix("torch.")


class Lowering:
    """Reads one traced graph.

    Attributes:
        builder: makes the neutral nodes.
        device: of the inputs.
        effects: the numbers of placeholders that get a new value, each with that value.
        outputs: the neutral values of the outputs that are tensors.
        structure: what the function returns, with neutral values in place of tensors.
    """

    def __init__(self, module: fx.GraphModule, device: torch.device, arguments: int) -> None:
        self.builder, self.device = Builder(), device
        self.effects: list[tuple[int, Node]] = []
        self._module = module
        self._values: dict[fx.Node, object] = {}
        self._tokens = 0
        self.structure: tuple = ()
        position = 0
        for node in module.graph.nodes:
            if node.op == "placeholder":
                kind = "input" if position < arguments else "constant"  # as parameters and tables are
                self._values[node] = self._source(kind, (position, None), node.meta["val"], position)
                position += 1
            elif node.op == "get_attr":
                tensor = getattr(module, node.target)
                self._values[node] = self._constant(tensor, None)
            elif node.op == "output":
                self.structure = tuple(fx.map_arg(node.args[0], self._values.__getitem__))
            else:
                self._values[node] = self._call(node)
        self.outputs = tuple(value for value in self.structure if isinstance(value, Node))

    def _source(self, op: str, key: object, value: Tensor, payload: object) -> Node:
        key = key[:1] if op == "input" else key
        return self.builder.graph.make(op, (), key, value.shape, dtype_name(value.dtype), payload)

    def _constant(self, tensor: Tensor, numbers: tuple[float, ...] | None) -> Node:
        return self._source("constant", (id(tensor), numbers), tensor, tensor)

    def fixed(self, x: Node) -> Node:
        """A constant that the function makes itself, so that its numbers are known; only vectors are looked at."""
        if x.op != "constant" or x.ndim != 1 or isinstance(x.payload, int) or not x.payload.is_floating_point():
            return x
        return self._constant(x.payload, tuple(x.payload.tolist()))

    def _call(self, node: fx.Node) -> object:
        args = fx.map_arg(node.args, self._values.__getitem__)
        kwargs = fx.map_arg(node.kwargs, self._values.__getitem__)
        value = node.meta.get("val")
        if node.target is python_operator.getitem:
            return args[0][args[1]]
        if node.target is torch.ops.aten.copy_.default and node.args[0].op == "placeholder":
            self.effects.append((args[0].payload, args[1]))
            return args[1]
        if node.target is torch.ops.aten.expand.default and node.kwargs.get("implicit"):
            detaches = node.args[0].target is torch.ops.aten.detach.default
            return self._cut(torch.ops.aten.detach.default if detaches else unrecorded, args[0])
        if node.target is torch.ops.aten._to_copy.default and self._device_of(node.args[0]) != value.device:
            return self._moved(args[0], value) or self.opaque(node.target, value, args, kwargs)
        rule = LOWERINGS.get(node.target)
        if rule is not None:
            found = rule(self, value, *args, **kwargs)
            if found is not None:
                return found
        return self.opaque(node.target, value, args, kwargs)

    def _cut(self, function: Callable, x: Node) -> Node:
        """The same numbers without a derivative; see `jetbench.torch.rewriting.outside`."""
        call, operands = self.call(function, (x,), {})
        static = (function.__name__,)
        return self.builder.map(CUT, operands, x.dtype, static, (0,), call) if is_inexact(x.dtype) else x

    def _device_of(self, node: fx.Node) -> torch.device:
        tensor = getattr(self._module, node.target) if node.op == "get_attr" else node.meta["val"]
        return tensor.device

    def _moved(self, x: Node, value: Tensor) -> Node | None:
        """A constant of the function itself, copied to another device once and for all; None for all else."""
        if x.op != "constant" or isinstance(x.payload, int):
            return None
        _, numbers = x.attributes
        return self._constant(x.payload.to(value.device, value.dtype), numbers)

    def opaque(self, target: Callable, value: object, args: tuple, kwargs: dict) -> object:
        """A node for an operation that nothing is known of."""
        call, operands = self.call(target, args, kwargs)
        repeatable = isinstance(target, OpOverload) and torch.Tag.nondeterministic_seeded not in target.tags
        if not repeatable or (isinstance(target, OpOverload) and target._schema.is_mutable):
            self._tokens += 1
        key = (str(target), repr((call.args, call.kwargs)), 0 if repeatable else self._tokens)
        make = self.builder.graph.make
        if isinstance(value, Tensor):
            return make("opaque", operands, key, value.shape, dtype_name(value.dtype), call)
        whole = make("opaque", operands, key, (), "several", call)
        parts = []
        for i, part in enumerate(value if isinstance(value, (tuple, list)) else ()):
            if isinstance(part, Tensor):
                parts.append(make("part", (whole,), (i,), part.shape, dtype_name(part.dtype)))
            else:
                parts.append(None)
        return tuple(parts)

    def call(self, target: Callable, args: Sequence, kwargs: dict) -> tuple[Call, list[Node]]:
        """An operation and its operands in the order of the slots."""
        operands: list[Node] = []

        def slotted(value: object) -> object:
            if isinstance(value, Node):
                operands.append(value)
                return Slot(len(operands) - 1)
            if isinstance(value, (list, tuple)):
                return type(value)(slotted(item) for item in value)
            return value

        args = tuple(slotted(value) for value in args)
        return Call(target, args, {key: slotted(value) for key, value in kwargs.items()}), operands

    def mapped(
        self, target: Callable, value: Tensor, args: Sequence, kwargs: dict | None = None, linear: tuple[int, ...] = ()
    ) -> Node:
        """An operation that works entry by entry, its operands broadcast to the shape of the result.

        `linear` counts tensors among the arguments.
        """
        broadcast = [self.builder.broadcast(a, value.shape) if isinstance(a, Node) else a for a in args]
        call, operands = self.call(target, broadcast, kwargs or {})
        static = (repr((call.args, call.kwargs)),)
        return self.builder.map(str(target), operands, dtype_name(value.dtype), static, linear, call)
