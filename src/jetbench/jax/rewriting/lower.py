"""From a jaxpr to the neutral form. Rules for single primitives lie in `arrange` and `compute`, loops in `loops`.

A primitive without a rule, or one that its rule cannot do with these parameters, becomes an opaque node. Functions with
derivative rules of their own stay opaque as well, so that these rules still hold when the result is differentiated; not
so this package's sums over directions, whose rules say the same in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from jetbench.collapse.build import Builder
from jetbench.collapse.graph import Node, is_inexact
from jetbench.errors import Unsupported
from jetbench.jax._compat import is_option
from jetbench.jax.rewriting.precision import Precisions
from jetbench.jax.sums import is_written_out
from jetbench.jax.varying import varying

Rule = Callable[..., "Node | list[Node] | None"]
LOWERINGS: dict[str, Rule] = {}
INLINED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}
LEFT = {
    "while": "A loop whose number of steps is only known as it runs (while_loop, fori_loop with such bounds)",
    "cond": "A choice between computations (cond, switch)",
    "custom_jvp_call": "A function with a derivative rule of its own (custom_jvp)",
    "custom_vjp_call": "A function with a derivative rule of its own (custom_vjp)",
}
"""Primitives that hold computations, in words for the explanation."""


@dataclass(frozen=True)
class Call:
    """A primitive with its parameters.

    Attributes:
        varying: of each operand, along which axes of a mesh it has to differ; None where they only have to be alike.
    """

    primitive: Any
    params: dict
    varying: tuple[frozenset, ...] | None = None


def lowering(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule: it gets the lowering, the description of the result, the operands and the parameters."""

    def register(function: Rule) -> Rule:
        for name in names:
            LOWERINGS[name] = function
        return function

    return register


class Lowering:
    """Reads one jaxpr.

    Attributes:
        builder: makes the neutral nodes.
        outputs: the neutral values of the outputs.
        precisions: of the matrix products.
        notes: what could not be turned into a batch, in sentences.
        varying: of each output, along which axes of a mesh it differs.

    Raises:
        Unsupported: the function has effects.
    """

    def __init__(self, closed: ClosedJaxpr) -> None:
        self.builder = Builder()
        self.precisions = Precisions()
        self.notes: list[str] = []
        self.varying = [varying(v.aval) for v in closed.jaxpr.outvars]
        _refuse_effects(closed.jaxpr)
        inputs = [self._source("input", i, v.aval, i) for i, v in enumerate(closed.jaxpr.invars)]
        self.outputs = tuple(self.inline(closed.jaxpr, closed.consts, inputs))

    def _source(self, op: str, key: object, aval: Any, payload: object) -> Node:
        key = (key,) if op == "input" else key
        return self.builder.graph.make(op, (), key, aval.shape, str(aval.dtype), payload)

    def constant(self, value: Any) -> Node:
        """A captured array, or a number."""
        aval = jax.typeof(value)
        if not aval.shape and not isinstance(value, jax.core.Tracer):
            if is_inexact(str(aval.dtype)) and "complex" not in str(aval.dtype):
                return self.builder.full(float(value), (), str(aval.dtype))
            if isinstance(value, (int, float, bool, np.generic)):
                return self._source(
                    "constant", ((repr(value), str(aval.dtype)), None), aval, np.asarray(value, aval.dtype)
                )
        is_vector = aval.ndim == 1 and is_inexact(str(aval.dtype)) and not isinstance(value, jax.core.Tracer)
        numbers = tuple(np.asarray(value).tolist()) if is_vector else None
        return self._source("constant", (id(value), numbers), aval, value)

    def inline(self, jaxpr: Jaxpr, consts: Sequence[Any], operands: Sequence[Node]) -> list[Node]:
        """The outputs of a jaxpr for operands."""
        values: dict[Any, Node] = dict(zip(jaxpr.invars, operands, strict=True))
        values |= {
            v: c if isinstance(c, Node) else self.constant(c) for v, c in zip(jaxpr.constvars, consts, strict=True)
        }

        def read(atom: Any) -> Node:
            return (
                self.constant(np.asarray(atom.val, atom.aval.dtype)[()]) if isinstance(atom, Literal) else values[atom]
            )

        for eqn in jaxpr.eqns:
            found = self._equation(eqn, [read(atom) for atom in eqn.invars])
            values |= dict(zip(eqn.outvars, found, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: JaxprEqn, operands: list[Node]) -> list[Node]:
        name = eqn.primitive.name
        is_sum = name == "custom_jvp_call" and is_written_out(eqn.params["call_jaxpr"].jaxpr)
        if name in INLINED or is_sum:
            inner = eqn.params["call_jaxpr" if is_sum else INLINED[name]]
            closed = isinstance(inner, ClosedJaxpr)
            return self.inline(inner.jaxpr if closed else inner, inner.consts if closed else (), operands)
        rule = LOWERINGS.get(name)
        if rule is not None:
            several = eqn.primitive.multiple_results
            found = rule(self, eqn if several else eqn.outvars[0].aval, *operands, **eqn.params)
            if found is not None:
                return list(found) if several else [found]
        return self.opaque(eqn, operands)

    def opaque(self, eqn: JaxprEqn, operands: Sequence[Node]) -> list[Node]:
        """A node for a primitive that nothing is known of; what it computes inside is out of reach."""
        if eqn.primitive.name in LEFT:
            self.notes.append(f"{LEFT[eqn.primitive.name]} is left as it is, with all sums in it.")
        params = tuple((k, _key(v)) for k, v in sorted(eqn.params.items()))
        key = (eqn.primitive.name, params)
        make = self.builder.graph.make
        call = Call(eqn.primitive, eqn.params, tuple(varying(v.aval) for v in eqn.invars))
        if not eqn.primitive.multiple_results:
            aval = eqn.outvars[0].aval
            return [make("opaque", operands, key, aval.shape, str(aval.dtype), call)]
        whole = make("opaque", operands, key, (), "several", call)
        avals = [v.aval for v in eqn.outvars]
        return [make("part", (whole,), (i,), aval.shape, str(aval.dtype)) for i, aval in enumerate(avals)]

    def mapped(
        self, primitive: Any, aval: Any, operands: Sequence[Node], params: dict, linear: tuple[int, ...] = ()
    ) -> Node:
        """A primitive that works entry by entry; scalars are repeated."""
        operands = [self.builder.broadcast(x, aval.shape) for x in operands]
        static = tuple((k, _key(v)) for k, v in sorted(params.items()))
        return self.builder.map(primitive.name, operands, str(aval.dtype), static, linear, Call(primitive, params))


def _refuse_effects(jaxpr: Jaxpr) -> None:
    """Raise where a primitive does more than return results; the equations around it have its effects, too."""
    for eqn in jaxpr.eqns:
        if all(type(effect).__name__ == "NamedAxisEffect" for effect in eqn.effects):  # an exchange between devices
            continue
        for inner in jaxprs_in_params(eqn.params):
            _refuse_effects(inner)
        raise Unsupported(
            f"The pass that collapses sums takes pure functions, and {eqn.primitive.name!r} has an effect besides its "
            "result: it prints, calls back, or uses a reference from outside. Leave it out of the function."
        )


def behind(x: Node) -> Node:
    """What a view is a view of; any other node itself."""
    return x.operands[0] if x.op == "view" else x


def counted_axis(x: Node) -> int | None:
    """The axis along which the entries are their index, from 0 on; None if they are anything else."""
    core = behind(x)
    if core.op != "opaque" or core.attributes[0] != "iota":
        return None
    axes = x.attributes[0] if x.op == "view" else (0,)
    return axes.index(0) if 0 in axes else None


def _key(value: object) -> object:
    """Something hashable that two parameters have in common only if they are the same."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return (type(value).__name__, str(value))
    if isinstance(value, (tuple, list)):
        return tuple(_key(item) for item in value)
    if isinstance(value, (np.dtype, type)) or is_option(value):
        return repr(value)
    return id(value)
