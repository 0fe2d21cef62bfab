"""What all evaluations share: checking rows, and becoming one graph of ATen operations under `torch.compile`.

There Dynamo traces the network, too: its graph of the network takes all tensors that the network reads as inputs, and
Dynamo's guards see to it that both are made anew when anything else that it read has changed.
"""

from __future__ import annotations

import copy
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from jetbench.errors import JetbenchError, NetworkFailed, Unsupported
from jetbench.operators.problem import Problem
from jetbench.torch import rows
from jetbench.torch._compat import (
    FakeTensor,
    LazyGraphModule,
    StopRecomputation,
    active_fake_mode,
    dynamo_bypassing_wrapper,
    ended_on_errors,
    guarded,
    undisturbed,
    unwrapped,
    with_plain_floats,
)
from jetbench.torch.apart import are_apart
from jetbench.torch.author import Author
from jetbench.torch.exhaustion import is_out_of_memory
from jetbench.torch.propagate import Graph, uncast
from jetbench.torch.recording import FOR_JETS, Traced, drawing_nothing, failure
from jetbench.torch.refusals import author_derivative
from jetbench.torch.threads import alone
from jetbench.torch.untouched import Untouched, unchanged
from jetbench.torch.zeros import fold_zeros

REMEMBERED = 64


class Evaluation(ABC):
    """A function of (x, draws) that returns output name → L_o net(x).

    Subclasses say how in `evaluate`; under `torch.compile` that is traced into one program for each shape.
    """

    recorder = FOR_JETS

    def __init__(self, net: Callable[[Tensor], Tensor], problem: Problem) -> None:
        self.net, self.problem = net, problem
        self.untouched = Untouched(net)
        self._known: OrderedDict[Graph, None] = OrderedDict()
        self._of_graph = _compiler(self)

    def __getstate__(self) -> dict:
        """What a copy needs; what has been checked so far is found again."""
        return {**self.__dict__, "_known": OrderedDict(), "_of_graph": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._of_graph = _compiler(self)

    def of(self, net: Callable[[Tensor], Tensor]) -> Evaluation:
        """The same for another network."""
        other = copy.copy(self)
        other.net, other.untouched = net, Untouched(net)
        return other

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
            return self._traced(x, draws)
        with alone():
            try:
                return self.evaluate(x, draws)
            except StopRecomputation:  # how a checkpoint around the operator ends
                raise
            except Exception as error:
                self._refuse_failure(x, error)
                raise

    def _refuse_failure(self, x: Tensor, error: Exception) -> None:
        """Raise what the network itself raises, if PyTorch raised an error in the evaluation because of that.

        Recording, which looks at shapes, does not notice every mistake, such as weights of another type than x.
        """
        first = error.__cause__ if isinstance(error, Unsupported) else error
        if isinstance(first, JetbenchError) or not isinstance(first, Exception) or is_out_of_memory(first):
            return
        with self.untouched.kept():
            failed = failure(self.net, x)
        if failed is not None:
            raise NetworkFailed(tuple(x.shape), x.dtype, x.device, failed) from failed

    def _traced(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        """A call while Dynamo traces. Where it cannot trace the network, the operator is called as it is."""
        # a length is a plain number, also for an axis that the compiler holds for dynamic
        shapes = [tuple([len(range(n)) for n in tensor.shape]) for tensor in (x, *draws)]
        self._check(shapes[0], x.dtype, x.device)
        names = tuple(self.problem.operator.symbols)

        def network(x: Tensor, *draws: Tensor) -> tuple[Tensor, ...]:
            """The copies tell the results and inputs in the graph from other tensors."""
            y = self.net(x)
            return (*[y.clone() for _ in names], x.clone(), *[draw.clone() for draw in draws])

        found = dynamo_bypassing_wrapper(self._of_graph, network, x.view_as(x), *draws)
        return {name: found[i] for i, name in enumerate(names)}

    @torch.compiler.assume_constant_result
    def _check(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        """Raise what a call without a compiler would raise for x of this shape; guard what Dynamo does not look at."""
        guarded(unchanged(self.net), "what the network has is as it was")
        with undisturbed(), torch.no_grad():
            graph, _ = self.recorded(torch.empty(shape, dtype=dtype, device=device))
        for step in graph.steps:
            if isinstance(step.target, Author):  # Dynamo does not always show it
                raise author_derivative(step.target.name)


class GraphEvaluation(Evaluation):
    """An evaluation that needs nothing of the network but its graph."""

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        graph, constants = self.recorded(x)
        with uncast(x):
            return self.through(graph, constants, x, draws)

    @abstractmethod
    def through(
        self, graph: Graph, constants: Sequence[Tensor], x: Tensor, draws: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The values for what a network does to x, as a graph and the tensors that it takes besides x."""


def _compiler(evaluation: Evaluation) -> Callable[[Callable], Callable]:
    """What replaces a network by the evaluation, in graphs of Dynamo: from the network's graph to a function.

    Compiled code holds it, and must not keep the evaluation alive.
    """
    reference = weakref.ref(evaluation)

    def of_graph(network: Callable) -> Callable[..., tuple[Tensor, ...]]:
        evaluation = reference()
        if not isinstance(network, fx.GraphModule):
            return lambda x, *draws: _results(evaluation, x, draws)
        return lambda *inputs: _program(evaluation, network, inputs)(*inputs)

    return of_graph


def _results(evaluation: Evaluation, x: Tensor, draws: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The values in the order of the operator's symbols, and what the function `network` above returns after them."""
    values = evaluation.evaluate(x, draws)
    return (*[values[name] for name in evaluation.problem.operator.symbols], x, *draws)


def _program(evaluation: Evaluation, network: fx.GraphModule, inputs: Sequence[Tensor | int]) -> Callable:
    """The evaluation as a graph that takes the inputs of the network's graph, for inputs of these shapes."""
    described = tuple(_described(value) for value in inputs)
    programs = network.meta.setdefault("jetbench", {})
    if described not in programs:
        try:
            programs[described] = _trace(evaluation, network, described)
        except Exception:
            if not with_plain_floats(network.graph):
                raise
            network.recompile()
            programs[described] = _trace(evaluation, network, described)
    return programs[described]


def _described(value: Tensor | float) -> Hashable:
    """A tensor but for its values, in plain numbers, also for an axis that the compiler holds for dynamic."""
    if isinstance(value, torch.SymFloat):
        return float(value)
    if isinstance(value, torch.SymInt):
        return int(value)
    if not isinstance(value, Tensor):
        return value
    return tuple(map(int, value.shape)), tuple(map(int, value.stride())), value.dtype, value.device


def _trace(evaluation: Evaluation, network: fx.GraphModule, described: Sequence[Hashable]) -> fx.GraphModule:
    examples = [
        torch.empty_strided(value[0], value[1], dtype=value[2], device=value[3]) if isinstance(value, tuple) else value
        for value in described
    ]
    network, (x, *draws) = _without_copies(network, len(evaluation.problem.operator.symbols))

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        def net(y: Tensor) -> Tensor:
            with ended_on_errors(y.device.type):
                return network(*tensors[:x], y, *tensors[x + 1 :])

        return _results(evaluation.of(net), tensors[x], [tensors[draw] for draw in draws])

    with undisturbed(), torch.no_grad():
        traced = make_fx(run, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
    fold_zeros(traced)
    _lift(traced)
    LazyGraphModule.force_recompile(traced)
    return traced


def _without_copies(network: fx.GraphModule, results: int) -> tuple[fx.GraphModule, list[int]]:
    """The network as a graph that returns its result, and which of the inputs of the graph are x and the draws."""
    graph = copy.deepcopy(network.graph)
    inputs = graph.find_nodes(op="placeholder")
    (output,) = graph.find_nodes(op="output")
    originals = [copied.args[0] for copied in output.args[0]]
    output.args = (originals[0],)
    return fx.GraphModule(network, graph), [inputs.index(node) for node in originals[results:]]


def _lift(program: fx.GraphModule) -> None:
    """Let tracers of the program take its own tensors for numbers written in it, as those of `torch.tensor`."""
    for node in program.graph.find_nodes(op="get_attr"):
        users = [user for user in node.users if user.target not in _LIFTING]
        with program.graph.inserting_after(node):
            lifted = program.graph.call_function(torch.ops.aten.lift_fresh_copy.default, (node,))
        for user in users:
            user.replace_input_with(node, lifted)
        if not users:
            program.graph.erase_node(lifted)


_LIFTING = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)
