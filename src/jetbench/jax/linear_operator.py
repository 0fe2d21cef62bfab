"""`linear_operator`: from a network and an operator to a function that evaluates the operator of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jetbench.jax.drawing import draw
from jetbench.jax.methods import METHODS
from jetbench.operators.estimators import Estimator
from jetbench.operators.linear_operator import LinearOperatorBase
from jetbench.operators.problem import Operator
from jetbench.operators.symbol import Symbol


class LinearOperator(LinearOperatorBase[Array]):
    """The function x ↦ L net(x), returned by `linear_operator`.

    Attributes:
        problem: the operator, the estimator and the scheme of directions.
        method: the name of the method.
        vectors: the number of vectors of layer width that pass through each linear layer, per datum.
    """

    methods = METHODS

    def _drawn(self, x: Array, seed: object) -> tuple[Array, ...]:
        return draw(self._groups, x, self._key(seed))

    def _key(self, seed: Any) -> Array:
        """The key of `jax.random` for a seed; traced whole numbers and keys are taken, too."""
        if isinstance(seed, (jax.Array, np.ndarray)) and (
            jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) or (seed.shape == (2,) and seed.dtype == np.uint32)
        ):
            return jnp.asarray(seed) if isinstance(seed, np.ndarray) else seed
        if isinstance(seed, (jax.Array, np.ndarray, np.generic)):
            is_whole = seed.ndim == 0 and jnp.issubdtype(seed.dtype, jnp.integer)
        else:
            is_whole = isinstance(seed, int) and not isinstance(seed, bool)
        if not is_whole:
            raise self._refuse(seed, "a whole number or a key of jax.random")
        return jax.random.key(seed)  # pyright: ignore[reportArgumentType] - a whole number, also a traced one

    def _array(self, x: object) -> Array:
        if not isinstance(x, (Array, np.ndarray)):
            raise TypeError(f"x must be a jax.Array; got {type(x).__name__}.")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"x must be of a real floating-point type; got {x.dtype}.")
        return jnp.asarray(x)


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
    return LinearOperator.of(net, operator, method, estimator, directions)
