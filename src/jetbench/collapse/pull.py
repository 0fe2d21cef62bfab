"""The pass: finds sums, decides how far each is pulled up, and builds the computation that remains.

Every value may be asked for in full, or summed over some of its axes. From the outputs on, a sum is passed to the
operands as far as the rules allow it, unless the value is needed in full anyway: then it is summed where it is. On the
way back, each sum that was passed on is compared with the one that is carried out right there, by counting operations,
and the cheaper one is kept. The work is linear in the size of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jetbench.collapse import cost, diagonal
from jetbench.collapse.build import Builder
from jetbench.collapse.cost import Cost
from jetbench.collapse.graph import Node, live, users
from jetbench.collapse.ops import OPS
from jetbench.collapse.rebuild import rebuilt
from jetbench.collapse.rules import candidate, direct, origin, step
from jetbench.collapse.steps import Rest, Step
from jetbench.collapse.weights import Spec, computed

Key = tuple[Node, Spec]
ROUNDS = 4


@dataclass
class Result:
    """What the pass did.

    Attributes:
        outputs: of the new computation; the old ones where nothing paid.
        before, after: costs.
        rests: of the sums that were moved.
        stayed: sums that were not moved, each with the reason.
        carriers: values of the new computation that hold a sum on its way: what the pull made.
        diagonals: where those that were taken earlier came to rest, each with the reason.
        left: diagonals that were not moved, each with the reason.
    """

    outputs: tuple[Node, ...]
    before: Cost
    after: Cost
    rests: list[Rest] = field(default_factory=list)
    stayed: list[Rest] = field(default_factory=list)
    carriers: set[Node] = field(default_factory=set)
    diagonals: list[Rest] = field(default_factory=list)
    left: list[Rest] = field(default_factory=list)

    @property
    def has_changed(self) -> bool:
        return self.after.operations < self.before.operations


def collapse(builder: Builder, outputs: Sequence[Node]) -> Result:
    """Pull diagonals up, and sums until that saves no more operations; without diagonals, if that is no worse."""
    outputs = tuple(outputs)
    before = cost.of(outputs)
    pulled = diagonal.pull_up(builder, outputs)
    result = _sums_pulled(builder, Result(outputs, before, before))
    if pulled is None:
        return result
    early = cost.of(pulled.outputs)
    other = _sums_pulled(builder, Result(pulled.outputs, before, early, diagonals=pulled.rests))
    if other.after.operations < result.after.operations and other.after.products <= before.products:
        return other
    result.left = list({rest.source: _as_left(rest) for rest in pulled.rests}.values())
    return result


def _as_left(rest: Rest) -> Rest:
    """Why a diagonal stays: there is no way up, or the way up does not pay."""
    is_moved = rest.node is not rest.source.operands[0] or rest.reason == diagonal.RENAMED
    return replace(rest, reason="taking it earlier would save no operations") if is_moved else rest


def _sums_pulled(builder: Builder, result: Result) -> Result:
    gained = False
    for _ in range(ROUNDS):
        plan = _Plan(builder, result.outputs)
        new_outputs, carriers = plan.build()
        after = cost.of(new_outputs)
        if after.operations >= result.after.operations or after.products > result.after.products:
            if not gained:
                result.stayed = plan.unmoved(gained=False)
            break
        gained, result.outputs, result.after = True, new_outputs, after
        result.rests += plan.rests()
        result.stayed = plan.unmoved(gained=True)
        result.carriers |= carriers
    result.carriers &= set(live(result.outputs))
    return result


class _Plan:
    """Which step is taken for every value and sum that is needed."""

    def __init__(self, builder: Builder, outputs: tuple[Node, ...]) -> None:
        self._builder, self._outputs = builder, outputs
        self._nodes = live(outputs)
        self._users = users(self._nodes)
        self._steps: dict[Key, Step | None] = {}
        self._cheaper: dict[Key, bool] = {}
        self._chosen = self._choose()
        self._weigh_up()
        self._chosen = self._choose()

    def _step(self, key: Key) -> Step | None:
        if key not in self._steps:
            self._steps[key] = step(*key)
        return self._steps[key]

    def _choose(self) -> dict[Key, Step | None]:
        """The step for each key that is needed; None for values that are computed from their full operands."""
        chosen: dict[Key, Step | None] = {}
        wanted: dict[Node, dict[Spec, None]] = {node: {(): None} for node in self._outputs}
        self._asked: dict[Key, list[Key]] = {}
        for node in reversed(self._nodes):
            specs = wanted.pop(node, None)
            if specs is None:
                continue
            sums = [(node, spec) for spec in specs if spec]
            pushed = {key: self._step(key) for key in sums}
            if () not in specs and any(s is None or not self._cheaper.get(k, True) for k, s in pushed.items()):
                specs[()] = None
            for key in sums:
                chosen[key] = direct(*key) if () in specs else pushed[key]
            if () in specs:
                chosen[(node, ())] = self._full(node)
            for spec in specs:
                key = (node, spec)
                for need in self._needs(key, chosen[key]):
                    if need[0] is not node:
                        wanted.setdefault(need[0], {})[need[1]] = None
                    self._asked.setdefault(need, []).append(key)
        return chosen

    def _full(self, node: Node) -> Step | None:
        """A sum in full is a sum of its operand."""
        return origin(node) if self._cheaper.get((node, ()), True) else None

    def _needs(self, key: Key, chosen: Step | None) -> Sequence[Key]:
        return [(operand, ()) for operand in key[0].operands] if chosen is None else chosen.needs

    def _weigh_up(self) -> None:
        """Compare, for every sum that was passed on, its cost with that of the sum carried out in place.

        Values needed in full cost nothing here, as they are needed either way; what several ask for is shared
        equally. All sums of one value are decided on together.
        """
        full = {node for node, spec in self._chosen if spec == ()}
        in_full: dict[Node, float] = {}
        for node in self._nodes:
            below = sum(in_full[o] / max(1, len(self._users[o])) for o in node.operands if o not in full)
            in_full[node] = 0.0 if node in full else cost.operations(node) + below
        best: dict[Key, float] = {}
        by_node: dict[Node, list[Key]] = {}
        for key in sorted((k for k in self._chosen if k[1]), key=lambda k: k[0].index):
            by_node.setdefault(key[0], []).append(key)
        for node, keys in by_node.items():
            here = {key: float(direct(*key).cost) for key in keys}
            if node in full:
                best |= here
                continue
            passed = {}
            for key in keys:
                taken = self._chosen[key]
                passed[key] = taken.cost + sum(best[n] / max(1, len(self._asked[n])) for n in taken.needs if n[1])
            # either all sums of a value are passed on or none: the value is needed in full for a single one
            cheaper = sum(passed.values()) < sum(here.values()) + in_full[node]
            self._cheaper |= dict.fromkeys(keys, cheaper)
            best |= passed if cheaper else {key: cost + in_full[node] / len(keys) for key, cost in here.items()}

    def build(self) -> tuple[tuple[Node, ...], set[Node]]:
        """The outputs of the new computation, and the nodes that hold a sum on its way."""
        values: dict[Key, Node] = {}
        carriers: set[Node] = set()
        waiting: list[Key] = [(node, ()) for node in self._outputs]
        while waiting:
            key = waiting[-1]
            if key in values:
                waiting.pop()
                continue
            chosen = self._chosen[key]
            needs = self._needs(key, chosen)
            missing = [need for need in needs if need not in values]
            if missing:
                waiting.extend(missing)
                continue
            waiting.pop()
            found = [values[need] for need in needs]
            values[key] = (
                rebuilt(self._builder, key[0], found) if chosen is None else chosen.build(self._builder, found)
            )
            if key[1]:
                carriers.add(values[key])
        carriers -= set(self._nodes)
        return tuple(values[(node, ())] for node in self._outputs), carriers

    def rests(self) -> list[Rest]:
        """For every sum that was passed on, where it came to rest."""
        return [Rest(source, *place) for source in self._moved() for place in self._places(source)]

    def _places(self, source: Node) -> list[tuple[Node, str]]:
        """Where a sum that is passed on comes to rest, each with the reason."""
        found: list[tuple[Node, str]] = []
        seen: set[Key] = set()
        waiting = [candidate(source)]
        while waiting:
            key = waiting.pop()
            if key in seen or not key[1]:
                continue
            seen.add(key)
            chosen = self._chosen[key]
            if chosen.rests:
                found.append((key[0], self._reason(key)))
            waiting.extend(need for need in chosen.needs if need[0] is not key[0])
        return found

    def _moved(self) -> list[Node]:
        sources = [node for node in self._nodes if candidate(node) and self._chosen.get((node, ())) is not None]
        return [node for node in sources if not self._is_direct(candidate(node))]

    def _is_direct(self, key: Key) -> bool:
        return any(need == (key[0], ()) for need in self._chosen[key].needs)

    def unmoved(self, gained: bool) -> list[Rest]:
        """Every sum that stays where it is, and why; all of them where the whole plan gained nothing."""
        found = []
        for node in self._nodes:
            key = candidate(node)
            if key is None or key not in self._chosen or (gained and not self._is_direct(key)):
                continue
            places = [] if self._is_direct(key) or self._chosen.get((node, ())) is None else self._places(node)
            if self._is_direct(key):
                found.append(Rest(node, key[0], self._reason(key)))
            elif places:
                found.append(Rest(node, key[0], places[0][1], limit=places[0][0]))
            else:
                found.append(Rest(node, key[0], "pulling it up would save no operations"))
        return found

    def _reason(self, key: Key) -> str:
        node = key[0]
        if not self._is_direct(key):
            return "both factors of this product depend on the axis: it sums as it multiplies"
        if self._step(key) is None:
            return OPS[node.op].reason
        if not self._cheaper.get(key, True):
            if computed(dict(key[1])):
                return "its terms have weights, as in reverse mode; taking those further up would cost more operations"
            return "further up it would cost more operations"
        return "this value is needed in full anyway"
