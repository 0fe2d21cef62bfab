"""Primitives that hold a function: calls are followed, so that only the primitives inside of them need rules."""

from __future__ import annotations

from jax.extend.core import ClosedJaxpr, Jaxpr, primitives

from jetbench.jax.jet import Value
from jetbench.jax.propagate import propagate
from jetbench.jax.rules.registry import rule


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
def remat(*values: Value, jaxpr: Jaxpr, **params: object) -> list[Value]:
    del params
    return propagate(jaxpr, (), values)


@rule(primitives.custom_jvp_call_p)
def custom_jvp_call(*values: Value, call_jaxpr: ClosedJaxpr, **params: object) -> list[Value]:
    return propagate(call_jaxpr.jaxpr, call_jaxpr.consts, values)


@rule(primitives.custom_vjp_call_p)
def custom_vjp_call(*values: Value, call_jaxpr: ClosedJaxpr, **params: object) -> list[Value]:
    return propagate(call_jaxpr.jaxpr, call_jaxpr.consts, values)
