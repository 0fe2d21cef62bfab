"""Activations."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from coverage_table.jax.inputs import features
from coverage_table.parameters import normal

SLOPES = normal("prelu.weight", 6) / 2


def softplus_beta(x):
    u = 3 * features(x)
    return jnp.where(u > 2, u, jax.nn.softplus(u)) / 3


def softshrink(x):
    u = features(x)
    return jnp.sign(u) * jax.nn.relu(jnp.abs(u) - 0.5)


FUNCTIONS = {
    "tanh": lambda x: jnp.tanh(features(x)),
    "sigmoid": lambda x: jax.nn.sigmoid(features(x)),
    "relu": lambda x: jax.nn.relu(features(x)),
    "relu_of_product": lambda x: jax.nn.relu(features(x)) * features(jnp.flip(x, -1)),
    "relu_squared": lambda x: jax.nn.relu(features(x)) ** 2,
    "relu_cubed": lambda x: jax.nn.relu(features(x)) ** 3,
    "relu6": lambda x: jax.nn.relu6(3 * features(x)) ** 2,
    "leaky_relu": lambda x: jax.nn.leaky_relu(features(x), 0.2) ** 2,
    "prelu": lambda x: jnp.where(features(x) > 0, features(x), SLOPES * features(x)) ** 2,
    "threshold": lambda x: jnp.where(features(x) > 0.1, features(x), 2.0) ** 2,
    "softplus": lambda x: jax.nn.softplus(features(x)),
    "softplus_beta": softplus_beta,
    "silu": lambda x: jax.nn.silu(features(x)),
    "gelu": lambda x: jax.nn.gelu(features(x), approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(features(x)),
    "elu": lambda x: jax.nn.elu(features(x), alpha=0.7),
    "celu": lambda x: jax.nn.celu(features(x), alpha=0.7),
    "selu": lambda x: jax.nn.selu(features(x)),
    "mish": lambda x: jax.nn.mish(features(x)),
    "squareplus": lambda x: jax.nn.squareplus(features(x)),
    "sparse_plus": lambda x: jax.nn.sparse_plus(features(x)),
    "hardswish": lambda x: jax.nn.hard_swish(3 * features(x)),
    "hardsigmoid": lambda x: jax.nn.hard_sigmoid(3 * features(x)) ** 2,
    "hardtanh": lambda x: jax.nn.hard_tanh(features(x)) ** 2,
    "hardshrink": lambda x: jnp.where(jnp.abs(features(x)) > 0.5, features(x), 0.0) ** 2,
    "softshrink": lambda x: softshrink(x) ** 2,
    "softsign": lambda x: jax.nn.soft_sign(features(x)),
    "tanhshrink": lambda x: features(x) - jnp.tanh(features(x)),
    "logsigmoid": lambda x: jax.nn.log_sigmoid(features(x)),
    "glu": lambda x: jax.nn.glu(features(x)),
}
