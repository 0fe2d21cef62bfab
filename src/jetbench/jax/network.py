"""Network specifications as JAX functions, with the weights that all backends share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jetbench.networks import LAYERNORM_EPS, NetworkSpec, weights

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "exp": jnp.exp,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "gelu": lambda u: jax.nn.gelu(u, approximate=False),
    "gelu_tanh": lambda u: jax.nn.gelu(u, approximate=True),
    "relu": jax.nn.relu,
    "relu_squared": lambda u: jax.nn.relu(u) ** 2,
    "square": jnp.square,
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Network:
    """The network of a specification, (..., D) → (..., C); the mathematics are in `jetbench.networks.NetworkSpec`.

    A pytree whose leaves are the parameters, so that `jax.grad` and `jax.jit` take networks as arguments.

    Attributes:
        parameters: by the names of `jetbench.networks.weights`.
    """

    parameters: dict[str, Array]
    spec: NetworkSpec = field(metadata={"static": True})

    def __call__(self, x: Array) -> Array:
        spec, activation = self.spec, ACTIVATIONS[self.spec.activation]
        h = self.attend(x) if spec.kind == "attention" else x
        *hidden, last = range(len(spec.layers))
        for index in hidden:
            before, h = h, self.layer(index, h)
            if spec.kind == "layernorm_mlp":
                centred = h - h.mean(-1, keepdims=True)
                h = centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + LAYERNORM_EPS)
            h = activation(h)
            if spec.kind == "residual_mlp" and before.shape == h.shape:
                h = h + before
        return self.layer(last, h)

    def layer(self, index: int, h: Array) -> Array:
        """W_l h + b_l."""
        return h @ self.parameters[f"layers.{index}.weight"].T + self.parameters[f"layers.{index}.bias"]

    def attend(self, x: Array) -> Array:
        """The mean over tokens of φ(softmax(q·k/√width) v)."""
        tokens = x.reshape(*x.shape[:-1], self.spec.tokens, self.spec.embedding)
        query, key, value = (tokens @ self.parameters[f"{name}.weight"].T for name in ("query", "key", "value"))
        scores = query @ key.mT / self.spec.widths[0] ** 0.5
        return ACTIVATIONS[self.spec.activation](jax.nn.softmax(scores, -1) @ value).mean(-2)


def build(spec: NetworkSpec, dtype: DTypeLike = "float64") -> Network:
    """The network of `spec` with the weights of `jetbench.networks.weights`, rounded to `dtype`.

    Raises:
        ValueError: float64 is asked for, but JAX computes in 32 bits; the message says how to change that.
    """
    if jnp.dtype(dtype) == "float64" and not jax.config.jax_enable_x64:
        raise ValueError(
            "A network in float64 needs 64 bits in JAX: call jax.config.update('jax_enable_x64', True) first, or ask "
            "for dtype='float32'."
        )
    return Network({name: jnp.asarray(value, dtype) for name, value in weights(spec).items()}, spec)
