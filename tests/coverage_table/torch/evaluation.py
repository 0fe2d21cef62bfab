"""Values of the functions' operators at the points of the coverage table, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from coverage_table.parameters import POINTS
from jetbench.operators.problem import Operator
from jetbench.torch import linear_operator
from jetbench.torch import reference as nested

INEXACT: Mapping[str, float] = {}
ORDERS: Mapping[str, tuple[str, ...]] = {}


def reference(function: Callable[[Tensor], Tensor], operator: Operator) -> dict[str, np.ndarray]:
    """Output name → value by nested forward mode, for functions that the table does not list."""
    return _arrays(nested.evaluate(function, operator, torch.from_numpy(POINTS)))


def plain(function: Callable[[Tensor], Tensor], points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """f(points); what the function detaches has its value at the centres, since it counts as a constant."""
    with torch.no_grad():
        with _Detached([]) as detached:
            function(torch.from_numpy(np.array(centres)))
        with _Detached(detached.values):
            return function(torch.from_numpy(np.array(points))).numpy()


class _Detached(TorchFunctionMode):
    """Notes the results of `detach`, or gives those that were noted."""

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()
        self.known, self.values = iter(known), []

    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        result = function(*args, **(kwargs or {}))
        if function is not Tensor.detach:
            return result
        self.values.append(next(self.known, result))
        return self.values[-1]


def applied(function: Callable[[Tensor], Tensor], operator: Operator, method: str) -> dict[str, np.ndarray]:
    """Output name → value by a method."""
    values = linear_operator(function, operator, method)(torch.from_numpy(POINTS))
    return _arrays({"": values} if operator.is_single else values)


def _arrays(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in values.items()}
