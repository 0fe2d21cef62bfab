"""Operators: the zoo by name, `make` and `load`, the decorator `operator`; symbols, estimators and directions below.

Importing it loads no framework.
"""

from jetbench.operators.registry import REGISTRY, load, make, operator
from jetbench.operators.zoo import *  # noqa: F403  # every operator of the zoo, such as operators.laplacian

__all__ = ["REGISTRY", "load", "make", "operator"]
