"""`linear_operator`: from a network and an operator to a function that evaluates the operator of the network."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from jetbench.operators.estimators import Estimator
from jetbench.operators.linear_operator import LinearOperatorBase
from jetbench.operators.problem import Operator, Problem
from jetbench.operators.symbol import Symbol
from jetbench.torch.drawing import draw
from jetbench.torch.methods import METHODS


class LinearOperator(LinearOperatorBase[Tensor]):
    """The function x ↦ L net(x), returned by `linear_operator`.

    Attributes:
        problem: the operator, the estimator and the scheme of directions.
        method: the name of the method.
        vectors: the number of vectors of layer width that pass through each linear layer, per datum.
    """

    methods = METHODS

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, method: str) -> None:
        super().__init__(net, problem, method)
        self._name = _name(problem, method)

    def _drawn(self, x: Tensor, seed: object) -> tuple[Tensor, ...]:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise self._refuse(seed, "a whole number")
        return draw(self._groups, x, seed)  # pyright: ignore[reportCallIssue] - of torch.compiler.disable

    def _array(self, x: object) -> Tensor:
        _looked_at(self._name)
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a torch.Tensor; got {type(x).__name__}.")
        if not x.dtype.is_floating_point:
            raise TypeError(f"x must be of a real floating-point type; got {x.dtype}.")
        if x.is_nested or x.layout != torch.strided:
            raise TypeError(f"x must be a dense tensor; got one of layout {'nested' if x.is_nested else x.layout}.")
        return x


@torch.compiler.assume_constant_result
def _looked_at(name: str) -> None:
    """Code that `torch.compile` traced asks for the name, so that it is used for equal operators only."""


def _name(problem: Problem, method: str) -> str:
    """A name that only problems and methods share that give the same values for every network."""
    operator, factor = problem.operator, problem.operator.factor
    if callable(factor):
        return f"operator {next(_NUMBERS)}"  # two functions are not known to be equal
    symbols = [(name, s.dim, s.supports, tuple(s.terms.values())) for name, s in operator.symbols.items()]
    digest = hashlib.sha256(repr((method, symbols, problem.estimator, problem.scheme)).encode())
    if factor is not None:
        digest.update(repr((factor.shape, factor.dtype.str)).encode() + factor.tobytes())
    return digest.hexdigest()


_NUMBERS = itertools.count()


def linear_operator(
    net: Callable[[Tensor], Tensor],
    operator: Operator | Symbol | Mapping[str, Symbol],
    method: str = "collapsed",
    estimator: Estimator | None = None,
    directions: str = "polarization",
) -> LinearOperator:
    """Return the function x ↦ p(∂) net(x), where p is the symbol of the operator.

    It is differentiable in the parameters and in x. `torch.vmap` applies to it, and `torch.compile` to its `evaluate`.

    Args:
        net: a module or function (..., D) → (..., C…) that does not mix rows of x. Its Python code runs at every
            call, so that whatever it reads may change. What it computes under `torch.no_grad` is a constant.
        operator: an operator from `jetbench.operators`, a symbol, or a dictionary of name → symbol for several outputs
            in one pass.
        method: the name of a method in `jetbench.torch.METHODS`.
        estimator: an estimator from `jetbench.estimators`; exact by default.
        directions: the scheme of directions for symbols of degree above 2, "polarization" or "griewank".

    Raises:
        ValueError: the method or the scheme is unknown.
        TypeError: `net` is not callable, or `operator` or `estimator` is of the wrong type.
        Unsupported: the method does not support this operator with this estimator; the message says why.

    Examples:
        The Laplacian of Σ_i x_i⁴ is 12 Σ_i x_i²:

        >>> import torch
        >>> from jetbench import operators
        >>> laplacian = linear_operator(lambda x: (x**4).sum(-1), operators.laplacian(dim=2), method="collapsed")
        >>> laplacian(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        tensor([60., 12.])
        >>> laplacian.vectors
        4

        Several outputs in one pass:

        >>> from jetbench import variables
        >>> t, y = variables(2)
        >>> heat = linear_operator(lambda x: x[..., 0] * x[..., 1] ** 2, {"u_t": t, "u_yy": y**2})
        >>> heat(torch.tensor([3.0, 5.0]))
        {'u_t': tensor(25.), 'u_yy': tensor(6.)}
    """
    return LinearOperator.of(net, operator, method, estimator, directions)
