"""Comparing random functions with their collapsed form: values, gradients and counts. Needs `jax_enable_x64`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fuzz.collapse.functions import Framework, trial
from jetbench.jax.compiling import compiled_quickly
from jetbench.jax.rewriting.function import collapse

FRAMEWORK = Framework(jnp, jax.jvp, jax.vmap, jax.jacfwd, jnp.asarray)
TOLERANCE = 1e-10


def compare(seed: int) -> str | None:
    """What is wrong with the collapsed form of function number `seed`, in a sentence; None if nothing is."""
    case = trial(seed, FRAMEWORK)
    collapsed = collapse(case.function)

    def both(function):
        def loss(parameters):
            y = function(parameters, case.x)
            return (y * y).sum(), y

        (_, y), gradient = compiled_quickly(jax.value_and_grad(loss, has_aux=True))(case.parameters)
        return y, gradient

    (y, gradient), (new_y, new_gradient) = both(case.function), both(collapsed)
    explained = collapsed.explain(case.parameters, case.x).result
    if explained.after.operations > explained.before.operations or explained.after.products > explained.before.products:
        return f"{case.name}: operations went from {explained.before} to {explained.after}."
    for what, old, new in (("value", [y], [new_y]), ("gradient", gradient, new_gradient)):
        for a, b in zip(old, new, strict=True):
            gap = float(jnp.abs(a - b).max())
            if not gap <= TOLERANCE * (1 + float(jnp.abs(a).max())):
                return f"{case.name}: the {what} is off by {gap:.1e}."
    return None
