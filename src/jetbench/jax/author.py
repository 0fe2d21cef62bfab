"""Functions whose derivative their author gave, by `jax.custom_jvp` or `jax.custom_vjp`, as one primitive.

A rule of `custom_vjp` maps cotangents, g ↦ J(u)ᵀg, where J need not be the derivative of the forward computation.
Being linear, it has a transpose, t ↦ J(u)t, which is the author's JVP. So jets and forward mode follow the author, and
reverse mode, which transposes once more, meets the author's rule as it is written.

The primitive keeps a derivative where JAX loses it. JAX has no forward mode through `custom_vjp`; where a rule computes
the function's value by a formula, JAX's second derivatives are those of the formula; and so they are in a `scan`, which
reverse mode splits without the rules of `custom_jvp`. Here the function has the author's derivative at every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.dtypes import float0
from jax.extend.core import ClosedJaxpr, Primitive, primitives
from jax.interpreters import ad, batching, mlir

from jetbench.errors import Unsupported
from jetbench.jax.propagate import bind

SEED = 0
SCALES = (1.0, 10.0)  # of the random points at which a rule is tried

Function = Callable[..., Sequence[Array]]


@dataclass(frozen=True, eq=False)
class Authored:
    """A function of arrays with several results, and its derivative.

    Attributes:
        function: u ↦ f(u).
        derivative: (u, moving, t) ↦ f(u) and J(u)t for the arguments with the indices `moving`, whose tangents are t; a
            slope for each result that has one.
    """

    function: Function
    derivative: Callable[[Sequence[Array], Sequence[int], Sequence[Array]], tuple[Sequence[Array], Sequence[Array]]]

    def __call__(self, *arrays: Array) -> list[Array]:
        return authored_p.bind(*arrays, of=self)


authored_p = Primitive("authored")
authored_p.multiple_results = True


def _run(*arrays: Array, of: Authored) -> list[Array]:
    return list(of.function(*arrays))


authored_p.def_impl(_run)
authored_p.def_abstract_eval(lambda *avals, of: jax.make_jaxpr(of.function)(*avals).out_avals)
mlir.register_lowering(authored_p, mlir.lower_fun(_run, multiple_results=True))


def _moves(value: Any) -> bool:
    """Whether a value has tangents."""
    return jnp.issubdtype(value.dtype, jnp.inexact)


def _jvp(primals: Sequence[Array], tangents: Sequence[Any], *, of: Authored) -> tuple[Sequence[Array], list[Any]]:
    moving = [i for i, t in enumerate(tangents) if not isinstance(t, ad.Zero)]
    _, slopes = of.derivative(primals, moving, [tangents[i] for i in moving])
    results, remaining = of(*primals), iter(slopes)  # again this function, whatever formula the rule has for its value
    return results, [next(remaining) if _moves(result) else np.zeros(result.shape, float0) for result in results]


def _batched(arrays: Sequence[Array], axes: Sequence[int | None], *, of: Authored) -> tuple[list[Array], list[int]]:
    """Under `vmap` the function and its derivative are those of each element of the batch."""
    places = list(axes)

    def derivative(
        primals: Sequence[Array], moving: Sequence[int], tangents: Sequence[Array]
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        def of_one(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
            return of.derivative(primals, moving, tangents)

        return jax.vmap(of_one, (places, [places[i] for i in moving]))(list(primals), list(tangents))

    results = Authored(jax.vmap(of.function, places), derivative)(*arrays)
    return results, [0] * len(results)


ad.primitive_jvps[authored_p] = _jvp
batching.primitive_batchers[authored_p] = _batched


def authored(
    primitive: Primitive, params: dict, evaluate: Callable[[ClosedJaxpr, Sequence[Array]], Sequence[Array]]
) -> Authored:
    """The function of a `custom_jvp_call` or `custom_vjp_call`.

    Its derivative raises Unsupported where the rule of a `custom_vjp` is not linear in the cotangent or cannot be
    transposed, and where it refers to values that JAX does not let it differentiate.

    Args:
        primitive, params: of the call.
        evaluate: runs a jaxpr with the calls in it treated like this one: rules often call the function itself, which
            is then differentiated again at higher orders.
    """

    def function(*arrays: Array) -> Sequence[Array]:
        return bind(primitive, arrays, params)

    def derivative(
        primals: Sequence[Array], moving: Sequence[int], tangents: Sequence[Array]
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        def of_moving(primals: Sequence[Array], *points: Array) -> tuple[list[Array], Sequence[Array]]:
            """The results that have tangents, and all of them."""
            replaced = dict(zip(moving, points, strict=True))
            results = function(*(replaced.get(i, primal) for i, primal in enumerate(primals)))
            return [result for result in results if _moves(result)], results

        def forward(primals: Sequence[Array], tangents: Sequence[Array]) -> list[Array]:
            at = [primals[i] for i in moving]
            _, slopes, results = jax.jvp(partial(of_moving, primals), at, tangents, has_aux=True)
            return [*results, *slopes]

        def transposed(primals: Sequence[Array], tangents: Sequence[Array]) -> list[Array]:
            like, pull, results = jax.vjp(partial(of_moving, primals), *(primals[i] for i in moving), has_aux=True)
            return [*results, *jax.linear_transpose(pull, like)(tuple(tangents))[0]]

        def at_zero(primals: Sequence[Array]) -> Sequence[Array]:
            like, pull, _ = jax.vjp(partial(of_moving, primals), *(primals[i] for i in moving), has_aux=True)
            return pull([jnp.zeros_like(result) for result in like])

        primals, tangents = list(primals), list(tangents)
        if primitive is primitives.custom_jvp_call_p:
            closed = jax.make_jaxpr(forward)(primals, tangents)
        else:
            try:
                closed = jax.make_jaxpr(transposed)(primals, tangents)
                has_constant = _has_constant_part(jax.make_jaxpr(at_zero)(primals))
            except Exception as error:
                said = " ".join(str(error).split())[:200]
                raise _refusal(params, f"{type(error).__name__}: {said}") from error
            if has_constant:
                raise _refusal(params, "it does not map zeros to zeros")
        found = evaluate(closed, [*primals, *tangents])
        count = len(params["call_jaxpr"].out_avals)
        return found[:count], found[count:]

    return Authored(function, derivative)


def _refusal(params: dict, reason: str) -> Unsupported:
    name = params["call_jaxpr"].jaxpr.debug_info.func_name
    return Unsupported(
        f"The derivative of {name} is given for reverse mode only (jax.custom_vjp, jax.custom_gradient) and cannot be "
        "followed forward: its rule must be a linear function of the cotangent that JAX can transpose, and must not "
        f"refer to arrays that depend on x from outside ({reason}). Give the derivative by jax.custom_jvp, or use the "
        "method nested_reverse."
    )


def _has_constant_part(at_zero: ClosedJaxpr) -> bool:
    """Whether J(u)ᵀ0 differs from 0 at random points u: transposing would lose that part without a word."""
    generator = np.random.default_rng(SEED)

    def example(value: Any, scale: float) -> Array:
        if not _moves(value):
            return jnp.zeros(value.shape, value.dtype)
        return jnp.asarray(scale * generator.normal(size=value.shape), value.dtype)

    with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
        for scale in SCALES:
            constants = [example(c, scale) if isinstance(c, jax.core.Tracer) else c for c in at_zero.consts]
            points = [example(aval, scale) for aval in at_zero.in_avals]
            found = map(np.asarray, jax.core.eval_jaxpr(at_zero.jaxpr, constants, *points))
            if any(np.any(np.isfinite(value) & (value != 0)) for value in found):
                return True
    return False
