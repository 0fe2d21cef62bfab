"""The distance of random estimates from the exact operator: what sampling alone costs in accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

#: Independent draws, on each of the checked rows, that the error is averaged over. With three rows the error is itself
#: known to about 5%.
DRAWS = 64


def sampling_error(exact: Mapping[str, np.ndarray], estimates: Iterable[Mapping[str, np.ndarray]]) -> float:
    """√⟨|estimate − exact|²⟩ / √⟨|exact|²⟩, means over draws, rows and outputs.

    Args:
        exact: name of an output → the right values (N, …).
        estimates: the same of each draw.

    Returns:
        The relative error; infinite where the exact values are all zero and an estimate is not.
    """
    gaps = [np.abs(found[name] - value) ** 2 for found in estimates for name, value in exact.items()]
    gap = math.sqrt(np.mean([np.mean(part) for part in gaps]))
    scale = math.sqrt(np.mean([np.mean(np.abs(value) ** 2) for value in exact.values()]))
    if scale == 0:
        return math.inf if gap else 0.0
    return gap / scale
