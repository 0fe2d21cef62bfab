"""The values that every method is checked against: forward mode nested K times, in the precision of x.

It shares no derivative rule with the jets and no order of nesting with the nested methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array

from jetbench.algebra.differentiate import forward_over_forward
from jetbench.jax.nesting import Nesting
from jetbench.methods.nested import nest
from jetbench.operators.problem import Operator, Problem


class ForwardOverForward(Nesting):
    """(v·∂)^K by K nested forward modes."""

    power = staticmethod(forward_over_forward)


def evaluate(
    net: Callable[[Array], Array], operator: Operator, x: Array, problem: Problem | None = None, draws: tuple = ()
) -> Mapping[str, Array]:
    """Output name → L_o net(x), by nested AD; with the given draws where `problem` names a random estimator."""
    problem = problem or Problem(operator)
    return ForwardOverForward(net, problem, nest(problem))(jnp.asarray(x), draws)
