"""Functions of JAX that have towers or formulas of their own in `jetbench.jax.special`."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array
from jax.extend.core import Primitive

from jetbench.jax.jet import Jet, Value, elementwise, primal
from jetbench.jax.propagate import propagate
from jetbench.jax.rules.registry import rule, rule_by_name
from jetbench.jax.special import OF_ONE, OF_PRIMITIVES, OF_TWO, TowerFunction, acts_in_place, acts_on_two_in_place


def _by_tower(primitive: Primitive, tower: TowerFunction) -> None:
    @rule(primitive)
    def apply(x: Jet) -> Jet:
        return elementwise(tower, x)


def _by_towers(name: str, towers: tuple[TowerFunction, ...]) -> None:
    @rule_by_name(name, acts_in_place)
    def apply(*values: Value) -> list[Value]:
        x = values[-1]
        return [elementwise(tower, x) if isinstance(x, Jet) else tower(x, 0)[0] for tower in towers]


def _by_formula(name: str, formula: Callable[[Array, Array], Array]) -> None:
    @rule_by_name(name, acts_on_two_in_place)
    def apply(x: Value, y: Value) -> list[Value]:
        closed = jax.make_jaxpr(formula)(primal(x), primal(y))
        return propagate(closed.jaxpr, closed.consts, [x, y])


for _primitive, _tower in OF_PRIMITIVES.items():
    _by_tower(_primitive, _tower)
for _name, _towers in OF_ONE.items():
    _by_towers(_name, _towers)
for _name, _formula in OF_TWO.items():
    _by_formula(_name, _formula)
