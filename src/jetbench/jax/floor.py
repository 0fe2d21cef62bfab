"""The floor in JAX: the matrix products of a network's forward pass, on more vectors, inside one jit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.typing import DTypeLike

from jetbench.jax.counting import dot_product, inner_jaxprs
from jetbench.measure.floor import Product

FIXED = "fixed"  # what depends on parameters alone, but is none of them as it is


@dataclass(frozen=True)
class Factor:
    """A parameter in a product: which one, and whether it is transposed before it is multiplied."""

    parameter: int
    transposed: bool = False


def network_products(
    net: Callable[[Any, Array], Array], parameters: Any, x: Array
) -> list[tuple[Product, Factor | None]]:
    """The matrix products of one plain forward pass, each with the parameter that takes part, in order.

    Products of parameters alone are left out: they are the same for any number of vectors.

    Args:
        net: a function of its parameters, any pytree, and of x.
    """
    jaxpr = jax.make_jaxpr(net)(parameters, x).jaxpr
    found: list[tuple[Product, Factor | None]] = []
    factors = [Factor(index) for index in range(len(jaxpr.invars) - 1)]
    _walk(jaxpr, [*factors, None], found)
    return found


def _walk(jaxpr: Jaxpr, arguments: list, found: list) -> list:
    """Note the products of a jaxpr; for each output None if it depends on x, else the parameter it is, or `FIXED`."""
    known: dict[Var, Any] = dict.fromkeys(jaxpr.constvars, FIXED)
    known.update(zip(jaxpr.invars, arguments, strict=True))

    def kind(atom: Any) -> Any:
        return FIXED if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        kinds = [kind(atom) for atom in equation.invars]
        inner = list(inner_jaxprs(equation))
        name = equation.primitive.name
        if len(inner) == 1 and len(inner[0].invars) == len(kinds):
            results = _walk(inner[0], kinds, found)
        elif name == "transpose" and isinstance(kinds[0], Factor) and equation.params["permutation"] == (1, 0):
            results = [replace(kinds[0], transposed=not kinds[0].transposed)]
        else:
            results = [None if None in kinds else FIXED] * len(equation.outvars)
        if name == "dot_general" and None in kinds:
            found.append(_product(equation, *kinds))
        known.update(zip(equation.outvars, results, strict=True))
    return [kind(atom) for atom in jaxpr.outvars]


def _product(equation: JaxprEqn, left: Any, right: Any) -> tuple[Product, Factor | None]:
    """A product with the side that depends on x, and the parameter on the other, as its left or right factor."""
    (left_sum, right_sum), _ = equation.params["dimension_numbers"]
    data = "both" if left is None and right is None else "left" if left is None else "right"
    product = replace(dot_product(equation), data=data)
    fixed, summed, natural = (right, right_sum, (0,)) if data == "left" else (left, left_sum, (1,))
    if data == "both" or not isinstance(fixed, Factor) or product.batch > 1:
        return product, None
    return product, replace(fixed, transposed=fixed.transposed ^ (tuple(summed) != natural))


def replay(
    products: list[tuple[Product, Factor | None]], parameters: Any, vectors: int, dtype: DTypeLike
) -> Callable[[], list[Array]]:
    """A call that runs the products on `vectors` vectors per datum in one jitted function, and waits for them.

    A product reads what the one before it wrote where the shapes allow it, as the layers of a network do. What no
    product reads is returned, so that the compiler cannot leave it out.
    """
    scaled = [(product.with_vectors(vectors), factor) for product, factor in products]
    numbers = np.random.default_rng(0).standard_normal(4099)  # repeated: drawing as many as needed may take seconds
    previous: tuple[int, ...] | None = None
    buffers: list[tuple[Array | None, Array | None]] = []
    for product, factor in scaled:
        lead = () if product.batch == 1 else (product.batch,)
        shapes = (*lead, product.rows, product.inner), (*lead, product.inner, product.columns)
        is_given = (
            shapes[0] == previous or (factor is not None and product.data == "right"),
            factor is not None and product.data == "left",
        )
        buffers.append(
            tuple(
                None if given else jnp.asarray(np.resize(numbers, shape), dtype)
                for given, shape in zip(is_given, shapes, strict=True)
            )
        )
        previous = (*lead, product.rows, product.columns)

    @jax.jit
    def run(leaves: list[Array], buffers: list[tuple[Array | None, Array | None]]) -> list[Array]:
        results: list[Array] = []
        out = None
        for (product, factor), (left, right) in zip(scaled, buffers, strict=True):
            fixed = None
            if factor is not None:
                fixed = leaves[factor.parameter].T if factor.transposed else leaves[factor.parameter]
            if left is None:
                left, out = (fixed, out) if product.data == "right" and fixed is not None else (out, None)
            if out is not None:
                results.append(out)
            out = left @ (fixed if right is None else right)
        return [*results, out]

    leaves = jax.tree.leaves(parameters)
    return lambda: jax.block_until_ready(run(leaves, buffers))
