"""Derivatives of functions of independent rows by JAX's own AD: the bricks of the nested methods.

Everywhere f maps (..., D) to (..., C…) and treats rows independently. A direction v broadcasts against x and counts as
a constant. Each brick takes a function of x and returns another one with outputs of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import jax
import jax.numpy as jnp
from jax import Array

from jetbench.errors import Unsupported

Function = Callable[[Array], Array]


def forward(f: Function, v: Array) -> Function:
    """x ↦ v·∂f(x) by forward mode."""

    def derivative(x: Array) -> Array:
        return jax.jvp(f, (x,), (jnp.broadcast_to(v, x.shape),))[1]

    return derivative


def gradients(f: Function, x: Array) -> tuple[Array, Array]:
    """∂f_c(x) of every output c by reverse mode, (C, ..., D), and f(x)."""
    y, pull = jax.vjp(f, x)
    if jnp.iscomplexobj(y):
        raise Unsupported(
            "Reverse mode in x loses the imaginary part of a network with complex values. Return real and imaginary "
            "part as two real outputs, or use a method without reverse mode, such as collapsed."
        )
    outputs = prod(y.shape[x.ndim - 1 :])
    if outputs == 1:
        return pull(jnp.ones_like(y))[0][None], y
    basis = jnp.eye(outputs, dtype=y.dtype).reshape(outputs, *(1,) * (x.ndim - 1), *y.shape[x.ndim - 1 :])
    basis = basis + jnp.zeros_like(y)
    return jax.vmap(lambda cotangent: pull(cotangent)[0])(basis), y


def _shaped(values: Array, like: Array) -> Array:
    """(C, ...) → (..., C…) in shape and type as `like`: gradients are of the type of x."""
    return jnp.moveaxis(values, 0, -1).reshape(like.shape).astype(like.dtype)


def reverse(f: Function, v: Array) -> Function:
    """x ↦ v·∂f(x) by reverse mode."""

    def derivative(x: Array) -> Array:
        found, y = gradients(f, x)
        return _shaped((found * v).sum(-1), y)

    return derivative


def forward_over_reverse(f: Function, v: Array) -> Function:
    """x ↦ vᵀ ∂²f(x) v: a vector-Hessian-vector product, forward mode over the gradient."""

    def derivative(x: Array) -> Array:
        tangent = jnp.broadcast_to(v, x.shape)
        _, found, y = jax.jvp(lambda point: gradients(f, point), (x,), (tangent,), has_aux=True)
        return _shaped((found * v).sum(-1), y)

    return derivative


def reverse_over_reverse(f: Function, directions: Sequence[Array], weights: Sequence[float]) -> Function:
    """x ↦ Σ_r w_r v_rᵀ ∂²f(x) v_r: one gradient, then one more reverse pass through it for each direction."""

    def derivative(x: Array) -> Array:
        found, pull, y = jax.vjp(lambda point: gradients(f, point), x, has_aux=True)
        outputs = found.shape[0]
        total = jnp.zeros_like(y)
        if outputs == 0:
            return total
        for v, weight in zip(directions, weights, strict=True):
            direction = jnp.broadcast_to(v, x.shape)
            columns = [(pull(jnp.zeros_like(found).at[c].set(direction))[0] * v).sum(-1) for c in range(outputs)]
            total = total + weight * _shaped(jnp.stack(columns), y)
        return total

    return derivative


def weighted_sum(
    brick: Callable[[Function, Array], Function], f: Function, v: Array, weights: Sequence[float]
) -> Function:
    """x ↦ Σ_r w_r brick(f, v_r)(x) for directions (R, ..., D), all of them at once."""

    def derivative(x: Array) -> Array:
        if len(v) == 1:
            found = brick(f, v[0])(x)
            return found if weights[0] == 1 else weights[0] * found
        values = jax.vmap(lambda direction: brick(f, direction)(x))(v)
        if all(w == 1 for w in weights):
            return values.sum(0)
        return jnp.tensordot(jnp.asarray(weights, dtype=values.dtype), values, 1)

    return derivative
