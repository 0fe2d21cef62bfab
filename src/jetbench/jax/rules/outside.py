"""Primitives that reach outside: exchanges between devices, which are linear, and prints.

`jetbench.jax.exchange` sees to it that x is the same on all devices that exchange what depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array
from jax.extend.core import Primitive

from jetbench.jax._compat import LINEAR_EXCHANGES, PRINTS
from jetbench.jax.jet import Jet, Value, linear, primal
from jetbench.jax.propagate import bind
from jetbench.jax.registry import rule


def _exchange(primitive: Primitive) -> None:
    @rule(primitive)
    def apply(x: Jet, **params: object) -> Jet:
        return linear(lambda t: bind(primitive, [t], params), x)


for _primitive in LINEAR_EXCHANGES:
    _exchange(_primitive)


def _print(primitive: Primitive) -> None:
    @rule(primitive)
    def apply(*values: Value, **params: object) -> Sequence[Array]:
        return bind(primitive, [primal(value) for value in values], params)


for _primitive in PRINTS:
    _print(_primitive)
