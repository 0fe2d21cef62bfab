"""Rules: how each ATen operation acts on jets. One module for each kind of operation.

Where a function of one piece meets another (abs and relu at 0, clamp at its bounds, the largest of equal entries), the
coefficients are those of the piece, or the mean of the pieces, that PyTorch's first derivative belongs to. Where a
derivative is not finite, as those of norms and roots at 0, coefficients are ±∞ or NaN.
"""

from jetbench.torch.registry import RULES, rule
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

__all__ = ["RULES", "rule"]
