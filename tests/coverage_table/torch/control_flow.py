"""Loops, branches, writing in place, functions of functions."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from coverage_table.torch.inputs import DISTINCT, MIXED, features


def loop(x):
    total = torch.zeros_like(x[..., 0])
    for k in range(3):
        total = torch.sin(total + x[..., k])
    return total


def recurrence(x):
    """A recurrent network over the features, all states kept."""
    state, states = x, []
    for step in features(x).unbind(-1):
        state = torch.tanh(state @ MIXED[:3, :3] + step[:, None])
        states.append(state)
    return torch.stack(states, 1)


def newton(x):
    """The square root by Newton's iteration."""
    root = torch.ones_like(x)
    for _ in range(8):
        root = 0.5 * (root + (1 + x**2) / root)
    return root


def branches(x):
    return torch.where(x[:, :1] > 0, features(x).sin(), torch.where(x[:, 1:2] > 0, features(x) ** 3, features(x)))


def in_place(x):
    h = torch.zeros(x.shape[0], 6, dtype=x.dtype)
    h[:, :3] = x.sin()
    h[:, 3:] = h[:, :3].clone() * x
    h[:, 1].mul_(h[:, 4])
    h += 1
    return h


def in_place_indexed(x):
    h = features(x).clone()
    h[:, DISTINCT] = x.exp()
    h[..., 4].copy_(x[..., 0])
    return h**2


FUNCTIONS = {
    "loop": loop,
    "recurrence": recurrence,
    "newton": newton,
    "branches": branches,
    "in_place": in_place,
    "in_place_indexed": in_place_indexed,
    "detach": lambda x: features(x).detach() * features(x),
    "vmap": lambda x: torch.vmap(lambda row: torch.outer(row, row.sin()))(features(x)),
    "checkpoint": lambda x: checkpoint(lambda h: torch.tanh(h @ MIXED).exp(), features(x), use_reentrant=False),
}
