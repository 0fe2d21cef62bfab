"""Running a jaxpr on jets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Primitive, Var, jaxprs_in_params

from jetbench.errors import MissingRule
from jetbench.jax.jet import Jet, Value
from jetbench.jax.registry import RULES
from jetbench.jax.varying import made_varying, varying


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
    for equation, dead in _plan(jaxpr):
        found = apply(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, found, strict=True))
        for atom in dead:
            values.pop(atom, None)
    return [read(atom) for atom in jaxpr.outvars]


def apply(equation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """The results of one equation.

    Raises:
        MissingRule: it has a jet among its arguments and its primitive has no rule.
    """
    primitive = equation.primitive
    if not any(isinstance(value, Jet) for value in values):
        found = bind(primitive, values, equation.params)
    elif primitive in RULES:
        found = RULES[primitive](*values, **equation.params)
    else:
        raise MissingRule(
            f"No rule for the primitive {primitive.name}. Add one with @jetbench.jax.rule({primitive.name}_p), as "
            "described in jetbench/jax/registry.py, in the module of its kind in jax/rules or in your own code."
        )
    return found if primitive.multiple_results else [found]


def bind(primitive: Primitive, values: Iterable[Array], params: dict) -> Array | Sequence[Array]:
    """The primitive itself, on arrays, which have to be alike between devices unless a function inside tells them."""
    values = list(values)
    if not any(jaxprs_in_params(params)):
        axes = frozenset().union(*(varying(jax.typeof(value)) for value in values))
        values = [made_varying(value, axes) for value in values] if axes else values
    if primitive.name == "pvary":
        return made_varying(values[0], frozenset(params["axes"]))
    return primitive.bind(*values, **primitive.get_bind_params(params))


def _plan(jaxpr: Jaxpr) -> list[tuple[JaxprEqn, list[Var]]]:
    """The equations that the outputs need, each with the variables that are needed no more after it."""
    needed = {atom for atom in jaxpr.outvars if isinstance(atom, Var)}
    plan: list[tuple[JaxprEqn, list[Var]]] = []
    for equation in reversed(jaxpr.eqns):
        if needed.isdisjoint(equation.outvars) and not equation.effects:
            continue
        atoms = dict.fromkeys(atom for atom in (*equation.invars, *equation.outvars) if isinstance(atom, Var))
        plan.append((equation, [atom for atom in atoms if atom not in needed]))
        needed.update(atoms)
    return plan[::-1]
