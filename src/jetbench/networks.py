"""Networks: framework-neutral specifications and their weights, the same numbers for every backend.

The modules themselves are built by the backends, from `NetworkSpec` and `weights` alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from jetbench.errors import unknown

KINDS = ("mlp", "residual_mlp", "layernorm_mlp", "attention")
ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "sin",
    "cos",
    "exp",
    "softplus",
    "silu",
    "gelu",
    "gelu_tanh",
    "relu",
    "relu_squared",
    "square",
)
LAYERNORM_EPS = 1e-5


@dataclass(frozen=True)
class NetworkSpec:
    """A network from R^D to R^C, C = `outputs`; the last layer is always linear.

    With φ the activation and h_0 = x:

    - `mlp`: h_l = φ(W_l h_{l−1} + b_l).
    - `residual_mlp`: the same, plus h_{l−1} after the activation wherever the width is kept.
    - `layernorm_mlp`: h_l = φ(N(W_l h_{l−1} + b_l)), where N subtracts the mean over features and divides by
      √(variance + 1e-5); no affine part.
    - `attention`: x is tokens × embedding, row-major; with width w = widths[0] and q, k, v = x_i Wᵀ for the three
      matrices of shape (w, embedding), each token becomes φ(Σ_j softmax_j(q_i·k_j/√w) v_j); the mean over tokens goes
      through mlp layers of widths[1:] and the linear output layer.

    Attributes:
        kind: one of `KINDS`.
        dim: D.
        widths: of the hidden layers.
        outputs: C.
        activation: one of `ACTIVATIONS`; gelu is the exact one, gelu_tanh its approximation.
        seed: of the weights, 0 ≤ seed < 2^63.
        tokens: of attention only; must divide D. By default the divisor of D that is nearest to √D from below, but
            not 1; D itself if D is prime.

    Raises:
        ValueError: a value is not allowed; the message names the allowed ones.
    """

    kind: str = "mlp"
    dim: int = 2
    widths: tuple[int, ...] = (768, 768, 512, 512)
    outputs: int = 1
    activation: str = "tanh"
    seed: int = 0
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("network", self.kind, KINDS))
        if self.activation not in ACTIVATIONS:
            raise ValueError(unknown("activation", self.activation, ACTIVATIONS))
        for name in ("dim", "outputs"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        object.__setattr__(self, "seed", _whole("seed", self.seed, least=0, most=2**63 - 1))
        if isinstance(self.widths, str) or not isinstance(self.widths, (Sequence, np.ndarray)):
            raise ValueError(f"widths must be a sequence of whole numbers; got {self.widths!r}.")
        object.__setattr__(self, "widths", tuple(_whole("each of widths", width) for width in self.widths))
        if self.kind != "attention":
            if self.tokens is not None:
                raise ValueError(f"Only attention has tokens; got tokens={self.tokens!r} for {self.kind}.")
            return
        if not self.widths:
            raise ValueError("attention needs at least one width, that of its queries, keys and values.")
        tokens = _divisor_below_root(self.dim) if self.tokens is None else _whole("tokens", self.tokens)
        if self.dim % tokens:
            raise ValueError(f"tokens must divide dim={self.dim}; got {tokens}.")
        object.__setattr__(self, "tokens", tokens)

    @property
    def embedding(self) -> int:
        """Coordinates of one token, for attention; D otherwise."""
        return self.dim // (self.tokens or 1)

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of the layers "layers.0", "layers.1", …, the linear output layer last."""
        sizes = (*self.widths, self.outputs) if self.kind == "attention" else (self.dim, *self.widths, self.outputs)
        return tuple(itertools.pairwise(sizes))


def weights(spec: NetworkSpec) -> dict[str, np.ndarray]:
    """The parameters by name, float64: "layers.0.weight" (fan_out, fan_in), "layers.0.bias" (fan_out,), …

    Attention has "query.weight", "key.weight" and "value.weight" before them, each (widths[0], embedding). All entries
    are uniform on (−1, 1)/√fan_in, drawn in the order of the names from Philox with the seed of the specification.
    """
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}
    if spec.kind == "attention":
        for name in ("query", "key", "value"):
            shapes[f"{name}.weight"] = ((spec.widths[0], spec.embedding), spec.embedding)
    for index, (fan_in, fan_out) in enumerate(spec.layers):
        shapes[f"layers.{index}.weight"] = ((fan_out, fan_in), fan_in)
        shapes[f"layers.{index}.bias"] = ((fan_out,), fan_in)
    generator = np.random.Generator(np.random.Philox(spec.seed))
    return {name: generator.uniform(-1, 1, shape) / np.sqrt(fan_in) for name, (shape, fan_in) in shapes.items()}


def _whole(name: str, value: object, least: int = 1, most: int = 2**31 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}.")
    if value > most:
        raise ValueError(f"{name} must be below 2^{most.bit_length()}; got {value}.")
    return int(value)


def _divisor_below_root(number: int) -> int:
    """The largest divisor t of `number` with 1 < t ≤ √number; `number` itself where there is none."""
    return next((t for t in range(isqrt(number), 1, -1) if number % t == 0), number)
