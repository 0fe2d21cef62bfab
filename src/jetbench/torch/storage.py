"""How the coefficients of a jet are stored in memory.

An array of components (n, *S) is stored with its component axis just before the last axis of S: all components of a
datum are near each other. What an activation reads twice (once for a sum over directions, once for each of them) is
then still in the cache, threads that split the batch keep to their own rows, and the rows of all components are
nevertheless one matrix for the next linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stored(components: Tensor) -> Tensor:
    """(n, *S) as it lies in memory, (*S[:-1], n, S[-1])."""
    return components.movedim(0, -2)


def components(stored: Tensor) -> Tensor:
    """The inverse of `stored`."""
    return stored.movedim(-2, 0)


def join(parts: Sequence[Tensor]) -> Tensor:
    """Arrays (n_i, *S) one after the other, S not empty."""
    if parts[0].shape[1:-1].numel() == 1:  # there both orders are the same
        return torch.cat(tuple(parts))
    return components(torch.cat([stored(part) for part in parts], -2))


def empty(count: int, shape: Sequence[int], like: Tensor) -> Tensor:
    """Room for `count` components of a shape S, not empty, in the type and on the device of `like`."""
    return components(torch.empty((*shape[:-1], count, shape[-1]), dtype=like.dtype, device=like.device))
