"""Through what a weighted sum may be pulled: one rule an op, each the identity that it stands for.

A rule is asked for Σ over some axes of a node. It answers with a `Step`: of which operands which sums are needed, and
how the wanted sum is made from them. None means that the sum comes to rest at the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from jetbench.collapse.build import Builder
from jetbench.collapse.cost import contracted_sizes, runs, weighing
from jetbench.collapse.graph import Node
from jetbench.collapse.layout import numbered

Weight = tuple[float, ...] | Node | None
"""Of the entries along an axis: numbers, a vector, or None for ones."""

Spec = tuple[tuple[int, Weight], ...]
"""The axes to sum over, in order, with their weights; () asks for the value itself."""


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
    """

    source: Node
    node: Node
    reason: str


RUNS = 4
"""So many runs of equal weights are summed one by one; more are multiplied with a vector."""

Rule = Callable[[Node, dict[int, Weight]], Step | None]
RULES: dict[str, Rule] = {}


def rule(op: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of an op."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        return function

    return register


def step(node: Node, spec: Spec) -> Step | None:
    """How Σ of the node is made from sums of its operands; None where it cannot be."""
    found = RULES.get(node.op)
    return None if found is None else found(node, dict(spec))


def direct(node: Node, spec: Spec) -> Step:
    """Σ of the node, after it has been computed in full."""

    def build(b: Builder, values: Sequence[Node]) -> Node:
        return weighted_sum(b, values[0], dict(spec))

    cost = node.size * (1 + sum(isinstance(weight, Node) for _, weight in spec))
    if len(spec) == 1 and isinstance(spec[0][1], tuple):
        cost = weighing(spec[0][1], node.size)
    return Step(((node, ()),), build, cost, rests=True)


def candidate(node: Node) -> tuple[Node, Spec] | None:
    """What a node is a sum of: the operand and the axes with their weights; None if it is no sum."""
    if node.op == "reduce":
        return node.operands[0], tuple((a, None) for a in node.attributes[0])
    if node.op == "weigh":
        return node.operands[0], (node.attributes,)
    if node.op == "product":
        left, right, n_out = node.attributes
        for vector, labels, other, other_labels in (
            (node.operands[1], right, node.operands[0], left),
            (node.operands[0], left, node.operands[1], right),
        ):
            if vector.ndim == 1 and labels[0] >= n_out and len(other_labels) == n_out + 1:
                return other, ((other_labels.index(labels[0]), _known(vector)),)
    return None


def _known(vector: Node) -> Weight:
    """A vector as numbers, where it is a constant of few different runs of equal ones; or the vector itself."""
    numbers = vector.attributes[1] if vector.op == "constant" else None
    return numbers if numbers is not None and len(runs(numbers)) <= RUNS else vector


def weighted_sum(b: Builder, x: Node, axes: dict[int, Weight]) -> Node:
    """Σ of x over axes with their weights, carried out."""
    for axis in sorted(axes, reverse=True):
        weight = axes[axis]
        if isinstance(weight, Node):
            out = [i for i in range(x.ndim) if i != axis]
            x = b.contract([(x, range(x.ndim)), (weight, (axis,))], out)
        elif weight is not None:
            x = b.weigh(x, axis, weight)
    plain = [axis for axis, weight in axes.items() if weight is None]
    return b.reduce(x, [axis - sum(a < axis for a in axes if axes[a] is not None) for axis in plain])


def _spec(axes: dict[int, Weight]) -> Spec:
    return tuple(sorted(axes.items(), key=lambda item: item[0]))


def _left(shape: Sequence[int], axes: dict[int, Weight]) -> list[int]:
    """The lengths of the axes that stay."""
    return [n for i, n in enumerate(shape) if i not in axes]


@rule("view")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r w_r of what is the same for all r is (Σ_r w_r) times it; an axis that is only moved is summed before."""
    (core,), (mapped,) = node.operands, node.attributes
    below = {mapped[a]: w for a, w in axes.items() if mapped[a] is not None}
    repeated = {a: w for a, w in axes.items() if mapped[a] is None}
    kept = [a for a in range(core.ndim) if a not in below]
    new_axes = [None if m is None else kept.index(m) for a, m in enumerate(mapped) if a not in axes]
    shape = _left(node.shape, axes)

    def build(b: Builder, values: Sequence[Node]) -> Node:
        x = values[0]
        for a, w in repeated.items():
            if isinstance(w, Node):
                labels = tuple(range(x.ndim))
                x = b.contract([(x, labels), (b.reduce(w, (0,)), ())], labels)
            else:
                x = b.scale(x, node.shape[a] if w is None else sum(w))
        return b.view(x, new_axes, shape)

    return Step(((core, _spec(below)),), build, prod(core.shape[a] for a in kept) if repeated else 0)


@rule("scale")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ c x = c Σ x."""
    (factor,) = node.attributes
    return Step(((node.operands[0], _spec(axes)),), lambda b, v: b.scale(v[0], factor), prod(_left(node.shape, axes)))


@rule("combine")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ (c x + d y) = c Σ x + d Σ y."""
    x, y = node.operands
    spec = _spec(axes)
    return Step(
        ((x, spec), (y, spec)), lambda b, v: b.combine(v[0], v[1], *node.attributes), prod(_left(node.shape, axes))
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
            needs.append((operand, _spec(axes)))
            axes_of.append(None)
        else:
            mapped = operand.attributes[0] if operand.op == "view" else ()
            if operand.op != "view" or any(mapped[a] is not None for a in axes):
                return None
            needs.append((operand.operands[0], ()))
            axes_of.append(tuple(m for a, m in enumerate(mapped) if a not in axes))
    shape = _left(node.shape, axes)

    def build(b: Builder, values: Sequence[Node]) -> Node:
        operands = [v if m is None else b.view(v, m, shape) for v, m in zip(values, axes_of, strict=True)]
        return b.map(function, operands, node.dtype, static, linear, node.payload)

    return Step(tuple(needs), build, prod(shape))


@rule("reduce")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r Σ_s x = Σ_{r,s} x."""
    (x,), (summed,) = node.operands, node.attributes
    kept = [a for a in range(x.ndim) if a not in summed]
    below: dict[int, Weight] = {kept[a]: w for a, w in axes.items()} | dict.fromkeys(summed)
    return Step(((x, _spec(below)),), lambda b, v: v[0], 0)


@rule("weigh")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r Σ_s w_s x = Σ_{r,s} w_s x."""
    (x,), (axis, weights) = node.operands, node.attributes
    kept = [a for a in range(x.ndim) if a != axis]
    return Step(((x, _spec({kept[a]: w for a, w in axes.items()} | {axis: weights})),), lambda b, v: v[0], 0)


@rule("product")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r x_r · y = (Σ_r x_r) · y; where both depend on r, Σ_r x_r · y_r becomes one contraction, and rests.

    There, factors that do not depend on r go before the sum: Σ_r (f x_r) · y_r = f · Σ_r x_r · y_r.
    """
    (x, y), (x_labels, y_labels, n_out) = node.operands, node.attributes
    shared = {a: w for a, w in axes.items() if a in x_labels and a in y_labels}
    out = [label for label in range(n_out) if label not in axes]
    if not shared:
        below = [_spec({labels.index(a): w for a, w in axes.items() if a in labels}) for labels in (x_labels, y_labels)]
        left = [[label for label in labels if label not in axes] for labels in (x_labels, y_labels)]
        size = prod(_left(node.shape, axes)) * (2 * prod(contracted_sizes(node)) if contracted_sizes(node) else 1)
        return Step(
            ((x, below[0]), (y, below[1])),
            lambda b, v: b.contract([(v[0], left[0]), (v[1], left[1])], out),
            size,
        )
    weighted = _as_weights(node, axes, shared)
    if weighted is not None:
        return weighted
    outside: list[tuple[Node, tuple[int, ...]]] = []
    terms = [(x, x_labels), (y, y_labels)]
    if not contracted_sizes(node):
        terms = [_without_factors(t, labels, set(shared), set(axes), outside) for t, labels in terms]
    specs, left = [], []
    for _, labels in terms:
        specs.append(_spec({labels.index(a): w for a, w in axes.items() if a in labels and a not in shared}))
        left.append([label for label in labels if label not in axes or label in shared])
    sizes = dict(zip((*terms[0][1], *terms[1][1]), (*terms[0][0].shape, *terms[1][0].shape), strict=True))
    remaining = {label for labels in left for label in labels}
    inner = [label for label in out if label in remaining]
    needs = [(t, spec) for (t, _), spec in zip(terms, specs, strict=True)] + [(f, ()) for f, _ in outside]

    def build(b: Builder, values: Sequence[Node]) -> Node:
        result = _contracted(b, values[0], left[0], values[1], left[1], shared, inner)
        labels = list(inner)
        for (_, f_labels), f in zip(outside, values[2:], strict=True):
            together = [label for label in out if label in labels or label in f_labels]
            result, labels = b.contract([(result, labels), (f, f_labels)], together), together
        return result

    # Without its factors it may be the same sum as others are: it is preferred to one with them that costs as much.
    cost = 2 * prod(sizes[label] for label in remaining) - bool(outside)
    cost += sum(isinstance(w, Node) for w in shared.values()) * prod(sizes[label] for label in left[0])
    return Step(tuple(needs), build, cost, rests=True)


def _as_weights(node: Node, axes: dict[int, Weight], shared: dict[int, Weight]) -> Step | None:
    """Σ_r v_r · x_r with a vector v is the sum of x with v as weights, and may go on."""
    (x, y), (x_labels, y_labels, _) = node.operands, node.attributes
    if contracted_sizes(node) or list(shared.values()) != [None]:
        return None
    for vector, vector_labels, other, labels in ((y, y_labels, x, x_labels), (x, x_labels, y, y_labels)):
        if vector_labels == tuple(shared):
            below = {labels.index(a): _known(vector) if a in shared else w for a, w in axes.items()}
            return Step(((other, _spec(below)),), lambda b, v: v[0], 0)
    return None


def _without_factors(
    x: Node,
    labels: tuple[int, ...],
    shared: set[int],
    summed: set[int],
    outside: list[tuple[Node, tuple[int, ...]]],
) -> tuple[Node, tuple[int, ...]]:
    """x without the factors that carry no label that is summed over; those are added to `outside`."""
    while x.op == "product" and not contracted_sizes(x):
        pairs = [(o, tuple(labels[i] for i in ls)) for o, ls in zip(x.operands, x.attributes[:2], strict=True)]
        free = [pair for pair in pairs if not summed & set(pair[1])]
        bound = [pair for pair in pairs if shared <= set(pair[1])]
        if len(free) != 1 or len(bound) != 1:
            break
        outside.append(free[0])
        x, labels = bound[0]
    return x, labels


def _contracted(
    b: Builder, x: Node, x_labels: list, y: Node, y_labels: list, shared: dict[int, Weight], out: list
) -> Node:
    """Σ over the shared labels, with their weights, of x · y."""
    for label, weight in shared.items():
        if isinstance(weight, Node):
            x = b.contract([(x, x_labels), (weight, (label,))], x_labels)
        elif weight is not None:
            total = None
            for w, start, stop in runs(weight):
                rest = shared | {label: None}
                parts = [b.slice(t, ls.index(label), start, stop) for t, ls in ((x, x_labels), (y, y_labels))]
                term = b.scale(_contracted(b, parts[0], x_labels, parts[1], y_labels, rest, out), w)
                total = term if total is None else b.combine(total, term)
            return total
    return b.contract([(x, x_labels), (y, y_labels)], out)


@rule("diagonal")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ_r diag x_r = diag Σ_r x_r over axes that were not joined; over a diagonal, the sum rests."""
    (x,), (labels,) = node.operands, node.attributes
    if any(labels.count(a) > 1 for a in axes):
        return None
    below = {labels.index(a): w for a, w in axes.items()}
    left = numbered([label for label in labels if label not in axes])
    return Step(((x, _spec(below)),), lambda b, v: b.diagonal(v[0], left), 0)


@rule("split")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ over all parts of an axis is the sum over the axis; axes that are not split are summed as they are."""
    (x,), (parts,) = node.operands, node.attributes
    below: dict[int, Weight] = {}
    position = 0
    for a, part in enumerate(parts):
        asked = [i for i in range(position, position + len(part)) if i in axes]
        if asked:
            if len(asked) != len(part) or (len(part) > 1 and any(axes[i] is not None for i in asked)):
                return None
            below[a] = axes[asked[0]]
        position += len(part)
    shape = _left(node.shape, axes)
    return Step(((x, _spec(below)),), lambda b, v: b.reshape(v[0], shape), 0)


@rule("merge")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """Σ over a merged axis is the sum over all that were merged."""
    (x,), (counts,) = node.operands, node.attributes
    below: dict[int, Weight] = {}
    position = 0
    for a, count in enumerate(counts):
        if a in axes:
            if count > 1 and axes[a] is not None:
                return None
            below |= dict.fromkeys(range(position, position + count), axes[a])
        position += count
    shape = _left(node.shape, axes)
    return Step(((x, _spec(below)),), lambda b, v: b.reshape(v[0], shape), 0)


@rule("along")
def _(node: Node, axes: dict[int, Weight]) -> Step | None:
    """A map of one axis is done once, after the sum over another; sums over that axis itself go to its pieces."""
    kind, axis, static, linear = node.attributes
    if axis not in axes:
        needs = [(o, _spec(axes) if i in linear else ()) for i, o in enumerate(node.operands)]
        new_axis = axis - sum(a < axis for a in axes)

        def build(b: Builder, values: Sequence[Node]) -> Node:
            if kind == "slice":
                return b.slice(values[0], new_axis, *static)
            if kind == "concatenate":
                return b.concatenate(values, new_axis)
            return b.along(kind, values, new_axis, node.shape[axis], static, linear, node.payload)

        return Step(tuple(needs), build, 0)
    weight = axes[axis]
    if kind == "concatenate" and not isinstance(weight, Node):
        needs, offset = [], 0
        for o in node.operands:
            part = None if weight is None else weight[offset : offset + o.shape[axis]]
            offset += o.shape[axis]
            if part is None or any(part):
                same = part is None or all(w == 1 for w in part)
                needs.append((o, _spec(axes | {axis: None if same else part})))

        def total(b: Builder, values: Sequence[Node]) -> Node:
            result = values[0]
            for value in values[1:]:
                result = b.combine(result, value)
            return result

        return Step(tuple(needs), total, (len(needs) - 1) * prod(_left(node.shape, axes))) if needs else None
    if kind == "slice" and static[2] == 1 and not isinstance(weight, Node):
        start, stop, _ = static
        (x,) = node.operands
        padded = (0.0,) * start + (weight or (1.0,) * (stop - start)) + (0.0,) * (x.shape[axis] - stop)
        return Step(((x, _spec(axes | {axis: padded})),), lambda b, v: v[0], 0)
    if kind == "pad" and weight is None:
        return Step(((node.operands[0], _spec(axes)),), lambda b, v: v[0], 0)
    return None
