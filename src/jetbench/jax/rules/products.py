"""Matrix products: one product for all coefficients wherever one factor does not depend on x."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import primitives

from jetbench.algebra.base import Blocks
from jetbench.jax.jet import Jet, Value, aligned, linear, multiply, weighted
from jetbench.jax.registry import rule

Axes = tuple[Sequence[int], Sequence[int]]


@rule(primitives.dot_general_p)
def dot_general(a: Value, b: Value, *, dimension_numbers: tuple[Axes, Axes], **params: object) -> Value:
    def product(left: Array, right: Array) -> Array:
        return lax.dot_general(left, right, dimension_numbers, **params)

    (contracted_a, contracted_b), (batch_a, _) = dimension_numbers
    if isinstance(a, Jet) and isinstance(b, Jet):
        return _of_jets(product, a, b, dimension_numbers, params)
    if batch_a:
        return multiply(product, a, b)
    if isinstance(a, Jet):
        return _by_constant(lambda t: product(t, b), a, b, contracted_a, contracted_b, True, params)
    return _by_constant(lambda t: product(a, t), b, a, contracted_b, contracted_a, False, params)


def _of_jets(
    fn: Callable[[Array, Array], Array], a: Jet, b: Jet, dimension_numbers: tuple[Axes, Axes], params: dict
) -> Jet:
    """A product of two jets: components are batched, or summed over within the product.

    Axes are named by letters. Where one factor has length 1 along a batched axis, because it is a primal without
    components or its coefficients are shared, that axis is no batch but rows of the other factor: one large product in
    the place of many small ones.
    """
    (contracted_a, contracted_b), (batch_a, batch_b) = dimension_numbers
    letters = iter(string.ascii_letters)
    component, *names_a = (next(letters) for _ in range(1 + a.ndim))
    names_b = [next(letters) for _ in range(b.ndim)]
    for of_a, of_b in ((contracted_a, contracted_b), (batch_a, batch_b)):
        for left, right in zip(of_a, of_b, strict=True):
            names_b[right] = names_a[left]
    batched = [names_a[axis] for axis in batch_a]
    free = [
        names[axis]
        for names, contracted, batch in ((names_a, contracted_a, batch_a), (names_b, contracted_b, batch_b))
        for axis in range(len(names))
        if axis not in contracted and axis not in batch
    ]

    def squeezed(t: Array, names: list[str]) -> tuple[Array, str]:
        """The factor without axes of length 1 that the other one may have longer, and the letters of its axes."""
        dropped = [axis for axis, name in enumerate(names) if t.shape[axis] == 1 and name in (component, *batched)]
        return lax.squeeze(t, dropped), "".join(name for axis, name in enumerate(names) if axis not in dropped)

    def product(left: Array, right: Array, result: Sequence[str] = (component, *batched, *free)) -> Array:
        left, of_left = squeezed(left, [component, *names_a])
        right, of_right = squeezed(right, [component, *names_b])
        common = [name for name in of_left if name in of_right]
        batch, summed = ([name for name in common if (name in result) == kept] for kept in (True, False))
        numbers = tuple(tuple([*map(names.index, of)] for names in (of_left, of_right)) for of in (summed, batch))
        found = lax.dot_general(left, right, numbers, **params)
        order = [*batch, *(name for name in (*of_left, *of_right) if name not in common)]
        kept = [name for name in result if name in order]
        found = lax.transpose(found, [order.index(name) for name in kept])
        return jnp.expand_dims(found, [axis for axis, name in enumerate(result) if name not in order])

    def contracted(weights: Sequence[float], left: Array, right: Array) -> Array:
        if len(weights) == 1:
            return weights[0] * product(left, right)[0]
        return product(weighted(weights, left), right, (*batched, *free))

    product.contracted = contracted
    blocks = [_summable(jet, axes) for jet, axes in ((a, contracted_a), (b, contracted_b))]
    a, b = aligned(Jet(a.algebra, a.primal, blocks[0]), Jet(b.algebra, b.primal, blocks[1]))
    found = a.algebra.multiply(a.primal, a.shared_blocks, b.primal, b.shared_blocks, product)
    return Jet(a.algebra, fn(a.primal, b.primal), found)


def _summable(jet: Jet, axes: Sequence[int]) -> Blocks:
    """The blocks of a jet, shared if they have the full length along these axes."""
    is_full = jet.shared is None or all(jet.shared.shape[axis + 1] == jet.shape[axis] for axis in axes)
    return jet.shared_blocks if is_full else jet.blocks


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

    return linear(fn, jet, lifted, untouched=[axis for axis in range(jet.ndim) if axis not in axes])
