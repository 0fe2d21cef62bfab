"""The function that users call: a network and an operator in, the operator's values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jetbench.errors import Unsupported, unknown
from jetbench.jax.drawing import draw
from jetbench.jax.methods import METHODS
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol


class LinearOperator:
    """x ↦ L net(x), made by `linear_operator`.

    Attributes:
        problem: operator, estimator and scheme for directions.
        method: name of the method.
        vectors: how many vectors of layer width pass through each linear layer, per datum.
    """

    def __init__(self, net: Callable[[Array], Array], problem: Problem, method: str) -> None:
        self.net, self.problem, self.method = net, problem, method
        self.vectors = METHODS[method].vectors(problem)
        self._evaluation = METHODS[method].build(net, problem)

    def __call__(self, x: Array, seed: int | Array | None = None) -> Array | Mapping[str, Array]:
        """The operator of the network at the points x.

        Args:
            x: (..., D), any leading axes or none; rows are independent points.
            seed: of the random directions, a whole number or a key of `jax.random`; needed for a random estimator only.

        Returns:
            (..., C…), the shape of net(x); a dictionary of these for an operator with several outputs.

        Raises:
            ValueError: x has the wrong number of coordinates, or a seed is missing or superfluous.
            TypeError: x is no array of real floating-point numbers.
            JetbenchError: the network cannot be captured, mixes rows, or uses a primitive without a rule.
        """
        return self.evaluate(x, self.draw(x, seed))

    def draw(self, x: Array, seed: int | Array | None = None) -> tuple[Array, ...]:
        """The random directions for the points x, () for the exact estimator; the same for the same seed."""
        estimator = self.problem.estimator
        if estimator.is_exact:
            if seed is not None:
                raise ValueError("The exact estimator draws nothing: leave `seed` out.")
            return ()
        return draw(self.problem, self._checked(x), _key(seed, estimator.kind))

    def evaluate(self, x: Array, draws: Sequence[Array] = ()) -> Array | Mapping[str, Array]:
        """As a call, with directions that `draw` returned. This is what to give to `jax.jit` for speed."""
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
        """Copied and pickled as what it was made from; what it remembers is found again."""
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
    """Make x ↦ p(∂) net(x), a function like those that `jax.grad` makes: `jit`, `vmap`, `grad` and `shard_map` apply.

    Parameters are what `net` closes over. To differentiate with respect to them, make the operator inside of the
    function that takes them, as in the example; under `jax.jit` that costs nothing at run time.

    Args:
        net: (..., D) → (..., C…), any function; it must not mix rows of x. A function of one point, (D,) → (C…),
            serves as well: apply `jax.vmap` to it or to the operator.
        operator: from `jetbench.operators`, a symbol, or a dictionary of name → symbol for several outputs in one pass.
        method: a name in `jetbench.jax.METHODS`.
        estimator: from `jetbench.operators.estimators`; exact by default.
        directions: "polarization" or "griewank", the scheme for symbols of degree above 2.

    Raises:
        ValueError: an unknown method or scheme.
        TypeError: `net` is not callable, `operator` or `estimator` of the wrong type.
        Unsupported: the method cannot do this operator with this estimator; the message says why.

    Example:
        @jax.jit
        def loss(params, x):
            laplacian = linear_operator(lambda x: net(params, x), operators.laplacian(dim=50), method="collapsed")
            return jnp.mean(laplacian(x) ** 2)  # x (N, 50) → (N, C)

        gradient = jax.grad(loss)(params, x)
    """
    if not callable(net):
        raise TypeError(f"net must be a function; got {type(net).__name__}.")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if estimator is not None and not isinstance(estimator, Estimator):
        raise TypeError(f"estimator must come from jetbench.operators.estimators; got {type(estimator).__name__}.")
    problem = Problem(as_operator(operator), estimator or exact(), directions)
    reason = METHODS[method].unsupported(problem)
    if reason is not None:
        raise Unsupported(reason)
    return LinearOperator(net, problem, method)
