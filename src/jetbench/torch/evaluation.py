"""Evaluating a problem by propagating jets, eagerly or as one program under `torch.compile`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from jetbench.algebra.base import Algebra
from jetbench.errors import JetbenchError
from jetbench.problem import Operator, Problem
from jetbench.torch import rows
from jetbench.torch.capture import Graph, capture, fingerprint, undisturbed
from jetbench.torch.jet import Jet
from jetbench.torch.propagate import propagate

CACHED_SHAPES = 64


def factor_of(operator: Operator, x: Tensor) -> Tensor | None:
    """σ(x), (D, R) or (..., D, R), in the type of x; None for the identity."""
    if operator.factor is None:
        return None
    if isinstance(operator.factor, np.ndarray):
        return torch.tensor(operator.factor, dtype=x.dtype, device=x.device)
    found = operator.factor(x)
    expected = (*x.shape[:-1], operator.dim, operator.variables)
    if not isinstance(found, Tensor) or found.shape != expected:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise JetbenchError(f"The factor of {operator.name} must return a tensor of shape {expected}; got {shape}.")
    return found.to(x.dtype)


def in_coordinates(seeds: object, factor: Tensor | None, x: Tensor) -> Tensor:
    """Seeds in the variables ζ, (n, R) or (n, ..., R), as directions of x, (n, ..., D): v = σ(x) d."""
    if not isinstance(seeds, Tensor):
        seeds = torch.tensor(seeds, dtype=x.dtype, device=x.device)
    if factor is not None:
        seeds = seeds @ factor.T if factor.ndim == 2 else _per_datum(seeds, factor)
    if seeds.ndim < x.ndim + 1:
        seeds = seeds.reshape(seeds.shape[0], *(1,) * (x.ndim + 1 - seeds.ndim), *seeds.shape[1:])
    return seeds


def _per_datum(seeds: Tensor, factor: Tensor) -> Tensor:
    if seeds.ndim == 2:
        return torch.einsum("...dr,nr->n...d", factor, seeds)
    return torch.einsum("...dr,n...r->n...d", factor, seeds)


class JetEvaluation:
    """A function of (x, draws) that propagates jets of one algebra through a network.

    The network is captured once for each shape of x, and again when something that it refers to has changed. Under
    `torch.compile` the whole evaluation is one graph.
    """

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem, algebra: Algebra) -> None:
        self.net, self.problem, self.algebra = net, problem, algebra
        self._graphs: OrderedDict[tuple, Graph] = OrderedDict()
        self._programs: list[Program] = []

    def graph(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Graph:
        """The captured network, from the cache where nothing has changed."""
        key = (shape, dtype, device, fingerprint(self.net))
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        with undisturbed():
            captured = capture(self.net, shape, dtype, device)
            rows.check(self.net, shape, dtype, device)
        self._graphs[key] = captured
        while len(self._graphs) > CACHED_SHAPES:
            self._graphs.popitem(last=False)
        return captured

    def __call__(self, x: Tensor, draws: Sequence[Tensor] = ()) -> dict[str, Tensor]:
        if torch.compiler.is_dynamo_compiling():
            shapes = tuple(tuple(int(n) for n in tensor.shape) for tensor in (x, *draws))
            program = self._programs[self._prepare(shapes, x.dtype, x.device)]
            constants = [getattr(module, name) for module, name in program.places]
            return program.run(x, *draws, *constants)
        captured = self.graph(tuple(x.shape), x.dtype, x.device)
        constants = [getattr(module, name) for module, name in captured.constants.values()]
        return self._evaluate(captured, x, draws, constants)

    def _evaluate(
        self, captured: Graph, x: Tensor, draws: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        factor = factor_of(self.problem.operator, x)
        blocks = []
        for seeds in self.algebra.seeds(draws):
            if seeds is None:
                blocks.append(None)
            else:
                found = in_coordinates(seeds, factor, x)
                blocks.append(found.expand(found.shape[0], *x.shape))
        y = propagate(captured, Jet(self.algebra, x, blocks), constants)
        if not isinstance(y, Jet):
            y = Jet(self.algebra, y, [None] * self.algebra.order)
        outputs = self.algebra.read(y.primal, y.blocks)
        return {name: torch.zeros_like(y.primal) if value is None else value for name, value in outputs.items()}

    @torch._dynamo.assume_constant_result
    def _prepare(self, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype, device: torch.device) -> int:
        """Make the program for inputs of these shapes while `torch.compile` traces; its place in the list."""
        captured = self.graph(shapes[0], dtype, device)
        examples = [torch.empty(shape, dtype=dtype, device=device) for shape in shapes]
        examples += [getattr(module, name).detach() for module, name in captured.constants.values()]

        def run(x: Tensor, *rest: Tensor) -> dict[str, Tensor]:
            return self._evaluate(captured, x, rest[: len(shapes) - 1], rest[len(shapes) - 1 :])

        with undisturbed(), torch.no_grad():
            traced = make_fx(run, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
        self._programs.append(Program(traced, list(captured.constants.values())))
        return len(self._programs) - 1


class Program:
    """A whole evaluation as one graph of ATen operations.

    Attributes:
        run: called with x, the draws and the constants.
        places: module and name of each constant.
    """

    def __init__(self, run: fx.GraphModule, places: list[tuple[nn.Module, str]]) -> None:
        self.run, self.places = run, places
