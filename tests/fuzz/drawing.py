"""Random cases, the same for every backend."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fuzz.draft import WRAPPERS, Plan
from fuzz.program import Case, Terms, Use, symbol

#: Methods that take orders up to 2 only, or products of such.
LOW = ("forward_laplacian", "stock_rewrite")


@dataclass(frozen=True)
class Supply:
    """What a backend has: methods, forms of networks, pieces and uses with how often each is drawn."""

    methods: Sequence[str]
    forms: Sequence[str]
    pieces: Mapping[str, float]
    uses: Mapping[str, Use]


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


def choice(rng: random.Random, weights: Mapping[str, float]) -> str:
    """A key, drawn by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def draw(rng: random.Random, supply: Supply, most_pieces: int = 4) -> Case:
    """A random case."""
    dim, method = rng.randint(1, 3), rng.choice(supply.methods)
    use = choice(rng, {name: use.weight for name, use in supply.uses.items()})
    order = rng.choice((1, 2, 2)) if method in LOW else rng.choice((1, 2, 2, 2, 3))
    outputs = tuple(_terms(rng, dim, order) for _ in range(1 if rng.random() < 0.9 else 2))
    count = min(most_pieces, rng.choice((1, 2, 2, 3, 3, 4)))
    pieces = tuple((choice(rng, supply.pieces), rng.randrange(10**6)) for _ in range(count))
    plan = Plan(dim, rng.choice(supply.forms), rng.choice(WRAPPERS), pieces)
    precision = "float32" if "float32" in use or "autocast" in use else "float64"
    rows = rng.choice((1, 2, 2, 3))
    return Case(rng.randrange(10**6), plan, rows, outputs, method, use, rng.random() < 0.8, precision)


def points(rng: random.Random, case: Case) -> list[list[float]]:
    """Coordinates of the points, for the text."""
    return [[round(rng.uniform(-1, 1), 2) for _ in range(case.plan.dim)] for _ in range(case.rows)]


def operator(case: Case, stack: str) -> str:
    """Source that defines `operator`; `stack` is the framework's function that stacks several outputs."""
    xi = f"xi = variables({case.plan.dim})\n"
    if len(case.outputs) == 1:
        return f'{xi}operator = linear_operator(net, {symbol(case.outputs[0])}, "{case.method}")'
    names = ", ".join(f'"{"pqrs"[i]}": {symbol(terms)}' for i, terms in enumerate(case.outputs))
    return (
        f"{xi}class Stacked:\n    def __init__(self, system):\n        self.system = system\n"
        f"    def __call__(self, x):\n        return {stack}(list(self.system(x).values()), -1)\n"
        f'operator = Stacked(linear_operator(net, {{{names}}}, "{case.method}"))'
    )
