"""Random cases in PyTorch, and their text."""

from __future__ import annotations

import random

from fuzz import drawing
from fuzz.draft import FORMS, Draft
from fuzz.program import Case, Program
from fuzz.torch import layers, python, transformed
from fuzz.torch.tensors import REGISTRY, tensor
from fuzz.torch.uses import USES
from jetbench.torch import METHODS

del layers, python, transformed  # importing them registers their pieces

OWN = [name for name, method in METHODS.items() if method.package is None]
SUPPLY = drawing.Supply(OWN, FORMS, REGISTRY.weights, USES)
PRELUDE = """import contextvars, copy, dataclasses, functools, math, pickle, threading, types
import numpy as np
import torch
from torch.nn import functional as F
from jetbench.operators.symbol import variables
from jetbench.torch import collapse, linear_operator

torch.manual_seed({seed})
D = torch.{precision}
x = torch.tensor({points}, dtype=D)
"""


def draw(rng: random.Random) -> Case:
    """A random case."""
    return drawing.draw(rng, SUPPLY)


def _network(case: Case) -> Draft:
    draft, width = Draft(case.plan.form, case.plan.wrapper, case.plan.is_plain), case.plan.dim
    for name, seed in case.plan.pieces:
        draft.rng = random.Random(seed)
        width = REGISTRY.pieces[name](draft, width)
    draft.rng = random.Random(case.seed)
    ending = draft.rng.choice(("", "y = y.sin() @ {w}", "y = (y * {v}).sum(-1)", "y = y.tanh() @ {w}"))
    if "{w}" in ending:
        ending = ending.format(w=tensor(draft, width, 2))
    if "{v}" in ending:
        ending = ending.format(v=tensor(draft, width))
    if ending and case.plan.has_ending:
        draft.write(ending)
    return draft


def program(case: Case) -> Program | None:
    """The text of a case; None where what is to be done does not fit the network."""
    draft, rng = _network(case), random.Random(case.seed)
    use = USES[case.use].text(draft.parameters, draft.changes, rng, case)
    if use is None:
        return None
    points = drawing.points(rng, case)
    prelude = PRELUDE.format(seed=case.seed, precision=case.precision, points=points)
    return Program(f"{prelude}\n{draft.text()}", drawing.operator(case, "torch.stack"), *use, draft.traits)
