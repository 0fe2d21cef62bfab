"""Proving from its operations alone that a network treats the rows of x as independent points.

Where the proof does not go through, `rows` runs the network on numbers. Nothing here depends on how many rows there
are but the shapes of constants, so that a network costs no runs at another batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jetbench.torch.propagate import Graph
from jetbench.torch.steps import Slot, Step

aten = torch.ops.aten
Shape = tuple[int, ...]


class _Unproven(Exception):
    """An operation may mix rows, as far as this proof goes."""


def are_apart(graph: Graph, constants: Sequence[Tensor], shape: Sequence[int]) -> bool:
    """Whether each row of the output, which begins with the leading axes of x, can only depend on that row of x.

    Args:
        graph: what the network does to x.
        constants: the tensors that are handed in.
        shape: of x.
    """
    tensors = (*constants, *graph.own)
    state = _Rows(tuple(shape[:-1]), {0: len(shape)}, {1 + i: tuple(t.shape) for i, t in enumerate(tensors)})
    try:
        for step in graph.steps:
            state.take(step)
    except _Unproven:
        return False
    return graph.output in state.ranks


class _Rows:
    """What is known of the values.

    Attributes:
        leading: the leading axes of x.
        ranks: place → number of axes of a value that begins with the leading axes and whose rows are those of x.
        shapes: place → shape of a value that does not depend on x; None where it is not known.
    """

    def __init__(self, leading: Shape, ranks: dict[int, int], shapes: dict[int, Shape | None]) -> None:
        self.leading, self.ranks, self.shapes = leading, ranks, shapes

    def take(self, step: Step) -> None:
        """Note the results of a step.

        Raises:
            _Unproven: it may mix rows.
        """
        first = next((place for place in step.results if place is not None), None)
        slots = [value.index for value in (*step.args, *step.kwargs.values()) if type(value) is Slot]
        if not step.depends:
            shape = _shape_of_constant(step, [self.shapes.get(place) for place in slots])
            self.shapes.update(dict.fromkeys((place for place in step.results if place is not None), shape))
            return
        rule = _RULES.get(step.target)
        if rule is None and torch.Tag.pointwise in step.target.tags and not step.several:
            rule = _pointwise
        if rule is None or first is None or any(type(value) is Slot for value in step.kwargs.values()):
            raise _Unproven
        rank = rule(self, *step.args, **step.kwargs)
        self.ranks.update(dict.fromkeys((place for place in step.results if place is not None), rank))

    def rank(self, value: object) -> int:
        """Of a value whose rows are those of x."""
        if type(value) is not Slot or value.index not in self.ranks:
            raise _Unproven
        return self.ranks[value.index]

    def inner(self, value: object, axis: int, more: int = 0) -> int:
        """The rank of a value, if the axis is not among its leading ones; it may be one of `more` that are added."""
        rank = self.rank(value)
        if axis % (rank + more) < len(self.leading):
            raise _Unproven
        return rank

    def constant(self, value: object) -> Shape | None:
        """The shape of a value that does not depend on x, if it is known."""
        if type(value) is not Slot or value.index not in self.shapes:
            raise _Unproven
        return self.shapes[value.index]

    def broadcast(self, value: object, rank: int) -> None:
        """Raise unless a value, put beside one of the given rank, keeps the leading axes, and rows beside rows."""
        if type(value) is not Slot:
            return
        if value.index in self.ranks:
            if self.ranks[value.index] != rank:
                raise _Unproven
            return
        shape = self.constant(value)
        if shape is None or len(shape) > rank:
            raise _Unproven
        padded = (1,) * (rank - len(shape)) + shape
        if any(n not in (1, length) for n, length in zip(padded, self.leading, strict=False)):
            raise _Unproven


def _shape_of_constant(step: Step, shapes: Sequence[Shape | None]) -> Shape | None:
    if None in shapes or not shapes:
        return None
    if step.target is aten.t.default:
        return shapes[0][::-1]
    return tuple(torch.broadcast_shapes(*shapes)) if torch.Tag.pointwise in step.target.tags else None


def _pointwise(rows: _Rows, *args: object, **_: object) -> int:
    ranks = [rows.ranks[value.index] for value in args if type(value) is Slot and value.index in rows.ranks]
    if not ranks or any(isinstance(value, (list, tuple)) for value in args):
        raise _Unproven
    for value in args:
        rows.broadcast(value, ranks[0])
    return ranks[0]


def _mm(rows: _Rows, a: object, b: object) -> int:
    rows.constant(b)
    if rows.rank(a) != 2 or len(rows.leading) != 1:
        raise _Unproven
    return 2


def _addmm(rows: _Rows, bias: object, a: object, b: object, **_: object) -> int:
    rank = _mm(rows, a, b)
    rows.broadcast(bias, rank)
    return rank


def _same(rows: _Rows, x: object, *_: object, **__: object) -> int:
    return rows.rank(x)


def _along(rows: _Rows, x: object, axis: int = 0, *_: object, **__: object) -> int:
    return rows.inner(x, axis)


def _select(rows: _Rows, x: object, axis: int, index: int) -> int:
    del index
    return rows.inner(x, axis) - 1


def _unsqueeze(rows: _Rows, x: object, axis: int) -> int:
    return rows.inner(x, axis, more=1) + 1


def _reduced(rows: _Rows, x: object, axes: Sequence[int] | None = None, keepdim: bool = False, **_: object) -> int:
    if not axes:
        raise _Unproven
    ranks = [rows.inner(x, axis) for axis in axes]
    return ranks[0] if keepdim else ranks[0] - len(axes)


def _cat(rows: _Rows, parts: Sequence[object], axis: int = 0) -> int:
    ranks = {rows.inner(part, axis) for part in parts}
    if len(ranks) != 1:
        raise _Unproven
    return ranks.pop()


_RULES: dict[Callable, Callable[..., int]] = {
    aten.mm.default: _mm,
    aten.addmm.default: _addmm,
    aten.detach.default: _same,
    aten.clone.default: _same,
    aten._to_copy.default: _same,
    aten.slice.Tensor: _along,
    aten._softmax.default: _along,
    aten._log_softmax.default: _along,
    aten.select.int: _select,
    aten.unsqueeze.default: _unsqueeze,
    aten.sum.dim_IntList: _reduced,
    aten.mean.dim: _reduced,
    aten.cat.default: _cat,
}
