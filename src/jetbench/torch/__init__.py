"""jetbench in PyTorch: `linear_operator` makes a function that evaluates a linear PDE operator of a network."""

from jetbench.torch.linear_operator import LinearOperator, linear_operator
from jetbench.torch.methods import METHODS
from jetbench.torch.rewriting.function import collapse
from jetbench.torch.rules import rule

__all__ = ["METHODS", "LinearOperator", "collapse", "linear_operator", "rule"]
