"""jetbench in PyTorch: `linear_operator` makes a function that evaluates a linear PDE operator of a network."""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ModuleNotFoundError("jetbench.torch needs PyTorch: pip install 'jetbench[torch]'", name="torch")

from jetbench.algebra.arrays import register
from jetbench.torch.arrays import TorchArrays
from jetbench.torch.linear_operator import LinearOperator, linear_operator
from jetbench.torch.methods import METHODS
from jetbench.torch.rewriting.function import collapse
from jetbench.torch.rules import rule

register("torch", TorchArrays())

__all__ = ["METHODS", "LinearOperator", "collapse", "linear_operator", "rule"]
