"""Values of the functions' operators at the points of the coverage table, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from jetbench.coverage.parameters import POINTS
from jetbench.problem import Operator
from jetbench.torch import linear_operator
from jetbench.torch import reference as nested

# PyTorch computes the slope of celu in single precision, and higher derivatives of sinc with cancellation near 0.
INEXACT = {"celu": 1e-6, "sinc": 1e-8}
ORDERS: Mapping[str, tuple[str, ...]] = {}


def reference(function: Callable[[Tensor], Tensor], operator: Operator) -> dict[str, np.ndarray]:
    """Output name → value by nested forward mode."""
    return _arrays(nested.evaluate(function, operator, torch.from_numpy(POINTS)))


def applied(function: Callable[[Tensor], Tensor], operator: Operator, method: str) -> dict[str, np.ndarray]:
    """Output name → value by a method."""
    values = linear_operator(function, operator, method)(torch.from_numpy(POINTS))
    return _arrays({"": values} if operator.is_single else values)


def _arrays(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in values.items()}
