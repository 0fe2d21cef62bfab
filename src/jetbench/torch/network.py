"""Network specifications as PyTorch modules, with the weights that all backends share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jetbench.networks import LAYERNORM_EPS, NetworkSpec, weights

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
    "cos": torch.cos,
    "exp": torch.exp,
    "softplus": functional.softplus,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda u: functional.gelu(u, approximate="tanh"),
    "relu": torch.relu,
    "relu_squared": lambda u: torch.relu(u) ** 2,
    "square": torch.square,
}


class Network(nn.Module):
    """The network of a specification, (..., D) → (..., C); the mathematics are in `jetbench.networks.NetworkSpec`."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.activation = ACTIVATIONS[spec.activation]
        self.layers = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in spec.layers)
        if spec.kind == "attention":
            for name in ("query", "key", "value"):
                self.add_module(name, nn.Linear(spec.embedding, spec.widths[0], bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = self.attend(x) if self.spec.kind == "attention" else x
        *hidden, last = self.layers
        for layer in hidden:
            before, h = h, layer(h)
            if self.spec.kind == "layernorm_mlp":
                h = functional.layer_norm(h, h.shape[-1:], eps=LAYERNORM_EPS)
            h = self.activation(h)
            if self.spec.kind == "residual_mlp" and layer.in_features == layer.out_features:
                h = h + before
        return last(h)

    def attend(self, x: Tensor) -> Tensor:
        """The mean over tokens of φ(softmax(q·k/√width) v)."""
        tokens = x.reshape(*x.shape[:-1], self.spec.tokens, self.spec.embedding)
        scores = self.query(tokens) @ self.key(tokens).mT / self.spec.widths[0] ** 0.5
        return self.activation(torch.softmax(scores, -1) @ self.value(tokens)).mean(-2)


def build(spec: NetworkSpec, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Network:
    """The network of `spec` with the weights of `jetbench.networks.weights`, rounded to `dtype`."""
    network = Network(spec)
    state = {name: torch.tensor(value) for name, value in weights(spec).items()}
    network.to(dtype=torch.float64).load_state_dict(state)
    return network.to(dtype=dtype, device=device)
