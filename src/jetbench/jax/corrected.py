"""Networks as nested methods differentiate them: by the authors' derivatives in every mode, and right at all points.

JAX has no forward mode through `jax.custom_vjp`, loses derivatives of authors at higher orders (`author`), and
differentiates some of its own functions wrongly at single points (`special`). What nested methods differentiate is
therefore the network's jaxpr with such calls replaced; a network without them runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jax import Array, make_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive, Var, primitives

from jetbench.jax.author import authored
from jetbench.jax.propagate import bind
from jetbench.jax.special import name_in_jax, right_function
from jetbench.jax.sums import is_written_out

AUTHORS = (primitives.custom_jvp_call_p, primitives.custom_vjp_call_p)
IN_REVERSE = (primitives.custom_jvp_call_p,)  # reverse mode obeys rules of custom_vjp, also those it cannot transpose


def corrected(
    net: Callable[[Array], Array], captured: ClosedJaxpr, replaced: Sequence[Primitive] = AUTHORS
) -> Callable[[Array], Array]:
    """The network, or its jaxpr with calls replaced where there are any to replace."""
    if not _concerns(captured, replaced):
        return net
    return lambda x: evaluate(captured, [x], replaced)[0]


def evaluate(closed: ClosedJaxpr, arguments: Sequence[Array], replaced: Sequence[Primitive] = AUTHORS) -> list[Array]:
    """The outputs of a jaxpr with its calls replaced, also those within loops, branches and calls."""
    values: dict[Var, Array] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(closed.jaxpr.invars, arguments, strict=True))

    def read(atom: Var | Literal) -> Array:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in closed.jaxpr.eqns:
        primitive, params, given = equation.primitive, equation.params, map(read, equation.invars)
        if (right := right_function(equation)) is not None:
            found = right(*given)
            found = found if primitive.multiple_results else found[0]
        elif _has_author(equation, replaced):
            found = authored(primitive, params, partial(evaluate, replaced=replaced))(*given)
        else:
            found = bind(primitive, given, {name: _within(value, replaced) for name, value in params.items()})
        values.update(zip(equation.outvars, found if primitive.multiple_results else [found], strict=True))
    return [read(atom) for atom in closed.jaxpr.outvars]


def _has_author(equation: JaxprEqn, replaced: Sequence[Primitive]) -> bool:
    return equation.primitive in replaced and not is_written_out(equation.params["call_jaxpr"].jaxpr)


def _within(value: Any, replaced: Sequence[Primitive]) -> Any:
    """A parameter of a primitive, with the calls replaced in the jaxprs that it is or holds."""
    if not _concerns(value, replaced, in_loop=True):
        return value
    if isinstance(value, tuple):
        return tuple(_within(each, replaced) for each in value)
    closed = ClosedJaxpr(value, ()) if isinstance(value, Jaxpr) else value
    found = make_jaxpr(lambda *arrays: evaluate(closed, arrays, replaced))(*closed.in_avals)
    return found.jaxpr if isinstance(value, Jaxpr) else found


def _concerns(value: Any, replaced: Sequence[Primitive], in_loop: bool = False) -> bool:
    """Whether a parameter is or holds a jaxpr with a call to replace; those of JAX itself count in loops only."""
    if isinstance(value, tuple):
        return any(_concerns(each, replaced, in_loop) for each in value)
    if not isinstance(value, (Jaxpr, ClosedJaxpr)):
        return False
    for equation in (value.jaxpr if isinstance(value, ClosedJaxpr) else value).eqns:
        if right_function(equation) is not None:
            return True
        if _has_author(equation, replaced):
            is_own = equation.primitive is primitives.custom_jvp_call_p and name_in_jax(equation.params["call_jaxpr"])
            if in_loop or not is_own:  # what jax.custom_gradient makes is also of JAX, by its place
                return True
        elif equation.primitive not in AUTHORS:
            within = in_loop or equation.primitive is primitives.scan_p
            if _concerns(tuple(equation.params.values()), replaced, within):
                return True
    return False
