"""What `LinearOperator` is in every backend; what a backend adds is how it checks x and draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

from jetbench.errors import unknown
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol

Array = TypeVar("Array")


class LinearOperatorBase(ABC, Generic[Array]):
    """The function x ↦ L net(x) in some framework.

    Attributes:
        methods: the methods of the backend, by name.
        problem: the operator, the estimator and the scheme of directions.
        method: the name of the method.
        vectors: the number of vectors of layer width that pass through each linear layer, per datum.
    """

    methods: ClassVar[Mapping[str, Any]]

    def __init__(self, net: Callable[[Array], Array], problem: Problem, method: str) -> None:
        self.net, self.problem, self.method = net, problem, method
        plan = self.methods[method].available_plan(problem)
        self.vectors: int = plan.vectors
        self._groups = plan.groups
        self._evaluation = self.methods[method].build(net, problem, plan)

    @classmethod
    def of(
        cls,
        net: Callable[[Array], Array],
        operator: Operator | Symbol | Mapping[str, Symbol],
        method: str,
        estimator: Estimator | None,
        directions: str,
    ) -> Self:
        """What `linear_operator` returns for its arguments, which are checked first."""
        if not callable(net):
            raise TypeError(f"net must be a function or a module; got {type(net).__name__}.")
        if not isinstance(method, str) or method not in cls.methods:
            raise ValueError(unknown("method", method, cls.methods))
        if estimator is not None and not isinstance(estimator, Estimator):
            raise TypeError(f"estimator must come from jetbench.estimators; got {type(estimator).__name__}.")
        return cls(net, Problem(as_operator(operator), estimator or exact(), directions), method)

    def __call__(self, x: Array, seed: Any = None) -> Array | Mapping[str, Array]:
        """Evaluate the operator of the network at the points x.

        Args:
            x: (..., D), with any number of leading axes; rows are independent points.
            seed: the seed of the random directions, a whole number (in JAX also a key of `jax.random`); only for a
                random estimator, which needs one.

        Returns:
            (..., C…), the shape of net(x); for an operator with several outputs, a dictionary of such values.

        Raises:
            ValueError: x has the wrong number of coordinates, or a seed is missing or not needed.
            TypeError: x is not an array of real floating-point numbers.
            JetbenchError: the network cannot be captured, mixes rows, or uses an operation without a rule.
        """
        return self.evaluate(x, self.draw(x, seed))

    def draw(self, x: Array, seed: Any = None) -> tuple[Array, ...]:
        """Draw the random directions for the points x, () for the exact estimator. A seed determines them."""
        if not self.problem.estimator.is_exact:
            return self._drawn(self._checked(x), seed)
        if seed is not None:
            raise ValueError("The exact estimator draws nothing: leave `seed` out.")
        return ()

    def evaluate(self, x: Array, draws: Sequence[Array] = ()) -> Array | Mapping[str, Array]:
        """Evaluate with directions that `draw` returned. To compile in PyTorch, pass this method to `torch.compile`."""
        outputs = self._evaluation(self._checked(x), draws)
        operator = self.problem.operator
        if operator.combine is not None:
            return operator.combine(outputs)
        return outputs[""] if operator.is_single else dict(outputs)

    def _checked(self, x: Any) -> Array:
        """x as an array of the framework that can be the points."""
        x = self._array(x)
        operator = self.problem.operator
        if x.ndim == 0 or x.shape[-1] != operator.dim:
            raise ValueError(
                f"The last axis of x holds the {operator.dim} coordinates of {operator.name}; "
                f"got x of shape {tuple(x.shape)}."
            )
        return x

    @abstractmethod
    def _array(self, x: Any) -> Any:
        """x as an array of the framework.

        Raises:
            TypeError: it is not an array of real floating-point numbers.
        """

    @abstractmethod
    def _drawn(self, x: Array, seed: Any) -> tuple[Array, ...]:
        """The random directions that belong to a seed.

        Raises:
            ValueError: it is not a seed.
        """

    def _refuse(self, seed: object, expected: str) -> ValueError:
        """The error for something that is not a seed."""
        return ValueError(
            f"The {self.problem.estimator.kind} estimator needs {expected} as `seed`, so that its draws can be "
            f"repeated; got {seed!r}."
        )

    def __reduce__(self) -> tuple:
        """Copies and pickles hold the arguments; everything derived from them is computed again."""
        return type(self), (self.net, self.problem, self.method)

    def __repr__(self) -> str:
        operator, estimator = self.problem.operator, self.problem.estimator
        samples = "" if estimator.is_exact else f", {estimator.samples} samples"
        return (
            f"LinearOperator({operator.name}, dim={operator.dim}, {self.method}, {estimator.kind}{samples}: "
            f"{self.vectors} vectors)"
        )
