"""What a network does to x: its Python runs at every call, and the torch functions that it calls are noted.

x enters the network as a tensor with shape, type and device and without numbers. Each torch function that meets it, or
what was made from it, is captured by itself (`capture`). Attributes, globals, closures and numbers are thus those of
this call, and other tensors arrive as the arguments that they are, also inside `torch.func` transformations.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from jetbench.errors import JetbenchError, NetworkFailed, Unsupported
from jetbench.torch._compat import (
    function_node,
    is_transformed,
    levels,
    modes,
    pytree,
    recording_gradients,
    unseen,
    with_torch_function,
    without_compiler,
    without_torch_function,
)
from jetbench.torch.author import Author, is_entrywise
from jetbench.torch.capture import Capturing
from jetbench.torch.corrected import FORMULAS
from jetbench.torch.propagate import Call, Graph, assemble
from jetbench.torch.refusals import author_derivative, changes_input, draws
from jetbench.torch.rules import RULES
from jetbench.torch.steps import Captured, Described, Slot, Step, contiguous
from jetbench.torch.trusted import OPERATIONS
from jetbench.torch.untouched import Untouched

CACHED_GRAPHS = 256
_ANSWERS = (
    int,
    float,
    bool,
    complex,
    str,
    type(None),
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
)


class NotFollowed(BaseException):
    """The network does something that torch functions, seen one at a time, do not show.

    It is no Exception, so that a network that catches exceptions does not take it for one.
    """


class NotRecorded(Unsupported):
    """The network runs, and cannot be recorded."""


def _plain(tensor: Tensor) -> Tensor:
    """A tensor as a dense one, and as one of no class if it is of a user's class that computes as tensors do."""
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    kind = type(tensor)
    adds_nothing = getattr(kind.__torch_function__, "__func__", None) is _DEFAULT
    return Tensor.as_subclass(tensor, Tensor) if adds_nothing and kind not in (Tensor, nn.Parameter) else tensor


_DEFAULT = Tensor.__torch_function__.__func__


class _Memory:
    """What tensors that share memory have in common.

    Attributes:
        members: the tensors, as weak references.
        origin: "x", "outside" for a tensor of the user's, or "inside".
    """

    def __init__(self, origin: str, *members: Tensor) -> None:
        self.origin = origin
        self.members = [weakref.ref(member) for member in members]

    def others(self, tensor: Tensor) -> bool:
        """Whether another tensor that shares the memory is alive."""
        return any(member() not in (None, tensor) for member in self.members)


class Traced(Tensor):
    """A tensor without numbers that stands for one that depends on x; `_traced` makes them.

    Attributes:
        recording: the run that it belongs to.
        place: of the value.
        kind: as of a `Described`.
        memory: None as long as it is the only tensor with its memory, which the network made.
        is_silent: gradients were off where it was made.
        is_saved: a custom function keeps it for its backward pass.
    """

    @classmethod
    def __torch_function__(cls, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        with without_torch_function():
            kwargs = kwargs or {}
            recording = _innermost((*args, *kwargs.values()) if kwargs else args)
            if recording is None:
                recording = _innermost(pytree.tree_leaves((args, kwargs)))
            return recording.call(function, args, kwargs)

    @classmethod
    def __torch_dispatch__(cls, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        if function is torch.ops.aten.detach.default and (args[0].is_saved or function_node(args[0]) is not None):
            return args[0].saved()
        raise NotFollowed(f"{function} is called other than by a torch function.")

    def saved(self) -> Traced:
        """What a custom function keeps of its result for its backward pass."""
        copy = _traced(self.recording, self.place, self.kind, self.shared())
        self.memory.members.append(weakref.ref(copy))
        copy.is_silent = copy.is_saved = True
        return copy

    def shared(self) -> _Memory:
        """Its memory, for another tensor that shares it."""
        if self.memory is None:
            self.memory = _Memory("inside", self)
        return self.memory

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind(0))


def _innermost(leaves: Iterable[object]) -> Recording | None:
    """Of the recordings that the traced tensors belong to, the one inside of the others."""
    found = None
    for leaf in leaves:
        if type(leaf) is Traced and (found is None or leaf.recording.depth > found.depth):
            found = leaf.recording
    return found


def _traced(recording: Recording, place: int, kind: tuple, memory: _Memory | None = None) -> Traced:
    shape, strides, dtype, device, _ = kind
    records = torch.is_grad_enabled()
    tensor = Tensor._make_wrapper_subclass(
        Traced,
        shape,
        strides=strides,
        dtype=dtype,
        device=device,
        requires_grad=records and dtype.is_floating_point,
    )
    tensor.recording, tensor.place, tensor.kind, tensor.memory = recording, place, kind, memory
    tensor.is_silent, tensor.is_saved = not records, False
    return tensor


class Recording:
    """The torch functions of one run of a network.

    Attributes:
        depth: how many runs this one is inside of.
        calls: captured function, where its tensors come from (a place, or −1 − i for constant i), and what is added to
            its own places for those of its results.
        constants: tensors that do not depend on x.
    """

    _active = 0

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._returned: dict[BackwardCFunction, Traced] = {}  # what custom functions returned
        self._following: object = None  # the custom function whose backward pass is run
        self.depth = Recording._active
        self.calls: list[Call] = []
        self.constants: list[Tensor] = []
        self._levels = levels()
        self._numbers: dict[int, int] = {}
        self._seen: list[Tensor] = []  # keeps them alive, so that their identities stay
        self._places = 1
        self._is_open = True

    def start(self, x: Tensor) -> Traced:
        """What stands for x. A recording does not keep it, so that both are freed at once when the run ends."""
        shape = tuple(x.shape)
        traced = _traced(self, 0, (shape, contiguous(shape), x.dtype, x.device, True))
        traced.memory = _Memory("x", traced)
        return traced

    def __enter__(self) -> Recording:
        Recording._active += 1
        return self

    def __exit__(self, *error: object) -> None:
        Recording._active -= 1
        self._is_open = False

    def call(self, function: Callable, args: tuple, kwargs: dict) -> object:
        """Note a function and return what stands for its result."""
        if not self._is_open:
            raise JetbenchError(
                "A tensor that a network kept from a run inside of an operator is used outside of it. It has no "
                "numbers; do not keep values that depend on x."
            )
        if levels() != self._levels:
            raise NotFollowed(f"The network transforms {function}.")
        if function in _OF_ITSELF:
            return _OF_ITSELF[function](args[0])
        try:
            captured, tensors = self._recorder.capturing.function(function, args, kwargs, self._described)
        except JetbenchError:
            raise
        except Exception as error:
            raise NotFollowed(f"{function}: {error}") from error
        if captured.is_query:
            return _answer(captured.output)
        sources = tuple([self._source(tensor) for tensor in tensors])
        offset = self._places - captured.inputs
        self._places += captured.places - captured.inputs
        self.calls.append((captured, sources, offset))
        if captured.is_plain:
            return _traced(self, offset + captured.output.place, captured.output.kind)
        return self._results(captured, tensors, sources, offset)

    def _results(self, captured: Captured, tensors: Sequence[Tensor], sources: Sequence[int], offset: int) -> object:
        """What stands for the results of a function, and for the tensors that it changes."""
        for index, place in captured.changed.items():
            self._change(tensors[index], sources[place] if place < captured.inputs else offset + place)

        def wrapped(leaf: object) -> object:
            return self._wrapped(leaf, tensors, sources, offset, captured) if isinstance(leaf, Described) else leaf

        return pytree.tree_map(wrapped, captured.output, is_leaf=lambda leaf: isinstance(leaf, Described))

    def _described(self, tensor: Tensor) -> tuple:
        if type(tensor) is Traced and tensor.recording is self:
            return tensor.kind
        return (tensor.shape, None, tensor.dtype, tensor.device, False)

    def _source(self, tensor: Tensor) -> int:
        if type(tensor) is not Traced or tensor.recording is not self:
            return self.constant(tensor)
        return self._spoken(tensor) if tensor.is_silent else tensor.place

    def _spoken(self, tensor: Traced) -> int:
        """The place of a tensor that was made while gradients were off."""
        node = function_node(tensor)
        if node is not None:
            tensor.place = self._authored(tensor, node)
            tensor.is_silent = False
            self._returned[node] = tensor
        elif torch.is_grad_enabled():
            tensor.is_silent = False
            tensor.place = self.call(torch.detach, (tensor,), {}).place
        return tensor.place

    def constant(self, tensor: Tensor) -> int:
        """Where a tensor that does not depend on x is found; it is made plain."""
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self.constants)
            self._seen.append(tensor)
            self.constants.append(_plain(tensor))
        return -1 - self._numbers[id(tensor)]

    def _authored(self, value: Traced, node: BackwardCFunction) -> int:
        """The place of what a custom function returns, with the derivative that its author gave.

        `value` is what its forward computation returned.
        """
        if node is self._following:
            return value.place
        name = type(node).__name__.removesuffix("Backward")
        if not self._recorder.follows_authors:  # PyTorch itself is to differentiate the function
            raise author_derivative(name)
        before = node.next_functions[0][0] if len(node.next_functions) == 1 else None
        u = self._returned.get(before, getattr(before, "variable", None))
        if type(u) is not Traced or u.recording is not self or u.kind[:1] != value.kind[:1]:
            raise author_derivative(name)
        cotangent = self._new(value.kind)
        outer, self._following = self._following, node
        try:
            with with_torch_function(), torch.enable_grad():
                slope = node.apply(cotangent)
        finally:
            self._following = outer
        if type(slope) is not Traced or slope.is_silent or slope.kind[:1] != u.kind[:1]:
            raise author_derivative(name)
        count = len(self.constants)
        graphs = [
            self._recorder.part(self.calls, inputs, result.place, count)
            for inputs, result in (((u.place,), value), ((u.place, value.place, cotangent.place), slope))
        ]
        if not all(graph is not None and is_entrywise(graph.steps) for graph in graphs):
            raise author_derivative(name)
        place = self._new(value.kind).place
        self.calls.append(
            (self._recorder.author(name, *graphs), (u.place, *range(-1, -1 - count, -1)), place - 1 - count)
        )
        return place

    def _new(self, kind: tuple) -> Traced:
        """A tensor that no function has made."""
        self._places += 1
        return _traced(self, self._places - 1, kind)

    def _change(self, tensor: Tensor, place: int) -> None:
        """A function has changed a tensor in place."""
        if type(tensor) is not Traced or tensor.recording is not self:
            raise NotFollowed("A tensor is changed that was not made from x.")
        memory = tensor.shared()
        if memory.origin == "x":
            raise changes_input("in place")
        if memory.origin == "outside" or memory.others(tensor):
            raise NotFollowed("A tensor is changed that shares its memory with another one.")
        tensor.place = place

    def _wrapped(
        self, leaf: Described, tensors: Sequence[Tensor], sources: Sequence[int], offset: int, captured: Captured
    ) -> Tensor:
        if leaf.same is not None:
            return tensors[leaf.same]
        place = sources[leaf.place] if leaf.place < captured.inputs else offset + leaf.place
        if place < 0:
            return tensors[leaf.place]
        memory = next((tensors[i].shared() for i in leaf.alias if type(tensors[i]) is Traced), None)
        memory = memory or _Memory("outside" if leaf.alias else "inside")
        result = _traced(self, place, leaf.kind, memory)
        memory.members.append(weakref.ref(result))
        return result

    def result(self, y: object) -> int:
        """Where the output of the network is found."""
        return self._source(one_tensor(y))


_OF_ITSELF = {
    Tensor.requires_grad.__get__: lambda traced: traced.requires_grad,
    Tensor.as_subclass: lambda traced: traced,  # what stands for a value is of no class
}


def _answer(output: object) -> object:
    for leaf in pytree.tree_leaves(output):
        if not isinstance(leaf, _ANSWERS):
            raise NotFollowed(f"A function returns {type(leaf).__name__}.")
    return output


class Recorder:
    """Records networks and returns the same graph as long as they do the same.

    Args:
        capturing: captures functions in operations that can then be differentiated.
        follows_authors: whether derivatives that authors give are recorded, too.
    """

    def __init__(self, capturing: Capturing, follows_authors: bool) -> None:
        self.capturing, self.follows_authors = capturing, follows_authors
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()
        self._authors: OrderedDict[tuple[Graph, Graph], Captured] = OrderedDict()

    @property
    def _advice(self) -> str:
        return ", or use method='nested'" if self.follows_authors else ""

    def record(self, untouched: Untouched, x: Tensor) -> tuple[Graph, list[Tensor]]:
        """What the network does to x, and the tensors that it does it with.

        Raises:
            JetbenchError: the network decides by values of x, or does not return one tensor.
            Unsupported: it draws random numbers, changes tensors outside of it, or has a derivative of its own.
            MissingRule: it uses an operation without a rule.
            NetworkFailed: it raises an error itself.
            NotRecorded: it runs, and cannot be recorded.
        """
        net = untouched.net
        with untouched.kept(), without_compiler(), recording_gradients(), unseen():
            try:
                try:
                    return self._by_functions(net, x)
                except JetbenchError:
                    raise
                except (NotFollowed, Exception):
                    return self._whole(net, x)
            except JetbenchError:
                raise
            except Exception as error:
                failed = failure(net, x)
                if failed is not None:
                    raise NetworkFailed(tuple(x.shape), x.dtype, x.device, failed) from failed
                raise NotRecorded(
                    f"What the network does cannot be recorded, though it runs: {type(error).__name__}: {error}. "
                    f"Write this part in functions of PyTorch{self._advice}."
                ) from error

    def _by_functions(self, net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Graph, list[Tensor]]:
        recording = Recording(self)
        traced = recording.start(x)
        with recording:
            place = recording.result(net(traced))
        key = (tuple(recording.calls), place, len(recording.constants), traced.kind)
        graph = self._remembered(key, lambda: assemble(recording.calls, place, len(recording.constants)))
        return graph, recording.constants

    def _whole(self, net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Graph, list[Tensor]]:
        """The network captured in one piece, for this call only."""
        if is_transformed():
            raise Unsupported(
                "The network uses a transformation such as torch.vmap, a script or torch.autograd.grad inside, or "
                "changes views in place, and is itself transformed by torch.func. Write this part in plain functions "
                f"of PyTorch{self._advice}."
            )
        captured = self.capturing.network(lambda x: one_tensor(net(x)), x)
        graph = assemble([(captured, (0,), 0)], captured.output.place, 0)
        constants = [_plain(tensor) for tensor in graph.own]
        graph = replace(graph, constants=len(constants), own=(), is_whole=True)
        key = (
            repr((graph.steps, graph.output)),
            tuple(x.shape),
            x.dtype,
            x.device,
            *((t.shape, t.dtype) for t in constants),
        )
        return self._remembered(key, lambda: graph), constants

    def part(self, calls: Sequence[Call], inputs: Sequence[int], output: int, constants: int) -> Graph | None:
        """What a recording does between some of its values; None if other values take part in it."""
        graph = assemble(calls, output, constants, inputs)
        if graph is None:
            return None
        return self._remembered((repr((graph.steps, graph.output)), *map(id, graph.own)), lambda: graph)

    def author(self, name: str, value: Graph, slope: Graph) -> Captured:
        """A custom function as a captured one, with the derivative that its author gave."""
        if (value, slope) not in self._authors:
            count = value.constants
            arguments = tuple(Slot(index) for index in range(1 + count))
            step = Step(Author(name, value, slope), arguments, {}, (1 + count,), False, True)
            self._authors[value, slope] = Captured(1 + count, {}, (step,), None, 2 + count, {})
            if len(self._authors) > CACHED_GRAPHS:
                self._authors.popitem(last=False)
        return self._authors[value, slope]

    def _remembered(self, key: Hashable, make: Callable[[], Graph]) -> Graph:
        if key not in self._graphs:
            self._graphs[key] = make()
            if len(self._graphs) > CACHED_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]


def failure(net: Callable[[Tensor], Tensor], x: Tensor) -> Exception | None:
    """The error that the network itself raises; None if it runs, or x has no numbers."""
    if modes() or x.device.type == "meta":
        return None
    try:
        net(x)
    except Exception as error:
        return error
    return None


FOR_JETS = Recorder(Capturing(RULES, is_complete=True), follows_authors=True)
FOR_TENSORS = Recorder(Capturing(FORMULAS, OPERATIONS), follows_authors=False)


def one_tensor(y: object) -> Tensor:
    """The output of a network, if it is a tensor."""
    if not isinstance(y, Tensor):
        raise JetbenchError(f"The network must return one tensor; it returned {type(y).__name__}.")
    return y


@contextlib.contextmanager
def drawing_nothing() -> Iterator[None]:
    """Raise where random numbers are drawn in between, other than by operations on what depends on x."""
    if modes() or torch.compiler.is_compiling():
        yield
        return
    before = torch.default_generator.get_state()
    yield
    if not torch.equal(before, torch.default_generator.get_state()):
        torch.default_generator.set_state(before)
        raise draws("from the global generator")
