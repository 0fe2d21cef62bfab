"""Through what a weighted sum may be pulled: one rule an op, each the identity that it stands for.

A rule is asked for Σ over some axes of a node. It answers with a `Step`: of which operands which sums are needed, and
how the wanted sum is made from them. None means that the sum comes to rest at the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from jetbench.collapse import products  # noqa: F401  registers its rule
from jetbench.collapse.arrange import numbered
from jetbench.collapse.build import Builder
from jetbench.collapse.contraction import weighing
from jetbench.collapse.cost import operations
from jetbench.collapse.graph import Node
from jetbench.collapse.steps import RULES, Step, first_value, remaining, rule, weights_and_value
from jetbench.collapse.weights import (
    Spec,
    Weight,
    Weights,
    computed,
    kept_axes,
    moved,
    of,
    ordered,
    times,
    weighted_sum,
)


def step(node: Node, spec: Spec) -> Step | None:
    """How Σ of the node is made from sums of its operands; None where it cannot be."""
    found = RULES.get(node.op)
    return None if found is None else found(node, dict(spec))


def direct(node: Node, spec: Spec) -> Step:
    """Σ of the node, after it has been computed in full."""
    axes = dict(spec)
    weights = [(w.node, ()) for w in computed(axes)]

    def build(b: Builder, values: Sequence[Node]) -> Node:
        return weighted_sum(b, values[0], axes, values[1:])

    cost = node.size * (1 + len(weights))
    if len(spec) == 1 and isinstance(spec[0][1], tuple):
        cost = weighing(spec[0][1], node.size)
    return Step(((node, ()), *weights), build, cost, rests=True)


def origin(node: Node) -> Step | None:
    """How a node is a sum of its operand; None if it is no sum. The sum is the first of what it needs."""
    if node.op == "reduce":
        return Step(((node.operands[0], tuple((a, None) for a in node.attributes[0])),), first_value, 0)
    if node.op == "weigh":
        return Step(((node.operands[0], (node.attributes,)),), first_value, 0)
    if node.op == "product":
        n_out = node.attributes[2]
        found = weights_and_value(node, {label for label in node.attributes[0] if label >= n_out})
        if found is not None:
            weights, labels, x, x_labels = found
            factors = of(weights, [x_labels.index(label) for label in labels])
            below = {a: factors for a, label in enumerate(x_labels) if label >= n_out}
            left = [label for label in x_labels if label < n_out]
            order = [left.index(label) for label in range(n_out)]
            return Step(((x, ordered(below)), (weights, ())), lambda b, v: b.permute(v[0], order), 0)
    return None


def candidate(node: Node) -> tuple[Node, Spec] | None:
    """What a node is a sum of: the operand and the axes with their weights; None if it is no sum."""
    found = origin(node)
    return None if found is None else found.needs[0]


@rule("view")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ_r w_r of what is the same for all r is (Σ_r w_r) times it; an axis that is only moved is summed before."""
    (core,), (mapped,) = node.operands, node.attributes
    repeated = {a: w for a, w in axes.items() if mapped[a] is None}
    factors = {w: group for w, group in computed(axes).items() if set(group) <= set(repeated)}
    below = moved(
        {a: w for a, w in axes.items() if w not in factors}, {a: m for a, m in enumerate(mapped) if m is not None}
    )
    if below is None:
        return None
    kept = [a for a in range(core.ndim) if a not in below]
    new_axes = [None if m is None else kept.index(m) for a, m in enumerate(mapped) if a not in axes]
    shape, labels = remaining(node.shape, axes), [a for a in range(node.ndim) if a not in axes]
    numbers = prod(node.shape[a] if w is None else sum(w) for a, w in repeated.items() if not isinstance(w, Weights))

    def build(b: Builder, values: Sequence[Node]) -> Node:
        x = b.view(b.scale(values[0], numbers), new_axes, shape)
        for w, value in zip(factors, values[1:], strict=True):
            x, _ = times(b, (x, labels), (value, w.axes), set(repeated))
        return x

    cost = prod(core.shape[a] for a in kept) if repeated else 0
    return Step(((core, ordered(below)), *[(w.node, ()) for w in factors]), build, cost)


@rule("scale")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ c x = c Σ x."""
    (factor,) = node.attributes
    return Step(
        ((node.operands[0], ordered(axes)),), lambda b, v: b.scale(v[0], factor), prod(remaining(node.shape, axes))
    )


@rule("combine")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ (c x + d y) = c Σ x + d Σ y."""
    x, y = node.operands
    spec = ordered(axes)
    return Step(
        ((x, spec), (y, spec)), lambda b, v: b.combine(v[0], v[1], *node.attributes), prod(remaining(node.shape, axes))
    )


@rule("map")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ_r g(m, x_r) = g(m, Σ_r x_r) for g linear in x and an m that does not depend on r."""
    function, static, linear = node.attributes
    if not linear:
        return None
    needs, axes_of = [], []
    for i, operand in enumerate(node.operands):
        if i in linear:
            needs.append((operand, ordered(axes)))
            axes_of.append(None)
        else:
            mapped = operand.attributes[0] if operand.op == "view" else ()
            if operand.op != "view" or any(mapped[a] is not None for a in axes):
                return None
            needs.append((operand.operands[0], ()))
            axes_of.append(tuple(m for a, m in enumerate(mapped) if a not in axes))
    shape = remaining(node.shape, axes)

    def build(b: Builder, values: Sequence[Node]) -> Node:
        operands = [v if m is None else b.view(v, m, shape) for v, m in zip(values, axes_of, strict=True)]
        return b.map(function, operands, node.dtype, static, linear, node.payload)

    return Step(tuple(needs), build, prod(shape))


@rule("reduce")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r Σ_s x = Σ_{r,s} x."""
    (x,), (summed,) = node.operands, node.attributes
    kept = [a for a in range(x.ndim) if a not in summed]
    below = moved(axes, dict(enumerate(kept))) | dict.fromkeys(summed)
    return Step(((x, ordered(below)),), first_value, 0)


@rule("weigh")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r Σ_s w_s x = Σ_{r,s} w_s x."""
    (x,), (axis, weights) = node.operands, node.attributes
    kept = [a for a in range(x.ndim) if a != axis]
    return Step(((x, ordered(moved(axes, dict(enumerate(kept))) | {axis: weights})),), first_value, 0)


@rule("diagonal")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ_r diag x_r = diag Σ_r x_r over axes that were not joined; over a diagonal, the sum rests."""
    (x,), (labels,) = node.operands, node.attributes
    passing = _passing(axes, [label for label in axes if labels.count(label) == 1])
    if not passing:
        return None
    below = moved(passing, {label: i for i, label in enumerate(labels) if label in passing})
    if below is None:
        return None
    left = numbered([label for label in labels if label not in passing])
    after = _after(node.ndim, axes, passing)
    cost = prod(remaining(node.shape, passing)) if after else 0
    return Step(((x, ordered(below)),), lambda b, v: weighted_sum(b, b.diagonal(v[0], left), after, ()), cost)


def _passing(axes: dict[int, Weight], candidates: Sequence[int]) -> dict[int, Weight]:
    """The part of a sum that can be taken before the rest of it, which has no computed weights then."""
    passing = {a: w for a, w in axes.items() if a in candidates}
    rest = [w for a, w in axes.items() if a not in passing]
    return {} if any(isinstance(w, Weights) for w in rest) else passing


def _after(ndim: int, axes: dict[int, Weight], passed: dict[int, Weight]) -> dict[int, Weight]:
    """What is left to be summed over when part of a sum has been taken, by the axes that are left then."""
    kept = [a for a in range(ndim) if a not in passed]
    return moved({a: w for a, w in axes.items() if a not in passed}, {a: i for i, a in enumerate(kept)})


@rule("split")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ over all parts of an axis is the sum over the axis; axes that are not split are summed as they are."""
    (x,), (parts,) = node.operands, node.attributes
    places: dict[int, int] = {}
    whole: list[int] = []
    position = 0
    for a, part in enumerate(parts):
        of_part = range(position, position + len(part))
        if len(part) == 1:
            places[position] = a
        elif any(i in axes for i in of_part):
            if any(i not in axes or axes[i] is not None for i in of_part):
                return None
            whole.append(a)
        position += len(part)
    below = moved({i: w for i, w in axes.items() if i in places}, places)
    shape = remaining(node.shape, axes)
    return (
        None
        if below is None
        else Step(((x, ordered(below | dict.fromkeys(whole))),), lambda b, v: b.reshape(v[0], shape), 0)
    )


@rule("merge")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ over a merged axis is the sum over all that were merged."""
    (x,), (counts,) = node.operands, node.attributes
    places: dict[int, int] = {}
    whole: list[int] = []
    position = 0
    for a, count in enumerate(counts):
        if count == 1:
            places[a] = position
        elif a in axes:
            if axes[a] is not None:
                return None
            whole += range(position, position + count)
        position += count
    below = moved({a: w for a, w in axes.items() if a in places}, places)
    shape = remaining(node.shape, axes)
    return (
        None
        if below is None
        else Step(((x, ordered(below | dict.fromkeys(whole))),), lambda b, v: b.reshape(v[0], shape), 0)
    )


@rule("solve")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ_r A⁻¹ b_r = A⁻¹ Σ_r b_r over right-hand sides of the same matrix."""
    *matrices, right = node.operands
    unknown = node.attributes[1]
    passing = _passing(axes, [a for a in axes if a > unknown])
    if not passing or any(unknown in kept_axes(weights, passing) for weights in computed(passing)):
        return None
    needs = (*((matrix, ()) for matrix in matrices), (right, ordered(passing)))
    after = _after(node.ndim, axes, passing)

    def build(b: Builder, values: Sequence[Node]) -> Node:
        return weighted_sum(b, b.solve(values[:-1], values[-1], *node.attributes, node.payload), after, ())

    cost = operations(node) // node.size + bool(after)
    return Step(needs, build, cost * prod(remaining(node.shape, passing)))


@rule("along")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """A map of one axis is done once, after the sum over another; sums over that axis itself go to its pieces."""
    kind, axis, static, linear = node.attributes
    if axis not in axes:
        if any(axis in kept_axes(weights, axes) for weights in computed(axes)):
            return None
        needs = [(o, ordered(axes) if i in linear else ()) for i, o in enumerate(node.operands)]
        new_axis = axis - sum(a < axis for a in axes)

        def build(b: Builder, values: Sequence[Node]) -> Node:
            if kind == "slice":
                return b.slice(values[0], new_axis, *static)
            if kind == "concatenate":
                return b.concatenate(values, new_axis)
            return b.along(kind, values, new_axis, node.shape[axis], static, linear, node.payload)

        return Step(tuple(needs), build, 0)
    weight = axes[axis]
    if kind == "concatenate" and not isinstance(weight, Weights):
        needs, offset = [], 0
        for o in node.operands:
            part = None if weight is None else weight[offset : offset + o.shape[axis]]
            offset += o.shape[axis]
            if part is None or any(part):
                same = part is None or all(w == 1 for w in part)
                needs.append((o, ordered(axes | {axis: None if same else part})))

        def total(b: Builder, values: Sequence[Node]) -> Node:
            result = values[0]
            for value in values[1:]:
                result = b.combine(result, value)
            return result

        return Step(tuple(needs), total, (len(needs) - 1) * prod(remaining(node.shape, axes))) if needs else None
    if kind == "slice" and static[2] == 1 and not isinstance(weight, Weights):
        start, stop, _ = static
        (x,) = node.operands
        padded = (0.0,) * start + (weight or (1.0,) * (stop - start)) + (0.0,) * (x.shape[axis] - stop)
        return Step(((x, ordered(axes | {axis: padded})),), first_value, 0)
    if kind == "pad" and weight is None:
        return Step(((node.operands[0], ordered(axes)),), first_value, 0)
    return None
