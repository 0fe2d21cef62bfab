"""Matrix products: one product for all coefficients wherever one factor does not depend on x."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.jax.jet import Jet, Value, linear, multiply
from jetbench.jax.rules.registry import rule

Axes = tuple[Sequence[int], Sequence[int]]


@rule(primitives.dot_general_p)
def dot_general(a: Value, b: Value, *, dimension_numbers: tuple[Axes, Axes], **params: object) -> Value:
    def product(left: Array, right: Array) -> Array:
        return lax.dot_general(left, right, dimension_numbers, **params)

    (contracted_a, contracted_b), (batch_a, _) = dimension_numbers
    if batch_a or (isinstance(a, Jet) and isinstance(b, Jet)):
        return multiply(product, a, b)
    if isinstance(a, Jet):
        return _by_constant(lambda t: product(t, b), a, b, contracted_a, contracted_b, True, params)
    return _by_constant(lambda t: product(a, t), b, a, contracted_b, contracted_a, False, params)


def _by_constant(
    fn: Callable[[Array], Array],
    jet: Jet,
    matrix: Array,
    axes: Sequence[int],
    matrix_axes: Sequence[int],
    is_left: bool,
    params: dict,
) -> Jet:
    """A product with a constant: components are rows of one matrix product; shared coefficients are multiplied once."""
    numbers = ((tuple(axis + 1 for axis in axes), tuple(matrix_axes)), ((), ()))
    free, matrix_free = jet.ndim - len(axes), jnp.ndim(matrix) - len(matrix_axes)

    def lifted(t: Array) -> Array:
        found = lax.dot_general(t, matrix, numbers, **params)
        if is_left:
            return found
        order = (*range(1 + free, 1 + free + matrix_free), *range(1, 1 + free))
        return lax.transpose(found, (0, *order))

    if jet.whole is None and jet.present and all(jet.shared.shape[axis + 1] == jet.shape[axis] for axis in axes):
        return Jet(jet.algebra, fn(jet.primal), rest=lifted(jet.shared), present=jet.present)
    return linear(fn, jet, lifted)
