"""Primitives that hold a function: calls are followed, so that only the primitives inside of them need rules."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive, primitives

from jetbench.jax.independence import ENTRYWISE
from jetbench.jax.jet import Jet, Value, algebra_of, elementwise
from jetbench.jax.jvp import through_jvp, tower_of
from jetbench.jax.packing import Layout, Packed
from jetbench.jax.propagate import bind, propagate
from jetbench.jax.rules.registry import rule
from jetbench.jax.sums import is_written_out


@rule(primitives.jit_p)
def jit(*values: Value, jaxpr: ClosedJaxpr, **params: object) -> list[Value]:
    del params
    return propagate(jaxpr.jaxpr, jaxpr.consts, values)


@rule(primitives.closed_call_p, primitives.call_p)
def closed_call(*values: Value, call_jaxpr: ClosedJaxpr | Jaxpr, **params: object) -> list[Value]:
    del params
    if isinstance(call_jaxpr, Jaxpr):
        return propagate(call_jaxpr, (), values)
    return propagate(call_jaxpr.jaxpr, call_jaxpr.consts, values)


@rule(primitives.remat_p)
def remat(*values: Value, jaxpr: Jaxpr, prevent_cse: bool, policy: object, **params: object) -> list[Value]:
    """The jet of the function is recomputed in a backward pass just as its value was meant to be."""
    del params
    given = Layout.of(algebra_of(*values), values)
    of_results: list[Layout] = []

    def run(inputs: Packed) -> Packed:
        results = propagate(jaxpr, (), given.unpack(inputs))
        of_results[:] = [Layout.of(given.algebra, results)]
        return of_results[0].pack(results)

    results = jax.checkpoint(run, prevent_cse=prevent_cse, policy=policy)(given.pack(values))
    return of_results[0].unpack(results)


@rule(primitives.custom_vjp_call_p)
def custom_vjp_call(*values: Value, call_jaxpr: ClosedJaxpr, **params: object) -> list[Value]:
    """A derivative for reverse mode only says nothing about jets: the function itself is followed."""
    del params
    return propagate(call_jaxpr.jaxpr, call_jaxpr.consts, values)


@rule(primitives.custom_jvp_call_p)
def custom_jvp_call(*values: Value, **params: object) -> list[Value]:
    """The function's own derivative counts: that of its formula may be another one, or none."""
    closed = params["call_jaxpr"]
    if is_written_out(closed.jaxpr):
        return propagate(closed.jaxpr, closed.consts, values)

    def function(*arrays: Array) -> Sequence[Array]:
        return bind(primitives.custom_jvp_call_p, arrays, params)

    jets = [index for index, value in enumerate(values) if isinstance(value, Jet)]
    if len(jets) == 1 and _is_entrywise(closed.jaxpr, values[jets[0]].shape):
        (at,) = jets
        return [elementwise(tower_of(lambda u: function(*values[:at], u, *values[at + 1 :])[0]), values[at])]
    return through_jvp(function, values)


def _inner(params: dict) -> list[Jaxpr]:
    found = [value for value in params.values() if isinstance(value, (Jaxpr, ClosedJaxpr))]
    return [value.jaxpr if isinstance(value, ClosedJaxpr) else value for value in found]


def _is_entrywise(jaxpr: Jaxpr, shape: tuple[int, ...]) -> bool:
    """Whether a function acts entry by entry: on arrays of this shape and numbers, with one result of this shape."""
    atoms = [*jaxpr.invars, *jaxpr.constvars, *(atom for e in jaxpr.eqns for atom in (*e.invars, *e.outvars))]
    return (
        len(jaxpr.outvars) == 1
        and jaxpr.outvars[0].aval.shape == shape
        and all(atom.aval.shape in ((), shape) for atom in atoms)
        and all(_acts_entrywise(equation.primitive, equation.params) for equation in jaxpr.eqns)
    )


def _acts_entrywise(primitive: Primitive, params: dict) -> bool:
    if ENTRYWISE.fullmatch(primitive.name) or primitive is primitives.broadcast_in_dim_p:
        return True
    calls = (primitives.jit_p, primitives.custom_jvp_call_p, primitives.closed_call_p)
    inner = _inner(params)
    return primitive in calls and all(_acts_entrywise(e.primitive, e.params) for i in inner for e in i.eqns)
