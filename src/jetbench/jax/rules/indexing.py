"""Selection by index, writing at an index, and sorting: linear once the indices are fixed by the primal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.errors import MissingRule
from jetbench.jax.jet import Jet, Value, constant, jointly_linear, linear, primal, times
from jetbench.jax.registry import rule


@rule(primitives.gather_p)
def gather(x: Value, positions: Value, *, fill_value: object, **params: object) -> Value:
    """Where the mode fills in a number beyond the bounds, its coefficients are zero."""

    def picked(t: Array, filling: object) -> Array:
        return primitives.gather_p.bind(t, primal(positions), fill_value=filling, **params)

    if not isinstance(x, Jet):
        return picked(x, fill_value)
    if params["mode"] is not lax.GatherScatterMode.FILL_OR_DROP:
        return linear(lambda t: picked(t, None), x)
    moved = linear(lambda t: picked(t, 0), Jet(x.algebra, x.primal, rest=x.rest, present=x.present))
    return Jet(x.algebra, picked(x.primal, fill_value), rest=moved.rest, present=moved.present)


@rule(primitives.dynamic_slice_p)
def dynamic_slice(x: Value, *starts: Value, slice_sizes: Sequence[int]) -> Value:
    places = [primal(start) for start in starts]
    if not isinstance(x, Jet):
        return lax.dynamic_slice(x, places, slice_sizes)
    return linear(lambda t: lax.dynamic_slice(t, places, slice_sizes), x)


@rule(primitives.dynamic_update_slice_p)
def dynamic_update_slice(x: Value, update: Value, *starts: Value) -> Value:
    places = [primal(start) for start in starts]
    if not isinstance(x, Jet) and not isinstance(update, Jet):
        return lax.dynamic_update_slice(x, update, places)
    return jointly_linear(lambda parts: lax.dynamic_update_slice(*parts, places), [x, update])


def _scattered(operation: Callable, params: dict) -> Callable[[Array, Array, Array], Array]:
    """One of JAX's scatters as a function of operand, indices and updates."""
    kept = {key: params[key] for key in ("indices_are_sorted", "unique_indices", "mode")}
    return lambda x, positions, updates: operation(x, positions, updates, params["dimension_numbers"], **kept)


@rule(primitives.scatter_p)
def scatter(x: Value, positions: Value, updates: Value, **params: object) -> Value:
    """Each entry keeps its value or takes that of one update. Which one, where several write to one place, JAX leaves
    open: numbers of updates are written first, so that the value and all coefficients come from the same one."""
    write, positions = _scattered(lax.scatter, params), primal(positions)
    count = prod(jnp.shape(primal(updates)))
    if count == 0 or not (isinstance(x, Jet) or isinstance(updates, Jet)):
        return x if count == 0 else write(x, positions, updates)
    numbers = jnp.arange(1, count + 1, dtype=np.int32).reshape(jnp.shape(primal(updates)))
    winner = write(jnp.zeros(jnp.shape(primal(x)), np.int32), positions, numbers)

    def written(parts: Sequence[Array]) -> Array:
        kept, source = parts
        return jnp.where(winner == 0, kept, source.ravel()[jnp.maximum(winner - 1, 0)])

    return jointly_linear(written, [x, updates])


def _scatter_linear(primitive: object, operation: Callable) -> None:
    @rule(primitive)
    def apply(x: Value, positions: Value, updates: Value, **params: object) -> Value:
        write, positions = _scattered(operation, params), primal(positions)
        if not isinstance(x, Jet) and not isinstance(updates, Jet):
            return write(x, positions, updates)
        return jointly_linear(lambda parts: write(parts[0], positions, parts[1]), [x, updates])


_scatter_linear(primitives.scatter_add_p, lax.scatter_add)
_scatter_linear(lax.scatter_sub_p, lax.scatter_sub)


@rule(primitives.scatter_mul_p)
def scatter_multiply(x: Value, positions: Value, updates: Value, **params: object) -> Value:
    """Bilinear where each entry is multiplied at most once, which JAX's own derivatives ask for too."""
    write, positions = _scattered(lax.scatter_mul, params), primal(positions)
    if not isinstance(updates, Jet):
        if not isinstance(x, Jet):
            return write(x, positions, updates)
        return linear(lambda t: write(t, positions, updates), x)
    if not params["unique_indices"]:
        raise MissingRule(
            "Multiplying entries of an array by factors that depend on x has no derivative in JAX unless "
            "unique_indices=True says that no entry is multiplied twice: x.at[i].multiply(y, unique_indices=True)."
        )
    return times(x, _factors(write, x, positions, updates))


def _factors(write: Callable, x: Value, positions: Array, updates: Jet) -> Jet:
    """What each entry of x is multiplied by: 1 where nothing is written."""
    ones = jnp.ones(jnp.shape(primal(x)), updates.dtype)
    hit = write(ones, positions, jnp.zeros_like(updates.primal)) == 0
    found = linear(lambda t: jnp.where(hit, write(ones, positions, t), 0), updates)
    return Jet(updates.algebra, write(ones, positions, updates.primal), rest=found.rest, present=found.present)


def _scatter_extremum(primitive: object, operation: Callable) -> None:
    @rule(primitive)
    def apply(x: Value, positions: Value, updates: Value, **params: object) -> Value:
        """The extreme of an entry and the updates to it; among equal ones the derivative is their mean."""
        write, total, positions = _scattered(operation, params), _scattered(lax.scatter_add, params), primal(positions)
        value = write(primal(x), positions, primal(updates))
        if not isinstance(x, Jet) and not isinstance(updates, Jet):
            return value
        ranks = _ranks(primal(x), primal(updates))
        best = write(ranks[0], positions, ranks[1])
        places = jax.linear_transpose(lambda u: total(jnp.zeros_like(best), positions, u), ranks[1])(best)[0]
        kept, taken = (ranks[0] == best).astype(value.dtype), (ranks[1] == places).astype(value.dtype)
        count = total(kept, positions, taken)

        def mean(parts: Sequence[Array]) -> Array:
            return total(parts[0] * kept, positions, parts[1] * taken) / count

        # −∞ · 0 is no number
        finite = [part if isinstance(part, Jet) else jnp.where(jnp.isfinite(part), part, 0) for part in (x, updates)]
        found = jointly_linear(mean, finite)
        return Jet(found.algebra, value, rest=found.rest, present=found.present)


def _ranks(*arrays: Array) -> list[Array]:
    """The place of each entry among all of them in rising order, equal for equal ones. These compare exactly, whereas
    XLA may compute an entry twice with different rounding, and then no entry equals the largest."""
    flat = jnp.concatenate([array.ravel() for array in arrays])
    order = jnp.argsort(flat)
    rising = flat[order]
    dense = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), rising[1:] != rising[:-1]]).astype(float))
    found = jnp.zeros_like(dense).at[order].set(dense)
    parts = jnp.split(found, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


_scatter_extremum(primitives.scatter_max_p, lax.scatter_max)
_scatter_extremum(primitives.scatter_min_p, lax.scatter_min)


@rule(primitives.sort_p)
def sort(*values: Value, dimension: int, is_stable: bool, num_keys: int) -> list[Value]:
    """All arrays in the order of the keys."""
    arrays = [primal(value) for value in values]
    places = lax.broadcasted_iota(np.int32, arrays[0].shape, dimension)
    *found, order = lax.sort((*arrays, places), dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    return [
        _moved(value, array, order, dimension) if isinstance(value, Jet) else array
        for value, array in zip(values, found, strict=True)
    ]


@rule(primitives.top_k_p)
def top_k(x: Jet, *, k: int, axis: int) -> list[Value]:
    found, places = primitives.top_k_p.bind(x.primal, k=k, axis=axis)
    return [_moved(x, found, places, axis), places]


@rule(primitives.approx_top_k_p)
def approx_top_k(x: Jet, *, reduction_dimension: int, **params: object) -> list[Value]:
    axis = reduction_dimension % x.ndim
    found, places = primitives.approx_top_k_p.bind(x.primal, reduction_dimension=axis, **params)
    return [_moved(x, found, places, axis), places]


def _moved(x: Jet, value: Array, places: Array, axis: int) -> Jet:
    """The entries of x at places along an axis, whose values are known."""
    if not x.present:
        return constant(x.algebra, value)
    rest = jnp.take_along_axis(x.rest, places[None], axis + 1)
    return Jet(x.algebra, value, rest=rest, present=x.present)
