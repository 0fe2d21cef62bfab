"""Rules: how each primitive of JAX acts on jets. One module for each kind of primitive."""

from jetbench.jax.registry import RULES, rule
from jetbench.jax.rules import (  # noqa: F401  (importing a module registers its rules)
    arithmetic,
    calls,
    complex_numbers,
    constant,
    control_flow,
    convolution,
    cumulative,
    elementwise,
    indexing,
    linalg,
    outside,
    piecewise,
    products,
    reductions,
    shape,
    special,
    windows,
)

__all__ = ["RULES", "rule"]
