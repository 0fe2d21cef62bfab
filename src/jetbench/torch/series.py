"""Derivatives φ, φ', …, φ^(K) of scalar functions at a tensor u, by recurrences on truncated series.

A tower is the list [φ(u), φ'(u), …, φ^(K)(u)]; None stands for a derivative that vanishes identically. Everything has
the shape of u: no direction takes part here.
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from jetbench.towers import Tower, times


def exponential(inner: Tower) -> Tower:
    """The tower of e^g from that of g: h' = g' h, differentiated with Leibniz's rule."""
    result: Tower = [inner[0].exp()]
    for k in range(1, len(inner)):
        result.append(times(inner[1 : k + 1], result)[k - 1])
    return result


def power(inner: Tower, exponent: float) -> Tower:
    """The tower of g^p from that of g with g ≠ 0: g h' = p g' h, differentiated with Leibniz's rule."""
    result: Tower = [inner[0] ** exponent]
    inverse = 1 / inner[0]
    for k in range(1, len(inner)):
        right = times(inner[1 : k + 1], result)[k - 1]
        total = None if right is None else exponent * right
        for j in range(1, k):
            if inner[j] is not None and result[k - j] is not None:
                term = comb(k - 1, j) * (inner[j] * result[k - j])
                total = -term if total is None else total - term
        result.append(None if total is None else total * inverse)
    return result


def quadratic(u: Tensor, order: int, constant: float, square: float) -> Tower:
    """The tower of constant + square·u²."""
    tower: Tower = [constant + square * u * u, 2 * square * u, torch.full_like(u, 2 * square)]
    return (tower + [None] * order)[: order + 1]


def hyperbolic_tangent(inner: Tower) -> Tower:
    """The tower of tanh g from that of g: h' = g' (1 − h²), differentiated with Leibniz's rule."""
    result: Tower = [inner[0].tanh()]
    for k in range(1, len(inner)):
        square = times(result, result)
        complement = [1 - square[0], *(None if s is None else -s for s in square[1:])]
        result.append(times(inner[1 : k + 1], complement)[k - 1])
    return result
