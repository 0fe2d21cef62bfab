"""Layers, blocks and whole networks of the field."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from coverage_table.jax.inputs import features, matrix, positive, table, tokens
from coverage_table.parameters import INDEX, MIXED, ROWS, WEIGHT, normal

FREQUENCIES, MIXTURE = normal("frequencies", 8, 5), normal("mixture", 4, 6, 3)


def parameter(name, *shape):
    return normal(name, *shape) / 2


def normalized(h, axes=-1, eps=1e-5):
    centered = h - h.mean(axes, keepdims=True)
    return centered * jax.lax.rsqrt(h.var(axes, keepdims=True) + eps)


def affine(name, h):
    return h * parameter(f"{name}.weight", h.shape[-1]) + parameter(f"{name}.bias", h.shape[-1])


def layer(name, h, outputs):
    return h @ parameter(f"{name}.weight", outputs, h.shape[-1]).T + parameter(f"{name}.bias", outputs)


def group_norm(x):
    return affine("group_norm", normalized(table(x)).reshape(-1, 6))


def group_norm_space(x):
    h = jnp.stack([features(x), features(x) ** 2], -1).reshape(-1, 3, 4)
    return normalized(h).reshape(-1, 6, 2)


def rms_norm(x):
    h, eps = features(x), np.finfo(np.float64).eps
    return h * jax.lax.rsqrt((h**2).mean(-1, keepdims=True) + eps) * parameter("rms_norm.weight", 6)


def batch_norm(x):
    variance = np.abs(parameter("batch_norm.running_var", 6)) + 0.5
    scaled = (features(x) - parameter("batch_norm.running_mean", 6)) / np.sqrt(variance + 1e-5)
    return affine("batch_norm", scaled)


def residual(x):
    h = jnp.tanh(x @ WEIGHT.T)
    return h + jnp.tanh(h @ MIXED)


def attention(x):
    q, k, v = (tokens(x) @ m for m in (MIXED[:2, :4], MIXED[2:4, :4], MIXED[4:, :4]))
    return jax.nn.softmax(q @ k.mT / 2) @ v


def scaled_dot_product(x, causal=False):
    q, k, v = (tokens(x) @ MIXED[2 * i : 2 * i + 2, :4] for i in range(3))
    scores = q @ k.mT / 2
    return jax.nn.softmax(jnp.where(np.tri(3, dtype=bool), scores, -jnp.inf) if causal else scores) @ v


def fused_attention(x):
    """JAX computes its softmax in single precision."""
    q, k, v = (tokens(x)[:, :, None] @ MIXED[2 * i : 2 * i + 2, :4] for i in range(3))
    return jax.nn.dot_product_attention(q, k, v, is_causal=True)[:, :, 0]


def embedded(x):
    """(N, 3, 4)"""
    return jnp.tanh(tokens(x) @ MIXED[:2, :4])


def attended(name, h, heads=2):
    """Multi-head self-attention of (N, T, E)."""
    n, length, width = h.shape
    projected = h @ parameter(f"{name}.in_proj_weight", 3 * width, width).T + parameter(
        f"{name}.in_proj_bias", 3 * width
    )
    q, k, v = jnp.moveaxis(projected.reshape(n, length, 3, heads, width // heads), 2, 0)
    scores = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k) / math.sqrt(width // heads))
    return layer(f"{name}.out_proj", jnp.einsum("nhts,nshd->nthd", scores, v).reshape(h.shape), width)


def encoder_layer(x):
    h = embedded(x)
    h = affine("encoder.norm1", normalized(h + attended("encoder.self_attn", h)))
    forward = layer("encoder.linear2", jax.nn.relu(layer("encoder.linear1", h, 8)), 4)
    return affine("encoder.norm2", normalized(h + forward))


def bilinear(x):
    h = features(x)
    weight = parameter("bilinear.weight", 4, 6, 6)
    return jnp.einsum("ni,oij,nj->no", h, weight, jnp.sin(h)) + parameter("bilinear.bias", 4)


def gates(name, inputs, state, count):
    found = inputs @ parameter(f"{name}.weight_ih", 4 * count, 6).T + parameter(f"{name}.bias_ih", 4 * count)
    kept = state @ parameter(f"{name}.weight_hh", 4 * count, 4).T + parameter(f"{name}.bias_hh", 4 * count)
    return jnp.split(found, count, -1), jnp.split(kept, count, -1)


def gru_cell(x):
    h = features(x)
    found, kept = gates("gru", h, h[:, :4], 3)
    reset, update = (jax.nn.sigmoid(found[i] + kept[i]) for i in range(2))
    return (1 - update) * jnp.tanh(found[2] + reset * kept[2]) + update * h[:, :4]


def lstm_cell(x):
    h = features(x)
    found, kept = gates("lstm", h, h[:, :4], 4)
    summed = [a + b for a, b in zip(found, kept, strict=True)]
    cell = jax.nn.sigmoid(summed[1]) * h[:, 2:] + jax.nn.sigmoid(summed[0]) * jnp.tanh(summed[2])
    return jnp.concatenate([jax.nn.sigmoid(summed[3]) * jnp.tanh(cell), cell], -1)


def fourier(x):
    angles = x @ WEIGHT[:4].T
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1) @ FREQUENCIES


def embedding(x):
    return jnp.asarray(parameter("embedding.weight", 4, 3))[jnp.array([1, 3, 0, 2, 2, 1])].mean(-1) * features(x)


def gated(x):
    """A SwiGLU block."""
    h = features(x)
    return (jax.nn.silu(h @ MIXED) * (h @ MIXED.T)) @ MIXED[:, :2]


def sines(x):
    """A SIREN."""
    return jnp.sin(jnp.sin(2 * x @ WEIGHT.T) @ MIXED + MIXED[0]) @ MIXED[:, :1]


def radial_basis(x):
    return jnp.exp(-((x[:, None] - ROWS[:, :3]) ** 2).sum(-1)) @ ROWS[:, :2]


def deep_operator(x):
    """A DeepONet: the inner product of a branch net of one coordinate and a trunk net of the others."""
    branch = jnp.tanh(x[:, :1] @ WEIGHT[:, :1].T) @ MIXED
    trunk = jnp.tanh(x[:, 1:] @ WEIGHT[:, 1:].T) @ MIXED.T
    return (branch * trunk).sum(-1)


def boundary(x):
    """A network that vanishes on the boundary of the cube."""
    return (1 - x**2).prod(-1, keepdims=True) * features(x) @ MIXED[:, :1]


def experts(x):
    """Two of four experts, weighted by the softmax of their scores."""
    scores, chosen = jax.lax.top_k(features(x) @ MIXED[:, :4], 2)
    found = jnp.tanh(jnp.einsum("nd,kdo->nko", features(x), MIXTURE))
    kept = jnp.take_along_axis(found, chosen[..., None], 1)
    return (jax.nn.softmax(scores)[..., None] * kept).sum(1)


def runge_kutta(x):
    """A step of a neural ordinary differential equation."""

    def slope(h):
        return jnp.tanh(h @ MIXED)

    h = features(x)
    first = slope(h)
    second = slope(h + 0.05 * first)
    third = slope(h + 0.05 * second)
    return h + 0.1 / 6 * (first + 2 * second + 2 * third + slope(h + 0.1 * third))


@jax.vmap
def message_passing(x):
    """SchNet's continuous-filter convolutions between three particles in the plane, over a smooth cutoff."""
    positions = tokens(x)[0]
    source, target = jnp.array([0, 0, 1, 1, 2, 2]), jnp.array([1, 2, 0, 2, 0, 1])
    distance = jnp.linalg.norm(positions[source] - positions[target], axis=-1)
    cutoff = jnp.where(distance < 4, 0.5 * (jnp.cos(math.pi * distance / 4) + 1), 0.0)
    basis = jnp.exp(-((distance[:, None] - jnp.linspace(0, 3, 6)) ** 2))
    filters = (jax.nn.softplus(basis @ MIXED) - math.log(2)) @ MIXED[:, :4] * cutoff[:, None]
    states = jnp.asarray(ROWS[:3, :4])
    for _ in range(2):
        messages = jax.ops.segment_sum(states[source] * filters, target, 3)
        states = states + jax.nn.softplus(messages @ MIXED[:4, :4])
    return states.sum()


@jax.vmap
def wave_function(x):
    """A FermiNet-like ansatz for three electrons in the plane: log|Σ_k det Φ_k| with one determinant positive."""
    electrons = tokens(x)[0]
    apart = jnp.linalg.norm(electrons[:, None] - electrons[None] + jnp.eye(3)[..., None], axis=-1)
    pairs = jnp.tanh(apart[..., None] * MIXED[0, :2]).mean(1)
    mean = jnp.broadcast_to(electrons.mean(0, keepdims=True), electrons.shape)
    single = jnp.tanh(jnp.concatenate([electrons, pairs, mean], -1) @ MIXED)
    single = single + jnp.tanh(single @ MIXED.T)
    envelope = jnp.exp(-jnp.diagonal(apart) - jnp.linalg.norm(electrons, axis=-1))
    orbitals = jnp.einsum("ed,kdo->keo", single, MIXTURE) * envelope[:, None]
    sign, logarithm = jnp.linalg.slogdet(orbitals)
    return jnp.squeeze(jax.nn.logsumexp(logarithm, b=sign, return_sign=True)[0])


def jastrow(x):
    """log|det| of Gaussian orbitals and a Padé–Jastrow factor."""
    distance = positive(x)[:, :3]
    return jnp.linalg.slogdet(jnp.exp(-(matrix(x) ** 2)))[1] + (distance / (1 + distance)).sum(-1)


FUNCTIONS = {
    "residual": residual,
    "layer_norm": lambda x: normalized(features(x)),
    "layer_norm_affine": lambda x: jnp.tanh(affine("layer_norm", normalized(features(x)))),
    "layer_norm_two_axes": lambda x: normalized(table(x), (1, 2)),
    "group_norm": group_norm,
    "group_norm_space": group_norm_space,
    "rms_norm": rms_norm,
    "batch_norm": lambda x: batch_norm(x) ** 2,
    "standardize": lambda x: jax.nn.standardize(features(x)),
    "softmax": lambda x: jax.nn.softmax(features(x)),
    "log_softmax": lambda x: jax.nn.log_softmax(table(x), 1),
    "softmin": lambda x: jax.nn.softmax(-features(x)),
    "softmax_of_some": lambda x: jax.nn.softmax(features(x), where=features(x) > -0.5),
    "attention": attention,
    "scaled_dot_product": scaled_dot_product,
    "scaled_dot_product_causal": lambda x: scaled_dot_product(x, causal=True),
    "fused_attention": fused_attention,
    "multihead_attention": lambda x: attended("attention", embedded(x)),
    "encoder_layer": encoder_layer,
    "bilinear": bilinear,
    "linear": lambda x: features(x) ** 2 @ MIXED.T + MIXED[0],
    "gru_cell": gru_cell,
    "lstm_cell": lstm_cell,
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
    "one_hot": lambda x: jax.nn.one_hot(INDEX, 6) @ features(x)[..., None] ** 2,
}
