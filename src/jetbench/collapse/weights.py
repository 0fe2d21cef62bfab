"""With what a sum weighs its terms: numbers along an axis, or values that belong to one or several axes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jetbench.collapse.build import Builder
from jetbench.collapse.contraction import runs
from jetbench.collapse.graph import Node


@dataclass(frozen=True)
class Weights:
    """Weights that the computation holds itself, as A_ij in Σ_ij A_ij x_ij, or w_nr in Σ_r w_nr x_nr.

    All axes that are summed with it have the same object for weight.

    Attributes:
        node: the weights.
        axes: for each axis of the node the axis of the summed value that it goes with; one of these that is not summed
            over stays. None where the value is the same along it: there, the weights are added up.
    """

    node: Node
    axes: tuple[int | None, ...]


Weight = tuple[float, ...] | Weights | None
"""Of the entries along an axis: numbers, what the computation holds, or None for ones."""

Spec = tuple[tuple[int, Weight], ...]
"""The axes to sum over, in order, with their weights; () asks for the value itself."""

RUNS = 4
"""So many runs of equal weights are summed one by one; more are multiplied with a vector."""


def ordered(axes: Mapping[int, Weight]) -> Spec:
    return tuple(sorted(axes.items(), key=lambda item: item[0]))


def computed(axes: Mapping[int, Weight]) -> dict[Weights, list[int]]:
    """Weights that are no numbers, each with the axes that are summed with it."""
    found: dict[Weights, list[int]] = {}
    for axis, weight in axes.items():
        if isinstance(weight, Weights):
            found.setdefault(weight, []).append(axis)
    return found


def kept_axes(weights: Weights, axes: Mapping[int, Weight]) -> set[int]:
    """The axes of the value that the weights name, and that are not summed over."""
    return {a for a in weights.axes if a is not None} - set(axes)


def moved(axes: Mapping[int, Weight], places: Mapping[int, int]) -> dict[int, Weight] | None:
    """The same sum with axes under their new names; those without one vanish. None where weights would lose one."""
    found: dict[int, Weight] = {}
    for axis, weight in axes.items():
        if isinstance(weight, Weights):
            if any(a not in places for a in kept_axes(weight, axes)):
                return None
            weight = Weights(weight.node, tuple(None if a is None else places.get(a) for a in weight.axes))
        if axis in places:
            found[places[axis]] = weight
    return found


def of(vector: Node, axes: Sequence[int]) -> Weight:
    """What multiplies a value, as weights: numbers where it is a vector of few different runs of equal ones."""
    numbers = vector.attributes[1] if vector.op == "constant" and vector.ndim == 1 else None
    return numbers if numbers is not None and len(runs(numbers)) <= RUNS else Weights(vector, tuple(axes))


def times(
    b: Builder,
    term: tuple[Node, Sequence[int]],
    weights: tuple[Node, Sequence[int | None]],
    summed: set[int],
) -> tuple[Node, list[int]]:
    """A value times weights, both with labels of their axes, and the labels of the result: without those summed."""
    (x, labels), (node, named) = term, weights
    everything = dict.fromkeys((*labels, *(a for a in named if a is not None)))
    out = [label for label in everything if label not in summed]
    alone = [("alone", i) if a is None else a for i, a in enumerate(named)]
    return b.contract([(x, labels), (node, alone)], out), out


def weighted_sum(b: Builder, x: Node, axes: Mapping[int, Weight], values: Sequence[Node]) -> Node:
    """Σ of x over axes with their weights, carried out; `values` are those of the computed weights."""
    labels = list(range(x.ndim))
    for (weights, together), node in zip(computed(axes).items(), values, strict=True):
        x, labels = times(b, (x, labels), (node, weights.axes), set(together))
    for axis, weight in axes.items():
        if isinstance(weight, tuple):
            x = b.weigh(x, labels.index(axis), weight)
            labels.remove(axis)
    return b.reduce(x, [labels.index(axis) for axis, weight in axes.items() if weight is None])
