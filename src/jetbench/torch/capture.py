"""One torch function as a sequence of ATen operations, captured once for each kind of arguments.

A function of PyTorch depends on nothing but its arguments and a few modes, so what is captured here cannot go stale.
How the functions that a network calls are put together is in `recording`, what is done with them in `propagate`.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from math import copysign
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, decomposition_table
from torch._ops import OpOverload, OpOverloadPacket
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.autograd.function import BackwardCFunction
from torch.func import functionalize
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from jetbench.errors import JetbenchError, MissingRule, Unsupported
from jetbench.torch._compat import modes, quietly, undisturbed, unseen
from jetbench.torch.refusals import DECIDES, author_derivative, changes_input, changes_outside, draws
from jetbench.torch.steps import Captured, Described, Slot, Step

aten = torch.ops.aten
CACHED_FUNCTIONS = 4096


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """What a change in place becomes without it; PyTorch's own operation has no forward mode."""
    del non_blocking
    return source.to(target.dtype).expand(target.shape).clone()


OWN = {aten.copy.default: _copy}


@functools.cache
def _decompositions(kept: frozenset[OpOverload], references: bool) -> dict:
    """PyTorch's own decompositions for every operation that is not kept.

    Those of PyTorch's references may end in operations of another set, prims, which users do not know.
    """
    table = {**decomposition_table, **core_aten_decompositions()}
    return OWN | {
        operation: function
        for operation, function in table.items()
        if operation not in kept
        and not (isinstance(operation, OpOverload) and operation._schema.is_mutable)
        and operation not in OWN
        and (references or not function.__module__.startswith("torch._refs"))
    }


_DETACHING_IN_PLACE = {torch.detach_, Tensor.detach_}
_DETACHING = {torch.detach, Tensor.detach, Tensor.data.__get__, *_DETACHING_IN_PLACE}


class _Substitutes(TorchFunctionMode):
    """Functions that look at values, or work in place, in a way that cannot be followed."""

    def __init__(self, steps: _Steps) -> None:
        super().__init__()
        self._steps = steps

    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        if function in _DETACHING:
            with self._steps.detaching():
                result = function(*args, **kwargs)
            if function in _DETACHING_IN_PLACE:
                self._steps.detach_in_place(args[0])
            return result
        if function == Tensor.data.__set__:
            raise Unsupported(
                "The network sets `data` of a tensor, which no derivative shows. Let it make a new tensor."
            )
        if function is torch.nn.functional.one_hot and (len(args) > 1 or "num_classes" in kwargs):
            return _one_hot(*args, **kwargs)
        if function is torch.nn.functional.cosine_similarity:
            return _cosine_similarity(*args, **kwargs)
        return function(*args, **kwargs)


def _cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    lengths = [torch.linalg.vector_norm(x, dim=dim).clamp_min(eps) for x in (x1, x2)]
    return (x1 * x2).sum(dim) / (lengths[0] * lengths[1])


def _one_hot(tensor: Tensor, num_classes: int) -> Tensor:
    return (tensor.unsqueeze(-1) == torch.arange(num_classes, device=tensor.device)).long()


_INDEXING = {aten.index.Tensor, aten.index_put.default, aten._unsafe_index.Tensor}


def _memory(tensor: Tensor) -> int | None:
    """The same for tensors that share memory; None where there is no telling."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided and tensor.numel() else None


def _layout(tensor: Tensor) -> tuple:
    return tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


class _Steps(TorchDispatchMode):
    """Notes each ATen operation on example tensors, decomposed where there is no rule for it.

    Args:
        kept: operations that are not decomposed.
        table: decompositions.
        inputs: example tensors, fake ones or real ones.
        depends: for each of them, whether it depends on x.
        differentiates: the function may itself use autograd, which detaches what it saves; then only a `detach` of
            the function's own ends derivatives, and so does switching gradients off.
    """

    def __init__(
        self,
        kept: Collection[OpOverload],
        table: dict,
        inputs: Sequence[Tensor],
        depends: Sequence[bool],
        differentiates: bool,
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.constants: dict[int, Tensor] = {}
        self.detaches = not differentiates
        self._differentiates, self._kept, self._table = differentiates, kept, table
        self._values: list[object] = []  # keeps them alive, so that their identities stay
        self._places: dict[int, int] = {}
        self._made: dict[int, dict[tuple, int]] = {}  # values by their memory and layout
        self._silent: dict[int, int | None] = {}  # values computed without gradients → place of their detached copy
        self._inputs, self._is_fake = inputs, all(isinstance(tensor, FakeTensor) for tensor in inputs)
        places = [self.place_of(tensor) for tensor in inputs]
        for tensor, place in zip(inputs, places, strict=True):
            self._keep(tensor, place)
        self._dependent = {place for place, of_x in zip(places, depends, strict=True) if of_x}

    @contextlib.contextmanager
    def detaching(self) -> Iterator[None]:
        """The function itself ends derivatives here."""
        before, self.detaches = self.detaches, True
        try:
            yield
        finally:
            self.detaches = before

    @property
    def count(self) -> int:
        return len(self._values)

    def place_of(self, tensor: Tensor) -> int:
        """The place of a tensor; a new one for one that is seen for the first time."""
        if id(tensor) not in self._places:
            self._places[id(tensor)] = len(self._values)
            self._values.append(tensor)
        return self._places[id(tensor)]

    def place_of_argument(self, tensor: Tensor) -> int:
        """As `place_of`; a tensor that is seen for the first time is a constant."""
        place = self._places.get(id(tensor))
        if place is None:
            place = self._returned(tensor)
        if place is None:
            place = self.place_of(tensor)
            self.constants[place] = tensor
        if self._silent and place in self._silent and torch.is_grad_enabled():
            return self._detached(place)
        return place

    def _returned(self, tensor: Tensor) -> int | None:
        """The place of a value that comes back as another tensor without an operation, as autograd saves values."""
        made = self._made.get(_memory(tensor))
        if made is None:
            return None
        if _layout(tensor) not in made:
            raise NotImplementedError("a part of a result comes back without an operation")
        return made[_layout(tensor)]

    def _keep(self, tensor: Tensor, place: int) -> None:
        memory = _memory(tensor)
        if memory is not None:
            self._made.setdefault(memory, {})[_layout(tensor)] = place

    def _detached(self, place: int) -> int:
        found = self._silent[place]
        if found is None:
            found = self._silent[place] = len(self._values)
            self._values.append(None)
            depends = place in self._dependent
            self.steps.append(Step(aten.detach.default, (Slot(place),), {}, (found,), False, depends))
        return found

    def __torch_dispatch__(self, function: OpOverload, types: tuple, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        if function._schema.is_mutable and not self._is_fake:
            self._refuse_writing_outside(function, args)
        if torch.Tag.data_dependent_output in function.tags:
            return self._read(function, args, kwargs)
        if torch.Tag.dynamic_output_shape in function.tags and not self._is_fake:
            if function in _INDEXING:
                args = (args[0], self._as_indices(args[1]), *args[2:])
            else:
                return self._read(function, args, kwargs)
        if function in self._table:
            with self:
                found = self._table[function](*args, **kwargs)
            if found is not NotImplemented:
                return found
        if function.namespace == "aten" and function not in self._kept and function._can_decompose():  # made of others
            with self:
                found = function.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
        if function is aten.detach.default and not self.detaches:
            function = aten.alias.default
        if function is aten.view.default:  # what it is applied to later may be laid out in another way
            function = aten.reshape.default
        if _keeps_statistics(function, args, kwargs):
            raise changes_outside(str(function)) if self._differentiates else NotImplementedError(str(function))
        result = function(*args, **kwargs)
        leaves = result if isinstance(result, (tuple, list)) else (result,)
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            self._note(function, args, kwargs, leaves, isinstance(result, (tuple, list)))
        return result

    def detach_in_place(self, tensor: Tensor) -> None:
        """From here on the tensor is a constant: it gets another place. PyTorch shows no operation for it."""
        if id(tensor) not in self._places:
            raise NotImplementedError("a tensor is detached in place inside of a transformation")
        place = self._places[id(tensor)]
        self._silent.setdefault(place, None)
        self._places[id(tensor)] = self._detached(place)

    def _read(self, function: OpOverload, args: tuple, kwargs: dict) -> object:
        """A value is read: that of x decides nothing; those of other tensors are known, if they are real."""
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(self._places.get(id(tensor)) in self._dependent for tensor in tensors):
            raise JetbenchError(DECIDES)
        if any(isinstance(tensor, FakeTensor) for tensor in tensors):
            raise NotImplementedError(f"{function} reads a value that is not known here")
        with undisturbed():
            return function(*args, **kwargs)

    def _as_indices(self, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Masks as the indices of what they choose, so that shapes do not depend on values."""
        found: list[Tensor | None] = []
        for index in indices:
            if index is None or index.dtype not in (torch.bool, torch.uint8):
                found.append(index)
            else:
                columns = self._read(aten.nonzero.default, (index,), {})
                found += columns.unbind(-1)
        return found

    def _refuse_writing_outside(self, function: OpOverload, args: tuple) -> None:
        """Raise before numbers of x, or of tensors that the network has not made itself, are changed."""
        outside = {tensor.untyped_storage()._cdata for tensor in (*self._inputs, *self.constants.values())}
        for argument, value in zip(function._schema.arguments, args, strict=False):
            is_written = argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, Tensor)
            if is_written and (id(value) not in self._places or value.untyped_storage()._cdata in outside):
                raise changes_outside(str(function))

    def _note(self, function: OpOverload, args: tuple, kwargs: dict, leaves: Sequence, several: bool) -> None:
        args, kwargs = pytree.tree_map_only(Tensor, lambda t: Slot(self.place_of_argument(t)), (args, kwargs))
        used = [leaf.index for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Slot)]
        depends = any(place in self._dependent for place in used)
        results = tuple(self.place_of(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves)
        made = {place for place in results if place is not None}
        for leaf, place in zip(leaves, results, strict=True):
            if place is not None:
                self._keep(leaf, place)
        if depends:
            self._dependent |= made
        if self._differentiates and not torch.is_grad_enabled():
            self._silent.update(dict.fromkeys(made))
        self.steps.append(Step(function, tuple(args), kwargs, results, several, depends))


def _replaced(leaves: Sequence, places: Sequence[int], tensors: Sequence[Tensor]) -> list:
    """The leaves with tensors at the given places."""
    found = list(leaves)
    for place, tensor in zip(places, tensors, strict=True):
        found[place] = tensor
    return found


def _kind(value: object, tensors: list[Tensor], describe: Callable[[Tensor], tuple]) -> Hashable:
    """What a captured function depends on in one of its arguments; collects the tensors on the way.

    Raises:
        TypeError: there is no telling when two such arguments are the same.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return describe(value)
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind in (int, bool, str):
        return (kind, value)
    if kind is float:
        return (kind, value, copysign(1.0, value)) if value == value else (kind, "nan")
    if kind in (tuple, list) or kind is torch.Size:
        return (kind, *[_kind(item, tensors, describe) for item in value])
    if kind is slice:
        return (kind, *[_kind(item, tensors, describe) for item in (value.start, value.stop, value.step)])
    if kind is dict:
        return (kind, *[(key, _kind(item, tensors, describe)) for key, item in value.items()])
    raise TypeError(f"{kind.__name__} is not a plain value.")


_PLAIN = (type(None), type(...), torch.dtype, torch.device, torch.layout, torch.memory_format, complex)


def casts(device_type: str) -> bool:
    """Whether torch.autocast is active for tensors of a device."""
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def ambient(device_type: str) -> tuple:
    """The modes that decide what a torch function does with its arguments."""
    return (
        torch.get_autocast_dtype(device_type) if casts(device_type) else None,
        torch.get_default_dtype(),
        torch._C._len_torch_function_stack() and torch.get_default_device(),
    )


def _is_of_torch(function: Callable) -> bool:
    """Whether a function depends on nothing but its arguments, as PyTorch's own do; a script has parameters."""
    if isinstance(function, types.FunctionType):
        return (function.__module__ or "").partition(".")[0] == "torch"
    return isinstance(function, _BUILT_IN)


_BUILT_IN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    OpOverload,
    OpOverloadPacket,
)


class Capturing:
    """Captures functions, each once for each kind of arguments.

    Args:
        kept: operations that are not decomposed; None if none is.
        is_complete: whether operations that depend on x must be among them in the end.
    """

    def __init__(self, kept: Collection[OpOverload] | None, is_complete: bool = False) -> None:
        self._kept, self._is_complete = kept, is_complete
        self._known: OrderedDict[tuple, Captured] = OrderedDict()

    def function(
        self, function: Callable, args: tuple, kwargs: dict, describe: Callable[[Tensor], tuple]
    ) -> tuple[Captured, list[Tensor]]:
        """The captured function and the tensors among its arguments.

        Args:
            describe: tensor → (shape, stride or None, dtype, device, whether it depends on x).

        Raises:
            JetbenchError: it reads a value that depends on x.
            MissingRule: an operation has no rule.
            Exception: what the function itself raises for such arguments.
        """
        tensors: list[Tensor] = []
        try:
            kinds = (_kind(args, tensors, describe), _kind(kwargs, tensors, describe) if kwargs else None)
        except TypeError:
            tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            return self._capture(function, args, kwargs, [describe(t) for t in tensors]), tensors
        key = (function, kinds, self._kept and len(self._kept), ambient(describe(tensors[0])[3].type))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._capture(function, args, kwargs, [describe(t) for t in tensors])
            if len(self._known) > CACHED_FUNCTIONS:
                self._known.popitem(last=False)
        return found, tensors

    def _capture(self, function: Callable, args: tuple, kwargs: dict, described: Sequence[tuple]) -> Captured:
        """As `function`, without a look into the cache."""
        if not _is_of_torch(function):
            raise NotImplementedError(f"{function} is not a function of PyTorch")
        leaves, structure = pytree.tree_flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

        def called(*tensors: Tensor) -> object:
            args, kwargs = pytree.tree_unflatten(_replaced(leaves, places, tensors), structure)
            return function(*args, **kwargs)

        return self._decomposed(lambda table: _captured(called, _fake(described), described, self._kept or (), table))

    def network(self, net: Callable[[Tensor], Tensor], x: Tensor) -> Captured:
        """A network in one piece, run in Python on a fake x, or on x itself if it does not run on fake tensors."""
        described = [(tuple(x.shape), None, x.dtype, x.device, True)]

        def captured(table: dict) -> Captured:
            try:
                return _captured(net, _fake(described), described, self._kept or (), table, is_network=True)
            except JetbenchError:
                raise
            except Exception as error:
                if modes() or x.device.type == "meta":
                    raise JetbenchError(DECIDES) if isinstance(error, NotImplementedError) else error from error
                return _captured(net, lambda: [x.detach().clone()], described, self._kept or (), table, is_network=True)

        return self._decomposed(captured)

    def _decomposed(self, captured: Callable[[dict], Captured]) -> Captured:
        if self._kept is None:
            return captured(OWN)
        kept = frozenset(self._kept)
        try:
            found = captured(_decompositions(kept, True))
            self._refuse_missing_rules(found)
        except (MissingRule, NotImplementedError):
            found = captured(_decompositions(kept, False))
            self._refuse_missing_rules(found)
        return found

    def _refuse_missing_rules(self, captured: Captured) -> None:
        missing = [step.target for step in captured.steps if step.depends and step.target not in self._kept]
        if missing and self._is_complete:
            raise MissingRule(
                f"No rule for the operation {missing[0]}. Add one with @jetbench.torch.rule({missing[0]}), as "
                "described in jetbench/torch/rules/registry.py, or register a decomposition into known operations."
            )


@functools.cache
def _fakes() -> FakeTensorMode:
    return FakeTensorMode(allow_non_fake_inputs=True)


def _fake(described: Sequence[tuple]) -> Callable[[], list[Tensor]]:
    """How to make fake tensors like those described."""

    def make() -> list[Tensor]:
        with _fakes():
            return [
                torch.empty(shape, dtype=dtype, device=device)
                if stride is None
                else torch.empty_strided(shape, stride, dtype=dtype, device=device)
                for shape, stride, dtype, device, _ in described
            ]

    return make


def _captured(
    function: Callable,
    make: Callable[[], list[Tensor]],
    described: Sequence[tuple],
    kept: Collection[OpOverload],
    table: dict,
    is_network: bool = False,
) -> Captured:
    """Run the function on example tensors, and once more without changes in place if it made any.

    Args:
        make: makes the examples.
        is_network: the only input is x, and what is not made from it belongs to the user.
    """
    with (
        undisturbed(),
        torch.inference_mode(False),
        sdpa_kernel(SDPBackend.MATH),
        quietly(),
        unseen(),
        contextlib.ExitStack() as open_,
    ):
        examples = make()
        if all(isinstance(example, FakeTensor) for example in examples):
            open_.enter_context(_fakes())
        depends = [of_x for *_, of_x in described]

        def run(function: Callable, steps: _Steps, differentiates: bool) -> object:
            for example in examples:
                example.requires_grad_(differentiates and example.dtype.is_floating_point)
            try:
                with torch.set_grad_enabled(differentiates), _Substitutes(steps), steps:
                    result = function(*examples)
            except (GuardOnDataDependentSymNode, DynamicOutputShapeException, DataDependentOutputException) as error:
                raise NotImplementedError("a shape or a decision depends on values") from error
            _refuse_draws(steps.steps)
            return result

        steps = _Steps(kept, table, examples, depends, is_network)
        result = run(function, steps, is_network)
        leaves, structure = pytree.tree_flatten(result)
        relations = [_relation(leaf, examples) for leaf in leaves]
        if is_network:
            _refuse_author_derivatives(leaves)
        if any(step.target._schema.is_mutable for step in steps.steps):
            if is_network:
                _refuse_changes_outside(steps)
            examples = [example.detach() for example in examples]
            first, steps = steps, _Steps(kept, table, examples, depends, False)
            steps.detaches = False  # `functionalize` detaches, too
            leaves = run(functionalize(_replayed(first, leaves, steps), remove="mutations"), steps, False)
        changed = {i: steps.place_of(example) for i, example in enumerate(examples) if steps.place_of(example) != i}
        changed |= _changes(steps, len(examples))
        output = [
            _described(steps.place_of_argument(leaf), leaf, *relation) if isinstance(leaf, Tensor) else leaf
            for leaf, relation in zip(leaves, relations, strict=True)
        ]
        return Captured(
            len(examples),
            steps.constants,
            tuple(steps.steps),
            pytree.tree_unflatten(output, structure),
            steps.count,
            changed,
        )


def _replayed(steps: _Steps, leaves: Sequence[object], noting: _Steps) -> Callable[..., list]:
    """The steps as a function of the inputs, which returns the leaves; `noting` sees it run."""
    places = [steps.place_of_argument(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves]
    constants, noted = dict(steps.constants), tuple(steps.steps)

    def replay(*tensors: Tensor) -> list:
        values: dict[int | None, object] = {**dict(enumerate(tensors)), **constants}
        for step in noted:
            args, kwargs = pytree.tree_map(
                lambda leaf: values[leaf.index] if isinstance(leaf, Slot) else leaf,
                (step.args, step.kwargs),
                is_leaf=lambda leaf: isinstance(leaf, Slot),
            )
            detaching = noting.detaching() if step.target is aten.detach.default else contextlib.nullcontext()
            with detaching:
                result = step.target(*args, **kwargs)
            values.update(zip(step.results, result if step.several else (result,), strict=True))
        return [leaf if place is None else values[place] for leaf, place in zip(leaves, places, strict=True)]

    return replay


def _relation(leaf: object, examples: Sequence[Tensor]) -> tuple[tuple[int, ...], int | None]:
    """Which inputs share their memory with a result, and which of them it is itself."""
    if not isinstance(leaf, Tensor):
        return (), None
    same = next((i for i, example in enumerate(examples) if example is leaf), None)
    if leaf.layout != torch.strided:
        return (), same
    memory = leaf.untyped_storage()._cdata
    return tuple(i for i, example in enumerate(examples) if example.untyped_storage()._cdata == memory), same


def _described(place: int, leaf: Tensor, alias: tuple[int, ...], same: int | None) -> Described:
    return Described(place, tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.device, alias, same)


def _changes(steps: _Steps, inputs: int) -> dict[int, int]:
    """Input → place of what is copied into it at the end; these copies are taken out of the steps."""
    changed, kept = {}, []
    for step in steps.steps:
        if not step.target._schema.is_mutable:
            kept.append(step)
            continue
        if step.target is not aten.copy_.default or step.args[0].index >= inputs:
            raise NotImplementedError(f"{step.target} works in place in a way that cannot be followed")
        changed[step.args[0].index] = step.args[1].index
    steps.steps = kept
    return changed


def _refuse_draws(steps: Sequence[Step]) -> None:
    """Raise where random numbers are drawn."""
    for step in steps:
        if torch.Tag.nondeterministic_seeded in step.target.tags and not _draws_nothing(step):
            raise draws(str(step.target))


def _by_name(function: OpOverload, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of an operation by name, those left out by their defaults."""
    arguments = function._schema.arguments
    given = {argument.name: argument.default_value for argument in arguments}
    return given | dict(zip([argument.name for argument in arguments], args, strict=False)) | kwargs


def _keeps_statistics(function: OpOverload, args: tuple, kwargs: dict) -> bool:
    """Whether an operation changes running statistics, which not all schemas say."""
    if "batch_norm" not in function.__name__:
        return False
    given = _by_name(function, args, kwargs)
    return given.get("running_mean") is not None and given.get("training", given.get("train")) is True


def _draws_nothing(step: Step) -> bool:
    """Whether an operation that can draw is told not to, as in evaluation mode."""
    given = _by_name(step.target, step.args, step.kwargs)
    return given.get("training", given.get("train", True)) is False or given.get("p", given.get("dropout_p")) == 0


def _refuse_changes_outside(steps: _Steps) -> None:
    """Raise where an operation writes into a constant or into x, or into a view of one."""
    outside: dict[int, bool] = {0: True, **dict.fromkeys(steps.constants, False)}
    for step in steps.steps:
        for argument, value in zip(step.target._schema.arguments, step.args, strict=False):
            if argument.alias_info is None or not isinstance(value, Slot) or value.index not in outside:
                continue
            is_x = outside[value.index]
            if argument.alias_info.is_write:
                raise (changes_input if is_x else changes_outside)(str(step.target))
            outside.update(dict.fromkeys((place for place in step.results if place is not None), is_x))


def _refuse_author_derivatives(leaves: Sequence[object]) -> None:
    """Raise where a custom `autograd.Function` took part in what a network returns."""
    nodes = [leaf.grad_fn for leaf in leaves if isinstance(leaf, Tensor)]
    seen = set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            raise author_derivative(type(node).__name__.removesuffix("Backward"))
        nodes += [following for following, _ in node.next_functions]
