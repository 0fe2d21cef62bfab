"""The form in which captured computations are kept: ATen operations whose tensors are numbered places."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jetbench.torch._compat import pytree


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among the values of a computation."""

    index: int


def slots(value: object) -> Iterator[int]:
    """The places in arguments of a step, in order."""
    if type(value) is Slot:
        yield value.index
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from slots(item)
    elif isinstance(value, dict):
        yield from slots(tuple(value.values()))


def placed(value: object, place: Callable[[int], object]) -> object:
    """Arguments of a step with something else in the place of slots."""
    if type(value) is Slot:
        return place(value.index)
    if type(value) in (tuple, list):
        return type(value)([placed(item, place) for item in value])
    if type(value) is dict:
        return {name: placed(item, place) for name, item in value.items()}
    return value


@dataclass(frozen=True)
class Step:
    """One ATen operation.

    Attributes:
        target: the operation.
        args, kwargs: its arguments, slots in place of tensors.
        results: places of the results, None for one that is no tensor.
        several: whether the operation returns a sequence.
        depends: whether it depends on x.
    """

    target: Callable
    args: tuple
    kwargs: dict[str, Any]
    results: tuple[int | None, ...]
    several: bool
    depends: bool


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a new tensor."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Described:
    """A tensor that a function returns: its place, and what Python can ask of it without looking at numbers.

    Attributes:
        alias: the inputs whose memory it shares.
        same: the input that it is; None if it is a new tensor.
    """

    place: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    alias: tuple[int, ...] = ()
    same: int | None = None

    @functools.cached_property
    def kind(self) -> tuple:
        """What a function depends on in this tensor: shape, strides, type, device, and that it depends on x."""
        return (self.shape, self.stride, self.dtype, self.device, True)


@dataclass(frozen=True, eq=False)
class Captured:
    """A function as ATen operations.

    Places 0, 1, … are the tensors among its arguments; then come constants and the results of the steps.

    Attributes:
        inputs: number of tensors among the arguments.
        constants: place → a tensor that is no argument: one that the function makes from numbers, or refers to.
        steps: in order of execution.
        output: what it returns, with `Described` in place of tensors.
        places: how many values there are.
        changed: input → place of its value afterwards, for inputs that the function changes in place.
    """

    inputs: int
    constants: dict[int, Tensor]
    steps: tuple[Step, ...]
    output: object
    places: int
    changed: dict[int, int]

    @functools.cached_property
    def is_query(self) -> bool:
        """Whether it only answers what needs no numbers, such as a shape."""
        return not self.changed and not any(isinstance(leaf, Described) for leaf in pytree.tree_leaves(self.output))

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether it returns one new tensor and changes none, as most functions do."""
        found = self.output
        is_new = type(found) is Described and found.same is None and not found.alias and found.place >= self.inputs
        return is_new and not self.changed
