"""What devices, and functions that `jax.vmap` runs side by side, tell each other of values that depend on x.

Where x is the same for all of them, as with parameters in shards, nothing is wrong with that. Where each has rows of
its own, it mixes these rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from jetbench.errors import JetbenchError, MixedRows
from jetbench.jax._compat import maps_here
from jetbench.jax.rules.control_flow import scan_counts
from jetbench.jax.varying import varying

EXCHANGES = re.compile(
    "psum|psum_invariant|pmax|pmin|ppermute|pbroadcast|all_gather|all_gather_invariant|reduce_scatter|all_to_all"
    "|ragged_all_to_all"
)


def check(jaxpr: Jaxpr, x: Array) -> None:
    """Raise where results at rows of x depend on rows that are elsewhere.

    Raises:
        MixedRows: they do.
        JetbenchError: nothing says whether x is the same along an axis over which values are exchanged.
    """
    for equation in exchanges(jaxpr):
        for axis in _names(equation):
            differs = _differs(x, axis, equation)
            if differs:
                raise MixedRows(
                    f"The network mixes rows of x: its `{equation.primitive.name}` over the axis {axis!r} takes in "
                    "values at rows of other devices, or of other calls under vmap. Call it with the same x along that "
                    "axis, or leave the exchange out of the network."
                )
            if differs is None:
                raise JetbenchError(
                    f"The network exchanges values over the axis {axis!r} (`{equation.primitive.name}`), and nothing "
                    "says whether x is the same along it. Use jax.shard_map with check_vma=True, its default, so that "
                    "its specifications say so; inside of jax.vmap, take the operator outside of jax.jit."
                )


def exchanges(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The equations by which values that depend on the arguments are exchanged."""
    found: dict[int, JaxprEqn] = {}
    _follow(jaxpr, [True] * len(jaxpr.invars), found)
    return list(found.values())


def _follow(jaxpr: Jaxpr, depends: Sequence[bool], found: dict[int, JaxprEqn]) -> list[bool]:
    """Which outputs depend on the inputs that do."""
    of: dict[Any, bool] = dict.fromkeys(jaxpr.constvars, False)
    of.update(zip(jaxpr.invars, depends, strict=True))

    def read(atom: Any) -> bool:
        return not isinstance(atom, Literal) and of[atom]

    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        results = _step(equation, given, found) if any(given) else [False] * len(equation.outvars)
        of.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _step(equation: JaxprEqn, given: list[bool], found: dict[int, JaxprEqn]) -> list[bool]:
    name, params = equation.primitive.name, equation.params
    if EXCHANGES.fullmatch(name):
        found[id(equation)] = equation
    if name == "scan":
        consts, carried = scan_counts(params)
        return _loop(params["jaxpr"].jaxpr, given[:consts], given[consts:][:carried], given[consts + carried :], found)
    if name == "while":
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        state = _loop(params["body_jaxpr"].jaxpr, given[first:second], given[second:], [], found)
        goes_on = _follow(params["cond_jaxpr"].jaxpr, [*given[:first], *state], found)
        return [any(goes_on)] * len(state) if any(goes_on) else state
    if name == "cond":
        branches = [_follow(branch.jaxpr, given[1:], found) for branch in params["branches"]]
        return [given[0] or any(flags) for flags in zip(*branches, strict=True)]
    inner = list(jaxprs_in_params(params)) if name != "shard_map" else []  # which has axes of its own
    if len(inner) == 1 and len(inner[0].invars) == len(given):
        return _follow(inner[0], given, found)
    for jaxpr in inner:
        _follow(jaxpr, [True] * len(jaxpr.invars), found)
    return [True] * len(equation.outvars)


def _loop(
    body: Jaxpr, consts: list[bool], state: list[bool], items: list[bool], found: dict[int, JaxprEqn]
) -> list[bool]:
    while True:
        results = _follow(body, [*consts, *state, *items], found)
        reached = [before or after for before, after in zip(state, results, strict=False)]
        if reached == state:
            return [*reached, *results[len(state) :]]
        state = reached


def _names(equation: JaxprEqn) -> list[Any]:
    axes = equation.params.get("axes", equation.params.get("axis_name"))
    return [axis for axis in (axes if isinstance(axes, (tuple, list)) else (axes,)) if not isinstance(axis, int)]


def _differs(x: Array, axis: Any, equation: JaxprEqn) -> bool | None:
    """Whether x differs along an axis: a mesh that checks this says so in types, `jax.vmap` by its tracers."""
    if any(axis in varying(atom.aval) for atom in equation.invars):
        return axis in varying(jax.typeof(x))
    return None if axis in jax.sharding.get_abstract_mesh().manual_axes else _is_batched(x, axis)


def _is_batched(x: Any, axis: Any) -> bool | None:
    """Whether the `jax.vmap` with an axis of this name maps over x, which a function under `jax.jit` does not learn."""
    while isinstance(x, jax.core.Tracer):
        if hasattr(x, "batch_dim"):
            if x._trace.axis_data.name == axis:
                return x.batch_dim is not None
            x = x.val
        elif hasattr(x, "primal"):
            x = x.primal
        else:
            return False if maps_here(axis) else None
    return False
