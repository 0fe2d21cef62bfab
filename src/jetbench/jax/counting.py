"""Counting in jaxprs: the operations of dot products and convolutions, exactly and without running anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var

from jetbench.measure.floor import Product


def counted_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiplications and additions of the dot products and convolutions that a call needs.

    Loops count as often as they run; of the branches of a condition the most expensive one counts.

    Raises:
        ValueError: a `while` loop with products in it, which may run any number of times.
    """
    return jaxpr_flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def jaxpr_flops(jaxpr: Jaxpr) -> int:
    """`counted_flops` of a jaxpr; equations whose results nothing needs do not count, as XLA leaves them out."""
    return sum(_equation_flops(equation) for equation in _needed(jaxpr))


def _needed(jaxpr: Jaxpr) -> list[JaxprEqn]:
    needed = {var for var in jaxpr.outvars if isinstance(var, Var)}
    found = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(var in needed for var in equation.outvars):
            needed.update(var for var in equation.invars if isinstance(var, Var))
            found.append(equation)
    return found[::-1]


def _equation_flops(equation: JaxprEqn) -> int:
    name = equation.primitive.name
    if name == "dot_general":
        return dot_product(equation).flops
    if name == "conv_general_dilated":
        # every output entry sums over the kernel's window and the input channels of its group
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * prod(out) * prod(kernel) // features
    inner = [jaxpr_flops(each) for each in inner_jaxprs(equation)]
    if name == "while" and any(inner):
        raise ValueError("The products in a while loop cannot be counted: nobody knows how often it runs.")
    if name == "scan":
        return equation.params["length"] * sum(inner)
    return max(inner, default=0) if name == "cond" else sum(inner)


def inner_jaxprs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The jaxprs that an equation calls: bodies of loops and functions, branches of conditions."""
    for value in equation.params.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(each, ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, Jaxpr):
                yield each


def dot_product(equation: JaxprEqn) -> Product:
    """A `dot_general` as a batched matrix product."""
    (left_sum, _), (left_batch, _) = equation.params["dimension_numbers"]
    left, right = (var.aval.shape for var in equation.invars)

    def size(shape: Sequence[int], axes: Sequence[int]) -> int:
        return prod(shape[axis] for axis in axes)

    batch, inner = size(left, left_batch), size(left, left_sum)
    # an axis of length 0 leaves nothing to divide by, and nothing to multiply
    rows, columns = (prod(shape) // max(1, batch * inner) for shape in (left, right))
    return Product(batch, rows, inner, columns)
