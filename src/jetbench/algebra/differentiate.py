"""Derivatives of functions of independent rows by the framework's own AD, as the nested methods and the reference take.

Everywhere f maps (..., D) to (..., C…) and treats rows independently. A direction v broadcasts against x and counts as
a constant. What follows takes a function of x and returns another one with outputs of the same shape. The functions at
the end are powers: x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from jetbench.algebra.arrays import Array, of
from jetbench.errors import Unsupported

Function = Callable[[Array], Array]


def forward(f: Function, v: Array) -> Function:
    """x ↦ v·∂f(x) by forward mode."""

    def derivative(x: Array) -> Array:
        arrays = of(x)
        y, tangent = arrays.transforms.jvp(f, (x,), (arrays.namespace.broadcast_to(v, x.shape),))
        return arrays.typed(tangent, y)  # PyTorch's formulas for arguments of mixed types, as under autocast, promote

    return derivative


def gradients(f: Function, x: Array) -> tuple[Array, Array]:
    """∂f_c(x) of every output c by reverse mode, (C, ..., D), and f(x)."""
    arrays = of(x)
    y, pull = arrays.transforms.vjp(f, x)
    if "complex" in str(y.dtype):
        raise Unsupported(
            "Reverse mode in x loses the imaginary part of a network with complex values. Return real and imaginary "
            "part as two real outputs, or use a method without reverse mode, such as collapsed."
        )
    outputs = prod(y.shape[x.ndim - 1 :])
    if outputs == 1:
        return pull(arrays.namespace.ones_like(y))[0][None], y
    basis = arrays.identity(outputs, y).reshape(outputs, *(1,) * (x.ndim - 1), *y.shape[x.ndim - 1 :])
    basis = arrays.between_devices(arrays.namespace.broadcast_to(basis, (outputs, *y.shape)), y)
    return arrays.transforms.vmap(lambda cotangent: pull(cotangent)[0])(basis), y


def _shaped(values: Array, like: Array) -> Array:
    """(C, ...) → (..., C…) in shape and type as `like`: gradients are of the type of x."""
    arrays = of(like)
    return arrays.typed(arrays.first_axis_last(values).reshape(like.shape), like)


def reverse(f: Function, v: Array) -> Function:
    """x ↦ v·∂f(x) by reverse mode."""

    def derivative(x: Array) -> Array:
        found, y = gradients(f, x)
        return _shaped((found * v).sum(-1), y)

    return derivative


def hessian_product(f: Function, v: Array) -> Function:
    """x ↦ vᵀ ∂²f(x) v: a vector-Hessian-vector product, forward mode over the gradient."""

    def derivative(x: Array) -> Array:
        arrays = of(x)
        tangent = arrays.namespace.broadcast_to(v, x.shape)
        _, found, y = arrays.transforms.jvp(lambda point: gradients(f, point), (x,), (tangent,), has_aux=True)
        return _shaped((found * v).sum(-1), y)

    return derivative


def hessian_sum(f: Function, directions: Sequence[Array], weights: Sequence[float]) -> Function:
    """x ↦ Σ_r w_r v_rᵀ ∂²f(x) v_r: one gradient, then one more reverse pass through it for each direction."""

    def derivative(x: Array) -> Array:
        namespace = of(x).namespace
        found, pull, y = of(x).transforms.vjp(lambda point: gradients(f, point), x, has_aux=True)
        outputs = found.shape[0]
        total = namespace.zeros_like(y)
        if outputs == 0:
            return total
        for v, weight in zip(directions, weights, strict=True):
            direction = namespace.broadcast_to(v, x.shape)
            cotangents = [of(x).row_among_zeros(direction, c, found) for c in range(outputs)]
            columns = [(pull(cotangent)[0] * v).sum(-1) for cotangent in cotangents]
            total = total + weight * _shaped(namespace.stack(columns), y)
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
        values = of(x).transforms.vmap(lambda direction: brick(f, direction)(x))(v)
        if all(w == 1 for w in weights):
            return values.sum(0)
        return of(x).namespace.tensordot(of(x).like(weights, values), values, 1)

    return derivative


def forward_over_forward(f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
    """Each (v·∂)^order by as many nested forward modes."""

    def brick(g: Function, v: Array) -> Function:
        for _ in range(order):
            g = forward(g, v)
        return g

    return weighted_sum(brick, f, directions, weights)


def forward_over_reverse(f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
    """Each (v·∂)² by a vector-Hessian-vector product, nested for higher orders; one more forward mode for odd ones."""

    def brick(g: Function, v: Array) -> Function:
        for _ in range(order // 2):
            g = hessian_product(g, v)
        return forward(g, v) if order % 2 else g

    return weighted_sum(brick, f, directions, weights)


def reverse_over_reverse(f: Function, directions: Array, weights: Sequence[float], order: int) -> Function:
    """(v·∂)² by reverse mode through the gradient, one direction after the other, or by nested reverse modes."""
    if order == 2:
        return hessian_sum(f, list(directions), weights)

    def value(x: Array) -> Array:
        total = None
        for v, weight in zip(directions, weights, strict=True):
            g = f
            for _ in range(order):
                g = reverse(g, v)
            term = weight * g(x)
            total = term if total is None else total + term
        return total

    return value
