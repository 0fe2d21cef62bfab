"""Random cases in JAX, and their text."""

from __future__ import annotations

import random

from fuzz import drawing
from fuzz.draft import Draft
from fuzz.jax.pieces import REGISTRY, array
from fuzz.jax.uses import USES
from fuzz.program import Case, Program
from jetbench.jax import METHODS

FORMS = ("function", "function", "object", "method", "slots")
OWN = [name for name, method in METHODS.items() if method.package is None]
SUPPLY = drawing.Supply(OWN, FORMS, REGISTRY.weights, USES)
PRELUDE = """import contextvars, dataclasses, functools, math, types
import jax
import jax.numpy as jnp
import numpy as np
from jetbench.jax import collapse, linear_operator
from jetbench.jax.compiling import compiled_quickly
from jetbench.operators.symbol import variables

jax.config.update("jax_enable_x64", True)
generator = np.random.default_rng({seed})
def random(shape):
    return jnp.asarray(generator.normal(size=shape))
x = jnp.array({points})
"""


def draw(rng: random.Random) -> Case:
    """A random case; few pieces, since each new shape of an operation is compiled."""
    return drawing.draw(rng, SUPPLY, most_pieces=2)


def program(case: Case) -> Program | None:
    """The text of a case; None where what is to be done does not fit the network."""
    draft, width, rng = (
        Draft(case.plan.form, case.plan.wrapper, case.plan.is_plain),
        case.plan.dim,
        random.Random(case.seed),
    )
    for name, seed in case.plan.pieces:
        draft.rng = random.Random(seed)
        width = REGISTRY.pieces[name](draft, width)
    draft.rng = random.Random(case.seed)
    if draft.rng.random() < 0.5 and case.plan.has_ending:
        draft.write(f"y = jnp.sin(y) @ {array(draft, width, 2)}")
    use = USES[case.use].text(draft.parameters, draft.changes, rng, case)
    if use is None:
        return None
    prelude = PRELUDE.format(seed=case.seed, points=drawing.points(rng, case))
    return Program(f"{prelude}\n{draft.text()}", drawing.operator(case, "jnp.stack"), *use, draft.traits)
