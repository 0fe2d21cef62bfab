"""jetbench in JAX."""

from jetbench.jax.rewriting.function import collapse

__all__ = ["collapse"]
