"""Activations."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coverage_table.torch.inputs import features, module

PRELU = module("prelu", torch.nn.PReLU, 6)

FUNCTIONS = {
    "tanh": lambda x: torch.tanh(features(x)),
    "sigmoid": lambda x: torch.sigmoid(features(x)),
    "relu": lambda x: torch.relu(features(x)),
    "relu_of_product": lambda x: torch.relu(features(x)) * features(x.flip(-1)),
    "relu_squared": lambda x: torch.relu(features(x)) ** 2,
    "relu_cubed": lambda x: torch.relu(features(x)) ** 3,
    "relu6": lambda x: F.relu6(3 * features(x)).square(),
    "leaky_relu": lambda x: F.leaky_relu(features(x), 0.2) ** 2,
    "prelu": lambda x: PRELU(features(x)) ** 2,
    "threshold": lambda x: F.threshold(features(x), 0.1, 2.0) ** 2,
    "softplus": lambda x: F.softplus(features(x)),
    "softplus_beta": lambda x: F.softplus(features(x), beta=3, threshold=2),
    "silu": lambda x: F.silu(features(x)),
    "gelu": lambda x: F.gelu(features(x)),
    "gelu_tanh": lambda x: F.gelu(features(x), approximate="tanh"),
    "elu": lambda x: F.elu(features(x), alpha=0.7),
    "celu": lambda x: F.celu(features(x), alpha=0.7),
    "selu": lambda x: F.selu(features(x)),
    "mish": lambda x: F.mish(features(x)),
    "hardswish": lambda x: F.hardswish(3 * features(x)),
    "hardsigmoid": lambda x: F.hardsigmoid(3 * features(x)) ** 2,
    "hardtanh": lambda x: F.hardtanh(features(x)) ** 2,
    "hardshrink": lambda x: F.hardshrink(features(x)) ** 2,
    "softshrink": lambda x: F.softshrink(features(x)) ** 2,
    "softsign": lambda x: F.softsign(features(x)),
    "tanhshrink": lambda x: F.tanhshrink(features(x)),
    "logsigmoid": lambda x: F.logsigmoid(features(x)),
    "glu": lambda x: F.glu(features(x)),
}
