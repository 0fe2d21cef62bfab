"""jetbench in JAX: `linear_operator` makes a function that evaluates a linear PDE operator of a network."""

from jetbench.jax.linear_operator import LinearOperator, linear_operator
from jetbench.jax.methods import METHODS
from jetbench.jax.rewriting.function import collapse
from jetbench.jax.rules import rule

__all__ = ["METHODS", "LinearOperator", "collapse", "linear_operator", "rule"]
