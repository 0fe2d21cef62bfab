"""Running what a network does to x, on jets or on tensors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
from torch import Tensor

from jetbench.torch.capture import casts
from jetbench.torch.jet import Jet
from jetbench.torch.rules import RULES
from jetbench.torch.steps import Captured, Slot, Step, placed, slots

Call = tuple[Captured, tuple[int, ...], int]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network as ATen operations.

    Place 0 is x; then come the constants that are handed in, then those that functions made from numbers.

    Attributes:
        steps: in order of execution; those that the output does not need are left out.
        frees: for each step the places that are needed no more after it.
        constants: how many are handed in.
        own: the constants that are not.
        output: place of the result.
        places: how many values there are.
        is_whole: the network was captured in one piece.
    """

    steps: tuple[Step, ...]
    frees: tuple[tuple[int, ...], ...]
    constants: int
    own: tuple[Tensor, ...]
    output: int
    places: int
    is_whole: bool = False

    def run(self, x: Jet | Tensor, constants: Sequence[Tensor]) -> Jet | Tensor:
        """The result at the jet of x, or at x; a tensor where it does not depend on x.

        Casts of a mode that was active while the network ran are among the steps. Values are dropped after their last
        use, so that a layer's jet is freed when the next one has been computed.
        """
        literals, applications = self._applications
        values: list[object] = [x, *constants, *self.own, *[None] * self.places, *literals]
        with uncast(x.primal if isinstance(x, Jet) else x):
            for apply, results, several, frees in applications:
                result = apply(values)
                if several:
                    for place, part in zip(results, result, strict=True):
                        if place is not None:
                            values[place] = part
                else:
                    values[results[0]] = result
                for place in frees:
                    values[place] = None
        return values[self.output]

    @functools.cached_property
    def _applications(self) -> tuple[list[object], list[tuple]]:
        """Plain values that steps take, which follow after the places of tensors, and the steps ready to be run."""
        literals: list[object] = []
        first = 1 + self.constants + len(self.own) + self.places
        applications = [
            (_application(step, literals, first), step.results, step.several, frees)
            for step, frees in zip(self.steps, self.frees, strict=True)
        ]
        return literals, applications


def uncast(x: Tensor) -> contextlib.AbstractContextManager:
    """Without the casts of autocast, which are among the steps of a graph where the network makes them."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if casts(kind) else contextlib.nullcontext()


def _application(step: Step, literals: list[object], first: int) -> Callable[[list], object]:
    """The step as a function of all values, `literals` among them from place `first` on."""
    places = [*slots(step.args), *slots(step.kwargs)]
    return functools.partial(_apply, step, _arguments(step.args, literals, first), places)


def _arguments(args: tuple, literals: list[object], first: int) -> Callable[[list], Sequence]:
    """How to take positional arguments from all values."""
    places: list[int] = []
    for value in args:
        if type(value) is Slot:
            places.append(value.index)
        elif any(True for _ in slots(value)):
            return lambda values: placed(args, values.__getitem__)
        else:
            places.append(first + len(literals))
            literals.append(value)
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[place] for place in places]


def _apply(step: Step, arguments: Callable[[list], Sequence], places: Sequence[int], values: list) -> object:
    function = step.target
    if step.depends:
        for place in places:
            if type(values[place]) is Jet:
                function = RULES.get(function) or function.jet
                break
    if step.kwargs:
        return function(*arguments(values), **placed(step.kwargs, values.__getitem__))
    return function(*arguments(values))


def assemble(calls: Sequence[Call], output: int, constants: int, inputs: Sequence[int] = (0,)) -> Graph | None:
    """One graph of captured functions, as a recording notes them; None if it needs other values than the inputs.

    Args:
        calls: captured functions, for each of their tensors a place, or −1 − i for constant i, and what is added to
            their own places for those of the results.
        output: place of the result, likewise.
        constants: number of constants.
        inputs: places of the values that the graph starts from; the first is its x, the others come before constants.
    """
    own = tuple(tensor for captured, *_ in calls for tensor in captured.constants.values())
    first = 1 + constants + len(own)  # the place of the first result of a step
    renamed: dict[int, int] = {}
    steps: list[Step] = []

    def final(place: int) -> int:
        """The place in the graph of a place in the recording."""
        if place < 0:
            return -place
        found = place and first + place - 1
        return renamed.get(found, found)

    own_before, places = 1 + constants, 1
    for captured, sources, offset in calls:
        inside = dict(zip(captured.constants, range(own_before, own_before + len(captured.constants)), strict=True))

        def local(place: int, captured=captured, sources=sources, inside=inside, offset=offset) -> int:
            if place < captured.inputs:
                return final(sources[place])
            return inside[place] if place in inside else final(offset + place)

        def slot(place: int, local=local) -> Slot:
            return Slot(local(place))

        for step in captured.steps:
            args, kwargs = placed((step.args, step.kwargs), slot)
            results = tuple(None if place is None else local(place) for place in step.results)
            if step.target is torch.ops.aten.alias.default:
                renamed[results[0]] = args[0].index
            else:
                steps.append(replace(step, args=args, kwargs=kwargs, results=results))
        places = max(places, offset + captured.places)
        own_before += len(captured.constants)
    return _graph(steps, final(output), [final(place) for place in inputs], constants, own, first + places)


def _graph(
    steps: Sequence[Step], output: int, inputs: Sequence[int], constants: int, own: tuple[Tensor, ...], places: int
) -> Graph | None:
    """The steps between inputs and output, with the inputs at places 0, 1, …"""
    kept: list[Step] = []
    frees: list[set[int]] = []
    needed, given = {output}, set(inputs)
    for step in reversed(steps):
        if not any(place in needed and place not in given for place in step.results):
            continue
        used = {*slots(step.args), *slots(step.kwargs)}
        kept.append(step)
        unread = {place for place in step.results if place is not None and place not in needed}
        frees.append((used - needed) | unread)
        needed |= used
    made = {place for step in kept for place in step.results}
    if not needed - made <= given | set(range(1, 1 + constants + len(own))):
        return None
    more = len(inputs) - 1
    moved = {place: index for index, place in enumerate(inputs)}

    def move(place: int) -> Slot:
        return Slot(moved.get(place, place + more))

    if more or inputs[0]:
        for index, step in enumerate(kept):
            args, kwargs = placed((step.args, step.kwargs), move)
            results = tuple(place if place is None else moved.get(place, place + more) for place in step.results)
            kept[index] = replace(step, args=args, kwargs=kwargs, results=results)
    final_frees = tuple(tuple(moved.get(place, place + more) for place in found) for found in reversed(frees))
    return Graph(
        tuple(reversed(kept)), final_frees, constants + more, own, moved.get(output, output + more), places + more
    )
