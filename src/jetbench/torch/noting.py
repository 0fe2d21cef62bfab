"""Noting the ATen operations of a function while it runs in Python on example tensors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from jetbench.errors import JetbenchError, Unsupported
from jetbench.torch._compat import DispatchKey, FakeTensor, OpOverload, TorchDispatchMode, pytree, undisturbed
from jetbench.torch.refusals import DECIDES, changes_outside
from jetbench.torch.steps import Slot, Step, slots

aten = torch.ops.aten
_DETACHING_IN_PLACE = {torch.detach_, Tensor.detach_, aten.detach_, aten.detach_.default}
_DETACHING = {torch.detach, Tensor.detach, aten.detach, aten.detach.default, Tensor.data.__get__, *_DETACHING_IN_PLACE}

_READING = {Tensor.tolist, Tensor.numpy, Tensor.__array__}


class Substitutes(TorchFunctionMode):
    """Functions that look at values, or work in place, in a way that cannot be followed."""

    def __init__(self, steps: Notes) -> None:
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
        if function in _READING:
            self._steps.refuse_reading(args[:1])
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


class Notes(TorchDispatchMode):
    """Notes each ATen operation on example tensors, decomposed where there is no rule for it.

    Args:
        kept: operations that are not decomposed.
        table: decompositions.
        inputs: example tensors, fake ones or real ones.
        depends: for each of them, whether it depends on x.
        differentiates: the function may itself use autograd, which detaches what it saves; then only a `detach` of
            the function's own ends derivatives, and so does switching gradients off.
        has_values: the inputs are numbers of the user's; else they only stand in for numbers that are not known.
    """

    def __init__(
        self,
        kept: Collection[OpOverload],
        table: dict,
        inputs: Sequence[Tensor],
        depends: Sequence[bool],
        differentiates: bool,
        has_values: bool,
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
        self._inputs, self._has_values = inputs, has_values
        self._stands_in = not has_values and not any(isinstance(tensor, FakeTensor) for tensor in inputs)
        self._has_numbers = not any(tensor.is_meta for tensor in inputs)
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

    def is_of_x(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on x."""
        return self._places.get(id(tensor)) in self._dependent

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
        if self._stands_in:
            _refuse_looking(function, args, kwargs)
        if function._schema.is_mutable and self._has_values:
            self._refuse_writing_outside(function, args)
        if torch.Tag.data_dependent_output in function.tags:
            return self._read(function, args, kwargs)
        if torch.Tag.dynamic_output_shape in function.tags and self._has_values:
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
        # on the meta device PyTorch looks for the shape of a tangent that is zero
        if any(isinstance(leaf, Tensor) and not (leaf.is_meta and self._has_numbers) for leaf in leaves):
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
        self.refuse_reading(tensors)
        with undisturbed():
            return function(*args, **kwargs)

    def refuse_reading(self, tensors: Sequence[Tensor]) -> None:
        """Raise where the numbers of tensors depend on x, or are not known."""
        if any(self._places.get(id(tensor)) in self._dependent for tensor in tensors):
            raise JetbenchError(DECIDES)
        if any(isinstance(tensor, FakeTensor) or not self._has_values for tensor in tensors):
            raise NotImplementedError("a value is read that is not known here")

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

    def _with_slots(self, value: object) -> object:
        """Arguments of an operation with slots in the place of tensors."""
        if isinstance(value, Tensor):
            return Slot(self.place_of_argument(value))
        if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
            return (tuple if isinstance(value, tuple) else list)([self._with_slots(item) for item in value])
        if isinstance(value, dict):
            return {name: self._with_slots(item) for name, item in value.items()}
        return value

    def _note(self, function: OpOverload, args: tuple, kwargs: dict, leaves: Sequence, several: bool) -> None:
        args, kwargs = self._with_slots(args), self._with_slots(kwargs)
        depends = any(place in self._dependent for place in (*slots(args), *slots(kwargs)))
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


def _refuse_looking(function: OpOverload, args: tuple, kwargs: dict) -> None:
    """Raise where an operation on tensors that stand in for others would draw numbers, or return a shape that depends
    on values: operations whose shapes do not can run without values."""
    tags = function.tags
    if torch.Tag.dynamic_output_shape in tags and function not in _INDEXING:
        raise NotImplementedError(f"the shape of what {function} returns depends on values")
    if torch.Tag.nondeterministic_seeded in tags and not draws_nothing(function, args, kwargs):
        raise NotImplementedError(f"{function} draws numbers")
    if function in _INDEXING and any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1]):
        raise NotImplementedError("a mask decides the shape")
    if not _runs_without_values(function):
        raise NotImplementedError(f"{function} needs values")


@functools.cache
def _runs_without_values(function: OpOverload) -> bool:
    keys = (DispatchKey.Meta, DispatchKey.CompositeExplicitAutograd)
    return function._can_decompose() or any(map(function.has_kernel_for_dispatch_key, keys))


def draws_nothing(function: OpOverload, args: tuple, kwargs: dict) -> bool:
    """Whether an operation that can draw is told not to, as in evaluation mode."""
    given = by_name(function, args, kwargs)
    return given.get("training", given.get("train", True)) is False or given.get("p", given.get("dropout_p")) == 0


def by_name(function: OpOverload, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of an operation by name, those left out by their defaults."""
    arguments = function._schema.arguments
    given = {argument.name: argument.default_value for argument in arguments}
    return given | dict(zip([argument.name for argument in arguments], args, strict=False)) | kwargs


def _keeps_statistics(function: OpOverload, args: tuple, kwargs: dict) -> bool:
    """Whether an operation changes running statistics, which not all schemas say."""
    if "batch_norm" not in function.__name__:
        return False
    given = by_name(function, args, kwargs)
    return given.get("running_mean") is not None and given.get("training", given.get("train")) is True
