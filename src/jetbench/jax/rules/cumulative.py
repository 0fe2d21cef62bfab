"""Cumulative sums, products and extrema along an axis."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.algebra.derivatives import Tower
from jetbench.jax.jet import Jet, add, elementwise, jointly_linear, linear, times
from jetbench.jax.registry import rule
from jetbench.jax.rules.elementwise import logistic
from jetbench.jax.rules.piecewise import maximum, minimum


@rule(primitives.cumsum_p)
def cumsum(x: Jet, *, axis: int, reverse: bool) -> Jet:
    return linear(lambda t: lax.cumsum(t, axis, reverse), x, lambda t: lax.cumsum(t, axis + 1, reverse))


def log_add_exp(a: Jet, b: Jet) -> Jet:
    """log(e^a + e^b) = m + log(1 + e^d) with the larger of the two m and their difference d ≤ 0; two infinities are
    equal."""
    first = a.primal >= b.primal

    def choose(largest: bool) -> Jet:
        return jointly_linear(lambda parts: jnp.where(first == largest, *parts), [a, b])

    larger = choose(True)
    difference = add(choose(False), larger, -1)
    known = jnp.where(jnp.isneginf(larger.primal), 0, difference.primal)
    difference = Jet(a.algebra, known, rest=difference.rest, present=difference.present)
    return add(larger, elementwise(softplus, difference))


def softplus(u: Array, order: int) -> Tower:
    """log(1 + e^u) for u ≤ 0, with φ' = σ(u)."""
    return [jnp.log1p(jnp.exp(u)), *(logistic(u, order - 1) if order else [])]


def _cumulative(primitive: object, combine: Callable[[Jet, Jet], Jet]) -> None:
    @rule(primitive)
    def apply(x: Jet, *, axis: int, reverse: bool) -> Jet:
        """Each entry is combined with those 1, 2, 4, … places before it, which is right for zero entries too."""
        width, shift = x.shape[axis], 1

        def part(jet: Jet, start: int, stop: int) -> Jet:
            return linear(lambda t: lax.slice_in_dim(t, start, stop, axis=axis), jet)

        while shift < width:
            ends, others = (part(x, 0, width - shift), part(x, shift, width))
            done = part(x, width - shift, width) if reverse else part(x, 0, shift)
            combined = combine(ends, others)
            parts = [combined, done] if reverse else [done, combined]
            x = jointly_linear(lambda arrays: lax.concatenate(arrays, axis), parts)
            shift *= 2
        return x


_cumulative(primitives.cumprod_p, times)
_cumulative(primitives.cumlogsumexp_p, log_add_exp)
_cumulative(primitives.cummax_p, maximum)
_cumulative(primitives.cummin_p, minimum)
