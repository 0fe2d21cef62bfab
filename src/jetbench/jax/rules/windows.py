"""Reductions of windows, and reductions by any operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product as all_of

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, primitives

from jetbench.jax.jet import Jet, Value, algebra_of, broadcast, constant, jointly_linear, linear, primal
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule


@dataclass(frozen=True)
class Windows:
    """Where the windows of a reduction lie.

    Attributes:
        sizes, strides, window_dilation, padding, base_dilation: as `jax.lax.reduce_window` takes them, by axis.
    """

    sizes: Sequence[int]
    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    base_dilation: Sequence[int]
    window_dilation: Sequence[int]

    @classmethod
    def of(cls, params: dict) -> Windows:
        return cls(
            params["window_dimensions"],
            params["window_strides"],
            params["padding"],
            params["base_dilation"],
            params["window_dilation"],
        )

    def entries(self, x: Value, filling: Array) -> list[Value]:
        """The first entry of all windows, the second of all windows, and so on; `filling` beyond the bounds."""
        config = [
            (low, high, dilation - 1) for (low, high), dilation in zip(self.padding, self.base_dilation, strict=True)
        ]

        def padded(t: Array, number: Array) -> Array:
            return lax.pad(t, jnp.asarray(number, t.dtype), config)

        if isinstance(x, Jet):
            zeroed = linear(lambda t: padded(t, 0), Jet(x.algebra, x.primal, rest=x.rest, present=x.present))
            x = Jet(x.algebra, padded(x.primal, filling), rest=zeroed.rest, present=zeroed.present)
        else:
            x = padded(x, filling)
        return [self._entry(x, offset) for offset in all_of(*map(range, self.sizes))]

    def _entry(self, x: Value, offset: Sequence[int]) -> Value:
        starts = [place * dilation for place, dilation in zip(offset, self.window_dilation, strict=True)]
        spans = [(size - 1) * dilation for size, dilation in zip(self.sizes, self.window_dilation, strict=True)]
        stops = [start + length - span for start, length, span in zip(starts, x.shape, spans, strict=True)]

        def sliced(t: Array) -> Array:
            return lax.slice(t, starts, stops, self.strides)

        return linear(sliced, x) if isinstance(x, Jet) else sliced(x)


@rule(primitives.reduce_window_sum_p)
def window_sum(x: Jet, **params: object) -> Jet:
    return linear(lambda t: primitives.reduce_window_sum_p.bind(t, **params), x)


def _extremum(primitive: object, worst: float, better: np.ufunc) -> None:
    @rule(primitive)
    def apply(x: Jet, **params: object) -> Jet:
        """The first of the extreme entries."""
        value = primitive.bind(x.primal, **params)
        if not x.present:
            return constant(x.algebra, value)
        first, *others = Windows.of(params).entries(x, worst)
        for other in others:
            kept = better(first.primal, other.primal)
            first = jointly_linear(lambda parts, kept=kept: jnp.where(kept, *parts), [first, other])
        return Jet(x.algebra, value, rest=first.rest, present=first.present)


_extremum(primitives.reduce_window_max_p, -np.inf, jnp.greater_equal)
_extremum(primitives.reduce_window_min_p, np.inf, jnp.less_equal)


@rule(primitives.select_and_scatter_add_p)
def select_and_scatter_add(source: Value, x: Value, **params: object) -> Value:
    """The gradient of an extremum of windows: where the source goes is chosen by the primal."""

    def placed(t: Array) -> Array:
        return primitives.select_and_scatter_add_p.bind(t, primal(x), **params)

    return linear(placed, source) if isinstance(source, Jet) else placed(source)


def _fold(
    jaxpr: Jaxpr, consts: Sequence[Array], columns: Sequence[Sequence[Value]], starts: Sequence[Value]
) -> list[Value]:
    """Combines entry after entry by a function of numbers, beginning with the starts."""
    shape, algebra = columns[0][0].shape, algebra_of(*starts, *(entry for column in columns for entry in column))

    def function(*numbers: Array) -> list[Array]:
        return jax.core.eval_jaxpr(jaxpr, consts, *numbers)

    for _ in shape:
        function = jax.vmap(function)
    state: list[Value] = [broadcast(start, shape) for start in starts]
    like = [jax.ShapeDtypeStruct(shape, primal(start).dtype) for start in starts]
    closed = jax.make_jaxpr(function)(*like, *like)
    for entries in zip(*columns, strict=True):
        state = propagate(closed.jaxpr, closed.consts, [*state, *entries])
    return [value if isinstance(value, Jet) else constant(algebra, value) for value in state]


@rule(primitives.reduce_window_p)
def reduce_window(*values: Value, jaxpr: Jaxpr, consts: Sequence[Array], **params: object) -> list[Value]:
    arrays, starts = values[: len(values) // 2], values[len(values) // 2 :]
    windows = Windows.of(params)
    columns = [windows.entries(x, primal(start)) for x, start in zip(arrays, starts, strict=True)]
    return _fold(jaxpr, consts, columns, starts)


@rule(primitives.reduce_p)
def reduce(*values: Value, jaxpr: ClosedJaxpr, dimensions: Sequence[int], **params: object) -> list[Value]:
    del params
    arrays, starts = values[: len(values) // 2], values[len(values) // 2 :]
    columns = [_entries(x, tuple(dimensions)) for x in arrays]
    return _fold(jaxpr.jaxpr, jaxpr.consts, columns, starts)


def _entries(x: Value, axes: tuple[int, ...]) -> list[Value]:
    """The first entry along the axes, the second, and so on."""

    def at(place: Sequence[int]) -> Callable[[Array], Array]:
        index = dict(zip(axes, place, strict=True))
        return lambda t: t[tuple(index.get(axis, slice(None)) for axis in range(t.ndim))]

    picks = [at(place) for place in all_of(*(range(x.shape[axis]) for axis in axes))]
    return [linear(pick, x) if isinstance(x, Jet) else pick(x) for pick in picks]
