"""Following the leading axes of x through a jaxpr, to prove that rows are independent without running anything.

What cannot be followed is not proved; `rows` then runs the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

Axes = tuple[int, ...]  # where the leading axes of x lie in a value

# names of primitives that act entry by entry, on arrays of one shape and on numbers
ENTRYWISE = re.compile(
    "abs|acosh?|add|add_any|and|asinh?|atan2|atanh?|bessel_i[01]e|cbrt|ceil|clamp|complex|conj|convert_element_type|copy"
    "|copy_p|cosh?|digamma|div|eq|erf|erf_inv|erfc|exp2?|expm1|floor|gt|ge|igammac?|imag|integer_pow|is_finite|le|lgamma"
    "|log|log1p|log2|logistic|lt|max|min|mul|name|ne|neg|nextafter|not|or|polygamma|pow|real|reduce_precision"
    "|regularized_incomplete_beta|rem|round|rsqrt|select_n|sign|sinh?|sqrt|square|stop_gradient|sub|tanh?|xor|zeta"
)
REDUCTIONS = re.compile("(reduce_(sum|max|min|prod|and|or|xor)|argmax|argmin)")
ALONG_ONE_AXIS = re.compile("cum(sum|prod|max|min|logsumexp)|sort")
CALLS = re.compile("jit|pjit|closed_call|core_call|checkpoint|remat2?|custom_jvp_call|custom_vjp_call")


class _UnknownError(Exception):
    """An equation through which axes cannot be followed, or that mixes rows."""


def are_independent(jaxpr: Jaxpr, leading: int) -> bool:
    """Whether each row of the output, along its first `leading` axes, is known to depend on the same row of x only."""
    expected = tuple(range(leading))
    try:
        (found,) = _follow(jaxpr, [expected])
    except _UnknownError:
        return False
    return found is None or found == expected


def _follow(jaxpr: Jaxpr, arguments: Sequence[Axes | None]) -> list[Axes | None]:
    """Where the axes lie in the outputs; None for what does not depend on x."""
    places: dict[Var, Axes | None] = dict.fromkeys(jaxpr.constvars)
    places.update(zip(jaxpr.invars, arguments, strict=True))

    def place(atom: Var | Literal) -> Axes | None:
        return None if isinstance(atom, Literal) else places[atom]

    for equation in jaxpr.eqns:
        given = [place(atom) for atom in equation.invars]
        found = [None] * len(equation.outvars) if not any(a is not None for a in given) else _step(equation, given)
        places.update(zip(equation.outvars, found, strict=True))
    return [place(atom) for atom in jaxpr.outvars]


def _step(equation: JaxprEqn, given: Sequence[Axes | None]) -> list[Axes | None]:
    name, params = equation.primitive.name, equation.params
    shapes = [atom.aval.shape for atom in equation.invars]
    axes = next(a for a in given if a is not None)
    count = len(equation.outvars)
    if CALLS.fullmatch(name):
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        return _follow(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner, given)
    if name == "dot_general":
        return [_through_product(given, shapes, params["dimension_numbers"])]
    if any(a is not None and a != axes for a in given):
        raise _UnknownError
    if ENTRYWISE.fullmatch(name) or ALONG_ONE_AXIS.fullmatch(name):
        if not ENTRYWISE.fullmatch(name):
            _refuse(axes, [params.get("axis", params.get("dimension"))])
        return [axes] * count
    if name in ("pvary", "psum_invariant"):  # entry by entry, if x is the same on all devices, which `exchange` sees to
        return [axes] * count
    if REDUCTIONS.fullmatch(name):
        _refuse(axes, params["axes"])
        return [tuple(a - sum(r < a for r in params["axes"]) for a in axes)] * count
    if name == "broadcast_in_dim":
        return [tuple(params["broadcast_dimensions"][a] for a in axes)]
    if name == "transpose":
        return [tuple(params["permutation"].index(a) for a in axes)]
    if name == "squeeze":
        _refuse(axes, params["dimensions"])
        return [tuple(a - sum(d < a for d in params["dimensions"]) for a in axes)]
    if name == "reshape" and params["dimensions"] is None:
        return [tuple(_kept(shapes[0], params["new_sizes"], a) for a in axes)]
    if name in ("concatenate", "rev", "split"):
        _refuse(axes, params["dimensions"] if name == "rev" else [params["dimension" if name[0] == "c" else "axis"]])
        return [axes] * count
    if name == "pad" and all(params["padding_config"][a] == (0, 0, 0) for a in axes):
        return [axes]
    if name == "slice" and all(equation.outvars[0].aval.shape[a] == shapes[0][a] for a in axes):
        return [axes]
    raise _UnknownError


def _refuse(axes: Axes, touched: Sequence[int]) -> None:
    if not set(axes).isdisjoint(touched):
        raise _UnknownError


def _kept(before: Sequence[int], after: Sequence[int], axis: int) -> int:
    """The axis of the new shape that runs over the same entries as `axis` of the old one."""
    for new in range(len(after)):
        if after[new] == before[axis] and prod(after[:new]) == prod(before[:axis]):
            return new
    raise _UnknownError


def _through_product(given: Sequence[Axes | None], shapes: Sequence[Sequence[int]], numbers: tuple) -> Axes:
    """Axes that lie in one factor must not be summed over; those that lie in both must be batched together."""
    contracted, batched = numbers
    places: list[Axes] = []
    free_before = len(batched[0])
    for side in (0, 1):
        summed, batch = tuple(contracted[side]), tuple(batched[side])
        free = [axis for axis in range(len(shapes[side])) if axis not in (*summed, *batch)]
        if given[side] is not None:
            _refuse(given[side], summed)
            places.append(tuple(batch.index(a) if a in batch else free_before + free.index(a) for a in given[side]))
        free_before += len(free)
    if len(places) == 2 and places[0] != places[1]:
        raise _UnknownError
    return places[0]
