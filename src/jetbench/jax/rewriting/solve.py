"""Rules for primitives that solve linear systems, which are linear in their right-hand sides.

`custom_linear_solve` has a function A x and solvers as jaxprs of one shape. Where they are those of `jnp.linalg`, the
product with a matrix and its factorization by `lu`, the solution can be computed for any number of right-hand sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.lax import linalg

from jetbench.collapse.graph import Node, is_inexact
from jetbench.jax.rewriting.lower import Lowering, behind, lowering


class _System(NamedTuple):
    """A x by a matrix (…, n, n), without axes of length 1.

    Attributes:
        transposed: whether it is Aᵀ x.
        order: the axes of x as those of systems, that of the unknowns, and those of right-hand sides.
    """

    transposed: bool
    order: list[int]


@lowering("triangular_solve")
def _triangular(
    low: Lowering, aval: Any, a: Node, b: Node, *, left_side: bool, transpose_a: bool, conjugate_a: bool, **params: Any
) -> Node | None:
    if conjugate_a or not is_inexact(b.dtype):
        return None
    right = b if left_side else low.builder.permute(b, [*range(b.ndim - 2), b.ndim - 1, b.ndim - 2])
    alone = [axis for axis in range(a.ndim - 2) if a.shape[axis] == 1]
    a, thin = low.builder.squeeze(a, alone), low.builder.squeeze(right, [*alone, right.ndim - 1])
    static = (("transpose_a", transpose_a == left_side), *sorted(params.items()))
    found = low.builder.solve((a,), thin, "triangular", a.ndim - 2, static, _solved_by_triangle)
    found = low.builder.reshape(found, right.shape)
    return found if left_side else low.builder.permute(found, [*range(b.ndim - 2), b.ndim - 1, b.ndim - 2])


@lowering("custom_linear_solve")
def _linear_solve(
    low: Lowering, eqn: Any, *operands: Node, const_lengths: Sequence[int], jaxprs: Any, **_: Any
) -> list[Node] | None:
    bounds = [0, *accumulate(const_lengths), len(operands)]
    of_matvec, _, of_solve, _, rights = [operands[start:stop] for start, stop in pairwise(bounds)]
    if len(of_matvec) != 1 or len(of_solve) != 2 or len(rights) != 1:
        return None
    system = _system(low, jaxprs.matvec, of_matvec[0], rights[0])
    if system is None or not _are_factors(of_solve, of_matvec[0]):
        return None
    *matrices, right = map(low.builder.squeeze, (*of_matvec, *of_solve, *rights))
    found = low.builder.solve(
        matrices,
        low.builder.permute(right, system.order),
        "linear",
        matrices[0].ndim - 2,
        (system.transposed,),
        _solved_by_factors,
    )
    back = [system.order.index(a) for a in range(right.ndim)]
    return [low.builder.reshape(low.builder.permute(found, back), rights[0].shape)]


def _system(low: Lowering, matvec: Any, matrix: Node, right: Node) -> _System | None:
    """What A x is, where it is a product of x with the matrix that has no other constants."""
    make, squeeze = low.builder.graph.make, low.builder.squeeze
    given = [make("input", (), (i, "of a system"), x.shape, x.dtype) for i, x in enumerate((matrix, right))]
    image = squeeze(*low.inline(matvec.jaxpr, matvec.consts, given))
    product, squeezed = behind(image), [squeeze(x) for x in given]
    if product.op != "product" or {*product.operands} != {*squeezed}:
        return None
    n_out, labels = product.attributes[2], dict(zip(product.operands, product.attributes[:2], strict=True))
    of_matrix, of_x = [labels[x] for x in squeezed]
    summed = [label for label in of_x if label >= n_out]
    rows = [label for label in of_matrix if label not in of_x]
    if len(summed) != 1 or len(rows) != 1 or {*of_matrix[-2:]} != {summed[0], rows[0]}:
        return None
    axes = image.attributes[0] if image.op == "view" else range(image.ndim)
    if list(axes) != [rows[0] if label == summed[0] else label for label in of_x]:
        return None
    fixed = [*of_matrix[:-2], summed[0]]
    order = [of_x.index(label) for label in [*fixed, *(label for label in of_x if label not in fixed)]]
    return _System(of_matrix[-2] == summed[0], order)


def _are_factors(factors: Sequence[Node], matrix: Node) -> bool:
    """Whether these are the results of a factorization of the matrix: the packed triangles and the permutation."""
    packed, permutation = factors
    if (packed.op, packed.attributes, permutation.op, permutation.attributes) != ("part", (0,), "part", (2,)):
        return False
    (source,) = packed.operands
    if permutation.operands != (source,) or source.attributes[0] != "lu":
        return False
    (factored,) = source.operands
    while factored.op == "opaque" and factored.attributes[0] == "stop_gradient":
        (factored,) = factored.operands
    return factored is matrix


def _columns(solve: Any, b: Array, batch: int) -> Array:
    """With all axes of right-hand sides as one."""
    return solve(b.reshape(*b.shape[: batch + 1], -1)).reshape(b.shape)


def _solved_by_triangle(matrices: Sequence[Array], b: Array, batch: int, static: tuple) -> Array:
    (a,) = matrices
    return _columns(lambda t: linalg.triangular_solve(a, t, left_side=True, **dict(static)), b, batch)


def _solved_by_factors(matrices: Sequence[Array], b: Array, batch: int, static: tuple) -> Array:
    matrix, packed, permutation = matrices
    (transposed,) = static

    def upper_and_lower(t: Array) -> Array:
        t = jnp.take_along_axis(t, permutation[..., None], -2)
        t = linalg.triangular_solve(packed, t, left_side=True, lower=True, unit_diagonal=True)
        return linalg.triangular_solve(packed, t, left_side=True, lower=False)

    def transposes(t: Array) -> Array:
        t = linalg.triangular_solve(packed, t, left_side=True, lower=False, transpose_a=True)
        t = linalg.triangular_solve(packed, t, left_side=True, lower=True, transpose_a=True, unit_diagonal=True)
        return jnp.take_along_axis(t, jnp.argsort(permutation, axis=-1)[..., None], -2)

    solvers = (transposes, upper_and_lower) if transposed else (upper_and_lower, transposes)
    factor = matrix.mT if transposed else matrix

    def solve(t: Array) -> Array:
        return lax.custom_linear_solve(
            lambda x: jnp.matmul(factor, x, precision=lax.Precision.HIGHEST),
            t,
            lambda _, right: solvers[0](right),
            lambda _, right: solvers[1](right),
        )

    return _columns(solve, b, batch)
