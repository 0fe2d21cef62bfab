"""Primitives that hold a function: calls are followed, so that only the primitives inside of them need rules."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax import Array
from jax.errors import UnexpectedTracerError
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, primitives

from jetbench.jax.author import Authored, authored, authored_p
from jetbench.jax.corrected import AUTHORS, evaluate
from jetbench.jax.independence import ENTRYWISE
from jetbench.jax.jet import Jet, Value, algebra_of, elementwise, primal
from jetbench.jax.jvp import derivatives_of, not_differentiable, through_jvp, tower_at
from jetbench.jax.packing import Layout, Packed
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule
from jetbench.jax.rules.named import named_rule
from jetbench.jax.sums import is_written_out


@rule(primitives.jit_p)
def jit(*values: Value, jaxpr: ClosedJaxpr, **params: object) -> list[Value]:
    del params
    named = named_rule(jaxpr)
    return propagate(jaxpr.jaxpr, jaxpr.consts, values) if named is None else named(*values)


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


@rule(primitives.custom_jvp_call_p)
def custom_jvp_call(*values: Value, **params: object) -> list[Value]:
    """The function's own derivative counts: that of its formula may be another one, or none."""
    closed = params["call_jaxpr"]
    if is_written_out(closed.jaxpr):
        return propagate(closed.jaxpr, closed.consts, values)
    if (named := named_rule(closed)) is not None:
        return named(*values)
    return authored_call(*values, of=authored(primitives.custom_jvp_call_p, params, evaluate))


@rule(primitives.custom_vjp_call_p)
def custom_vjp_call(*values: Value, **params: object) -> list[Value]:
    """As for `custom_jvp`: a derivative for reverse mode is one for jets when it is transposed."""
    return authored_call(*values, of=authored(primitives.custom_vjp_call_p, params, evaluate))


@rule(authored_p)
def authored_call(*values: Value, of: Authored) -> list[Value]:
    """By the tower of its derivative where that acts entry by entry, by integrating it elsewhere."""
    try:
        return _followed(values, of)
    except UnexpectedTracerError as error:  # as from second derivatives of jax.scipy.special.expn
        raise not_differentiable(error) from error


def _followed(values: Sequence[Value], of: Authored) -> list[Value]:
    jets = [index for index, value in enumerate(values) if isinstance(value, Jet) and value.present]
    if len(jets) == 1:
        (at,) = jets
        jet, arrays = values[at], [primal(value) for value in values]
        results = jax.eval_shape(of.function, *arrays)
        if [(result.shape, result.dtype) for result in results] == [(jet.shape, jet.dtype)]:

            def function(u: Array) -> Array:
                return of(*arrays[:at], u, *arrays[at + 1 :])[0]

            derivatives = derivatives_of(function, jet.primal, jet.algebra.order)
            if _is_entrywise(derivatives.jaxpr, jet.shape):
                # the value is the function itself, so that its gradients in parameters are its author's
                return [elementwise(lambda u, order: [function(u), *tower_at(derivatives, u)[1:]], jet)]
    return through_jvp(of, values)


def _is_entrywise(jaxpr: Jaxpr, shape: tuple[int, ...]) -> bool:
    """Whether a function acts entry by entry: on arrays of this shape and numbers, with results of this shape."""
    atoms = [*jaxpr.invars, *jaxpr.constvars, *(atom for e in jaxpr.eqns for atom in (*e.invars, *e.outvars))]
    return all(atom.aval.shape in ((), shape) for atom in atoms) and all(map(_acts_entrywise, jaxpr.eqns))


def _acts_entrywise(equation: JaxprEqn) -> bool:
    primitive, params = equation.primitive, equation.params
    if ENTRYWISE.fullmatch(primitive.name) or primitive is primitives.broadcast_in_dim_p:
        return True
    if primitive is authored_p:
        inner = jax.make_jaxpr(params["of"].function)(*(atom.aval for atom in equation.invars))
    elif primitive in (primitives.jit_p, primitives.closed_call_p, *AUTHORS):
        inner = params.get("jaxpr", params.get("call_jaxpr"))
    else:
        return False
    return all(map(_acts_entrywise, inner.jaxpr.eqns))
