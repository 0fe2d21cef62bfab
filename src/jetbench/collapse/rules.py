"""Through what a weighted sum may be pulled: one rule an op, each the identity that it stands for.

A rule is asked for Σ over some axes of a node. It answers with a `Step`: of which operands which sums are needed, and
how the wanted sum is made from them. None means that the sum comes to rest at the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from jetbench.collapse.arrange import numbered
from jetbench.collapse.build import Builder
from jetbench.collapse.contraction import contracted_sizes, runs, weighing
from jetbench.collapse.cost import computed_apart, operations
from jetbench.collapse.graph import Node
from jetbench.collapse.ops import OPS
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
        return Step(((node.operands[0], tuple((a, None) for a in node.attributes[0])),), _first, 0)
    if node.op == "weigh":
        return Step(((node.operands[0], (node.attributes,)),), _first, 0)
    if node.op == "product":
        n_out = node.attributes[2]
        found = _weights_and_value(node, {label for label in node.attributes[0] if label >= n_out})
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


def _first(b: Builder, values: Sequence[Node]) -> Node:
    return values[0]


def _weights_and_value(node: Node, summed: set[int]) -> tuple[Node, tuple[int, ...], Node, tuple[int, ...]] | None:
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


def _left(shape: Sequence[int], axes: dict[int, Weight]) -> list[int]:
    """The lengths of the axes that stay."""
    return [n for i, n in enumerate(shape) if i not in axes]


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
    shape, labels = _left(node.shape, axes), [a for a in range(node.ndim) if a not in axes]
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
    return Step(((node.operands[0], ordered(axes)),), lambda b, v: b.scale(v[0], factor), prod(_left(node.shape, axes)))


@rule("combine")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ (c x + d y) = c Σ x + d Σ y."""
    x, y = node.operands
    spec = ordered(axes)
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
            needs.append((operand, ordered(axes)))
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
    below = moved(axes, dict(enumerate(kept))) | dict.fromkeys(summed)
    return Step(((x, ordered(below)),), _first, 0)


@rule("weigh")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r Σ_s w_s x = Σ_{r,s} w_s x."""
    (x,), (axis, weights) = node.operands, node.attributes
    kept = [a for a in range(x.ndim) if a != axis]
    return Step(((x, ordered(moved(axes, dict(enumerate(kept))) | {axis: weights})),), _first, 0)


@rule("product")
def _(node: Node, axes: dict[int, Weight]) -> Step:
    """Σ_r x_r · y = (Σ_r x_r) · y; where both depend on r, Σ_r x_r · y_r becomes one contraction, and rests.

    So does Σ_ij A_ij x_i · y_j. There, factors that do not depend on r go before the sum:
    Σ_r (f x_r) · y_r = f · Σ_r x_r · y_r.
    """
    (x, y), (x_labels, y_labels, n_out) = node.operands, node.attributes
    meeting = _meeting(axes, set(x_labels), set(y_labels))
    weighted = _as_weights(node, axes, meeting)
    if weighted is not None:
        return weighted
    out = [label for label in range(n_out) if label not in axes]
    outside: list[tuple[Node, tuple[int, ...]]] = []
    terms = [(x, x_labels), (y, y_labels)]
    if meeting and not contracted_sizes(node):
        bound = set(meeting).union(*(kept_axes(w, axes) for w in computed(axes) if w not in meeting.values()))
        terms = [_without_factors(t, labels, bound & set(labels), set(axes), outside) for t, labels in terms]
    specs, left = [], []
    for _, labels in terms:
        own = {a: w for a, w in axes.items() if a in labels and a not in meeting}
        specs.append(ordered(moved(own, {label: i for i, label in enumerate(labels)})))
        left.append([label for label in labels if label not in axes or label in meeting])
    needs = [(t, spec) for (t, _), spec in zip(terms, specs, strict=True)]
    if not meeting:
        cost = prod(_left(node.shape, axes)) * (2 * prod(contracted_sizes(node)) if contracted_sizes(node) else 1)
        return Step(tuple(needs), lambda b, v: b.contract([(v[0], left[0]), (v[1], left[1])], out), cost)
    weights = list(computed(meeting))
    sizes = dict(zip((*x_labels, *y_labels), (*x.shape, *y.shape), strict=True))
    places, cost = _taken_up(left, weights, set(meeting), sizes)

    def build(b: Builder, values: Sequence[Node]) -> Node:
        pair = [(values[0], left[0]), (values[1], left[1])]
        for w, (place, gone), value in zip(weights, places, values[2 + len(outside) :], strict=True):
            pair[place] = times(b, pair[place], (value, w.axes), gone)
        result, labels = _contracted(b, pair, meeting, out)
        for (_, f_labels), f in zip(outside, values[2:], strict=False):
            together = [label for label in out if label in labels or label in f_labels]
            result, labels = b.contract([(result, labels), (f, f_labels)], together), together
        return result if labels == out else b.contract([(result, labels)], out)

    # Without its factors it may be the same sum as others are: it is preferred to one with them that costs as much.
    cost -= bool(outside)
    needs += [(f, ()) for f, _ in outside] + [(w.node, ()) for w in weights]
    return Step(tuple(needs), build, cost, rests=True)


def _meeting(axes: dict[int, Weight], x_labels: set[int], y_labels: set[int]) -> dict[int, Weight]:
    """The axes that have to be summed over where the factors meet, as both have them or weights belong to both."""
    found = {a: w for a, w in axes.items() if a in x_labels and a in y_labels}
    for weights, group in computed(axes).items():
        named = {*group, *kept_axes(weights, axes)}
        if found.keys() & set(group) or not (named <= x_labels or named <= y_labels):
            found |= dict.fromkeys(group, weights)
    return found


def _taken_up(
    left: Sequence[Sequence[int]], weights: Sequence[Weights], meeting: set[int], sizes: dict[int, int]
) -> tuple[list[tuple[int, set[int]]], int]:
    """Which factor is multiplied with which weights, the cheaper one, and over what the result is summed at once.

    The second part of the answer are the operations, with those of the product of both factors.
    """
    pair, places, operations = [set(labels) for labels in left], [], 0
    for w in weights:
        named = {a for a in w.axes if a is not None}
        ways = []
        # a vector may be a network's last layer, which gains little elsewhere: a whole Hessian stays as it is
        for place in (0, 1) if len(named) > 1 else (0,):
            together = pair[place] | named
            gone = (named & meeting & pair[place]) - pair[1 - place]
            ways.append(((1 + bool(gone)) * prod(sizes[a] for a in together), place, gone, together - gone))
        cost, place, gone, pair_place = min(ways, key=lambda way: way[0])
        pair[place] = pair_place
        places.append((place, gone))
        operations += cost
    return places, operations + 2 * prod(sizes[a] for a in pair[0] | pair[1])


def _as_weights(node: Node, axes: dict[int, Weight], meeting: dict[int, Weight]) -> Step | None:
    """Σ_r v_r · x_r is the sum of x with v as weights, and may go on; with what the product itself sums over."""
    if not meeting or any(weight is not None for weight in meeting.values()):
        return None
    n_out = node.attributes[2]
    summed = {*meeting, *(label for label in node.attributes[0] if label >= n_out)}
    found = _weights_and_value(node, summed)
    if found is None or set(found[1]) & (set(axes) - set(meeting)):
        return None
    weights, labels, x, x_labels = found
    places = {label: i for i, label in enumerate(x_labels)}
    below = moved({a: w for a, w in axes.items() if a not in meeting}, places)
    below |= dict.fromkeys([places[a] for a in summed], of(weights, [places[label] for label in labels]))
    left = [label for label in x_labels if label not in axes and label < n_out]
    order = [left.index(label) for label in range(n_out) if label not in axes]
    return Step(((x, ordered(below)), (weights, ())), lambda b, v: b.permute(v[0], order), 0)


def _without_factors(
    x: Node,
    labels: tuple[int, ...],
    bound: set[int],
    summed: set[int],
    outside: list[tuple[Node, tuple[int, ...]]],
) -> tuple[Node, tuple[int, ...]]:
    """x without the factors that carry no label that is summed over; those are added to `outside`."""
    while x.op == "product" and not contracted_sizes(x):
        pairs = [(o, tuple(labels[i] for i in ls)) for o, ls in zip(x.operands, x.attributes[:2], strict=True)]
        free = [pair for pair in pairs if not summed & set(pair[1])]
        rest = [pair for pair in pairs if bound <= set(pair[1])]
        if len(free) != 1 or len(rest) != 1:
            break
        outside.append(free[0])
        x, labels = rest[0]
    return x, labels


def _contracted(b: Builder, pair: Sequence, meeting: dict[int, Weight], out: Sequence[int]) -> tuple[Node, list[int]]:
    """Σ over the labels where factors meet, with numbers as weights, of their product, and the labels of the result."""
    for label, weight in meeting.items():
        if isinstance(weight, tuple):
            total = None
            for w, start, stop in runs(weight):
                parts = [(b.slice(t, labels.index(label), start, stop), labels) for t, labels in pair]
                term, left = _contracted(b, parts, meeting | {label: None}, out)
                term = b.scale(term, w)
                total = term if total is None else b.combine(total, term)
            return total, left
    left = [label for label in out if any(label in labels for _, labels in pair)]
    return b.contract(pair, left), left


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
    cost = prod(_left(node.shape, passing)) if after else 0
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
    shape = _left(node.shape, axes)
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
    shape = _left(node.shape, axes)
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
    return Step(needs, build, cost * prod(_left(node.shape, passing)))


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

        return Step(tuple(needs), total, (len(needs) - 1) * prod(_left(node.shape, axes))) if needs else None
    if kind == "slice" and static[2] == 1 and not isinstance(weight, Weights):
        start, stop, _ = static
        (x,) = node.operands
        padded = (0.0,) * start + (weight or (1.0,) * (stop - start)) + (0.0,) * (x.shape[axis] - stop)
        return Step(((x, ordered(axes | {axis: padded})),), _first, 0)
    if kind == "pad" and weight is None:
        return Step(((node.operands[0], ordered(axes)),), _first, 0)
    return None
