"""Steps of a sum through a computation, the registry of rules that make them, and what several rules need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jetbench.collapse.build import Builder
from jetbench.collapse.cost import computed_apart
from jetbench.collapse.graph import Node
from jetbench.collapse.ops import OPS
from jetbench.collapse.weights import Spec, Weight


@dataclass(frozen=True)
class Step:
    """One step of a sum upwards.

    Attributes:
        needs: operands, each with the axes that it is to be summed over.
        build: makes the wanted sum from what is needed.
        cost: operations of the nodes that `build` makes.
        rests: whether the sum is carried out here, at least in part.
    """

    needs: tuple[tuple[Node, Spec], ...]
    build: Callable[[Builder, Sequence[Node]], Node]
    cost: int
    rests: bool = False


@dataclass(frozen=True)
class Rest:
    """Where a sum or a diagonal came to rest.

    Attributes:
        source: the sum or diagonal in the original computation.
        node: the value that it was carried out on, or whose product took it up.
        reason: why it went no further.
        limit: where it would have come to rest, for that reason, had that saved anything.
    """

    source: Node
    node: Node
    reason: str
    limit: Node | None = None


Rule = Callable[[Node, dict[int, Weight]], Step | None]
RULES: dict[str, Rule] = {}


def rule(op: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of an op."""

    def register(function: Rule) -> Rule:
        RULES[OPS[op].name] = function
        return function

    return register


def first_value(b: Builder, values: Sequence[Node]) -> Node:
    return values[0]


def weights_and_value(node: Node, summed: set[int]) -> tuple[Node, tuple[int, ...], Node, tuple[int, ...]] | None:
    """The factor of a product that may be taken for weights of the other one, which has all of its axes.

    A vector may; with more axes, only what has nothing computed in common with the other factor: a sum of products of
    what a network computes is one of products, not one of weighted terms.
    """
    (x, y), (x_labels, y_labels, _) = node.operands, node.attributes
    found = []
    for weights, labels, other, other_labels in ((y, y_labels, x, x_labels), (x, x_labels, y, y_labels)):
        if summed and summed <= set(labels) <= set(other_labels):
            length = 0 if weights.ndim == 1 else computed_apart(weights, other)
            if length is not None:
                found.append((length, (weights, labels, other, other_labels)))
    return min(found, key=lambda way: way[0])[1] if found else None


def remaining(shape: Sequence[int], axes: dict[int, Weight]) -> list[int]:
    """The lengths of the axes that stay."""
    return [n for i, n in enumerate(shape) if i not in axes]
