"""Collapsed Taylor mode of the library jet-for-pytorch: in which passes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jetbench.methods.base import Method
from jetbench.operators.directions import RandomGroup, decompose, randomize
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import Symbol

LIBRARY = "jet-for-pytorch"


def absent() -> str | None:
    """Why the library cannot be used here; None if it can."""
    if sys.version_info < (3, 12):
        return f"The package {LIBRARY} needs Python 3.12 or newer; this is Python {sys.version.split()[0]}."
    if importlib.util.find_spec("jet") is None:
        return f"The package {LIBRARY} is not installed here; get it with pip install {LIBRARY}."
    return None


@dataclass(frozen=True)
class Pass:
    """sign · Σ_r (v_r·∂)^order for `count` directions (count, n) in the variables of the symbols; None if drawn."""

    sign: float
    order: int
    count: int
    directions: np.ndarray | None


@dataclass(frozen=True)
class Passes:
    """One pass for each output, order and sign of weights."""

    symbols: Mapping[str, Symbol]
    passes: Mapping[str, Sequence[Pass]]
    groups: Sequence[RandomGroup] = ()

    @property
    def vectors(self) -> int:
        """1 + (K − 1)·R + 1 for each pass of order K along R directions; 3 for an output of order 1, which is left to
        PyTorch's forward mode, and 1 for one of order 0."""
        total = 0
        for name, symbol in self.symbols.items():
            of_output = self.passes[name]
            total += sum(2 + (each.order - 1) * each.count for each in of_output) or (3 if 1 in symbol.parts else 1)
        return total


class JetForPyTorch(Method):
    """Collapsed Taylor mode by the library jet-for-pytorch, of the paper's authors; one pass an output and order.

    Source: Dangel, Siebert, Zeinhofer, Walther, arXiv 2505.13644.
    """

    name = "jet_for_pytorch"
    label = "Collapsed Taylor (jet-for-pytorch)"
    rank = 100
    backends = ("torch",)
    package = LIBRARY
    is_directional = True

    def unavailable(self) -> str | None:
        return absent()

    def plan(self, problem: Problem) -> Passes:
        symbols: Mapping[str, Symbol] = problem.operator.symbols
        groups: Sequence[RandomGroup] = ()
        if not problem.estimator.is_exact:
            drawn = randomize(problem)
            symbols, groups = {"": drawn.remainder}, drawn.groups
        found = {name: _fixed(problem, symbol) for name, symbol in symbols.items()}
        if groups:
            found[""] = [Pass(float(np.sign(g.weight)), g.order, g.samples, None) for g in groups] + found[""]
        return Passes(symbols, found, groups)


def _fixed(problem: Problem, symbol: Symbol) -> list[Pass]:
    """The passes of one output. The library sums without weights, so these are put into the directions."""
    found = []
    for order, part in symbol.parts.items():
        if order < 2:
            continue
        split = decompose(part, problem.scheme)
        scaled = split.vectors * (np.abs(split.weights) ** (1 / order))[:, None]
        signs = np.sign(split.weights)
        if order % 2:
            scaled, signs = scaled * signs[:, None], np.ones_like(signs)
        for sign in (1.0, -1.0):
            if np.any(signs == sign):
                found.append(Pass(sign, order, int((signs == sign).sum()), scaled[signs == sign]))
    return found
