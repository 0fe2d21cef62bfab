"""Loops and branches: state that depends on x carries jets.

Which entries of a loop's state do, and with which blocks, is a fixed point: one pass through the body may spread
coefficients to further entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, primitives

from jetbench.algebra.base import Algebra
from jetbench.jax.jet import Jet, Value, algebra_of, primal
from jetbench.jax.packing import Layout, Packed, layout_of_result
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule


def _fixed_point(
    step: Callable[[Sequence[Value]], Sequence[Value]], initial: Sequence[Value], algebra: Algebra
) -> Layout:
    """The blocks of a loop's state: the smallest layout that one more step does not enlarge."""
    layout = Layout.of(algebra, initial)
    while True:
        found = layout.union(layout_of_result(step, layout, layout.pack(initial)))
        if found == layout:
            return layout
        layout = found


def scan_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many of a loop's operands are constants, and how many are carried; the items of each step come after them.

    JAX tells them by number up to 0.10, and since 0.11 by the tree of all operands.
    """
    if "ft_in" in params:
        constants, carried, _ = params["ft_in"].unpack()
        return len(constants), len(carried)
    return params["num_consts"], params["num_carry"]


@rule(primitives.scan_p)
def scan(
    *values: Value,
    jaxpr: ClosedJaxpr,
    length: int,
    reverse: bool,
    unroll: int,
    **params: object,
) -> list[Value]:
    algebra = algebra_of(*values)
    num_consts, num_carry = scan_counts(params)
    constants, initial = values[:num_consts], values[num_consts : num_consts + num_carry]
    items = values[num_consts + num_carry :]
    of_constants, of_items = Layout.of(algebra, constants), Layout.of(algebra, items)
    packed_constants = of_constants.pack(constants)
    packed_items = [_component_axis(parts, 0, 1) for parts in of_items.pack(items)]

    def step(state: Sequence[Value], item: Packed) -> list[Value]:
        return propagate(
            jaxpr.jaxpr, jaxpr.consts, [*of_constants.unpack(packed_constants), *state, *of_items.unpack(item)]
        )

    first = [tuple(jnp.zeros_like(part, shape=part.shape[1:]) for part in parts) for parts in packed_items]
    layout = _fixed_point(lambda state: step(state, first)[:num_carry], initial, algebra)
    of_results: list[Layout] = []

    def body(state: Packed, item: Packed) -> tuple[Packed, Packed]:
        found = step(layout.unpack(state), item)
        of_results[:] = [Layout.of(algebra, found[num_carry:])]
        return layout.pack(found[:num_carry]), of_results[0].pack(found[num_carry:])

    state, results = lax.scan(body, layout.pack(initial), packed_items, length, reverse, unroll)
    return [*layout.unpack(state), *of_results[0].unpack([_component_axis(parts, 1, 0) for parts in results])]


def _component_axis(parts: tuple[Array, ...], source: int, target: int) -> tuple[Array, ...]:
    """Moves the component axis of coefficients, (n, steps, ...) ↔ (steps, n, ...); the primal stays as it is."""
    return (parts[0], *(jnp.moveaxis(part, source, target) for part in parts[1:]))


@rule(primitives.while_p)
def while_loop(
    *values: Value,
    cond_jaxpr: ClosedJaxpr,
    body_jaxpr: ClosedJaxpr,
    cond_nconsts: int,
    body_nconsts: int,
    **params: object,
) -> list[Value]:
    del params
    algebra = algebra_of(*values)
    of_condition = [primal(value) for value in values[:cond_nconsts]]
    constants, initial = values[cond_nconsts : cond_nconsts + body_nconsts], values[cond_nconsts + body_nconsts :]

    of_constants = Layout.of(algebra, constants)
    packed_constants = of_constants.pack(constants)

    def step(state: Sequence[Value]) -> list[Value]:
        return propagate(body_jaxpr.jaxpr, body_jaxpr.consts, [*of_constants.unpack(packed_constants), *state])

    layout = _fixed_point(step, initial, algebra)

    def goes_on(state: Packed) -> Array:
        (found,) = propagate(cond_jaxpr.jaxpr, cond_jaxpr.consts, [*of_condition, *(parts[0] for parts in state)])
        return found

    def body(state: Packed) -> Packed:
        found = layout.pack(step(layout.unpack(state)))
        going = goes_on(state)
        return (
            found
            if going.ndim == 0
            else [
                tuple(_where(going, new, old, at) for at, (new, old) in enumerate(zip(*parts, strict=True)))
                for parts in zip(found, state, strict=True)
            ]
        )

    state = lax.while_loop(lambda state: goes_on(state).any(), body, layout.pack(initial))
    return layout.unpack(state)


def _where(going: Array, new: Array, old: Array, components: int) -> Array:
    """Under `vmap` each element of the batch, the first axes of its state, goes on by itself; a coefficient has an
    axis of components before them."""
    batch = jnp.expand_dims(going, (*range(components), *range(components + going.ndim, new.ndim)))
    return jnp.where(batch, new, old)


@rule(primitives.cond_p)
def cond(index: Value, *values: Value, branches: Sequence[ClosedJaxpr], **params: object) -> list[Value]:
    """The primal chooses the branch."""
    del params
    if not any(isinstance(value, Jet) for value in values):
        return lax.switch(primal(index), [_on_values(branch) for branch in branches], values)
    algebra = algebra_of(*values)
    given = Layout.of(algebra, values)
    arguments = given.pack(values)

    functions = [_on_values(branch) for branch in branches]
    layouts = [layout_of_result(function, given, arguments) for function in functions]
    layout = reduce(Layout.union, layouts)
    cases = [lambda inputs, f=function: layout.pack(f(given.unpack(inputs))) for function in functions]
    return layout.unpack(lax.switch(primal(index), cases, arguments))


def _on_values(branch: ClosedJaxpr) -> Callable[[Sequence[Value]], list[Value]]:
    return lambda values: propagate(branch.jaxpr, branch.consts, values)
