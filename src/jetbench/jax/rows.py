"""Checking that a network treats the rows of x as independent points.

First by following the leading axes of x through the jaxpr (`independence`), which costs nothing; where that cannot
tell, by running the network.
"""

from __future__ import annotations

from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params, primitives

from jetbench.errors import JetbenchError, MixedRows
from jetbench.jax.compiling import compiled_quickly
from jetbench.jax.independence import are_independent

SEED = 0


def check(captured: ClosedJaxpr, x: Array) -> None:
    """Raise where rows of x influence each other, or the output lacks the leading axes of x.

    Where following the axes cannot tell, some rows are made NaN, and no other row of the output may become NaN. Each
    pair of rows is told apart by a bit of its index or by that bit's complement, so about 2·log₂(rows) forward passes
    see every mixture of two rows. Only arithmetic passes NaN on: rows that meet in comparisons alone have no
    derivatives in common. A network with a loop that might not end at NaN is given other numbers instead, and
    parameters that are being traced are replaced by random numbers.

    Raises:
        MixedRows: rows are mixed.
        JetbenchError: the network returns something that does not begin with the leading axes of x.
    """
    leading, shape = x.shape[:-1], captured.out_avals[0].shape
    if shape[: len(leading)] != leading:
        raise JetbenchError(
            f"The network maps x of shape {tuple(x.shape)} to {tuple(shape)}: its output must keep the leading axes "
            f"{tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
        )
    count = prod(leading)
    if count < 2 or prod(shape) == 0 or are_independent(captured.jaxpr, len(leading)):
        return
    with jax.ensure_compile_time_eval():
        if _are_mixed(captured, x.shape, x.dtype, count):
            raise MixedRows(
                "The network mixes rows of x: the value at one point depends on other points of the batch, as in a "
                "batch norm in training mode or a sum over the batch. Use running statistics, or let the mixed axes be "
                "coordinates of one point."
            )


def _are_mixed(captured: ClosedJaxpr, shape: tuple[int, ...], dtype: np.dtype, count: int) -> bool:
    generator = np.random.default_rng(SEED)
    constants = [_concrete(constant, generator) for constant in captured.consts]
    run = compiled_quickly(lambda x: jax.core.eval_jaxpr(captured.jaxpr, constants, x)[0])
    has_nan = not _has_loop(captured.jaxpr)

    def values(points: np.ndarray) -> np.ndarray:
        return np.asarray(run(jnp.asarray(points.reshape(shape), dtype))).reshape(count, -1)

    points = generator.random((count, shape[-1]))
    clean = values(points)
    tolerance = float(jnp.finfo(dtype).eps) ** (0.75 if has_nan else 0.5)
    index = np.arange(count)
    for bit in range((count - 1).bit_length()):
        chosen = (index >> bit) & 1 == 1
        for poisoned in (chosen, ~chosen):
            others, expected = poisoned[:, None], clean[~poisoned]
            if has_nan:
                found = values(np.where(others, np.nan, points))[~poisoned]
                if not (np.isnan(found) & ~np.isnan(expected)).any():
                    continue
            # NaN also spreads through products with zeros, such as XLA's convolutions in groups: numbers decide
            found = values(np.where(others, generator.random((count, shape[-1])), points))[~poisoned]
            if not np.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
                return True
    return False


def _concrete(constant: Array, generator: np.random.Generator) -> Array:
    """The constant itself, or random numbers where its value is not known yet."""
    if not isinstance(constant, jax.core.Tracer):
        return constant
    if not jnp.issubdtype(constant.dtype, jnp.inexact):
        return jnp.zeros(constant.shape, constant.dtype)
    return jnp.asarray(generator.random(constant.shape), constant.dtype)


def _has_loop(jaxpr: Jaxpr) -> bool:
    return any(
        equation.primitive is primitives.while_p or any(map(_has_loop, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
    )
