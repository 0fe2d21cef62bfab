"""Running a jaxpr on numbers, apart from everything around it: from devices, from side effects, and to an end.

What other devices would send is taken to be what this one sends, loops end after `STEPS`, prints are left out, and what
only a callback with effects knows is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from jetbench.jax.independence import CALLS
from jetbench.jax.propagate import bind
from jetbench.jax.rules.control_flow import scan_counts

STEPS = 1000


def run(jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """The outputs of a jaxpr."""
    values = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return np.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        values.update(zip(equation.outvars, _results(equation, [read(a) for a in equation.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def has_loop(jaxpr: Jaxpr) -> bool:
    """Whether some loop ends when values say so."""
    return any(e.primitive.name == "while" or any(map(has_loop, jaxprs_in_params(e.params))) for e in jaxpr.eqns)


def _results(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if name in _ALONE:
        return [_ALONE[name](*given, **params) for given in (zip(values, strict=True) if values else [()])]
    if name.startswith("debug_") or name == "io_callback":
        return [jnp.zeros(v.aval.shape, v.aval.dtype) for v in equation.outvars]
    if CALLS.fullmatch(name):
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        return _function(inner)(*values)
    if name in _STRUCTURES and any(map(_is_special, jaxprs_in_params(params))):
        return _STRUCTURES[name](values, params)
    found = bind(equation.primitive, values, params)
    return found if equation.primitive.multiple_results else [found]


def _is_special(jaxpr: Jaxpr) -> bool:
    """Whether something in a jaxpr cannot be run as it is."""
    return any(
        name in _ALONE
        or name == "while"
        or name == "io_callback"
        or name.startswith("debug_")
        or any(map(_is_special, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
        for name in (equation.primitive.name,)
    )


def _function(inner: Jaxpr | ClosedJaxpr) -> Callable[..., list[Any]]:
    jaxpr, constants = (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())
    return lambda *values: run(jaxpr, constants, values)


def _scan(values: list[Any], params: Mapping[str, Any]) -> list[Any]:
    consts, carried = scan_counts(params)
    body = _function(params["jaxpr"])

    def step(state: list[Any], item: list[Any]) -> tuple[list[Any], list[Any]]:
        found = body(*values[:consts], *state, *item)
        return found[:carried], found[carried:]

    start, items = values[consts : consts + carried], values[consts + carried :]
    state, results = lax.scan(step, _typed(start), items, params["length"], params["reverse"])
    return [*state, *results]


def _while(values: list[Any], params: Mapping[str, Any]) -> list[Any]:
    """At most `STEPS` steps."""
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition, body = _function(params["cond_jaxpr"]), _function(params["body_jaxpr"])

    def goes_on(state: tuple[Any, list[Any]]) -> Array:
        return condition(*values[:first], *state[1])[0] & (state[0] < STEPS)

    def step(state: tuple[Any, list[Any]]) -> tuple[Any, list[Any]]:
        return state[0] + 1, body(*values[first:second], *state[1])

    return lax.while_loop(goes_on, step, (0, _typed(values[second:])))[1]


def _cond(values: list[Any], params: Mapping[str, Any]) -> list[Any]:
    return lax.switch(values[0], [_function(branch) for branch in params["branches"]], *values[1:])


def _typed(values: list[Any]) -> list[Any]:
    return [jnp.asarray(value) if isinstance(value, np.ndarray) else value for value in values]


_STRUCTURES = {"scan": _scan, "while": _while, "cond": _cond}


def _same(x: Any, **_: Any) -> Any:
    return x


def _sum(x: Any, *, axes: Sequence[Any], **_: Any) -> Array:
    """Axes of the array itself are numbers, those of devices are names."""
    count = np.prod([lax.axis_size(axis) for axis in axes if not isinstance(axis, int)], dtype=int)
    return jnp.sum(x, [axis for axis in axes if isinstance(axis, int)]) * jnp.asarray(count, x.dtype)


def _gather(x: Any, *, all_gather_dimension: int, axis_size: int, tiled: bool, **_: Any) -> Array:
    copies = [x] * axis_size
    return jnp.concatenate(copies, all_gather_dimension) if tiled else jnp.stack(copies, all_gather_dimension)


def _scatter(x: Any, *, scatter_dimension: int, axis_size: int, tiled: bool, **_: Any) -> Array:
    part = jnp.split(x, axis_size, scatter_dimension)[0] * jnp.asarray(axis_size, x.dtype)
    return part if tiled else part.squeeze(scatter_dimension)


def _index(**_: Any) -> Array:
    return jnp.zeros((), jnp.int32)


_ALONE: dict[str, Callable] = {
    "psum": _sum,
    "psum_invariant": _sum,
    "pmax": _same,
    "pmin": _same,
    "pvary": _same,
    "ppermute": _same,
    "pbroadcast": _same,
    "all_gather": _gather,
    "all_gather_invariant": _gather,
    "reduce_scatter": _scatter,
    "axis_index": _index,
}
"""Primitives that refer to other devices, for one that has none beside it."""
