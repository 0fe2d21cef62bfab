"""What all evaluations share: checking rows, and becoming one graph of ATen operations under `torch.compile`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn
from torch._guards import active_fake_mode
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx._lazy_graph_module import _LazyGraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from jetbench.operators.problem import Problem
from jetbench.torch import rows
from jetbench.torch._compat import undisturbed, unwrapped
from jetbench.torch.apart import are_apart
from jetbench.torch.propagate import Graph
from jetbench.torch.recording import FOR_JETS, Traced, drawing_nothing
from jetbench.torch.untouched import Untouched, owners, settings
from jetbench.torch.zeros import fold_zeros

REMEMBERED = 64


class Program:
    """A whole evaluation as one graph of ATen operations.

    Attributes:
        run: called with x, the draws and the constants.
        places: module and name of each constant, so that parameters may be replaced between calls.
        settings: module, name and value of the plain attributes and children that the network had.
    """

    def __init__(
        self,
        run: fx.GraphModule,
        places: list[tuple[nn.Module, str]],
        settings: list[tuple[nn.Module, str, object]],
    ) -> None:
        self.run, self.places, self.settings = run, places, settings


class Evaluation(ABC):
    """A function of (x, draws) that returns output name → L_o net(x).

    Subclasses say how in `evaluate`; under `torch.compile` that is traced into one program for each shape.
    """

    recorder = FOR_JETS

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem) -> None:
        self.net, self.problem = net, problem
        self.untouched = Untouched(net)
        self._known: OrderedDict[Graph, None] = OrderedDict()
        self._programs: list[Program] = []

    def __getstate__(self) -> dict:
        """What a copy needs; what has been checked and traced so far is found again."""
        return {**self.__dict__, "_known": OrderedDict(), "_programs": []}

    @abstractmethod
    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        """The values at x."""

    def recorded(self, x: Tensor) -> tuple[Graph, list[Tensor]]:
        """What the network does to x, after a check that it does not mix rows, and the tensors it does it with.

        The check is made once for each thing that the network does, on numbers of its own. Fake tensors have no values,
        so there rows are not checked.
        """
        graph, constants = self.recorder.record(self.untouched, x)
        if graph in self._known:
            self._known.move_to_end(graph)
            return graph, constants
        if active_fake_mode() is not None and not torch.compiler.is_compiling():
            return graph, constants
        with undisturbed():
            plain = [unwrapped(tensor) for tensor in constants]
        if any(isinstance(tensor, FakeTensor | Traced) for tensor in plain):  # of an operator inside of another one
            return graph, constants
        with drawing_nothing():
            self.recorder.record(self.untouched, x)
        if not are_apart(graph, plain, x.shape):
            with undisturbed():
                rows.check(lambda x: graph.run(x, plain), tuple(x.shape), x.dtype, x.device)
        self._known[graph] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return graph, constants

    def __call__(self, x: Tensor, draws: Sequence[Tensor] = ()) -> dict[str, Tensor]:
        if torch.compiler.is_dynamo_compiling():
            # a length is a plain number, also for an axis that the compiler holds for dynamic
            shapes = tuple(tuple(len(range(n)) for n in tensor.shape) for tensor in (x, *draws))
            program = self._programs[self._trace(shapes, x.dtype, x.device)]
            for module, name, value in program.settings:  # read here, so that compiled code is renewed when they change
                if (
                    (getattr(module, name) is not value)
                    if isinstance(value, nn.Module)
                    else getattr(module, name) != value
                ):
                    raise RuntimeError(f"The attribute {name} changed while the network was traced.")
            return program.run(x, *draws, *[getattr(module, name) for module, name in program.places])
        return self.evaluate(x, draws)

    @torch._dynamo.assume_constant_result
    def _trace(self, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype, device: torch.device) -> int:
        """Make the program for inputs of these shapes while `torch.compile` traces; its place in the list."""
        examples = [torch.empty(shape, dtype=dtype, device=device) for shape in shapes]

        def run(x: Tensor, *draws: Tensor) -> dict[str, Tensor]:
            return self.evaluate(x, draws)

        with undisturbed(), torch.no_grad():
            self.recorded(examples[0])
            traced = make_fx(run, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
        fold_zeros(traced)
        places = lift(traced, self.net)
        _LazyGraphModule.force_recompile(traced)
        self._programs.append(Program(traced, places, settings(self.net)))
        return len(self._programs) - 1


def lift(program: fx.GraphModule, net: Callable) -> list[tuple[nn.Module, str]]:
    """Turn the constants of a program that belong to modules of `net` into inputs; where to find them."""
    places = owners(net)
    lifted: dict[int, fx.Node] = {}
    found: list[tuple[nn.Module, str]] = []
    last = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
    for node in [n for n in program.graph.nodes if n.op == "get_attr"]:
        tensor = getattr(program, node.target)
        if id(tensor) not in places:
            continue
        if id(tensor) not in lifted:
            with program.graph.inserting_after(last):
                last = lifted[id(tensor)] = program.graph.placeholder(f"constant_{len(found)}")
            found.append(places[id(tensor)])
        node.replace_all_uses_with(lifted[id(tensor)])
        program.graph.erase_node(node)
    program.recompile()
    return found
