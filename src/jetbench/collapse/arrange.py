"""Nodes that only arrange entries, and sums over axes: views, splits, merges, reductions.

A canonical order keeps arrangements out of the way of the mathematics: merges are outermost, then views, then scales.
So an axis that `vmap` merged with another one for a matrix product is found again behind it, and what is repeated along
an axis is computed once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod

from jetbench.collapse.graph import Graph, Node

Axes = tuple[int | None, ...]


def numbered(names: Sequence[Hashable]) -> tuple[int, ...]:
    """Names of axes as numbers, in the order in which they first occur."""
    order = list(dict.fromkeys(names))
    return tuple(order.index(name) for name in names)


def behind_view(x: Node, labels: Sequence[int]) -> tuple[tuple[int, ...], Axes]:
    """For the axes of a view with labels: those of what it is a view of, and the axes that the labels have there."""
    (mapped,) = x.attributes
    names: list[Hashable] = [("dropped", a) for a in range(x.operands[0].ndim)]
    for label, a in zip(labels, mapped, strict=True):
        if a is not None:
            names[a] = label
    order = list(dict.fromkeys(names))
    return numbered(names), tuple(order.index(label) if label in order else None for label in range(max(labels) + 1))


class Arranger:
    """Makes nodes in a graph, simplified; the base of `Builder`."""

    def __init__(self, graph: Graph | None = None) -> None:
        self.graph = graph or Graph()

    def full(self, value: complex, shape: Sequence[int], dtype: str) -> Node:
        """One number everywhere."""
        fill = self.graph.make("fill", (), (value, str(value)), (), dtype)
        return self.view(fill, (None,) * len(shape), shape)

    def identity(self, n: int, dtype: str) -> Node:
        """The identity matrix of n rows."""
        return self.full(1.0, (1, 1), dtype) if n == 1 else self.graph.make("identity", (), (), (n, n), dtype)

    def diagonal(self, x: Node, labels: Sequence[int]) -> Node:
        """Axes of the same label as one: the entry at (i_0, i_1, …) is that of x at (i_labels[0], i_labels[1], …).

        Labels are numbers in the order in which they first occur.
        """
        labels = tuple(labels)
        if len(set(labels)) == len(labels):
            return x
        shape = [x.shape[labels.index(label)] for label in range(max(labels) + 1)]
        if x.op == "view":
            inner, axes = behind_view(x, labels)
            return self.view(self.diagonal(x.operands[0], inner), axes, shape)
        if x.op == "scale":
            return self.scale(self.diagonal(x.operands[0], labels), x.attributes[0])
        if x.op == "identity":
            return self.full(1.0, shape, x.dtype)
        if x.op == "diagonal":
            return self.diagonal(x.operands[0], [labels[label] for label in x.attributes[0]])
        return self.graph.make("diagonal", (x,), (labels,), shape, x.dtype)

    def scale(self, x: Node, factor: complex) -> Node:
        """factor · x."""
        if factor == 1:
            return x
        if x.op == "merge":
            return self.merge(self.scale(x.operands[0], factor), x.attributes[0])
        if x.op == "view":
            return self.view(self.scale(x.operands[0], factor), x.attributes[0], x.shape)
        if x.op == "fill":
            return self.full(x.attributes[0] * factor, (), x.dtype)
        if factor == 0:
            return self.full(0.0, x.shape, x.dtype)
        if x.op == "scale":
            return self.scale(x.operands[0], x.attributes[0] * factor)
        return self.graph.make("scale", (x,), (factor,), x.shape, x.dtype)

    def view(self, x: Node, axes: Sequence[int | None], shape: Sequence[int]) -> Node:
        """Axis i of the result is axis axes[i] of x, or a repetition where that is None; others of x have length 1."""
        shape = tuple(int(n) for n in shape)
        if x.op == "merge":
            return self._view_of_merge(x, axes, shape)
        if x.op == "view":
            axes = tuple(None if a is None else x.attributes[0][a] for a in axes)
            x = x.operands[0]
        axes = tuple(None if n == 1 else a for a, n in zip(axes, shape, strict=True))
        if shape == x.shape and all(n == 1 or a == i for i, (a, n) in enumerate(zip(axes, shape, strict=True))):
            return x
        return self.graph.make("view", (x,), (axes,), shape, x.dtype)

    def _view_of_merge(self, x: Node, axes: Sequence[int | None], shape: tuple[int, ...]) -> Node:
        (core,), (counts,) = x.operands, x.attributes
        starts = [sum(counts[:i]) for i in range(len(counts))]
        inner_axes: list[int | None] = []
        inner_shape: list[int] = []
        new_counts: list[int] = []
        for a, n in zip(axes, shape, strict=True):
            group = [None] if a is None else list(range(starts[a], starts[a] + counts[a]))
            inner_axes += group
            inner_shape += [n] if a is None else [core.shape[g] for g in group]
            new_counts.append(len(group))
        return self.merge(self.view(core, inner_axes, inner_shape), tuple(new_counts))

    def permute(self, x: Node, order: Sequence[int]) -> Node:
        """Axis i of the result is axis order[i] of x."""
        return self.view(x, tuple(order), tuple(x.shape[a] for a in order))

    def broadcast(self, x: Node, shape: Sequence[int]) -> Node:
        """x repeated to a shape, by the rules that numpy, torch and JAX share."""
        missing = len(shape) - x.ndim
        axes = [None] * missing
        axes += [i if x.shape[i] == shape[missing + i] else None for i in range(x.ndim)]
        return self.view(x, axes, shape)

    def squeeze(self, x: Node, dropped: Sequence[int] | None = None) -> Node:
        """Without the given axes of length 1, all of them by default."""
        gone = set(range(x.ndim) if dropped is None else dropped)
        kept = [i for i in range(x.ndim) if not (i in gone and x.shape[i] == 1)]
        return self.view(x, kept, [x.shape[i] for i in kept])

    def unsqueeze(self, x: Node, axis: int) -> Node:
        """With a new axis of length 1."""
        axes = [*range(axis), None, *range(axis, x.ndim)]
        return self.view(x, axes, [1 if a is None else x.shape[a] for a in axes])

    def merge(self, x: Node, counts: Sequence[int]) -> Node:
        """counts[i] neighbouring axes of x become axis i."""
        counts = tuple(counts)
        if all(count == 1 for count in counts):
            return x
        if x.op == "merge":
            inner, position, combined = x.attributes[0], 0, []
            for count in counts:
                combined.append(sum(inner[position : position + count]))
                position += count
            return self.merge(x.operands[0], combined)
        starts = [sum(counts[:i]) for i in range(len(counts))]
        shape = [prod(x.shape[s : s + c]) for s, c in zip(starts, counts, strict=True)]
        if x.op == "view":
            axes = x.attributes[0]
            repeated = [c > 1 and all(a is None for a in axes[s : s + c]) for s, c in zip(starts, counts, strict=True)]
            if any(repeated):
                new_axes, new_shape, new_counts = [], [], []
                for s, c, whole, n in zip(starts, counts, repeated, shape, strict=True):
                    new_axes += [None] if whole else axes[s : s + c]
                    new_shape += [n] if whole else x.shape[s : s + c]
                    new_counts.append(1 if whole else c)
                return self.merge(self.view(x.operands[0], new_axes, new_shape), new_counts)
        return self.graph.make("merge", (x,), (counts,), shape, x.dtype)

    def unmerge(self, x: Node, parts: Sequence[Sequence[int]]) -> Node:
        """Each axis i of x split into axes of lengths parts[i]."""
        return self.reshape(x, [n for part in parts for n in part])

    def reshape(self, x: Node, shape: Sequence[int]) -> Node:
        """The same entries in the same (row-major) order in another shape."""
        shape = tuple(int(n) for n in shape)
        if x.shape == shape:
            return x
        core = self.squeeze(x)
        while core.op in ("split", "merge", "reshape"):
            core = self.squeeze(core.operands[0])
        target = tuple(n for n in shape if n != 1)
        if core.shape != target:
            plan = _refinement(core.shape, target)
            if plan is None:
                core = self.graph.make("reshape", (core,), (), target, x.dtype)
            else:
                parts, counts = plan
                core = self.merge(self._split(core, parts), counts)
        position = iter(range(len(target)))
        return self.view(core, [None if n == 1 else next(position) for n in shape], shape)

    def _split(self, x: Node, parts: Sequence[tuple[int, ...]]) -> Node:
        if all(len(part) == 1 for part in parts):
            return x
        if x.op == "scale":
            return self.scale(self._split(x.operands[0], parts), x.attributes[0])
        shape = tuple(n for part in parts for n in part)
        if x.op == "split":
            return self.reshape(x.operands[0], shape)
        if x.op == "view":
            (core,), (axes,) = x.operands, x.attributes
            by_core = {a: part for a, part in zip(axes, parts, strict=True) if a is not None}
            core_parts = [by_core.get(a, (n,)) for a, n in enumerate(core.shape)]
            starts = [sum(len(p) for p in core_parts[:a]) for a in range(core.ndim)]
            new_axes: list[int | None] = []
            for a, part in zip(axes, parts, strict=True):
                new_axes += [None] * len(part) if a is None else range(starts[a], starts[a] + len(part))
            return self.view(self._split(core, core_parts), new_axes, shape)
        return self.graph.make("split", (x,), (tuple(parts),), shape, x.dtype)

    def reduce(self, x: Node, axes: Sequence[int]) -> Node:
        """The sum over axes, which vanish."""
        axes = tuple(sorted(set(axes)))
        if not axes:
            return x
        kept = [i for i in range(x.ndim) if i not in axes]
        if x.op == "merge":
            (core,), (counts,) = x.operands, x.attributes
            starts = [sum(counts[:i]) for i in range(len(counts))]
            inner = self.reduce(core, [a for i in axes for a in range(starts[i], starts[i] + counts[i])])
            return self.merge(inner, [counts[i] for i in kept])
        if x.op == "view":
            (core,), (mapped,) = x.operands, x.attributes
            factor = prod(x.shape[i] for i in axes if mapped[i] is None)
            gone = sorted(mapped[i] for i in axes if mapped[i] is not None)
            remaining = [a for a in range(core.ndim) if a not in gone]
            inner = self.scale(self.reduce(core, gone), factor)
            new_axes = [None if mapped[i] is None else remaining.index(mapped[i]) for i in kept]
            return self.view(inner, new_axes, [x.shape[i] for i in kept])
        if x.op == "scale":
            return self.scale(self.reduce(x.operands[0], axes), x.attributes[0])
        single = [i for i in axes if x.shape[i] == 1]
        if single:
            left = [i - sum(s < i for s in single) for i in axes if i not in single]
            return self.reduce(self.squeeze(x, single), left)
        if x.op == "reduce":
            before = [i for i in range(x.operands[0].ndim) if i not in x.attributes[0]]
            return self.reduce(x.operands[0], (*x.attributes[0], *(before[i] for i in axes)))
        return self.graph.make("reduce", (x,), (axes,), [x.shape[i] for i in kept], x.dtype)

    def aligned(self, nodes: Sequence[Node]) -> tuple[list[Node], Sequence[tuple[str, tuple, tuple]]]:
        """Values of one shape without what they have in common: repeated axes, an order of axes, merged axes.

        Returns:
            Values of one shape, and the arrangements that give back the original one, for `rearranged`.
        """
        nodes, steps = list(nodes), []
        while True:
            merged = next((n for n in nodes if n.op == "merge"), None)
            if merged is not None:
                core, counts = merged.operands[0], merged.attributes[0]
                nodes = [self.reshape(n, core.shape) for n in nodes]
                steps.append(("merge", counts, ()))
                continue
            shape = nodes[0].shape
            mapped = [n.attributes[0] if n.op == "view" else tuple(range(n.ndim)) for n in nodes]
            common = [i for i, n in enumerate(shape) if n == 1 or all(axes[i] is None for axes in mapped)]
            if common:
                kept = [i for i in range(len(shape)) if i not in common]
                for j, n in enumerate(nodes):
                    core = n.operands[0] if n.op == "view" else n
                    nodes[j] = self.view(core, [mapped[j][i] for i in kept], [shape[i] for i in kept])
                axes = tuple(None if i in common else kept.index(i) for i in range(len(shape)))
                steps.append(("view", axes, shape))
                continue
            whole = next((axes for axes in mapped if None not in axes), None)
            if whole is not None and list(whole) != sorted(whole):
                order = sorted(range(len(whole)), key=whole.__getitem__)
                nodes = [self.permute(n, order) for n in nodes]
                steps.append(("view", tuple(order.index(i) for i in range(len(order))), shape))
                continue
            return nodes, steps

    def rearranged(self, x: Node, steps: Sequence[tuple[str, tuple, tuple]]) -> Node:
        """What `aligned` took away, put back on x."""
        for kind, what, shape in reversed(steps):
            x = self.merge(x, what) if kind == "merge" else self.view(x, what, shape)
        return x


def _refinement(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[list[tuple[int, ...]], list[int]] | None:
    """A common refinement of two shapes: lengths that each old axis is split into, and how many make up a new one."""
    if prod(old) == 0:
        return None
    cuts = sorted({prod(old[: i + 1]) for i in range(len(old))} | {prod(new[: i + 1]) for i in range(len(new))})
    sizes, before = [], 1
    for cut in cuts:
        if cut % before:
            return None
        sizes.append(cut // before)
        before = cut

    def grouped(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        rest, groups = list(sizes), []
        for n in shape:
            group: list[int] = []
            while prod(group) < n:
                group.append(rest.pop(0))
            groups.append(tuple(group))
        return groups

    return grouped(old), [len(group) for group in grouped(new)]
