"""Running a jaxpr on jets."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax import Array
from jax.extend.core import DebugInfo, Jaxpr, JaxprEqn, Literal, Var

from jetbench.errors import MissingRule
from jetbench.jax.jet import Jet, Value


def propagate(jaxpr: Jaxpr, constants: Sequence[Value], arguments: Sequence[Value]) -> list[Value]:
    """The outputs of a jaxpr on jets and arrays: jets where they depend on jets, arrays elsewhere.

    Equations without jets run as they are. Values are dropped after their last use, so that outside of `jit` a layer's
    jet is freed when the next one has been computed.
    """
    values: dict[Var, Value] = {}

    def read(atom: Var | Literal) -> Value:
        return np.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]

    values.update(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    last_use = _last_uses(jaxpr)
    for index, equation in enumerate(jaxpr.eqns):
        found = apply(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, found, strict=True))
        for dead in last_use.get(index, ()):
            values.pop(dead, None)
    return [read(atom) for atom in jaxpr.outvars]


def apply(equation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """The results of one equation.

    Raises:
        MissingRule: it has a jet among its arguments and its primitive has no rule.
    """
    from jetbench.jax.rules import RULES  # rules run the interpreter on inner jaxprs, so that they import this module

    primitive = equation.primitive
    if not any(isinstance(value, Jet) for value in values):
        return _run(equation, values)
    if primitive not in RULES:
        raise MissingRule(
            f"No rule for the primitive {primitive.name}. Add one with @jetbench.jax.rule({primitive.name}_p), as "
            "described in jetbench/jax/rules/registry.py, in the module of its kind beside it or in your own code."
        )
    found = RULES[primitive](*values, **equation.params)
    return found if primitive.multiple_results else [found]


def _run(equation: JaxprEqn, values: Sequence[Array]) -> Sequence[Array]:
    """The equation as JAX itself runs it."""
    given = {atom: v for atom, v in zip(equation.invars, values, strict=True) if isinstance(atom, Var)}
    info = DebugInfo("jetbench", equation.primitive.name, None, None)
    alone = Jaxpr((), tuple(given), equation.outvars, [equation], equation.effects, info)
    return jax.core.eval_jaxpr(alone, (), *given.values())


def _last_uses(jaxpr: Jaxpr) -> dict[int, list[Var]]:
    """Equation → the variables that are needed no more after it."""
    kept = {atom for atom in jaxpr.outvars if isinstance(atom, Var)}
    last: dict[Var, int] = {}
    for index, equation in enumerate(jaxpr.eqns):
        for atom in (*equation.invars, *equation.outvars):
            if isinstance(atom, Var) and atom not in kept:
                last[atom] = index
    found: dict[int, list[Var]] = {}
    for atom, index in last.items():
        found.setdefault(index, []).append(atom)
    return found
