"""Derivatives of a function from its values: the polynomial through Chebyshev points around x, differentiated there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np

FINE, COARSE = (11, 0.12), (9, 0.08)
TOLERANCE = 1e-6


@functools.cache
def _weights(count: int, radius: float, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes s and weights w with f^(order)(0) = Σ w f(s) for polynomials of degree below `count`."""
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    powers = np.vander(nodes, increasing=True).T
    right = np.zeros(count)
    right[order] = float(np.prod(np.arange(1, order + 1)))
    return radius * nodes, np.linalg.solve(powers, right) / radius**order


def _one(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, alpha: tuple[int, ...], scheme: tuple) -> np.ndarray:
    axes = [i for i, e in enumerate(alpha) if e]
    tables = [_weights(*scheme, alpha[i]) for i in axes]
    shifts = np.array(list(itertools.product(*(nodes for nodes, _ in tables))))
    weights = np.array([np.prod(w) for w in itertools.product(*(weights for _, weights in tables))])
    points = np.repeat(x[:, None], len(shifts), 1)
    points[:, :, axes] += shifts
    values = f(points.reshape(-1, x.shape[-1])).reshape(len(x), len(shifts), -1)
    return np.einsum("s,nsc->nc", weights, values)


def derivative(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, alpha: tuple[int, ...]) -> np.ndarray:
    """∂^α f at each row of x (N, D) → (N, C); NaN where two grids disagree, as at kinks."""
    if not any(alpha):
        return f(x).reshape(len(x), -1)
    fine, coarse = (_one(f, x, alpha, scheme) for scheme in (FINE, COARSE))
    agrees = np.abs(fine - coarse) <= TOLERANCE * (1 + np.abs(fine))
    return np.where(agrees, fine, np.nan)
