"""Primitives whose result has no derivative in x: comparisons, rounding, bits, positions."""

from __future__ import annotations

from jax.extend.core import Primitive, primitives

from jetbench.jax.jet import Value, primal
from jetbench.jax.registry import rule


def _constant(primitive: Primitive) -> None:
    @rule(primitive)
    def apply(*values: Value, **params: object) -> object:
        return primitive.bind(*(primal(value) for value in values), **params)


for _primitive in (
    primitives.eq_p,
    primitives.ne_p,
    primitives.lt_p,
    primitives.le_p,
    primitives.gt_p,
    primitives.ge_p,
    primitives.eq_to_p,
    primitives.lt_to_p,
    primitives.le_to_p,
    primitives.floor_p,
    primitives.ceil_p,
    primitives.round_p,
    primitives.is_finite_p,
    primitives.nextafter_p,
    primitives.stop_gradient_p,
    primitives.argmax_p,
    primitives.argmin_p,
    primitives.bitcast_convert_type_p,
    primitives.reduce_and_p,
    primitives.reduce_or_p,
    primitives.random_seed_p,
):
    _constant(_primitive)
