"""Collapsed Taylor mode of the library jet-for-pytorch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from jetbench.directions import decompose, random_unsupported, randomize
from jetbench.errors import library_failed
from jetbench.problem import Method, Problem
from jetbench.symbol import Symbol
from jetbench.torch.evaluation import factor_of, in_coordinates
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph
from jetbench.torch.recording import FOR_TENSORS

LIBRARY = "jet-for-pytorch"


def absent() -> str | None:
    """Why the library cannot be used here; None if it can."""
    if sys.version_info < (3, 12):
        return f"The package {LIBRARY} needs Python 3.12 or newer; this is Python {sys.version.split()[0]}."
    if importlib.util.find_spec("jet") is None:
        return f"The package {LIBRARY} is not installed here; get it with pip install {LIBRARY}."
    return None


class JetForPyTorch(Method):
    """Collapsed Taylor mode by the library jet-for-pytorch, of the paper's authors; one pass an output and order.

    Source: Dangel, Siebert, Zeinhofer, Walther, arXiv 2505.13644.
    """

    name = "jet_for_pytorch"
    version = 1
    package = LIBRARY

    def unsupported(self, problem: Problem) -> str | None:
        return absent() or random_unsupported(problem)

    def vectors(self, problem: Problem) -> int:
        """1 + (K − 1)·R + 1 for each pass of order K along R directions; 3 for an output of order 1, which is left to
        PyTorch's forward mode, and 1 for one of order 0."""
        total = 0
        for name, symbol in _symbols(problem).items():
            passes = _passes(problem, name, symbol)
            total += sum(2 + (each.order - 1) * each.count for each in passes) or (3 if 1 in symbol.parts else 1)
        return total

    def build(self, net: Callable, problem: Problem) -> CollapsedJets:
        return CollapsedJets(net, problem)


@dataclass(frozen=True)
class Pass:
    """sign · Σ_r (v_r·∂)^order for `count` directions (count, n) in the variables of the symbols; None if drawn."""

    sign: float
    order: int
    count: int
    directions: np.ndarray | None


def _symbols(problem: Problem) -> dict[str, Symbol]:
    """What is computed exactly: all symbols, or what an estimator leaves of one."""
    return dict(problem.operator.symbols) if problem.estimator.is_exact else {"": randomize(problem).remainder}


def _passes(problem: Problem, name: str, symbol: Symbol) -> list[Pass]:
    """The passes of one output. The library sums without weights, so these are put into the directions."""
    found = []
    if not problem.estimator.is_exact and name == "":
        drawn = randomize(problem).groups
        found = [Pass(float(np.sign(group.weight)), group.order, group.samples, None) for group in drawn]
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


class CollapsedJets(Evaluation):
    """Adds up passes of `jet.jet(..., collapsed=True)`; a drift is the initial value of what the first pass sums."""

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem) -> None:
        super().__init__(net, problem)
        self._overloaded: dict[Graph, Callable] = {}
        self._parts = [(name, symbol, _passes(problem, name, symbol)) for name, symbol in _symbols(problem).items()]
        self._weights: list[tuple[float, int]] = []
        if not problem.estimator.is_exact:
            self._weights = [(abs(group.weight), group.order) for group in randomize(problem).groups]

    recorder = FOR_TENSORS

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_overloaded": {}}

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        graph, _ = self.recorded(x)  # the library traces the network; again only when that does something else
        if graph not in self._overloaded:
            zeros = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
            self._overloaded = {graph: overloaded(self.net, zeros, collapsed=True)}
        prepared = self._overloaded[graph]
        factor = factor_of(self.problem.operator, x)
        scaled = [weight ** (1 / k) * draw for (weight, k), draw in zip(self._weights, draws, strict=True)]

        def resolve(directions: np.ndarray | Tensor) -> Tensor:
            found = in_coordinates(directions, factor, x)
            return found.expand(found.shape[0], *x.shape)

        outputs = {}
        for name, symbol, passes in self._parts:
            drift = resolve(decompose(symbol.parts[1]).vectors)[0] if 1 in symbol.parts else None
            value = total = None
            for number, each in enumerate(passes):
                directions = resolve(scaled[number] if each.directions is None else each.directions)
                top = torch.zeros_like(x) if drift is None else each.sign * drift
                value, *_, summed = prepared((x, directions, *[torch.zeros_like(directions)] * (each.order - 2), top))
                summed = summed if each.sign == 1 else each.sign * summed
                total, drift = summed if total is None else total + summed, None
            if drift is not None:
                value, derivative = jvp(self.net, (x,), (drift,))
                total = derivative if total is None else total + derivative
            if total is None or 0 in symbol.parts:
                value = self.net(x) if value is None else value
                constant = float(symbol.parts[0].terms[(0,) * symbol.dim]) if 0 in symbol.parts else 0.0
                total = constant * value if total is None else total + constant * value
            outputs[name] = total
        return outputs


def overloaded(net: Callable[[Tensor], Tensor], example: Tensor, collapsed: bool) -> Callable:
    """The library's own transform of a network for inputs like `example`.

    Raises:
        Unsupported: the library cannot do this network; its own words.
    """
    from jet import jet

    try:
        transformed = jet(net, (example,), collapsed=collapsed)
    except Exception as error:
        raise library_failed(LIBRARY, error) from error

    def run(*arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        try:
            return transformed(*arguments)
        except NotImplementedError as error:
            raise library_failed(LIBRARY, error) from error

    return run
