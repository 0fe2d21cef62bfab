"""Derivatives of a function from its values: those of the polynomial through Chebyshev points around x."""

from __future__ import annotations

import functools
import itertools

import numpy as np

#: Points along each axis and their distance from x.
FINE, COARSE = (11, 0.12), (9, 0.08)


@functools.cache
def _weights(count: int, radius: float, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes s and weights w with f^(order)(0) = Σ w f(s) for polynomials of degree below `count`."""
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    powers = np.vander(nodes, increasing=True).T
    right = np.zeros(count)
    right[order] = float(np.prod(np.arange(1, order + 1)))
    return radius * nodes, np.linalg.solve(powers, right) / radius**order


def stencil(alpha: tuple[int, ...], scheme: tuple[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (S, D) and weights (S,) with ∂^α f(x) ≈ Σ_s weights_s f(x + shifts_s)."""
    axes = [i for i, e in enumerate(alpha) if e]
    tables = [_weights(*scheme, alpha[i]) for i in axes]
    shifts = np.zeros((scheme[0] ** len(axes), len(alpha)))
    shifts[:, axes] = np.array(list(itertools.product(*(nodes for nodes, _ in tables)))).reshape(len(shifts), len(axes))
    weights = np.array([np.prod(w) for w in itertools.product(*(weights for _, weights in tables))])
    return shifts, weights
