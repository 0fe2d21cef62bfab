"""ATen operations whose derivatives PyTorch computes rightly to every order, as far as a search shows.

`trusted.txt` lists them. `tests/derivatives/evidence.py` is the search: forward over forward, forward over reverse and
reverse over reverse mode to fourth order, against interpolated plain values, at general points and at zeros. Operations
with `_` at the end of their name, which work in place, have the formulas of those without.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch._ops import OpOverload


def _known(name: str) -> OpOverload | None:
    """The operation of a name such as add.Tensor; None where this version of PyTorch does not have it."""
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet, None), overload, None)


_NAMES = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split()
OPERATIONS: frozenset[OpOverload] = frozenset(map(_known, _NAMES)) - {None}
