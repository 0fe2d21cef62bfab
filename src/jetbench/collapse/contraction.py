"""Products summed over axes, and sums with numbers as weights: what is summed, in which order, at which cost."""

from __future__ import annotations

from collections.abc import Sequence

from jetbench.collapse.graph import Node


def contracted_sizes(node: Node) -> tuple[int, ...]:
    """The lengths of the axes that a product is summed over."""
    labels, _, n_out = node.attributes
    return tuple(n for label, n in zip(labels, node.operands[0].shape, strict=True) if label >= n_out)


def is_matrix_product(node: Node) -> bool:
    """Whether a product that sums over an axis runs as a matrix product.

    It does where both operands have axes of their own, and for a matrix times a vector; others multiply and add up.
    """
    if node.op != "product" or not contracted_sizes(node):
        return False
    left, right, n_out = (*map(set, node.attributes[:2]), node.attributes[2])
    has_batch = any(label < n_out for label in left & right)
    return left != right and not (has_batch and (left < right or right < left))


def summing_order(node: Node) -> list[int]:
    """Labels in the order in which a product that is no matrix product has its axes before they are summed.

    Those that stay are in the order of the result; those that go lie where the larger operand has them.
    """
    left, right, n_out = node.attributes
    larger = left if len(left) >= len(right) else right
    kept = iter(range(n_out))
    return [label if label >= n_out else next(kept) for label in larger]


def weighing(weights: tuple[float, ...], size: int) -> int:
    """Operations of a sum with numbers as weights of a value with `size` entries: none for one entry alone."""
    entries = sum(w != 0 for w in weights)
    scaled = sum(abs(w) != 1 for w, _, _ in runs(weights))
    return size // len(weights) * (max(0, entries - 1) + scaled)


def runs(weights: Sequence[float]) -> list[tuple[float, int, int]]:
    """Neighbouring equal weights: (weight, start, stop), without those that are zero."""
    found: list[tuple[float, int, int]] = []
    for i, w in enumerate(weights):
        if found and found[-1][0] == w:
            found[-1] = (w, found[-1][1], i + 1)
        else:
            found.append((w, i, i + 1))
    return [run for run in found if run[0]]
