"""Functions of JAX that have towers or formulas of their own in `jetbench.jax.special`."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr, Primitive

from jetbench.errors import MissingRule
from jetbench.jax.jet import Jet, Value, elementwise, primal
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule
from jetbench.jax.rules.named import rule_by_name
from jetbench.jax.special import OF_ONE, OF_PRIMITIVES, OF_TWO, REFUSED, Entrywise, TowerFunction, acts_on_two_in_place


def _by_tower(primitive: Primitive, tower: TowerFunction) -> None:
    @rule(primitive)
    def apply(x: Jet) -> Jet:
        return elementwise(tower, x)


def _by_towers(name: str, of: Entrywise) -> None:
    @rule_by_name(name, of.applies)
    def apply(closed: ClosedJaxpr, *values: Value) -> list[Value]:
        x = values[of.place]
        return [elementwise(tower, x) if isinstance(x, Jet) else tower(x, 0)[0] for tower in of.towers_of(closed)]


def _by_formula(name: str, formula: Callable[[Array, Array], Array]) -> None:
    @rule_by_name(name, acts_on_two_in_place)
    def apply(_: ClosedJaxpr, x: Value, y: Value) -> list[Value]:
        closed = jax.make_jaxpr(formula)(primal(x), primal(y))
        return propagate(closed.jaxpr, closed.consts, [x, y])


def _by_refusal(name: str, sentence: str) -> None:
    @rule_by_name(name, lambda closed: True)
    def apply(_: ClosedJaxpr, *values: Value) -> list[Value]:
        raise MissingRule(sentence)


for _primitive, _tower in OF_PRIMITIVES.items():
    _by_tower(_primitive, _tower)
for _name, _entrywise in OF_ONE.items():
    _by_towers(_name, _entrywise)
for _name, _sentence in REFUSED.items():
    _by_refusal(_name, _sentence)
for _name, _formula in OF_TWO.items():
    _by_formula(_name, _formula)
