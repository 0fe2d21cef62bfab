"""ATen operations whose derivatives PyTorch computes rightly to every order, as far as a search shows.

`trusted.txt` lists them. `tests/derivatives/evidence.py` is the search: forward over forward, forward over reverse and
reverse over reverse mode to fourth order, against interpolated plain values, at general points and at zeros. Operations
with `_` at the end of their name, which work in place, have the formulas of those without.
"""

from __future__ import annotations

from pathlib import Path

from jetbench.torch._compat import OpOverload, operations

_NAMES = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split()
OPERATIONS: frozenset[OpOverload] = frozenset(operations(*_NAMES))
