"""`linear_operator`: from a network and an operator to a function that evaluates the operator of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jetbench.errors import unknown
from jetbench.jax.drawing import draw
from jetbench.jax.methods import METHODS
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol


class LinearOperator:
    """The function x ↦ L net(x), returned by `linear_operator`.

    Attributes:
        problem: the operator, the estimator and the scheme of directions.
        method: the name of the method.
        vectors: the number of vectors of layer width that pass through each linear layer, per datum.
    """

    def __init__(self, net: Callable[[Array], Array], problem: Problem, method: str) -> None:
        self.net, self.problem, self.method = net, problem, method
        plan = METHODS[method].available_plan(problem)
        self.vectors, self._groups = plan.vectors, plan.groups
        self._evaluation = METHODS[method].build(net, problem, plan)

    def __call__(self, x: Array, seed: int | Array | None = None) -> Array | Mapping[str, Array]:
        """Evaluate the operator of the network at the points x.

        Args:
            x: (..., D), with any number of leading axes; rows are independent points.
            seed: the seed of the random directions, a whole number or a key of `jax.random`; only for a random
                estimator, which needs one.

        Returns:
            (..., C…), the shape of net(x); for an operator with several outputs, a dictionary of such values.

        Raises:
            ValueError: x has the wrong number of coordinates, or a seed is missing or not needed.
            TypeError: x is not an array of real floating-point numbers.
            JetbenchError: the network cannot be captured, mixes rows, or uses a primitive without a rule.
        """
        return self.evaluate(x, self.draw(x, seed))

    def draw(self, x: Array, seed: int | Array | None = None) -> tuple[Array, ...]:
        """Draw the random directions for the points x, () for the exact estimator. A seed determines them."""
        estimator = self.problem.estimator
        if estimator.is_exact:
            if seed is not None:
                raise ValueError("The exact estimator draws nothing: leave `seed` out.")
            return ()
        return draw(self._groups, self._checked(x), _key(seed, estimator.kind))

    def evaluate(self, x: Array, draws: Sequence[Array] = ()) -> Array | Mapping[str, Array]:
        """Evaluate with directions that `draw` returned."""
        outputs = self._evaluation(self._checked(x), draws)
        operator = self.problem.operator
        if operator.combine is not None:
            return operator.combine(outputs)
        return outputs[""] if operator.is_single else dict(outputs)

    def _checked(self, x: Array) -> Array:
        if not isinstance(x, (Array, np.ndarray)):
            raise TypeError(f"x must be a jax.Array; got {type(x).__name__}.")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"x must be of a real floating-point type; got {x.dtype}.")
        operator = self.problem.operator
        if x.ndim == 0 or x.shape[-1] != operator.dim:
            raise ValueError(
                f"The last axis of x holds the {operator.dim} coordinates of {operator.name}; "
                f"got x of shape {tuple(x.shape)}."
            )
        return jnp.asarray(x)

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


def _key(seed: int | Array | None, kind: str) -> Array:
    """The key of `jax.random` for a seed; traced whole numbers and keys are taken, too."""
    if isinstance(seed, (jax.Array, np.ndarray)) and (
        jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) or (seed.shape == (2,) and seed.dtype == np.uint32)
    ):
        return jnp.asarray(seed) if isinstance(seed, np.ndarray) else seed
    if isinstance(seed, (jax.Array, np.ndarray, np.generic)):
        is_whole = seed.ndim == 0 and jnp.issubdtype(seed.dtype, jnp.integer)
    else:
        is_whole = isinstance(seed, int) and not isinstance(seed, bool)
    if seed is None or not is_whole:
        raise ValueError(
            f"The {kind} estimator needs a whole number or a key of jax.random as `seed`, so that its draws can be "
            f"repeated; got {seed!r}."
        )
    return jax.random.key(seed)


def linear_operator(
    net: Callable[[Array], Array],
    operator: Operator | Symbol | Mapping[str, Symbol],
    method: str = "collapsed",
    estimator: Estimator | None = None,
    directions: str = "polarization",
) -> LinearOperator:
    """Return the function x ↦ p(∂) net(x), where p is the symbol of the operator.

    `jit`, `vmap`, `grad` and `shard_map` apply to it. Parameters are what `net` closes over. To differentiate with
    respect to them, make the operator inside the function that takes them, as in the second example; under `jax.jit`
    this costs nothing at run time.

    Args:
        net: a function (..., D) → (..., C…) that does not mix rows of x. A function of one point, (D,) → (C…), works as
            well: apply `jax.vmap` to it or to the operator.
        operator: an operator from `jetbench.operators`, a symbol, or a dictionary of name → symbol for several outputs
            in one pass.
        method: the name of a method in `jetbench.jax.METHODS`.
        estimator: an estimator from `jetbench.estimators`; exact by default.
        directions: the scheme of directions for symbols of degree above 2, "polarization" or "griewank".

    Raises:
        ValueError: the method or the scheme is unknown.
        TypeError: `net` is not callable, or `operator` or `estimator` is of the wrong type.
        Unsupported: the method does not support this operator with this estimator; the message says why.

    Examples:
        The Laplacian of Σ_i x_i⁴ is 12 Σ_i x_i²:

        >>> import jax, jax.numpy as jnp
        >>> from jetbench import operators
        >>> laplacian = linear_operator(lambda x: (x**4).sum(-1), operators.laplacian(dim=2), method="collapsed")
        >>> jax.jit(laplacian)(jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [60.0, 12.0]
        >>> laplacian.vectors
        4

        The gradient with respect to a parameter a of the mean of Δ(a Σ_i x_i²) = 2aD:

        >>> def mean(a, x):
        ...     return linear_operator(lambda x: a * (x**2).sum(-1), operators.laplacian(dim=2))(x).mean()
        >>> jax.grad(mean)(3.0, jnp.ones((5, 2))).item()
        4.0
    """
    if not callable(net):
        raise TypeError(f"net must be a function; got {type(net).__name__}.")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if estimator is not None and not isinstance(estimator, Estimator):
        raise TypeError(f"estimator must come from jetbench.estimators; got {type(estimator).__name__}.")
    problem = Problem(as_operator(operator), estimator or exact(), directions)
    return LinearOperator(net, problem, method)
