"""Right values, without any code of jetbench: nested `jax.grad` or `jax.jvp` of the network called plainly."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from fuzz.interpolation import stencil
from fuzz.program import Terms


class Reference:
    """x ↦ Σ c ∂^α net(x): each derivative is a gradient of a sum over rows, or a product with a unit vector."""

    def __init__(self, net: Callable[[Array], Array], outputs: tuple[Terms, ...], is_reverse: bool) -> None:
        self.net, self.outputs, self.is_reverse = net, outputs, is_reverse

    def __call__(self, x: Array) -> Array:
        found = [sum(c * self._derivative(alpha)(x) for c, alpha in terms) for terms in self.outputs]
        return found[0] if len(found) == 1 else jnp.stack(found, -1)

    def _derivative(self, alpha: tuple[int, ...]) -> Callable[[Array], Array]:
        by = [i for i, e in enumerate(alpha) for _ in range(e)]
        if not self.is_reverse:
            return self._forward(self.net, by)

        def all_columns(x: Array) -> Array:
            values = self.net(x)
            columns = range(values.reshape(*x.shape[:-1], -1).shape[-1])
            return jnp.stack([self._reverse(column, by)(x) for column in columns], -1).reshape(values.shape)

        return all_columns

    def _forward(self, function: Callable, by: list[int]) -> Callable:
        for i in by:
            function = _along(function, i)
        return function

    def _reverse(self, column: int, by: list[int]) -> Callable:
        def function(x: Array) -> Array:
            return self.net(x).reshape(*x.shape[:-1], -1)[..., column]

        for i in by:
            function = _slope(function, i)
        return function


def _along(function: Callable, i: int) -> Callable:
    return lambda x: jax.jvp(function, (x,), (jnp.zeros_like(x).at[..., i].set(1.0),))[1]


def _slope(function: Callable, i: int) -> Callable:
    return lambda x: jax.grad(lambda points: function(points).sum())(x)[..., i]


class FromValues:
    """x ↦ Σ c ∂^α net(x) from values of net around x alone."""

    def __init__(self, net: Callable[[Array], Array], outputs: tuple[Terms, ...], scheme: tuple[int, float]) -> None:
        self.net, self.outputs, self.scheme = net, outputs, scheme

    def __call__(self, x: Array) -> Array:
        found = [sum(c * self._derivative(x, alpha) for c, alpha in terms) for terms in self.outputs]
        return found[0] if len(found) == 1 else jnp.stack(found, -1)

    def _derivative(self, x: Array, alpha: tuple[int, ...]) -> Array:
        shifts, weights = stencil(alpha, self.scheme)
        values = self.net((x.reshape(-1, 1, x.shape[-1]) + shifts).reshape(-1, x.shape[-1]))
        columns = jnp.einsum("nsc,s->nc", values.reshape(-1, len(weights), values[0].size), weights)
        return columns.reshape(*x.shape[:-1], *values.shape[1:])
