"""What a network does to x: its Python runs at every call, and the torch functions that it calls are noted.

x enters the network as a tensor with shape, type and device and without numbers. Each torch function that meets it, or
what was made from it, is captured by itself (`capture`). Attributes, globals, closures and numbers are thus those of
this call, and other tensors arrive as the arguments that they are, also inside `torch.func` transformations.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from jetbench.errors import JetbenchError, NetworkFailed, Unsupported
from jetbench.torch._compat import function_node, levels, modes, without_compiler, without_torch_function
from jetbench.torch.capture import Captured, Capturing, Described, changes_input, draws
from jetbench.torch.propagate import Graph, assemble
from jetbench.torch.untouched import untouched

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


class _Memory:
    """What tensors that share memory have in common.

    Attributes:
        members: the tensors, as weak references.
        origin: "x", "outside" for a tensor of the user's, or "inside".
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.members: list[weakref.ref] = []

    def others(self, tensor: Tensor) -> bool:
        """Whether another tensor that shares the memory is alive."""
        return any(member() not in (None, tensor) for member in self.members)


class Traced(Tensor):
    """A tensor without numbers that stands for one that depends on x."""

    @staticmethod
    def __new__(cls, recording: Recording, described: Described, memory: _Memory) -> Traced:
        return Tensor._make_wrapper_subclass(
            cls,
            described.shape,
            strides=described.stride,
            dtype=described.dtype,
            device=described.device,
            requires_grad=torch.is_grad_enabled() and described.dtype.is_floating_point,
        )

    def __init__(self, recording: Recording, described: Described, memory: _Memory) -> None:
        self.recording, self.place, self.memory = recording, described.place, memory
        self.kind = (described.shape, described.stride, described.dtype, described.device, True)
        self.is_silent = recording.is_silent()
        memory.members.append(weakref.ref(self))

    @classmethod
    def __torch_function__(cls, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        traced = [leaf for leaf in (*args, *kwargs.values()) if type(leaf) is Traced]
        if not traced:
            traced = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if type(leaf) is Traced]
        with without_torch_function():
            innermost = max((t.recording for t in traced), key=lambda recording: recording.depth)
            return innermost.call(function, args, kwargs)

    @classmethod
    def __torch_dispatch__(cls, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        raise NotFollowed(f"{function} is called other than by a torch function.")

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind(0))


class Recording:
    """The torch functions of one run of a network.

    Attributes:
        depth: how many runs this one is inside of.
        calls: captured function and where its tensors come from: a place, or −1 − i for constant i.
        constants: tensors that do not depend on x.
    """

    _active = 0

    def __init__(self, x: Tensor, capturing: Capturing) -> None:
        self._capturing = capturing
        self.depth = Recording._active
        self.calls: list[tuple[Captured, tuple[int, ...]]] = []
        self.constants: list[Tensor] = []
        self._numbers: dict[int, int] = {}
        self._places = 1
        self._is_open = True
        shape = tuple(x.shape)
        described = Described(0, shape, _contiguous(shape), x.dtype, x.device)
        self.x = Traced(self, described, _Memory("x"))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        Recording._active += 1
        try:
            yield
        finally:
            Recording._active -= 1
            self._is_open = False

    def is_silent(self) -> bool:
        """Whether the network has switched gradients off."""
        return not torch.is_grad_enabled()

    def call(self, function: Callable, args: tuple, kwargs: dict) -> object:
        """Note a function and return what stands for its result."""
        if not self._is_open:
            raise JetbenchError(
                "A tensor that a network kept from a run inside of an operator is used outside of it. It has no "
                "numbers; do not keep values that depend on x."
            )
        try:
            captured, tensors = self._capturing.function(function, args, kwargs, self._described)
        except JetbenchError:
            raise
        except Exception as error:
            raise NotFollowed(f"{function}: {error}") from error
        if captured.is_query:
            return _answer(captured.output)
        sources = tuple(self._source(tensor) for tensor in tensors)
        offset = self._places - captured.inputs
        self._places += captured.places - captured.inputs
        self.calls.append((captured, sources))
        for index, place in captured.changed.items():
            self._change(tensors[index], sources[place] if place < captured.inputs else offset + place)

        def wrapped(leaf: object) -> object:
            return self._wrapped(leaf, tensors, sources, offset, captured) if isinstance(leaf, Described) else leaf

        return pytree.tree_map(wrapped, captured.output, is_leaf=lambda leaf: isinstance(leaf, Described))

    def _described(self, tensor: Tensor) -> tuple:
        if type(tensor) is Traced and tensor.recording is self:
            return tensor.kind
        shape = tuple(tensor.shape)
        return (shape, _contiguous(shape), tensor.dtype, tensor.device, False)

    def _source(self, tensor: Tensor) -> int:
        if type(tensor) is not Traced or tensor.recording is not self:
            return self.constant(tensor)
        if tensor.is_silent and torch.is_grad_enabled():
            self._sound(tensor)
        return tensor.place

    def constant(self, tensor: Tensor) -> int:
        """Where a tensor that does not depend on x is found."""
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self.constants)
            self.constants.append(tensor)
        return -1 - self._numbers[id(tensor)]

    def _sound(self, tensor: Traced) -> None:
        """Something computed without gradients is used with them: it is a constant, or made by a custom function."""
        node = function_node(tensor)
        tensor.is_silent = False
        if node is None:
            tensor.place = self.call(torch.detach, (tensor,), {}).place
        else:
            self._follow_author(tensor, node)

    def _follow_author(self, tensor: Traced, node: object) -> None:
        from jetbench.torch.capture import author_derivative

        raise Unsupported(author_derivative(type(node).__name__.removesuffix("Backward")))

    def _change(self, tensor: Tensor, place: int) -> None:
        """A function has changed a tensor in place."""
        if type(tensor) is not Traced or tensor.recording is not self:
            raise NotFollowed("A tensor is changed that was not made from x.")
        if tensor.memory.origin == "x":
            raise Unsupported(changes_input("in place"))
        if tensor.memory.origin == "outside" or tensor.memory.others(tensor):
            raise NotFollowed("A tensor is changed that shares its memory with another one.")
        tensor.place = place

    def _wrapped(
        self, leaf: Described, tensors: Sequence[Tensor], sources: Sequence[int], offset: int, captured: Captured
    ) -> Tensor:
        if leaf.same is not None:
            return tensors[leaf.same]
        memory = next((tensors[i].memory for i in leaf.alias if type(tensors[i]) is Traced), None)
        memory = memory or _Memory("outside" if leaf.alias else "inside")
        place = sources[leaf.place] if leaf.place < captured.inputs else offset + leaf.place
        if place < 0:
            return tensors[leaf.place]
        return Traced(self, Described(place, leaf.shape, leaf.stride, leaf.dtype, leaf.device), memory)

    def result(self, y: object) -> int:
        """Where the output of the network is found."""
        return self._source(one_tensor(y))


def _answer(output: object) -> object:
    for leaf in pytree.tree_leaves(output):
        if not isinstance(leaf, _ANSWERS):
            raise NotFollowed(f"A function returns {type(leaf).__name__}.")
    return output


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


class Recorder:
    """Records networks and returns the same graph as long as they do the same.

    Args:
        has_rule: whether operations that depend on x must have a rule for jets; all others are decomposed then.
    """

    def __init__(self, has_rule: bool) -> None:
        self._capturing = Capturing(has_rule)
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()

    def record(self, net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Graph, list[Tensor]]:
        """What the network does to x, and the tensors that it does it with.

        Raises:
            JetbenchError: the network decides by values of x, or does not return one tensor.
            Unsupported: it draws random numbers, changes tensors outside of it, or has a derivative of its own.
            MissingRule: it uses an operation without a rule.
            NetworkFailed: it raises an error itself.
        """
        try:
            with untouched(net), without_compiler(), _drawing_nothing(), torch.inference_mode(False):
                with torch.enable_grad():
                    try:
                        return self._by_functions(net, x)
                    except NotFollowed:
                        return self._whole(net, x)
        except JetbenchError:
            raise
        except Exception as error:
            raise NetworkFailed(tuple(x.shape), x.dtype, x.device, error) from error

    def _by_functions(self, net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Graph, list[Tensor]]:
        recording = Recording(x, self._capturing)
        with recording.running():
            place = recording.result(net(recording.x))
        key = (tuple(recording.calls), place, len(recording.constants), recording.x.kind)
        graph = self._remembered(key, lambda: assemble(recording.calls, place, len(recording.constants)))
        return graph, recording.constants

    def _whole(self, net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Graph, list[Tensor]]:
        """The network captured in one piece, for this call only."""
        if levels():
            raise Unsupported(
                "The network uses a transformation such as torch.vmap, a script or torch.autograd.grad inside, or "
                "changes views in place, and is itself transformed by torch.func. Use method='nested' here."
            )
        shape = tuple(x.shape)

        def run(x: Tensor) -> Tensor:
            return one_tensor(net(x))

        described = [(shape, _contiguous(shape), x.dtype, x.device, True)]
        captured = self._capturing.whole(run, described, is_network=True)
        graph = assemble([(captured, (0,))], captured.output.place, 0)
        constants = list(graph.own)
        graph = replace(graph, constants=len(constants), own=())
        key = (repr((graph.steps, graph.output)), described[0], *((t.shape, t.dtype) for t in constants))
        return self._remembered(key, lambda: graph), constants

    def _remembered(self, key: Hashable, make: Callable[[], Graph]) -> Graph:
        if key not in self._graphs:
            self._graphs[key] = make()
            if len(self._graphs) > CACHED_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]


FOR_JETS, FOR_TENSORS = Recorder(has_rule=True), Recorder(has_rule=False)


def one_tensor(y: object) -> Tensor:
    """The output of a network, if it is a tensor."""
    if not isinstance(y, Tensor):
        raise JetbenchError(f"The network must return one tensor; it returned {type(y).__name__}.")
    return y


@contextlib.contextmanager
def _drawing_nothing() -> Iterator[None]:
    """Raise where random numbers are drawn in between."""
    if modes() or torch.compiler.is_compiling():
        yield
        return
    before = torch.default_generator.get_state()
    yield
    if not torch.equal(before, torch.default_generator.get_state()):
        torch.default_generator.set_state(before)
        raise Unsupported(draws("from the global generator"))
