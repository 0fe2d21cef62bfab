"""Operations that move, repeat, overwrite and choose entries."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from coverage_table.jax.inputs import features, matrix, table
from coverage_table.parameters import DISTINCT, INDEX, MASK


def flipped(h):
    return jnp.flip(h, -1)


def meshed(x):
    first, second = jax.vmap(lambda u: jnp.meshgrid(u[:3], u[3:], indexing="ij"))(features(x))
    return jnp.sin(first) * second


def sort(x):
    return jnp.sort(features(x), descending=True) * jnp.arange(6) ** 2 * features(x)


def sort_with_values(x):
    """The features in the order of others, which depend on x too."""
    keys, values, places = lax.sort((flipped(features(x)), features(x), jnp.argsort(features(x))), num_keys=1)
    return keys * values**2 + places


def rolled_by_x(x):
    """Start of the slice and place of the update depend on x through whole numbers."""

    def row(h):
        start = jnp.argmax(h) % 3
        return lax.dynamic_update_slice(h, lax.dynamic_slice(jnp.sin(h), (start,), (3,)), (3 - start,)) ** 2

    return jax.vmap(row)(features(x))


FUNCTIONS = {
    "concatenation": lambda x: jnp.concatenate([jnp.sin(x), jnp.ones_like(x), features(x)], -1) ** 2,
    "stacking": lambda x: jnp.stack([jnp.sin(x), x, jnp.cos(x)], -2),
    "hstack": lambda x: jnp.hstack([x, x**2]),
    "slicing": lambda x: features(x)[..., 1:5:2] * features(x)[..., -2:],
    "slicing_backwards": lambda x: features(x)[:, ::-2] ** 2,
    "advanced_indexing": lambda x: features(x)[:, INDEX] ** 2,
    "two_indices": lambda x: table(x)[:, jnp.array([0, 1, 1]), jnp.array([2, 0, 1])] ** 2,
    "boolean_mask": lambda x: features(x)[:, MASK] ** 2,
    "gather": lambda x: jnp.take_along_axis(features(x), jnp.broadcast_to(INDEX, (len(x), 4)), -1) ** 2,
    "gather_with_fill": lambda x: features(x).at[:, jnp.array([1, 9, -1])].get(mode="fill", fill_value=0.5) ** 2,
    "gather_clipped": lambda x: features(x).at[:, jnp.array([1, 9, 0])].get(mode="clip") ** 2,
    "index_select": lambda x: jnp.take(features(x), INDEX, axis=-1) ** 2,
    "take_along_dim": lambda x: jnp.take_along_axis(features(x), INDEX[None], -1) ** 2,
    "scatter": lambda x: features(x).at[:, DISTINCT].set(jnp.exp(x)) ** 2,
    "scatter_value": lambda x: features(x).at[:, DISTINCT].set(1.5) ** 2,
    "scatter_add": lambda x: features(x).at[:, INDEX[:3]].add(jnp.exp(x)) ** 2,
    "scatter_subtract": lambda x: features(x).at[:, INDEX[:3]].subtract(jnp.exp(x)) ** 2,
    "scatter_multiply": lambda x: features(x).at[:, DISTINCT].multiply(jnp.exp(x), unique_indices=True) ** 2,
    "scatter_multiply_constant": lambda x: features(x).at[:, INDEX].multiply(0.7) ** 2,
    "scatter_divide": lambda x: features(x).at[:, DISTINCT].divide(jnp.exp(x), unique_indices=True) ** 2,
    "scatter_power": lambda x: features(x).at[:, DISTINCT].power(3),
    "scatter_maximum": lambda x: features(x).at[:, DISTINCT].max(x) ** 2,
    "scatter_minimum": lambda x: features(x).at[:, DISTINCT].min(x) ** 2,
    "scatter_into_constant": lambda x: jnp.zeros((len(x), 6)).at[:, INDEX[1:]].set(x**2) + x[:, :1],
    "scatter_reduce": lambda x: features(x).at[:, INDEX[:3]].add(jnp.exp(x)) ** 2,
    "segment_sum": lambda x: jax.ops.segment_sum(features(x).T, jnp.array([0, 2, 1, 0, 0, 2]), 4).T ** 2,
    "segment_max": lambda x: jax.ops.segment_max(features(x).T, jnp.array([0, 2, 1, 0, 0, 2]), 3).T ** 2,
    "index_add": lambda x: features(x).at[:, INDEX[:3]].add(2 * jnp.exp(x)) ** 2,
    "index_copy": lambda x: features(x).at[:, INDEX[1:2]].set(jnp.exp(x[:, :1])) ** 2,
    "index_fill": lambda x: features(x).at[:, INDEX[:2]].set(0.5) ** 2,
    "index_put": lambda x: features(x).at[jnp.arange(len(x)), jnp.full(len(x), 3)].set(jnp.exp(x[:, 0])) ** 2,
    "masked_fill": lambda x: jnp.where(MASK, 0.5, features(x)) ** 2,
    "masked_fill_by_x": lambda x: jnp.where(features(x) > 0.2, -1.0, features(x)) ** 2,
    "reshape": lambda x: jnp.sin(features(x).reshape(-1, 3, 2)).reshape(-1, 6),
    "flatten": lambda x: jnp.sin(table(x)).reshape(len(x), -1),
    "transpose": lambda x: table(x).transpose(0, 2, 1) @ jnp.sin(table(x)),
    "permute": lambda x: jnp.permute_dims(matrix(x), (0, 2, 1)) * matrix(x),
    "expand": lambda x: jnp.broadcast_to(x[..., None], (len(x), 3, 4)) * x[..., None, :1],
    "squeeze": lambda x: jnp.expand_dims(features(x)[:, :1, None].squeeze(-1), 1) ** 2,
    "chunk": lambda x: jnp.multiply(*jnp.split(features(x), 2, -1)),
    "split": lambda x: jnp.multiply(*jnp.split(features(x), [3], -1)),
    "tensor_split": lambda x: jnp.multiply(*jnp.array_split(features(x), 2, -1)),
    "unbind": lambda x: jnp.sin(table(x)[:, 0]) * table(x)[:, 1],
    "movedim": lambda x: jnp.swapaxes(jnp.moveaxis(table(x), 1, 2), 1, 2) ** 2,
    "roll": lambda x: features(x) * jnp.roll(features(x), 2, -1),
    "roll_two_axes": lambda x: table(x) * jnp.roll(table(x), (1, 2), (1, 2)),
    "roll_by_x": rolled_by_x,
    "flip": lambda x: features(x) * flipped(features(x)),
    "rot90": lambda x: matrix(x) * jnp.rot90(matrix(x), 1, (1, 2)),
    "tril": lambda x: jnp.tril(matrix(x)) @ matrix(x),
    "triu": lambda x: jnp.triu(matrix(x), 1) @ matrix(x),
    "diagonal": lambda x: jnp.diagonal(matrix(x), axis1=1, axis2=2) ** 2,
    "diag_embed": lambda x: jax.vmap(jnp.diag)(jnp.sin(x)) @ matrix(x),
    "repeat": lambda x: jnp.tile(features(x), 2) ** 2,
    "tile": lambda x: jnp.tile(features(x), (1, 2)) ** 2,
    "repeat_interleave": lambda x: jnp.repeat(features(x), 2, -1) ** 2,
    "meshgrid": meshed,
    "pad": lambda x: jnp.pad(features(x), ((0, 0), (1, 2)), constant_values=0.5) ** 2,
    "pad_reflect": lambda x: jnp.pad(features(x), ((0, 0), (2, 1)), mode="reflect") ** 2,
    "pad_circular": lambda x: jnp.pad(features(x), ((0, 0), (2, 1)), mode="wrap") ** 2,
    "pad_within": lambda x: lax.pad(features(x), 0.5, ((0, 0, 0), (1, -1, 1))) ** 2,
    "unfold": lambda x: jnp.stack([features(x)[:, :3], features(x)[:, 2:5]], 1) ** 2,
    "convolution_patches": lambda x: lax.conv_general_dilated_patches(table(x)[:, None], (2, 2), (1, 1), "SAME") ** 2,
    "where": lambda x: jnp.where(features(x) > 0.1, features(x) ** 3, jnp.sin(features(x))),
    "where_guarded": lambda x: jnp.where(features(x) > 0, jnp.log(features(x)), 0.0),
    "where_number": lambda x: jnp.where(features(x) > 0.1, features(x) ** 3, 0.5),
    "select": lambda x: jnp.select([x > 0.3, x > 0], [x**2, jnp.sin(x)], x**3),
    "choose": lambda x: lax.select_n(jnp.arange(3) + 0 * x.astype(int), x, jnp.sin(x), x**3),
    "piecewise": lambda x: jnp.piecewise(x, [x < 0, x >= 0.2], [jnp.sin, lambda u: u**3, 0.1]),
    "maximum": lambda x: jnp.maximum(features(x), flipped(features(x))) ** 2,
    "minimum": lambda x: jnp.minimum(features(x), -0.2) ** 2,
    "fmax": lambda x: jnp.fmax(features(x), flipped(features(x))) ** 2,
    "clamp": lambda x: jnp.clip(features(x), -0.2, 0.4) ** 2,
    "clamp_tensor": lambda x: lax.clamp(-0.2, features(x), 0.4) ** 2,
    "clamp_by_x": lambda x: jnp.clip(features(x), max=x[..., :1]) ** 2,
    "clamp_min": lambda x: jnp.clip(features(x), min=0.0) ** 2,
    "sort": sort,
    "sort_with_values": sort_with_values,
    "argsort": lambda x: jnp.take_along_axis(flipped(features(x)), jnp.argsort(features(x)), -1) ** 2,
    "topk": lambda x: lax.top_k(features(x), 3)[0] ** 2,
    "argmax_one_hot": lambda x: jax.nn.one_hot(jnp.argmax(features(x), -1), 6) * features(x) ** 2,
    "interpolation": lambda x: jnp.interp(features(x), jnp.linspace(-3, 3, 7), jnp.sin(jnp.arange(7.0))) ** 2,
    "digitize": lambda x: jnp.searchsorted(jnp.linspace(-1, 1, 5), features(x)) * features(x) ** 2,
}
