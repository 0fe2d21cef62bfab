"""The function that users call: a network and an operator in, the operator's values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from jetbench.errors import Unsupported, unknown
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol
from jetbench.torch.drawing import draw
from jetbench.torch.methods import METHODS


class LinearOperator:
    """x ↦ L net(x), made by `linear_operator`.

    Attributes:
        problem: operator, estimator and scheme for directions.
        method: name of the method.
        vectors: how many vectors of layer width pass through each linear layer, per datum.
    """

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, method: str) -> None:
        self.net, self.problem, self.method = net, problem, method
        self.vectors = METHODS[method].vectors(problem)
        self._evaluation = METHODS[method].build(net, problem)

    def __call__(self, x: Tensor, seed: int | None = None) -> Tensor | Mapping[str, Tensor]:
        """The operator of the network at the points x.

        Args:
            x: (..., D), any leading axes or none; rows are independent points.
            seed: of the random directions; needed for a random estimator only.

        Returns:
            (..., C…), the shape of net(x); a dictionary of these for an operator with several outputs.

        Raises:
            ValueError: x has the wrong number of coordinates, or a seed is missing or superfluous.
            TypeError: x is no tensor of real floating-point numbers.
            JetbenchError: the network cannot be captured, mixes rows, or uses an operation without a rule.
        """
        return self.evaluate(x, self.draw(x, seed))  # pyright: ignore[reportCallIssue] - of torch.compiler.disable

    @torch.compiler.disable
    def draw(self, x: Tensor, seed: int | None = None) -> tuple[Tensor, ...]:
        """The random directions for the points x, () for the exact estimator; the same for the same seed."""
        if self.problem.estimator.is_exact:
            if seed is not None:
                raise ValueError("The exact estimator draws nothing: leave `seed` out.")
            return ()
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(
                f"The {self.problem.estimator.kind} estimator needs a whole number as `seed`, so that its draws can be "
                f"repeated; got {seed!r}."
            )
        self._check(x)
        return draw(self.problem, x, seed)

    def evaluate(self, x: Tensor, draws: Sequence[Tensor] = ()) -> Tensor | Mapping[str, Tensor]:
        """As a call, with directions that `draw` returned. This is what to give to `torch.compile` for speed."""
        self._check(x)
        outputs = self._evaluation(x, draws)
        operator = self.problem.operator
        if operator.combine is not None:
            return operator.combine(outputs)
        return outputs[""] if operator.is_single else dict(outputs)

    def _check(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a torch.Tensor; got {type(x).__name__}.")
        if not x.dtype.is_floating_point:
            raise TypeError(f"x must be of a real floating-point type; got {x.dtype}.")
        if x.is_nested or x.layout != torch.strided:
            raise TypeError(f"x must be a dense tensor; got one of layout {'nested' if x.is_nested else x.layout}.")
        operator = self.problem.operator
        if x.ndim == 0 or x.shape[-1] != operator.dim:
            raise ValueError(
                f"The last axis of x holds the {operator.dim} coordinates of {operator.name}; "
                f"got x of shape {tuple(x.shape)}."
            )

    def __reduce__(self) -> tuple:
        """Copied and pickled as what it was made from; what it remembers is found again."""
        return LinearOperator, (self.net, self.problem, self.method)

    def __repr__(self) -> str:
        operator, estimator = self.problem.operator, self.problem.estimator
        samples = "" if estimator.is_exact else f", {estimator.samples} samples"
        return (
            f"LinearOperator({operator.name}, dim={operator.dim}, {self.method}, {estimator.kind}{samples}: "
            f"{self.vectors} vectors)"
        )


def linear_operator(
    net: Callable[[Tensor], Tensor],
    operator: Operator | Symbol | Mapping[str, Symbol],
    method: str = "collapsed",
    estimator: Estimator | None = None,
    directions: str = "polarization",
) -> LinearOperator:
    """Make x ↦ p(∂) net(x), differentiable in the parameters and in x; `torch.compile` and `torch.vmap` apply.

    Args:
        net: (..., D) → (..., C…), a module or any function; it must not mix rows of x. Its Python runs at every call,
            so whatever it reads may change in between. What it computes under `torch.no_grad` is a constant.
        operator: from `jetbench.operators`, a symbol, or a dictionary of name → symbol for several outputs in one pass.
        method: a name in `jetbench.torch.METHODS`.
        estimator: from `jetbench.operators.estimators`; exact by default.
        directions: "polarization" or "griewank", the scheme for symbols of degree above 2.

    Raises:
        ValueError: an unknown method or scheme.
        TypeError: `net` is not callable, `operator` or `estimator` of the wrong type.
        Unsupported: the method cannot do this operator with this estimator; the message says why.

    Example:
        laplacian = linear_operator(net, operators.laplacian(dim=50), method="collapsed")
        laplacian(x)  # x (N, 50) → (N, C)
    """
    if not callable(net):
        raise TypeError(f"net must be a function or a module; got {type(net).__name__}.")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if estimator is not None and not isinstance(estimator, Estimator):
        raise TypeError(f"estimator must come from jetbench.operators.estimators; got {type(estimator).__name__}.")
    problem = Problem(as_operator(operator), estimator or exact(), directions)
    reason = METHODS[method].unsupported(problem)
    if reason is not None:
        raise Unsupported(reason)
    return LinearOperator(net, problem, method)
