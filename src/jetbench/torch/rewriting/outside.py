"""Tensors that a traced function meets and that do not come from the trace: each becomes an input of its graph.

A function closes over tensors. Some are part of a transformation of `torch.func` that is under way around the trace,
others are read for their numbers. The trace sees a stand-in for each of them, without values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.fx.experimental.proxy_tensor import (
    PythonKeyTracer,
    disable_proxy_modes_tracing,
    get_proxy_mode,
    has_proxy_slot,
    track_tensor_tree,
)
from torch.overrides import TorchFunctionMode

from jetbench.errors import JetbenchError, Unsupported
from jetbench.torch._compat import (
    OpOverload,
    TorchDispatchMode,
    below_autograd,
    dispatch_modes,
    has_functions,
    pytree,
    temporarily_clear_interpreter_stack,
    without_modes,
    without_torch_functions,
)
from jetbench.torch.rewriting.ambient import bare, is_batched, is_differentiable, layers

aten = torch.ops.aten
SETTING = {
    Tensor.backward: "backward(); use torch.autograd.grad",
    Tensor.grad.__set__: "setting .grad",
    Tensor.data.__set__: "setting .data",
}
#: Of a tensor that was just made from numbers.
NEW = (aten.lift_fresh.default, aten.lift_fresh_copy.default)
STOPPING = (Tensor.detach, torch.detach, aten.detach.default, aten.detach)


WRAPPED = (
    "A tensor that torch.func transforms around the collapsed function goes straight into a transformation within it. "
    "Pass it to the function as an argument."
)
DEPENDENT = (
    "The collapsed function takes derivatives by a tensor that others from outside of it were computed from. Compute "
    "these within the function."
)


class Entangled(JetbenchError):
    """The function and what is around it cannot be told apart; it can be called as it is, though."""


@dataclass(frozen=True)
class Conditions:
    """Of the tensors from outside, for which a trace holds.

    Attributes:
        reads: numbers that were read off them, which are to be the same.
        roots: which of them derivatives are taken by, so that no other one may depend on them.
        changed: which of them are changed, so that no other one may share their memory.
    """

    reads: tuple[Read, ...] = ()
    roots: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()

    def hold(self, tensors: Sequence[Tensor]) -> bool:
        if are_shared(tensors, self.changed) or is_dependent(tensors, self.roots):
            return False
        return all(read.holds(tensors) for read in self.reads)


def are_shared(tensors: Sequence[Tensor], numbers: Sequence[int]) -> bool:
    """Whether any of the tensors with the given numbers has its memory in common with another one."""
    homes = (
        [bare(t).untyped_storage()._cdata if t.layout is torch.strided else id(t) for t in tensors] if numbers else []
    )
    return any(homes.count(homes[number]) > 1 for number in numbers)


def is_dependent(tensors: Sequence[Tensor], roots: Sequence[int]) -> bool:
    """Whether autograd knows any of the tensors to be computed from one of those with the given numbers."""
    targets = [tensors[number] for number in roots]
    waiting = [t.grad_fn for t in tensors if t.grad_fn is not None and all(t is not root for root in targets)]
    seen = set()
    while targets and waiting:
        node = waiting.pop()
        if any(node is root.grad_fn or getattr(node, "variable", None) is root for root in targets):
            return True
        seen.add(node)
        waiting += [before for before, _ in node.next_functions if before is not None and before not in seen]
    return False


@dataclass(frozen=True)
class Place:
    """A tensor in an expression: its number among those from outside."""

    number: int


@dataclass(frozen=True)
class Read:
    """Numbers that were read off tensors from outside while a function was traced.

    Attributes:
        expression: function, arguments and their structure; tensors as places or as expressions again.
        value: what was read.
    """

    expression: tuple
    value: object

    def holds(self, tensors: Sequence[Tensor]) -> bool:
        """Whether the tensors still have these numbers."""
        return repr(_evaluated(self.expression, tensors)) == repr(self.value)


class _Expression(tuple):
    """(function, leaves of its arguments, their structure, which leaf of the result)."""


def _evaluated(expression: tuple, tensors: Sequence[Tensor]) -> object:
    function, leaves, structure, which = expression
    values = []
    for leaf in leaves:
        if isinstance(leaf, Place):
            if is_batched(tensors[leaf.number]):
                raise Entangled(WRAPPED)
            values.append(bare(tensors[leaf.number]))
        else:
            values.append(_evaluated(leaf, tensors) if isinstance(leaf, _Expression) else leaf)
    args, kwargs = pytree.tree_unflatten(values, structure)
    with temporarily_clear_interpreter_stack(), without_modes(), without_torch_functions():
        result = function(*args, **kwargs)
    return result if which is None else pytree.tree_leaves(result)[which]


class Outside(TorchFunctionMode):
    """Active while a function is traced.

    Attributes:
        tensors: those from outside, in the order of their placeholders in the graph.
        reads: what was read off them.
        roots: numbers of the tensors that the function takes derivatives by.
        changed: numbers of the tensors that it changes.
        is_lasting: whether the trace depends on nothing else from outside.
    """

    def __init__(self, known: Sequence[Tensor], is_transformed: bool) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []
        self.reads: list[Read] = []
        self.roots: set[int] = set()
        self.changed: tuple[int, ...] = ()
        self.is_lasting = True
        self._known, self._is_transformed = {id(tensor): is_differentiable(tensor) for tensor in known}, is_transformed
        self._stand_ins: dict[int, Tensor] = {}
        self._tracer: PythonKeyTracer | None = None
        self._expressions: dict[int, tuple[Tensor, object]] = {}
        self._fresh: dict[int, Tensor] = {}
        self._below = _Below(self)

    @property
    def conditions(self) -> Conditions:
        """Under which the trace holds for other tensors."""
        return Conditions(tuple(self.reads), tuple(self.roots), self.changed)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within a trace, around the run of the function."""
        self._tracer = get_proxy_mode().tracer
        with self._below, self:
            yield

    def given(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Stand-ins for the arguments, whose numbers may not be read."""
        made = [self.stand_in(tensor) for tensor in tensors]
        for tensor in made:
            self._expressions.pop(id(tensor), None)
        return made

    def stand_in(self, tensor: Tensor) -> Tensor:
        """A tensor of the trace for one from outside."""
        if id(tensor) not in self._stand_ins:
            number = len(self.tensors)
            with temporarily_clear_interpreter_stack(), without_torch_functions(), self._below.paused():
                differentiable = self._known.get(id(tensor), tensor.requires_grad)
                with disable_proxy_modes_tracing():
                    made = torch.empty_strided(
                        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
                    ).requires_grad_(differentiable)
                proxy = self._tracer.create_proxy("placeholder", f"outside_{number}", (), {})
                track_tensor_tree(made, proxy, constant=None, tracer=self._tracer)
            self.tensors.append(tensor)
            self._stand_ins[id(tensor)] = made
            self._expressions[id(made)] = (made, Place(number))
        return self._stand_ins[id(tensor)]

    def changes(self, numbers: Sequence[int]) -> None:
        """Note which tensors the function changes; raise where somebody differentiates by one, or it is seen twice."""
        self.changed = tuple(numbers)
        if any(is_differentiable(self.tensors[number]) for number in numbers):
            raise Unsupported(
                "The function changes a tensor in place that lives outside of it and has a derivative. Let it make a "
                "new tensor, such as x = x + 1 for x += 1."
            )
        if are_shared(self.tensors, numbers):
            raise Unsupported(
                "The function changes a tensor in place that shares its memory with another one that it reads. Let it "
                "read both from one tensor."
            )

    def returned(self, tensor: Tensor) -> Tensor:
        """A result of the function as one of the trace."""
        return self._below.met(tensor)

    def is_outside(self, tensor: Tensor) -> bool:
        """Whether a tensor is none of the trace."""
        if id(tensor) in self._known or id(tensor) in self._stand_ins:
            return tensor.layout is torch.strided
        if tensor.layout is not torch.strided or has_functions(tensor):
            self.is_lasting &= has_functions(tensor)
            return False
        *wrappers, last = layers(tensor)
        if any(id(layer) in self._known for layer in wrappers[1:]):
            raise Entangled(WRAPPED)
        if id(last) in self._fresh or has_proxy_slot(last, self._tracer):
            return False
        if wrappers and self._is_transformed and id(last) not in self._known:
            raise Entangled(WRAPPED)
        return not wrappers  # others came in through a transformation, and are met below it

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        if self._below not in dispatch_modes():  # something else is being traced or run meanwhile
            return function(*args, **kwargs)
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not tensors:
            return self._made(function(*args, **kwargs))
        if function in SETTING:
            raise Unsupported(f"The function changes tensors that it does not return, by {SETTING[function]}.")
        if args and isinstance(args[0], type) and issubclass(args[0], torch.autograd.Function):
            _refuse(args[0])
        if function == Tensor.grad.__get__ and self.is_outside(args[0]):
            return args[0].grad
        leaves = [self.stand_in(v) if isinstance(v, Tensor) and self.is_outside(v) else v for v in leaves]
        args, kwargs = pytree.tree_unflatten(leaves, structure)
        if function is torch.autograd.grad:
            inputs = {id(leaf) for leaf in pytree.tree_leaves(kwargs.get("inputs", args[1:2]))}
            self.roots |= {n for n, own in enumerate(self.tensors) if id(self._stand_ins[id(own)]) in inputs}
        if function == Tensor.data.__get__:
            function = Tensor.detach
        if all(id(v) in self._expressions for v in leaves if isinstance(v, Tensor)):
            return self._of_outside(function, leaves, structure)
        with self._below.stopping(function in STOPPING):
            return function(*args, **kwargs)

    def _made(self, result: object) -> object:
        """What a function returns that is given no tensors: any that is not traced was made from numbers."""
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor) and not has_proxy_slot(bare(leaf), self._tracer):
                self._fresh[id(bare(leaf))] = bare(leaf)
        return result

    def _of_outside(self, function: Callable, leaves: list, structure: pytree.TreeSpec) -> object:
        """A function of tensors from outside alone: what it computes is remembered, or read off the real ones."""
        args, kwargs = pytree.tree_unflatten(leaves, structure)
        effects = self._below.effects
        known = [self._expressions[id(v)][1] if isinstance(v, Tensor) else v for v in leaves]
        try:
            with self._below.stopping(function in STOPPING):
                result = function(*args, **kwargs)
            is_read = any(_is_symbolic(leaf) for leaf in pytree.tree_leaves(result))
        except JetbenchError:
            raise
        except Exception:  # it asks for numbers, or fails on the real ones too
            is_read = True
        if is_read:
            expression = (function, known, structure, None)
            return self._read(Read(expression, _evaluated(expression, self.tensors)))
        if self._below.effects != effects:
            for leaf in leaves:
                self._expressions.pop(id(leaf), None)
            return result
        for which, leaf in enumerate(pytree.tree_leaves(result)):
            if isinstance(leaf, Tensor) and id(leaf) not in self._expressions:
                self._expressions[id(leaf)] = (leaf, _Expression((function, known, structure, which)))
        return result

    def _read(self, read: Read) -> object:
        leaves = pytree.tree_leaves(read.value)
        if all(isinstance(leaf, NUMBERS) for leaf in leaves):
            self.reads.append(read)
        else:
            self.is_lasting = False
            if self._is_transformed and any(isinstance(leaf, Tensor) for leaf in leaves):
                raise Entangled(WRAPPED)
        return read.value


NUMBERS = (bool, int, float, complex, str, type(None), torch.dtype, torch.device)


def _is_symbolic(value: object) -> bool:
    if isinstance(value, Tensor):
        return any(isinstance(n, torch.SymInt) for n in value.shape)
    return isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool))


def _refuse(function: type) -> None:
    """Raise for an author's autograd.Function, whose derivative a graph of operations does not have."""
    if function.__module__.partition(".")[0] != "torch":
        raise Unsupported(
            f"The function uses {function.__qualname__}, a torch.autograd.Function with a derivative of its own, which "
            "the collapsed function would not have. Write it in operations of PyTorch, or call it outside of collapse."
        )


def _marked(tensor: Tensor) -> Tensor:
    """The tensor in a view that nothing else makes, by which `lower` knows that it has no derivative."""
    with below_autograd():
        return aten.expand.default(tensor, list(tensor.shape), implicit=True)


class _Below(TorchDispatchMode):
    """Sees each operation, below autograd and the transformations.

    What autograd does not record, under `torch.no_grad` or behind `detach`, has no derivative in the graph either.

    Attributes:
        effects: so many operations changed a tensor in place or drew random numbers.
    """

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside
        self._records = torch.is_grad_enabled()
        self._stops = self._pauses = False
        self._unrecorded: dict[int, Tensor] = {}
        self._stopped: dict[int, Tensor] = {}
        self.effects = 0

    @contextlib.contextmanager
    def stopping(self, stops: bool) -> Iterator[None]:
        """Around a function that the user calls: whether it is `detach`, which autograd calls for its own ends too."""
        before, self._stops = self._stops, stops
        try:
            yield
        finally:
            self._stops = before

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        before, self._pauses = self._pauses, True
        try:
            yield
        finally:
            self._pauses = before

    def __torch_dispatch__(
        self, operation: OpOverload, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        if self._pauses or operation.namespace == "prim":
            return operation(*args, **kwargs)
        if operation is aten.expand.default:
            kwargs = {}
        if operation not in NEW:
            args, kwargs = pytree.tree_map_only(Tensor, self.met, (args, kwargs))
        self._count(operation, args)
        result = operation(*args, **kwargs)
        if operation is aten.detach.default and self._stops:
            result = _marked(result)
        if self._records and not torch.is_grad_enabled():
            for leaf in pytree.tree_leaves(result):
                if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
                    self._unrecorded[id(leaf)] = leaf
        return result

    def met(self, tensor: Tensor) -> Tensor:
        if self._outside.is_outside(tensor):
            tensor = self._outside.stand_in(tensor)
        if isinstance(tensor.grad_fn, BackwardCFunction):
            _refuse(tensor.grad_fn._forward_cls)
        elif id(tensor) in self._unrecorded and torch.is_grad_enabled():
            return self._without_derivatives(tensor)
        return tensor

    def _without_derivatives(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._stopped:
            self._stopped[id(tensor)] = _marked(tensor)
        return self._stopped[id(tensor)]

    def _count(self, operation: OpOverload, args: tuple) -> None:
        if operation._schema.is_mutable or torch.Tag.nondeterministic_seeded in operation.tags:
            self.effects += 1
        records = torch.is_grad_enabled() or not self._records
        if operation._schema.is_mutable and not records and args[0].grad_fn is not None:
            raise Unsupported(
                f"The function changes a tensor that it differentiates, in place and under torch.no_grad ({operation})."
            )
