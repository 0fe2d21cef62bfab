"""Layers, blocks and whole networks of the field."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from coverage_table.torch.inputs import (
    MIXED,
    ROWS,
    WEIGHT,
    features,
    matrix,
    module,
    normal,
    positive,
    table,
    tokens,
)

ATTENTION = module("attention", nn.MultiheadAttention, 4, 2, batch_first=True)
ENCODER = module("encoder", nn.TransformerEncoderLayer, 4, 2, 8, batch_first=True)
LAYER_NORM, GROUP_NORM = module("layer_norm", nn.LayerNorm, 6), module("group_norm", nn.GroupNorm, 2, 6)
BATCH_NORM, RMS_NORM = module("batch_norm", nn.BatchNorm1d, 6), module("rms_norm", nn.RMSNorm, 6)
BILINEAR, GRU, LSTM = (
    module("bilinear", nn.Bilinear, 6, 6, 4),
    module("gru", nn.GRUCell, 6, 4),
    module("lstm", nn.LSTMCell, 6, 4),
)
TABLE = module("embedding", nn.Embedding, 4, 3)
FREQUENCIES, MIXTURE = normal("frequencies", 8, 5), normal("mixture", 4, 6, 3)


def residual(x):
    h = torch.tanh(x @ WEIGHT.T)
    return h + torch.tanh(h @ MIXED)


def attention(x):
    q, k, v = (tokens(x) @ m for m in (MIXED[:2, :4], MIXED[2:4, :4], MIXED[4:, :4]))
    return torch.softmax(q @ k.mT / 2, -1) @ v


def heads(x):
    return [tokens(x)[:, None] @ MIXED[2 * i : 2 * i + 2, :4] for i in range(3)]


def embedded(x):
    """(N, 3, 4)"""
    return (tokens(x) @ MIXED[:2, :4]).tanh()


def multihead_attention(x):
    return ATTENTION(embedded(x), embedded(x), embedded(x), need_weights=False)[0]


def fourier(x):
    angles = x @ WEIGHT[:4].T
    return torch.cat([angles.sin(), angles.cos()], -1) @ FREQUENCIES


def embedding(x):
    return TABLE(torch.tensor([1, 3, 0, 2, 2, 1])).mean(-1) * features(x)


def gated(x):
    """A SwiGLU block."""
    h = features(x)
    return (F.silu(h @ MIXED) * (h @ MIXED.mT)) @ MIXED[:, :2]


def sines(x):
    """A SIREN."""
    return torch.sin(torch.sin(2 * x @ WEIGHT.T) @ MIXED + MIXED[0]) @ MIXED[:, :1]


def radial_basis(x):
    return torch.exp(-(x[:, None] - ROWS[:, :3]).square().sum(-1)) @ ROWS[:, :2]


def deep_operator(x):
    """A DeepONet: the inner product of a branch net of one coordinate and a trunk net of the others."""
    branch = torch.tanh(x[:, :1] @ WEIGHT[:, :1].T) @ MIXED
    trunk = torch.tanh(x[:, 1:] @ WEIGHT[:, 1:].T) @ MIXED.mT
    return (branch * trunk).sum(-1)


def boundary(x):
    """A network that vanishes on the boundary of the cube."""
    return (1 - x**2).prod(-1, keepdim=True) * features(x) @ MIXED[:, :1]


def experts(x):
    """Two of four experts, weighted by the softmax of their scores."""
    scores, chosen = (features(x) @ MIXED[:, :4]).topk(2)
    found = torch.tanh(torch.einsum("nd,kdo->nko", features(x), MIXTURE))
    kept = found.gather(1, chosen[..., None].expand(-1, -1, 3))
    return (torch.softmax(scores, -1)[..., None] * kept).sum(1)


def runge_kutta(x):
    """A step of a neural ordinary differential equation."""

    def slope(h):
        return torch.tanh(h @ MIXED)

    h = features(x)
    first = slope(h)
    second = slope(h + 0.05 * first)
    third = slope(h + 0.05 * second)
    return h + 0.1 / 6 * (first + 2 * second + 2 * third + slope(h + 0.1 * third))


def message_passing(x):
    """SchNet's continuous-filter convolutions between three particles in the plane, over a smooth cutoff."""
    positions = tokens(x)
    source, target = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    distance = (positions[:, source] - positions[:, target]).norm(dim=-1)
    cutoff = torch.where(distance < 4, 0.5 * (torch.cos(math.pi * distance / 4) + 1), 0.0)
    basis = torch.exp(-((distance[..., None] - torch.linspace(0, 3, 6, dtype=x.dtype)) ** 2))
    filters = (F.softplus(basis @ MIXED) - math.log(2)) @ MIXED[:, :4] * cutoff[..., None]
    states = ROWS[:3, :4].expand(x.shape[0], 3, 4)
    for _ in range(2):
        messages = torch.zeros_like(states).index_add(1, target, states[:, source] * filters)
        states = states + F.softplus(messages @ MIXED[:4, :4])
    return states.sum((1, 2))


def wave_function(x):
    """A FermiNet-like ansatz for three electrons in the plane: log|Σ_k det Φ_k| with one determinant positive."""
    electrons = tokens(x)
    apart = (electrons[:, :, None] - electrons[:, None] + torch.eye(3, dtype=x.dtype)[..., None]).norm(dim=-1)
    pairs = torch.tanh(apart[..., None] * MIXED[0, :2]).mean(2)
    single = torch.tanh(torch.cat([electrons, pairs, electrons.mean(1, keepdim=True).expand(-1, 3, -1)], -1) @ MIXED)
    single = single + torch.tanh(single @ MIXED.mT)
    envelope = torch.exp(-apart.diagonal(dim1=1, dim2=2) - electrons.norm(dim=-1))
    orbitals = torch.einsum("ned,kdo->nkeo", single, MIXTURE) * envelope[:, None, :, None]
    sign, logarithm = torch.linalg.slogdet(orbitals)
    largest = logarithm.amax(-1, keepdim=True).detach()
    return (sign * torch.exp(logarithm - largest)).sum(-1).abs().log() + largest[:, 0]


def jastrow(x):
    """log|det| of Gaussian orbitals and a Padé–Jastrow factor."""
    distance = positive(x)[:, :3]
    return torch.linalg.slogdet(torch.exp(-(matrix(x) ** 2)))[1] + (distance / (1 + distance)).sum(-1)


FUNCTIONS = {
    "residual": residual,
    "layer_norm": lambda x: F.layer_norm(features(x), (6,)),
    "layer_norm_affine": lambda x: torch.tanh(LAYER_NORM(features(x))),
    "layer_norm_two_axes": lambda x: F.layer_norm(table(x), (2, 3)),
    "group_norm": lambda x: GROUP_NORM(features(x)),
    "group_norm_space": lambda x: F.group_norm(torch.stack([features(x), features(x) ** 2], -1), 3),
    "rms_norm": lambda x: RMS_NORM(features(x)),
    "batch_norm": lambda x: BATCH_NORM(features(x)) ** 2,
    "softmax": lambda x: torch.softmax(features(x), -1),
    "log_softmax": lambda x: torch.log_softmax(table(x), 1),
    "softmin": lambda x: F.softmin(features(x), -1),
    "attention": attention,
    "scaled_dot_product": lambda x: F.scaled_dot_product_attention(*heads(x))[:, 0],
    "scaled_dot_product_causal": lambda x: F.scaled_dot_product_attention(*heads(x), is_causal=True)[:, 0],
    "multihead_attention": multihead_attention,
    "encoder_layer": lambda x: ENCODER(embedded(x)),
    "bilinear": lambda x: BILINEAR(features(x), features(x).sin()),
    "linear": lambda x: F.linear(features(x) ** 2, MIXED, MIXED[0]),
    "gru_cell": lambda x: GRU(features(x), features(x)[:, :4]),
    "lstm_cell": lambda x: torch.cat(LSTM(features(x), (features(x)[:, :4], features(x)[:, 2:])), -1),
    "fourier": fourier,
    "embedding": embedding,
    "gated": gated,
    "sines": sines,
    "radial_basis": radial_basis,
    "deep_operator": deep_operator,
    "boundary": boundary,
    "experts": experts,
    "runge_kutta": runge_kutta,
    "message_passing": message_passing,
    "wave_function": wave_function,
    "jastrow": jastrow,
}
