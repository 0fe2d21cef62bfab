"""Diagonals, pulled up to where no operand has more than one of the axes that they join: there, they are a renaming.

The Hessian by forward mode over forward mode is computed along two axes of directions, and its trace is the sum of a
diagonal. The diagonal commutes with all that treats both axes as a batch. After it has passed, one axis of directions
is left, and the sum over it is pulled up as any other. As for sums there is one rule an op, the identity that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from jetbench.collapse.arrange import behind_view, numbered
from jetbench.collapse.build import Builder
from jetbench.collapse.graph import Node, live
from jetbench.collapse.ops import OPS
from jetbench.collapse.rebuild import rebuilt
from jetbench.collapse.steps import Rest

Labels = tuple[int, ...]
"""Of the axes of a value, in the order in which they first occur: axes of the same label are to be joined."""

Key = tuple[Node, Labels]
RENAMED = "no operand has more than one of the axes: from here on it is a renaming"


@dataclass(frozen=True)
class Step:
    """One step of a diagonal upwards.

    Attributes:
        needs: operands, each with the labels of its axes.
        build: makes the wanted diagonal from what is needed.
    """

    needs: tuple[Key, ...]
    build: Callable[[Builder, Sequence[Node]], Node]


Rule = Callable[[Node, Labels], Step | None]
RULES: dict[str, Rule] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of ops."""

    def register(function: Rule) -> Rule:
        RULES.update((OPS[op].name, function) for op in ops)
        return function

    return register


def joins(labels: Labels) -> bool:
    """Whether any axes are to be joined."""
    return len(set(labels)) < len(labels)


def step(node: Node, labels: Labels) -> Step | None:
    """How the diagonal of the node is made from diagonals of its operands; None where it cannot be."""
    found = RULES.get(node.op)
    return None if found is None else found(node, labels)


def _whole(node: Node) -> Key:
    return node, tuple(range(node.ndim))


def _shape(node: Node, labels: Labels) -> list[int]:
    """Of the diagonal."""
    return [node.shape[labels.index(label)] for label in range(max(labels) + 1)]


@rule("view")
def _(node: Node, labels: Labels) -> Step:
    """An axis that only repeats takes the index of the other one."""
    inner, axes = behind_view(node, labels)
    shape = _shape(node, labels)
    return Step(((node.operands[0], inner),), lambda b, v: b.view(v[0], axes, shape))


@rule("scale", "combine", "map")
def _(node: Node, labels: Labels) -> Step:
    """diag g(x, y) = g(diag x, diag y) for all that works entry by entry."""
    return Step(tuple((o, labels) for o in node.operands), lambda b, v: rebuilt(b, node, v))


@rule("product")
def _(node: Node, labels: Labels) -> Step:
    """diag_ij Σ_k x_ik y_jk = Σ_k x_ik y_ik: axes of the result in the factors are renamed, or joined there."""
    names: list[list[Hashable]] = [
        [labels[label] if label < node.attributes[2] else ("summed", label) for label in of_operand]
        for of_operand in node.attributes[:2]
    ]
    needs = tuple((o, numbered(of_operand)) for o, of_operand in zip(node.operands, names, strict=True))
    left = [list(dict.fromkeys(of_operand)) for of_operand in names]
    out = range(max(labels) + 1)
    return Step(needs, lambda b, v: b.contract(list(zip(v, left, strict=True)), out))


@rule("reduce", "weigh")
def _(node: Node, labels: Labels) -> Step:
    """diag Σ_r w_r x_r = Σ_r w_r diag x_r."""
    (x,), gone = node.operands, node.attributes[0]
    gone = gone if node.op == "reduce" else (gone,)
    rest = iter(labels)
    names: list[Hashable] = [("summed", a) if a in gone else next(rest) for a in range(x.ndim)]
    order = list(dict.fromkeys(names))
    axes = [order.index(("summed", a)) for a in gone]

    def build(b: Builder, values: Sequence[Node]) -> Node:
        return b.reduce(values[0], axes) if node.op == "reduce" else b.weigh(values[0], axes[0], node.attributes[1])

    return Step(((x, numbered(names)),), build)


@rule("diagonal")
def _(node: Node, labels: Labels) -> Step:
    """The diagonal of a diagonal joins the axes of both."""
    inner = tuple(labels[label] for label in node.attributes[0])
    return Step(((node.operands[0], inner),), lambda b, v: v[0])


@rule("split")
def _(node: Node, labels: Labels) -> Step | None:
    """Two split axes are joined before, if all their parts are joined one by one."""
    (x,), (parts,) = node.operands, node.attributes
    rest, groups = iter(zip(labels, node.shape, strict=True)), []
    for part in parts:
        groups.append(tuple(next(rest) for _ in part))
    for group in groups:
        if len(set(group)) < len(group) or any(other != group and set(other) & set(group) for other in groups):
            return None
    shape = _shape(node, labels)
    return Step(((x, numbered(groups)),), lambda b, v: b.reshape(v[0], shape))


@rule("merge")
def _(node: Node, labels: Labels) -> Step | None:
    """Two merged axes are joined part by part, if they consist of the same parts."""
    (x,), (counts,) = node.operands, node.attributes
    names: list[Hashable] = []
    lengths: dict[int, tuple[int, ...]] = {}
    for label, count in zip(labels, counts, strict=True):
        own = x.shape[len(names) : len(names) + count]
        if lengths.setdefault(label, own) != own:
            return None
        names += [(label, i) for i in range(count)]
    shape = _shape(node, labels)
    return Step(((x, numbered(names)),), lambda b, v: b.reshape(v[0], shape))


@rule("along")
def _(node: Node, labels: Labels) -> Step | None:
    """A map of one axis is done after others have been joined."""
    kind, axis, static, linear = node.attributes
    if labels.count(labels[axis]) > 1:
        return None
    needs = tuple((o, labels) if i in linear else _whole(o) for i, o in enumerate(node.operands))

    def build(b: Builder, values: Sequence[Node]) -> Node:
        if kind == "slice":
            return b.slice(values[0], labels[axis], *static)
        if kind == "concatenate":
            return b.concatenate(values, labels[axis])
        return b.along(kind, values, labels[axis], node.shape[axis], static, linear, node.payload)

    return Step(needs, build)


@rule("solve")
def _(node: Node, labels: Labels) -> Step | None:
    """diag A⁻¹ b_rs = A⁻¹ diag b_rs for indices of right-hand sides of the same matrix."""
    *matrices, right = node.operands
    fixed = node.attributes[1] + 1
    apart = [("own", a) if a < fixed or label in labels[:fixed] else label for a, label in enumerate(labels)]
    if not joins(numbered(apart)):
        return None
    left = numbered([labels[apart.index(name)] for name in dict.fromkeys(apart)])

    def build(b: Builder, values: Sequence[Node]) -> Node:
        found = b.solve(values[:-1], values[-1], *node.attributes, node.payload)
        return b.diagonal(found, left) if joins(left) else found

    return Step((*map(_whole, matrices), (right, numbered(apart))), build)


@dataclass(frozen=True)
class Pulled:
    """What has become of the diagonals.

    Attributes:
        outputs: of the new computation.
        rests: for each diagonal, where it came to rest and why.
    """

    outputs: tuple[Node, ...]
    rests: list[Rest]


def pull_up(b: Builder, outputs: Sequence[Node]) -> Pulled | None:
    """Take every diagonal as early as it can be, save of values that are needed in full anyway; None without any."""
    nodes = live(outputs)
    sources = [node for node in nodes if node.op == "diagonal"]
    if not sources:
        return None
    wanted: dict[Node, dict[Labels, None]] = {}
    chosen: dict[Key, Step | None] = {}
    for node, labels in map(_whole, outputs):
        wanted.setdefault(node, {})[labels] = None
    for node in reversed(nodes):
        asked = wanted.get(node, {})
        whole = _whole(node)
        steps = {labels: step(node, labels) for labels in asked if joins(labels)}
        if None in steps.values():
            asked[whole[1]] = None
        for labels in asked:
            if labels == whole[1]:
                chosen[whole] = None if node.op != "diagonal" else Step(((node.operands[0], *node.attributes),), _first)
            else:
                chosen[(node, labels)] = _directly(node, labels) if whole[1] in asked else steps[labels]
        for labels in asked:
            for need, need_labels in _needs((node, labels), chosen):
                if need is not node:
                    wanted.setdefault(need, {})[need_labels] = None
    values: dict[Key, Node] = {}
    for node in nodes:
        for labels in sorted(wanted.get(node, {}), key=joins):
            key = (node, labels)
            found = [values[need] for need in _needs(key, chosen)]
            taken = chosen[key]
            values[key] = rebuilt(b, node, found) if taken is None else taken.build(b, found)
    starts = {s: [need for labels in wanted.get(s, ()) for need in _needs((s, labels), chosen)] for s in sources}
    rests = [rest for source, start in starts.items() for rest in _rests(source, start, chosen)]
    return Pulled(tuple(values[_whole(node)] for node in outputs), rests)


def _first(b: Builder, values: Sequence[Node]) -> Node:
    return values[0]


def _directly(node: Node, labels: Labels) -> Step:
    return Step((_whole(node),), lambda b, v: b.diagonal(v[0], labels))


def _needs(key: Key, chosen: dict[Key, Step | None]) -> Sequence[Key]:
    taken = chosen[key]
    return [_whole(o) for o in key[0].operands] if taken is None else taken.needs


def _rests(source: Node, start: Sequence[Key], chosen: dict[Key, Step | None]) -> list[Rest]:
    """Where a diagonal was carried out, or became a renaming, from what was asked of its operand on."""
    found: list[Rest] = []
    seen: set[Key] = set()
    waiting = list(start)
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        node, needs = key[0], _needs(key, chosen)
        if any(need is node for need, _ in needs):
            found.append(Rest(source, node, _reason(key)))
            continue
        below = [need for need in needs if joins(need[1])]
        if not below and node.op != "view":
            found.append(Rest(source, node, RENAMED))
        waiting += below
    return found or [Rest(source, source.operands[0], RENAMED)]


def _reason(key: Key) -> str:
    node = key[0]
    if step(*key) is not None:
        return "this value is needed in full anyway"
    if OPS[node.op].is_given:
        return OPS[node.op].reason
    return "nothing is known of how this operation treats the axes"
