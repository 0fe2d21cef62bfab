"""Jets from a function's own JVP, for functions whose derivative is known to JAX and not to any rule here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr, Literal, Primitive, primitives

from jetbench.algebra.derivatives import Tower, TowerFunction
from jetbench.algebra.truncated import Truncated
from jetbench.errors import MissingRule
from jetbench.jax.jet import Jet, Value, algebra_of, constant, elementwise, primal
from jetbench.jax.propagate import bind, propagate
from jetbench.jax.registry import rule


def derivatives_of(function: Callable[[Array], Array], u: Array, order: int) -> ClosedJaxpr:
    """u ↦ φ(u), φ'(u), …, φ^(K)(u) of a function that acts entry by entry, by nested JVPs with tangents 1."""

    def derivatives(u: Array, order: int) -> tuple[Array, ...]:
        if order == 0:
            return (function(u),)
        known, slopes = jax.jvp(lambda v: derivatives(v, order - 1), (u,), (jnp.ones_like(u),))
        return (*known, slopes[-1])

    return _traced(lambda v: derivatives(v, order), u)


def _traced(derivative: Callable, *arguments: object) -> ClosedJaxpr:
    """The jaxpr of a derivative.

    Raises:
        MissingRule: JAX has no such derivative.
    """
    try:
        return jax.make_jaxpr(derivative)(*arguments)
    except NotImplementedError as error:
        raise not_differentiable(error) from error


def not_differentiable(error: Exception) -> MissingRule:
    """What to raise where JAX cannot differentiate one of its own functions, or a function of the user's."""
    said = " ".join(str(error).split())[:200]
    return MissingRule(
        f"JAX cannot differentiate a function of the network as often as this operator asks for: {said}. Replace it by "
        "a formula, or give its derivative by jax.custom_jvp."
    )


def tower_at(derivatives: ClosedJaxpr, u: Array) -> Tower:
    """The tower that `derivatives_of` describes, with None for derivatives that are literally zero."""
    jaxpr = derivatives.jaxpr
    zeros = {
        equation.outvars[0]
        for equation in jaxpr.eqns
        if equation.primitive is primitives.broadcast_in_dim_p and _is_zero(equation.invars[0])
    }
    found = jax.core.eval_jaxpr(jaxpr, derivatives.consts, u)
    vanishes = [_is_zero(atom) or (not isinstance(atom, Literal) and atom in zeros) for atom in jaxpr.outvars]
    return [None if m and zero else f for m, (f, zero) in enumerate(zip(found, vanishes, strict=True))]


def tower_of(function: Callable[[Array], Array]) -> TowerFunction:
    """The tower of a function that acts entry by entry."""
    return lambda u, order: tower_at(derivatives_of(function, u, order), u)


def _is_zero(atom: object) -> bool:
    return isinstance(atom, Literal) and np.ndim(atom.val) == 0 and atom.val == 0


def through_jvp(function: Callable[..., Sequence[Array]], values: Sequence[Value]) -> list[Value]:
    """The results of a differentiable function on jets, by integrating its JVP.

    f(u + w) = f(u) + ∫₀¹ ∂f(u + s·w) w ds for the nilpotent part w. The integrand is a polynomial of degree K − 1 in s,
    so ⌈K/2⌉ Gauss-Legendre nodes give the integral exactly. As ∂f is multiplied by w, jets one order lower do for it:
    if its JVP calls f again, that ends.

    Args:
        function: of the arrays in `values`, with a list of arrays as its result.
        values: jets and arrays.
    """
    algebra = algebra_of(*values)
    moving = [index for index, value in enumerate(values) if isinstance(value, Jet) and value.present]
    given = [primal(value) for value in values]
    results = function(*given)
    if not moving:
        return [constant(algebra, result) for result in results]

    def at(*points: Array) -> Sequence[Array]:
        replaced = dict(zip(moving, points, strict=True))
        return function(*(replaced.get(index, value) for index, value in enumerate(given)))

    points = [given[index] for index in moving]
    closed = _traced(lambda points, tangents: jax.jvp(at, points, tangents)[1], points, points)
    lower = Truncated(algebra, algebra.order - 1)
    totals: list[list[Array | None]] = [[None] * algebra.order for _ in results]
    nodes, weights = np.polynomial.legendre.leggauss((algebra.order + 1) // 2)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        moved = [_towards(values[index], float(node), lower) for index in moving]
        tangents = [Jet(algebra, jnp.zeros_like(values[i].primal), values[i].shared_blocks) for i in moving]
        for total, found in zip(totals, propagate(closed.jaxpr, closed.consts, [*moved, *tangents]), strict=True):
            if isinstance(found, Jet):
                for k, block in enumerate(found.blocks):
                    if block is not None:
                        term = block if weight == 1 else float(weight) * block
                        total[k] = term if total[k] is None else total[k] + term
    return [Jet(algebra, result, total) for result, total in zip(results, totals, strict=True)]


def _towards(value: Jet, node: float, lower: Truncated) -> Value:
    """u + s·w, without its highest block."""
    if lower.order == 0:
        return value.primal
    blocks = value.shared_blocks[: lower.order]
    return Jet(lower, value.primal, [None if block is None else node * block for block in blocks])


def by_jvp(*operations: Primitive, is_elementwise: bool = False) -> None:
    """Register rules made from the primitives' own JVPs, for those that need no rule of their own.

    Args:
        operations: differentiable primitives.
        is_elementwise: whether they act entry by entry on arrays of one shape.
    """

    for operation in operations:

        @rule(operation)
        def apply(*values: Value, operation: Primitive = operation, **params: object) -> Value | list[Value]:
            jets = [index for index, value in enumerate(values) if isinstance(value, Jet)]
            if is_elementwise and len(jets) == 1:
                (at,) = jets

                def function(u: Array) -> Array:
                    return operation.bind(*values[:at], u, *values[at + 1 :], **params)

                return elementwise(tower_of(function), values[at])
            if operation.multiple_results:
                return through_jvp(lambda *arrays: bind(operation, arrays, params), values)
            return through_jvp(lambda *arrays: [bind(operation, arrays, params)], values)[0]
