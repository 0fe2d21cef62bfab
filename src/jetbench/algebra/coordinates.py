"""From the variables of a symbol to the coordinates of x: v = σ(x) d for directions d."""

from __future__ import annotations

import numpy as np

from jetbench.algebra.arrays import Array, of
from jetbench.errors import JetbenchError
from jetbench.operators.problem import Operator


def factor_of(operator: Operator, x: Array) -> Array | None:
    """σ(x), (D, R) or (..., D, R), in the type of x; None for the identity."""
    arrays = of(x)
    if operator.factor is None:
        return None
    if isinstance(operator.factor, np.ndarray):
        return arrays.like(operator.factor, x)
    found = operator.factor(x)
    expected = (*x.shape[:-1], operator.dim, operator.variables)
    if not isinstance(found, arrays.kind) or found.shape != expected:
        shape = tuple(found.shape) if isinstance(found, arrays.kind) else type(found).__name__
        raise JetbenchError(
            f"The factor of {operator.name} must return a {arrays.kind.__name__} of shape {expected}; got {shape}."
        )
    return arrays.like(found, x)


def in_coordinates(seeds: Array | np.ndarray, factor: Array | None, x: Array) -> Array:
    """Seeds in the variables ζ, (n, R) or (n, ..., R), as directions of x, (n, ..., D): v = σ(x) d."""
    arrays = of(x)
    seeds = arrays.like(seeds, x)
    if factor is not None and factor.ndim == 2:
        seeds = seeds @ factor.T
    elif factor is not None:
        batch = "" if seeds.ndim == 2 else "..."
        seeds = arrays.namespace.einsum(f"...dr,n{batch}r->n...d", factor, seeds)
    if seeds.ndim < x.ndim + 1:
        seeds = seeds.reshape(seeds.shape[0], *(1,) * (x.ndim + 1 - seeds.ndim), *seeds.shape[1:])
    return arrays.between_devices(seeds, x)
