"""Nodes that compute, simplified while they are made: zeros and ones are folded, repetitions computed once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod

from jetbench.collapse.arrange import Arranger, numbered
from jetbench.collapse.contraction import contracted_sizes
from jetbench.collapse.graph import Graph, Node

Label = Hashable
_SOURCES = {"input": 1, "constant": 2}


class Builder(Arranger):
    """Makes the nodes of a graph. Every value is made once; what cannot be simplified is kept as it is."""

    def __init__(self, graph: Graph | None = None) -> None:
        super().__init__(graph)
        self._slices: dict[tuple[Node, int], bool] = {}

    def combine(self, x: Node, y: Node, x_factor: complex = 1, y_factor: complex = 1) -> Node:
        """x_factor · x + y_factor · y for values of one shape."""
        if x.is_zero or x_factor == 0:
            return self.scale(y, y_factor)
        if y.is_zero or y_factor == 0:
            return self.scale(x, x_factor)
        (x, y), steps = self.aligned((x, y))
        if x.op == "scale":
            x, x_factor = x.operands[0], x_factor * x.attributes[0]
        if y.op == "scale":
            y, y_factor = y.operands[0], y_factor * y.attributes[0]
        if x is y:
            result = self.scale(x, x_factor + y_factor)
        elif x.op == "fill" and y.op == "fill":
            result = self.full(x_factor * x.attributes[0] + y_factor * y.attributes[0], (), x.dtype)
        else:
            result = self._weighed_together(x, y, x_factor, y_factor)
            result = result or self._factored(x, y, x_factor, y_factor) or self._factored(y, x, y_factor, x_factor)
        if result is None:
            if y.index < x.index:
                x, y, x_factor, y_factor = y, x, y_factor, x_factor
            result = self.graph.make("combine", (x, y), (x_factor, y_factor), x.shape, x.dtype)
        return self.rearranged(result, steps)

    def _factored(self, x: Node, y: Node, x_factor: complex, y_factor: complex) -> Node | None:
        """x_factor · x + y_factor · (x · z) as x · (x_factor + y_factor · z), where z has fewer entries."""
        if y.op != "product" or contracted_sizes(y):
            return None
        whole = tuple(range(y.ndim))
        core, core_labels = self._peeled(x, whole)
        for place, (z, labels) in enumerate(zip(y.operands, y.attributes[:2], strict=True)):
            if y.operands[1 - place] is core and y.attributes[1 - place] == core_labels and z.size < y.size:
                sum_of_factors = self.combine(self.full(x_factor, z.shape, z.dtype), z, 1, y_factor)
                return self.contract([(core, core_labels), (sum_of_factors, labels)], whole)
        return None

    def _weighed_together(self, x: Node, y: Node, x_factor: complex, y_factor: complex) -> Node | None:
        """x_factor · x + y_factor · y as one weighted sum, where both are sums over the same axis of one value."""
        left, right = _as_weighed(x), _as_weighed(y)
        if left is None or right is None or left[:2] != right[:2]:
            return None
        if all(sum(w != 0 for w in weights) == 1 for _, _, weights in (left, right)):
            return None  # two single entries: nothing is gained by holding them for a sum
        weights = tuple(x_factor * v + y_factor * w for v, w in zip(left[2], right[2], strict=True))
        return self.weigh(left[0], left[1], weights) if any(weights) else None

    def weigh(self, x: Node, axis: int, weights: Sequence[float]) -> Node:
        """Σ_r weights_r x_r along an axis, which vanishes."""
        weights = tuple(weights)
        if all(w == weights[0] for w in weights):
            return self.scale(self.reduce(x, (axis,)), weights[0])
        kept = [i for i in range(x.ndim) if i != axis]
        if x.op == "view" and x.attributes[0][axis] is None:
            axes = [a for i, a in enumerate(x.attributes[0]) if i != axis]
            return self.scale(self.view(x.operands[0], axes, [x.shape[i] for i in kept]), sum(weights))
        if x.op == "view":
            (core,), (axes,) = x.operands, x.attributes
            inner = self.weigh(core, axes[axis], weights)
            new_axes = [None if axes[i] is None else axes[i] - (axes[i] > axes[axis]) for i in kept]
            return self.view(inner, new_axes, [x.shape[i] for i in kept])
        if x.op == "merge" and x.attributes[0][axis] == 1:
            counts = x.attributes[0]
            inner = self.weigh(x.operands[0], sum(counts[:axis]), weights)
            return self.merge(inner, [counts[i] for i in kept])
        if x.op == "scale":
            return self.scale(self.weigh(x.operands[0], axis, weights), x.attributes[0])
        return self.graph.make("weigh", (x,), (axis, weights), [x.shape[i] for i in kept], x.dtype)

    def reduce(self, x: Node, axes: Sequence[int]) -> Node:
        """The sum over axes, which vanish; over those of an identity matrix in a product, its diagonal."""
        if x.op == "identity" and axes:
            return self.full(x.shape[0] if len(set(axes)) == 2 else 1.0, x.shape[len(set(axes)) :], x.dtype)
        if x.op == "product" and not contracted_sizes(x) and any(o.op == "identity" for o in x.operands):
            kept = [i for i in range(x.ndim) if i not in axes]
            terms = list(zip(x.operands, x.attributes[:2], strict=True))
            if self._unmasked(terms, kept) is not terms:
                return self.contract(terms, kept)
        return super().reduce(x, axes)

    def multiply(self, x: Node, y: Node) -> Node:
        """The product entry by entry of values of one shape."""
        labels = tuple(range(x.ndim))
        return self.contract([(x, labels), (y, labels)], labels)

    def map(
        self,
        function: Hashable,
        operands: Sequence[Node],
        dtype: str,
        static: tuple = (),
        linear: tuple[int, ...] = (),
        payload: object = None,
    ) -> Node:
        """A function entry by entry of operands of one shape, linear in those of `linear` together."""
        shape = operands[0].shape
        if linear and all(operands[i].is_zero for i in linear):
            return self.full(0.0, shape, dtype)
        cores, steps = self.aligned(operands)
        result = self.graph.make("map", cores, (function, static, linear), cores[0].shape, dtype, payload)
        return self.rearranged(result, steps)

    def contract(self, terms: Sequence[tuple[Node, Sequence[Label]]], out: Sequence[Label]) -> Node:
        """The sum over all labels that are not in `out` of the product of one or two terms, whose axes have labels.

        Every label of `out` is that of an axis of a term; no term has a label twice.
        """
        terms = [(node, tuple(labels)) for node, labels in terms]
        merged = next((i for i, (node, _) in enumerate(terms) if node.op == "merge"), None)
        if merged is not None:
            return self._unmerged(terms, merged, out)
        sizes = {label: n for node, labels in terms for label, n in zip(labels, node.shape, strict=True)}
        dtype, shape = terms[0][0].dtype, tuple(sizes[label] for label in out)
        if any(node.is_zero for node, _ in terms):
            return self.full(0.0, shape, dtype)
        factor: complex = 1
        peeled: list[tuple[Node, tuple[Label, ...]]] = []
        for node, labels in terms:
            core, core_labels = self._peeled(node, labels)
            if core.op == "scale":
                core, factor = core.operands[0], factor * core.attributes[0]
            if core.op == "fill":
                factor = factor * core.attributes[0]
            else:
                peeled.append((core, core_labels))
        present = {label for _, labels in peeled for label in labels}
        for label, n in sizes.items():
            if label not in out and label not in present:
                factor = factor * n
        if not peeled:
            return self.full(factor, shape, dtype)
        kept = [label for label in out if label in present]
        if len(peeled) == 2:
            peeled = self._unmasked(_unsplit(peeled, kept), kept)
        if len(peeled) == 2:
            if set(kept) == present:
                peeled = self._small_first(peeled)
            (x, x_labels), (y, y_labels) = peeled
            alone = [
                [label for label in labels if label not in kept and label not in others]
                for labels, others in ((x_labels, y_labels), (y_labels, x_labels))
            ]
            if any(alone):
                summed = [
                    (
                        self.reduce(node, [labels.index(label) for label in gone]),
                        [label for label in labels if label not in gone],
                    )
                    for (node, labels), gone in zip(peeled, alone, strict=True)
                ]
                core, core_labels = self.contract(summed, kept), kept
            else:
                core, core_labels = self._product(x, x_labels, y, y_labels, kept)
        else:
            ((x, x_labels),) = peeled
            core = self.reduce(x, [i for i, label in enumerate(x_labels) if label not in kept])
            core_labels = [label for label in x_labels if label in kept]
        core = self.scale(core, factor)
        axes = [list(core_labels).index(label) if label in present else None for label in out]
        return self.view(core, axes, shape)

    def _small_first(self, terms: list[tuple[Node, tuple[Label, ...]]]) -> list[tuple[Node, tuple[Label, ...]]]:
        """(x · a) · b as x · (a · b), where a and b together have fewer entries than the product."""
        for (big, big_labels), (small, small_labels) in (terms, terms[::-1]):
            if big.op != "product" or contracted_sizes(big) or not set(small_labels) < set(big_labels):
                continue
            sizes = dict(zip(big_labels, big.shape, strict=True))
            ways = []
            for place in (0, 1):
                a_labels = {big_labels[label] for label in big.attributes[1 - place]}
                together = [label for label in big_labels if label in a_labels or label in small_labels]
                ways.append((prod(sizes[label] for label in together), place, together))
            size, place, together = min(ways)
            if size < big.size:
                factors = [
                    (node, tuple(big_labels[label] for label in labels))
                    for node, labels in zip(big.operands, big.attributes[:2], strict=True)
                ]
                (x, x_labels), (a, a_labels) = factors if place == 0 else factors[::-1]
                ab = self.contract([(a, a_labels), (small, small_labels)], together)
                return [(x, x_labels), self._peeled(ab, tuple(together))]
        return terms

    def _unmasked(
        self, terms: list[tuple[Node, tuple[Label, ...]]], kept: Sequence[Label]
    ) -> list[tuple[Node, tuple[Label, ...]]]:
        """Σ_j δ_ij x_jk = x_ik and Σ_j δ_ij x_ij = x_ii, where an axis of an identity matrix is summed over."""
        for (mask, pair), (x, labels) in (terms, terms[::-1]):
            goes = next((label for label in pair[::-1] if label in labels and label not in kept), None)
            if mask.op == "identity" and goes is not None:
                stays = pair[0] if goes == pair[1] else pair[1]
                names = [stays if label == goes else label for label in labels]
                return [(self.diagonal(x, numbered(names)), tuple(dict.fromkeys(names)))]
        return terms

    def _peeled(self, x: Node, labels: tuple[Label, ...]) -> tuple[Node, tuple[Label, ...]]:
        """Without the axes that are repetitions or have length 1, in the order in which the axes of the value lie."""
        x, labels = self.squeeze(x), [label for label, n in zip(labels, x.shape, strict=True) if n != 1]
        if x.op != "view":
            return x, tuple(labels)
        (core,), (axes,) = x.operands, x.attributes
        by_axis = {a: label for a, label in zip(axes, labels, strict=True) if a is not None}
        return self.squeeze(core), tuple(by_axis[a] for a in range(core.ndim) if a in by_axis)

    def _product(
        self, x: Node, x_labels: tuple, y: Node, y_labels: tuple, kept: Sequence[Label]
    ) -> tuple[Node, list[Label]]:
        """The node of a product, and the labels of its axes in the order in which it is natural to compute them."""
        # data before parameters, so that the rows of a matrix product are those of the data
        if (_SOURCES.get(y.op, 0), y.index) < (_SOURCES.get(x.op, 0), x.index):
            x, x_labels, y, y_labels = y, y_labels, x, x_labels
        contracted = [label for label in x_labels if label not in kept]
        if contracted:
            both = [label for label in x_labels if label in y_labels and label in kept]
            order = both + [label for label in x_labels if label in kept and label not in both]
            order += [label for label in y_labels if label in kept and label not in both]
        elif set(y_labels) <= set(x_labels):
            order = list(x_labels)
        elif set(x_labels) <= set(y_labels):
            order = list(y_labels)
        else:
            order = list(kept)
        number = {label: i for i, label in enumerate(order + contracted)}
        attributes = (tuple(number[a] for a in x_labels), tuple(number[a] for a in y_labels), len(order))
        sizes = dict(zip((*x_labels, *y_labels), (*x.shape, *y.shape), strict=True))
        return self.graph.make("product", (x, y), attributes, [sizes[label] for label in order], x.dtype), order

    def _unmerged(self, terms: list[tuple[Node, tuple[Label, ...]]], which: int, out: Sequence[Label]) -> Node:
        node, labels = terms[which]
        (core,), (counts,) = node.operands, node.attributes
        parts: dict[Label, tuple[int, ...]] = {}
        position = 0
        for label, count in zip(labels, counts, strict=True):
            if count > 1:
                parts[label] = core.shape[position : position + count]
            position += count

        def fine(label: Label) -> list[Label]:
            return [(label, "part", i) for i in range(len(parts[label]))] if label in parts else [label]

        split = [
            (
                self.unmerge(t, [parts.get(label, (n,)) for label, n in zip(ls, t.shape, strict=True)]),
                [f for label in ls for f in fine(label)],
            )
            for t, ls in terms
        ]
        result = self.contract(split, [f for label in out for f in fine(label)])
        return self.merge(result, [len(fine(label)) for label in out])

    def along(
        self,
        kind: str,
        operands: Sequence[Node],
        axis: int,
        length: int,
        static: tuple = (),
        linear: Sequence[int] | None = None,
        payload: object = None,
    ) -> Node:
        """A map of one axis, which gets a new length, that is the same for every index of the other axes.

        It is linear in the operands of `linear` together, all by default; others, as an index, have that axis only.
        """
        linear = tuple(range(len(operands))) if linear is None else tuple(linear)
        shape = list(operands[linear[0]].shape)
        shape[axis] = length
        dtype = operands[linear[0]].dtype
        if all(operands[i].is_zero for i in linear):
            return self.full(0.0, shape, dtype)
        return self.graph.make("along", operands, (kind, axis, static, linear), shape, dtype, payload)

    def concatenate(self, operands: Sequence[Node], axis: int) -> Node:
        """Values one after the other along an axis."""
        operands = [x for x in operands if x.shape[axis]] or list(operands[:1])
        if len(operands) == 1:
            return operands[0]
        return self.along("concatenate", operands, axis, sum(x.shape[axis] for x in operands))

    def solve(
        self, matrices: Sequence[Node], right: Node, kind: str, batch: int, static: tuple, payload: object = None
    ) -> Node:
        """Solutions of linear systems, for each index of the first `batch` axes; the next one is that of the unknowns,
        and further ones are those of right-hand sides of the same matrix."""

        def of(x: Node) -> Node:
            return self.solve(matrices, x, kind, batch, static, payload)

        if right.is_zero:
            return self.full(0.0, right.shape, right.dtype)
        if right.op == "scale":
            return self.scale(of(right.operands[0]), right.attributes[0])
        if right.op == "merge" and set(right.attributes[0][: batch + 1]) == {1}:
            return self.merge(of(right.operands[0]), right.attributes[0])
        if right.op == "view":
            (core,), (axes,) = right.operands, right.attributes
            kept = [a for a in axes if a is not None]
            if len(kept) == core.ndim < right.ndim and None not in axes[: batch + 1]:
                places = [None if a is None else kept.index(a) for a in axes]
                return self.view(of(self.permute(core, kept)), places, right.shape)
        return self.graph.make("solve", (*matrices, right), (kind, batch, static), right.shape, right.dtype, payload)

    def slice(self, x: Node, axis: int, start: int, stop: int, step: int = 1) -> Node:
        """Every step-th entry of an axis, from start up to stop."""
        length = len(range(start, stop, step))
        if length == x.shape[axis] and step == 1:
            return x
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        if x.op == "scale":
            return self.scale(self.slice(x.operands[0], axis, start, stop, step), x.attributes[0])
        if x.op == "view":
            (core,), (axes,) = x.operands, x.attributes
            inner = core if axes[axis] is None else self.slice(core, axes[axis], start, stop, step)
            return self.view(inner, axes, shape)
        if x.op == "merge" and x.attributes[0][axis] == 1:
            counts = x.attributes[0]
            return self.merge(self.slice(x.operands[0], sum(counts[:axis]), start, stop, step), counts)
        if step == 1 and length and self._resolves(x, axis):
            return self._sliced(x, axis, start, stop)
        if length == 1:
            weights = tuple(float(i == start) for i in range(x.shape[axis]))
            return self.unsqueeze(self.weigh(x, axis, weights), axis)
        return self.along("slice", (x,), axis, length, (start, stop, step))

    def _resolves(self, x: Node, axis: int) -> bool:
        """Whether a slice can be taken where the axis was put together, behind what works entry by entry along it."""
        key = (x, axis)
        if key not in self._slices:
            if x.op == "along" and x.attributes[0] == "concatenate":
                found = x.attributes[1] == axis or all(self._resolves(o, axis) for o in x.operands)
            else:
                below = _carriers(x, axis)
                found = bool(below) and all(self._resolves(operand, a) for operand, a in below)
            self._slices[key] = found
        return self._slices[key]

    def _sliced(self, x: Node, axis: int, start: int, stop: int) -> Node:
        if x.op == "along" and x.attributes[1] == axis:
            pieces, offset = [], 0
            for operand in x.operands:
                n = operand.shape[axis]
                low, high = max(start - offset, 0), min(stop - offset, n)
                if low < high:
                    pieces.append(self.slice(operand, axis, low, high))
                offset += n
            return self.concatenate(pieces, axis)
        cut = [self.slice(operand, a, start, stop) for operand, a in _carriers(x, axis)]
        if x.op == "solve":
            return self.solve(x.operands[:-1], *cut, *x.attributes, x.payload)
        if x.op == "along":
            return self.concatenate(cut, x.attributes[1])
        if x.op == "combine":
            return self.combine(*cut, *x.attributes)
        if x.op == "view":
            return self.view(cut[0], x.attributes[0], (*x.shape[:axis], stop - start, *x.shape[axis + 1 :]))
        if x.op == "scale":
            return self.scale(cut[0], x.attributes[0])
        if x.op == "map":
            return self.map(x.attributes[0], cut, x.dtype, *x.attributes[1:], x.payload)
        if x.op == "reduce":
            return self.reduce(cut[0], x.attributes[0])
        left, right, n_out = x.attributes
        both = iter(cut)
        terms = [(next(both) if axis in ls else o, ls) for o, ls in zip(x.operands, (left, right), strict=True)]
        return self.contract(terms, range(n_out))


def _carriers(x: Node, axis: int) -> list[tuple[Node, int]]:
    """The operands that a slice of x along an axis is to be taken of instead, with their axes; none if it cannot."""
    if x.op in ("combine", "map", "scale"):
        return [(operand, axis) for operand in x.operands]
    if x.op == "view":
        mapped = x.attributes[0][axis]
        return [] if mapped is None else [(x.operands[0], mapped)]
    if x.op == "reduce":
        kept = [i for i in range(x.operands[0].ndim) if i not in x.attributes[0]]
        return [(x.operands[0], kept[axis])]
    if x.op == "product":
        pairs = zip(x.operands, x.attributes[:2], strict=True)
        return [(operand, labels.index(axis)) for operand, labels in pairs if axis in labels]
    if x.op == "along" and x.attributes[0] == "concatenate" and x.attributes[1] != axis:
        return [(operand, axis) for operand in x.operands]
    if x.op == "solve" and axis > x.attributes[1]:
        return [(x.operands[-1], axis)]
    return []


def _as_weighed(x: Node) -> tuple[Node, int, tuple[float, ...]] | None:
    """The value, axis and weights that x is a weighted sum of: a sum, one of a slice, or one entry."""
    if x.op == "weigh":
        return (x.operands[0], *x.attributes)
    if x.op != "reduce" or len(x.attributes[0]) != 1:
        return None
    inner, (axis,) = x.operands[0], x.attributes[0]
    if inner.op == "along" and inner.attributes[:2] == ("slice", axis) and inner.attributes[2][2] == 1:
        start, stop, _ = inner.attributes[2]
        n = inner.operands[0].shape[axis]
        return inner.operands[0], axis, (0.0,) * start + (1.0,) * (stop - start) + (0.0,) * (n - stop)
    return inner, axis, (1.0,) * inner.shape[axis]


def _unsplit(
    terms: list[tuple[Node, tuple[Label, ...]]], kept: Sequence[Label]
) -> list[tuple[Node, tuple[Label, ...]]]:
    """Σ_ab x_(ab) y_(ab) = Σ_r x_r y_r, where all that terms are split into is summed over together."""
    grouped = []
    for node, labels in terms:
        rest = iter(labels)
        parts = node.attributes[0] if node.op == "split" else [(n,) for n in node.shape]
        grouped.append([tuple(next(rest) for _ in part) for part in parts])
    for own, other in (grouped, grouped[::-1]):
        elsewhere = {label for group in other for label in group}
        for group in own:
            is_summed_together = set(kept).isdisjoint(group) and (group in other or elsewhere.isdisjoint(group))
            if len(group) > 1 and not is_summed_together:
                return terms
    return [
        (node.operands[0] if node.op == "split" else node, tuple(group[0] for group in groups))
        for (node, _), groups in zip(terms, grouped, strict=True)
    ]
