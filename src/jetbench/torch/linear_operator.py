"""`linear_operator`: from a network and an operator to a function that evaluates the operator of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from jetbench.errors import unknown
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol
from jetbench.torch.drawing import draw
from jetbench.torch.methods import METHODS


class LinearOperator:
    """The function x ↦ L net(x), returned by `linear_operator`.

    Attributes:
        problem: the operator, the estimator and the scheme of directions.
        method: the name of the method.
        vectors: the number of vectors of layer width that pass through each linear layer, per datum.
    """

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, method: str) -> None:
        self.net, self.problem, self.method = net, problem, method
        plan = METHODS[method].available_plan(problem)
        self.vectors, self._groups = plan.vectors, plan.groups
        self._evaluation = METHODS[method].build(net, problem, plan)

    def __call__(self, x: Tensor, seed: int | None = None) -> Tensor | Mapping[str, Tensor]:
        """Evaluate the operator of the network at the points x.

        Args:
            x: (..., D), with any number of leading axes; rows are independent points.
            seed: the seed of the random directions; only for a random estimator, which needs one.

        Returns:
            (..., C…), the shape of net(x); for an operator with several outputs, a dictionary of such values.

        Raises:
            ValueError: x has the wrong number of coordinates, or a seed is missing or not needed.
            TypeError: x is not a tensor of real floating-point numbers.
            JetbenchError: the network cannot be captured, mixes rows, or uses an operation without a rule.
        """
        return self.evaluate(x, self.draw(x, seed))  # pyright: ignore[reportCallIssue] - of torch.compiler.disable

    @torch.compiler.disable
    def draw(self, x: Tensor, seed: int | None = None) -> tuple[Tensor, ...]:
        """Draw the random directions for the points x, () for the exact estimator. A seed determines them."""
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
        return draw(self._groups, x, seed)

    def evaluate(self, x: Tensor, draws: Sequence[Tensor] = ()) -> Tensor | Mapping[str, Tensor]:
        """Evaluate with directions that `draw` returned. To compile, pass this method to `torch.compile`."""
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
        """Copies and pickles hold the arguments; everything derived from them is computed again."""
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
    if not callable(net):
        raise TypeError(f"net must be a function or a module; got {type(net).__name__}.")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if estimator is not None and not isinstance(estimator, Estimator):
        raise TypeError(f"estimator must come from jetbench.estimators; got {type(estimator).__name__}.")
    problem = Problem(as_operator(operator), estimator or exact(), directions)
    return LinearOperator(net, problem, method)
