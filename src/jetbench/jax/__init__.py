"""jetbench in JAX: `linear_operator` makes a function that evaluates a linear PDE operator of a network."""

from importlib.util import find_spec

if find_spec("jax") is None:
    raise ModuleNotFoundError("jetbench.jax needs JAX: pip install 'jetbench[jax]'", name="jax")

from jetbench.algebra.arrays import register
from jetbench.jax.arrays import JaxArrays
from jetbench.jax.linear_operator import LinearOperator, linear_operator
from jetbench.jax.methods import METHODS
from jetbench.jax.rewriting.function import collapse
from jetbench.jax.rules import rule

register("jax", JaxArrays())
register("jaxlib", JaxArrays())

__all__ = ["METHODS", "LinearOperator", "collapse", "linear_operator", "rule"]
