"""Sums over directions, the first axis of blocks, and products in whose derivatives such sums arise, as loops.

XLA on CPU hands a sum together with what it is a sum of to a library that takes longer for it than the matrix products
around it. A loop does not; but the derivative of a loop that JAX makes by itself keeps every step in reverse mode. So
each function here has a derivative of its own, with a loop only where a sum over directions is left. From which size on
they are worth it is decided in `jetbench.jax.arrays`, where they are called.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Jaxpr

from jetbench.jax.varying import varying_like


@jax.custom_jvp
def sum_over_directions(array: Array) -> Array:
    """Σ_r a_r, (n, *S) → (*S)."""
    start = varying_like(jnp.zeros(array.shape[1:], array.dtype), array)
    return lax.scan(lambda total, entry: (total + entry, None), start, array)[0]


@sum_over_directions.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return sum_over_directions(*primals), tangents[0].sum(0)


@jax.custom_jvp
def product_over_directions(a: Array, b: Array) -> Array:
    """Σ_r a_r b_r with broadcasting, (n, *S) and (n, *T) → (*U), without writing products down."""
    shape = jnp.broadcast_shapes(a.shape, b.shape)[1:]
    start = varying_like(varying_like(jnp.zeros(shape, jnp.result_type(a, b)), a), b)
    return lax.scan(lambda total, factors: (total + factors[0] * factors[1], None), start, (a, b))[0]


@product_over_directions.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    return product_over_directions(a, b), (da * b + a * db).sum(0)


@jax.custom_jvp
def scaled_directions(factor: Array, block: Array) -> Array:
    """f · c_r for all r, (*S) and (n, *T) → (n, *U): its transpose in f sums over directions."""
    return factor * block


@scaled_directions.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (factor, block), (of_factor, of_block) = primals, tangents
    moved = lax.scan(lambda _, entry: (None, of_factor * entry), None, block)[1]
    return factor * block, factor * of_block + moved


_SOURCES = tuple(
    f"{each.__name__} at {__file__}:" for each in (sum_over_directions, product_over_directions, scaled_directions)
)


def is_written_out(jaxpr: Jaxpr) -> bool:
    """Whether a jaxpr is the body of a function of this module.

    The derivative of such a function is only another way to the same numbers: jets and the compiler pass may follow it
    as it is written. JAX tells of a function with its own derivative where it was defined, and no more.
    """
    return str(getattr(jaxpr.debug_info, "func_src_info", "")).startswith(_SOURCES)
