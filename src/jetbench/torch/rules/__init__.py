"""Rules: how each ATen operation acts on jets. One module for each kind of operation."""

from jetbench.torch.rules import (  # noqa: F401  (importing a module registers its rules)
    arithmetic,
    constant,
    elementwise,
    indexing,
    linalg,
    normalization,
    piecewise,
    powers,
    products,
    reductions,
    shape,
)
from jetbench.torch.rules.registry import RULES, rule

__all__ = ["RULES", "rule"]
