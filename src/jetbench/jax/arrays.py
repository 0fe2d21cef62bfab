"""JAX arrays for the algebras: what JAX names differently from numpy, and sums that are loops on CPU."""

from __future__ import annotations

from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jetbench.algebra.arrays import Arrays
from jetbench.jax import sums
from jetbench.jax.varying import varying_like

LOOP_SIZE = 1 << 16  # entries from which on a sum is worth a loop


class JaxArrays(Arrays):
    """Operations on JAX arrays."""

    kind, namespace, transforms = Array, jnp, jax

    def between_devices(self, constant: Array, array: Array) -> Array:
        return varying_like(constant, array)

    def is_traced(self, array: Array) -> bool:
        return isinstance(array, jax.core.Tracer)

    def row_among_zeros(self, row: Array, index: int, like: Array) -> Array:
        return jnp.zeros_like(like).at[index].set(row)

    def typed(self, array: Array, like: Array) -> Array:
        return array if array.dtype == jax.dtypes.float0 else array.astype(like.dtype)

    def power(self, array: Array, exponent: float) -> Array:
        """array^exponent, by products or roots where the exponent is whole or ±½."""
        if float(exponent).is_integer():
            return lax.integer_pow(array, int(exponent))
        if exponent in (0.5, -0.5):
            return lax.sqrt(array) if exponent > 0 else lax.rsqrt(array)
        return lax.pow(array, lax.full_like(array, exponent))

    def summed(self, array: Array, other: Array | None) -> Array:
        """The sum over the first axis of an array, or of the product of two: on CPU a loop for large arrays."""
        if not takes_loop(array, other):
            return super().summed(array, other)
        return sums.sum_over_directions(array) if other is None else sums.product_over_directions(array, other)

    def scaled(self, factor: Array, block: Array) -> Array:
        """factor · block_r for all r; on CPU the factor's derivative is summed in a loop."""
        is_loop = len(block) > 1 and takes_loop(block, factor)
        return sums.scaled_directions(factor, block) if is_loop else factor * block


def takes_loop(array: Array, other: Array | None = None) -> bool:
    """Whether a sum over an axis of an array of this size, or of the product of two, is better a loop."""
    shapes = [array.shape] if other is None else [array.shape, other.shape]
    if not all(isinstance(n, int) for shape in shapes for n in shape):
        return False  # lengths that are symbols are not known before it runs
    return prod(np.broadcast_shapes(*shapes)) >= LOOP_SIZE and jax.default_backend() == "cpu"
