"""The rule for sums of products: factors, weights and contractions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from jetbench.collapse.build import Builder
from jetbench.collapse.contraction import contracted_sizes, runs
from jetbench.collapse.graph import Node
from jetbench.collapse.steps import Step, remaining, rule, weights_and_value
from jetbench.collapse.weights import Weight, Weights, computed, kept_axes, moved, of, ordered, times


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
        cost = prod(remaining(node.shape, axes)) * (2 * prod(contracted_sizes(node)) if contracted_sizes(node) else 1)
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
    found = weights_and_value(node, summed)
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
