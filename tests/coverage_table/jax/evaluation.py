"""Values of the functions' operators at the points of the coverage table, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from coverage_table.jax import elementwise, reductions
from coverage_table.parameters import POINTS
from jetbench.jax import linear_operator
from jetbench.jax import reference as nested
from jetbench.jax.compiling import compiled_quickly
from jetbench.operators.problem import Operator

# JAX computes the softmax of its own attention in single precision.
INEXACT = {"fused_attention": 1e-4}
# Nested programs grow with every order and, in reverse mode, with every output: they take long to compile.
ORDERS = {"nested": ("second",), "nested_reverse": ("second",)}

# In these XLA on CPU computes an entry twice with different rounding, after which no entry equals their maximum and
# JAX's own derivative is wrong: they are run operation by operation.
_UNCOMPILED = (reductions.FUNCTIONS["amax"], reductions.FUNCTIONS["max"], elementwise.FUNCTIONS["hypot"])


def reference(function: Callable[[Array], Array], operator: Operator) -> dict[str, np.ndarray]:
    """Output name → value by nested forward mode, or by reverse mode where a function defines that only; for functions
    that the table does not list."""

    def forward(x: Array) -> Mapping[str, Array]:
        return nested.evaluate(function, operator, x)

    try:
        return _run(forward, function)
    except (NotImplementedError, TypeError) as error:
        if not any(word in str(error) for word in ("custom_vjp", "custom_lin")):
            raise
    return applied(function, operator, "nested_reverse")


def plain(function: Callable[[Array], Array], points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """f(points); where the gradient is stopped, values are those at the centres, since they count as constants."""
    with jax.enable_x64(True):
        with _stopped([]) as values:
            function(jnp.asarray(centres))
        with _stopped(values):
            return np.asarray(function(jnp.asarray(points)))


@contextmanager
def _stopped(known: list[Array]) -> Iterator[list[Array]]:
    """`lax.stop_gradient` notes its results, or gives those that were noted; inside of a loop it has none to note."""
    stop_gradient, left, values = lax.stop_gradient, iter(known), []

    def noted(x: Array) -> Array:
        if isinstance(x, jax.core.Tracer):
            return stop_gradient(x)
        values.append(next(left, x))
        return values[-1]

    lax.stop_gradient = noted
    try:
        yield values
    finally:
        lax.stop_gradient = stop_gradient


def applied(function: Callable[[Array], Array], operator: Operator, method: str) -> dict[str, np.ndarray]:
    """Output name → value by a method."""

    def run(x: Array) -> Mapping[str, Array]:
        values = linear_operator(of_points(function), operator, method)(x)
        return {"": values} if operator.is_single else values

    return _run(run, function)


def of_points(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A function of rows (N, 3) as one of points (..., 3), as methods for single points want it."""

    def reshaped(x: Array) -> Array:
        y = function(x.reshape(-1, x.shape[-1]))
        return y.reshape(*x.shape[:-1], *y.shape[1:])

    return reshaped


def _run(run: Callable[[Array], Mapping[str, Array]], function: Callable) -> dict[str, np.ndarray]:
    with jax.enable_x64(True):
        x = jnp.asarray(POINTS)
        values = (run if function in _UNCOMPILED else compiled_quickly(run))(x)
        return {name: np.asarray(value) for name, value in values.items()}
