"""Random cases in PyTorch, and their text."""

from __future__ import annotations

import random
from collections.abc import Mapping

from fuzz.draft import FORMS, WRAPPERS, Draft, Plan
from fuzz.program import Case, Program, Terms, symbol
from fuzz.torch import layers, python, transformed
from fuzz.torch.tensors import PIECES, WEIGHTS, tensor
from fuzz.torch.uses import USES
from jetbench.torch import METHODS as ALL_METHODS

__all__ = ["PIECES", "USES", "draw", "program"]
del layers, python, transformed

METHODS = [name for name, method in ALL_METHODS.items() if method.package is None]
#: Methods that take orders up to 2 only, or products of such.
LOW = ("forward_laplacian", "stock_rewrite")
PRELUDE = """import contextvars, copy, dataclasses, functools, math, pickle, threading, types
import numpy as np
import torch
from torch.nn import functional as F
from jetbench.symbol import variables
from jetbench.torch import collapse, linear_operator

torch.manual_seed({seed})
D = torch.{precision}
x = torch.tensor({points}, dtype=D)
"""


def _terms(rng: random.Random, dim: int, order: int) -> Terms:
    """A random polynomial of the given order."""
    found: dict[tuple[int, ...], float] = {}
    for degree in [order, *(rng.randint(0, order) for _ in range(rng.randint(0, 2)))]:
        exponents = [0] * dim
        for _ in range(degree):
            exponents[rng.randrange(dim)] += 1
        found[tuple(exponents)] = round(rng.choice((-1, 1)) * rng.uniform(0.4, 1.6), 2)
    if order == 2 and rng.random() < 0.4:
        found |= {tuple(2 * (i == j) for i in range(dim)): 1.0 for j in range(dim)}
    return tuple((coefficient, exponents) for exponents, coefficient in found.items())


def _choice(rng: random.Random, weights: Mapping[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def draw(rng: random.Random) -> Case:
    """A random case."""
    dim, method = rng.randint(1, 3), rng.choice(METHODS)
    use = _choice(rng, {name: use.weight for name, use in USES.items()})
    order = rng.choice((1, 2, 2)) if method in LOW else rng.choice((1, 2, 2, 2, 3))
    outputs = tuple(_terms(rng, dim, order) for _ in range(1 if rng.random() < 0.9 else 2))
    count = rng.choice((1, 2, 2, 3, 3, 4))
    pieces = tuple((_choice(rng, WEIGHTS), rng.randrange(10**6)) for _ in range(count))
    plan = Plan(dim, rng.choice(FORMS), rng.choice(WRAPPERS), pieces)
    return Case(
        rng.randrange(10**6),
        plan,
        rng.choice((1, 2, 2, 3)),
        outputs,
        method,
        use,
        rng.random() < 0.8,
        "float32" if "float32" in use or "autocast" in use else "float64",
    )


def _network(case: Case) -> Draft:
    draft, width = Draft(case.plan.form, case.plan.wrapper), case.plan.dim
    for name, seed in case.plan.pieces:
        draft.rng = random.Random(seed)
        width = PIECES[name](draft, width)
    draft.rng = random.Random(case.seed)
    ending = draft.rng.choice(("", "y = y.sin() @ {w}", "y = (y * {v}).sum(-1)", "y = y.tanh() @ {w}"))
    if "{w}" in ending:
        ending = ending.format(w=tensor(draft, width, 2))
    if "{v}" in ending:
        ending = ending.format(v=tensor(draft, width))
    draft.write(*([ending] if ending else []))
    return draft


def program(case: Case) -> Program | None:
    """The text of a case; None where what is to be done does not fit the network."""
    draft, rng = _network(case), random.Random(case.seed)
    use = USES[case.use].text(draft.parameters, draft.changes, rng, case)
    if use is None:
        return None
    points = [[round(rng.uniform(-1, 1), 2) for _ in range(case.plan.dim)] for _ in range(case.rows)]
    prelude = PRELUDE.format(seed=case.seed, precision=case.precision, points=points)
    if len(case.outputs) == 1:
        operator = f'operator = linear_operator(net, {symbol(case.outputs[0])}, "{case.method}")'
    else:
        names = ", ".join(f'"{"pqrs"[i]}": {symbol(terms)}' for i, terms in enumerate(case.outputs))
        operator = (
            f'system = linear_operator(net, {{{names}}}, "{case.method}")\n'
            "def operator(x):\n    return torch.stack(list(system(x).values()), -1)"
        )
    return Program(f"{prelude}\n{draft.text()}xi = variables({case.plan.dim})", operator, *use, draft.traits)
