"""Rules: how each ATen operation acts on jets. One module for each kind of operation."""

from jetbench.torch.rules import (  # noqa: F401  (importing a module registers its rules)
    arithmetic,
    complex_numbers,
    constant,
    elementwise,
    indexing,
    linalg,
    losses,
    normalization,
    piecewise,
    powers,
    products,
    reductions,
    shape,
    special,
)
from jetbench.torch.rules.registry import RULES, rule

__all__ = ["RULES", "rule"]
