"""Straight-line programs: componentwise arithmetic as a list of instructions on few arrays.

Recording arithmetic and giving room to what it computes belong here; a framework carries the instructions out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Operation(Enum):
    """What an instruction does with its target t, operands x and y, and number c."""

    ZERO = auto()  # t = 0
    SCALE = auto()  # t = c x
    ADD = auto()  # t = x + c y
    MULTIPLY = auto()  # t = c x y
    ADD_SCALED = auto()  # t += c x
    ADD_PRODUCT = auto()  # t += c x y


@dataclass(frozen=True)
class Instruction:
    """One operation on arrays given by number; y is x where the operation has one operand."""

    operation: Operation
    target: int
    x: int
    y: int
    factor: float = 1.0


@dataclass(frozen=True)
class StraightLine:
    """Instructions on arrays of equal shape, which are numbered: inputs first, then results, then registers.

    Results serve as registers, too, until they get their values. No instruction writes to an input.

    Attributes:
        inputs: how many there are.
        results: how many there are.
        registers: how many arrays are needed beside them.
        instructions: to be carried out in this order.
    """

    inputs: int
    results: int
    registers: int
    instructions: tuple[Instruction, ...]


class Expression:
    """An array in a computation that is being recorded: an input, or a multiple, sum or product of others."""

    __slots__ = ("factor", "kind", "operands")

    def __init__(self, kind: str, operands: tuple[Expression, ...] = (), factor: float = 1.0) -> None:
        self.kind, self.operands, self.factor = kind, operands, factor

    def __add__(self, other: Expression) -> Expression:
        return Expression("sum", (self, other))

    def __mul__(self, other: Expression) -> Expression:
        return Expression("product", (self, other))

    def __rmul__(self, factor: float) -> Expression:
        return Expression("multiple", (self,), float(factor))


Term = tuple[float, Expression, Expression | None]  # c x, or c x y


def record(inputs: Sequence[Expression], results: Sequence[Expression | None]) -> StraightLine:
    """The program that computes results, None where they are zero, from inputs.

    Every term of a sum is one instruction, its number included. What is used several times is computed once. The last
    result is computed first: in a nilpotent algebra it needs most of what the others need, which is dropped one by one
    while they are computed, in the room that results wait for.
    """
    uses = _uses([result for result in results if result is not None])
    places = {expression: number for number, expression in enumerate(inputs)}
    writer = _Writer(places, uses, len(inputs) + len(results))
    for number in range(len(results) - 1, -1, -1):
        writer.write_result(len(inputs) + number, results[number])
    registers, instructions = _placed(writer.instructions, len(inputs), len(results))
    return StraightLine(len(inputs), len(results), registers, tuple(instructions))


def _without_factor(expression: Expression) -> tuple[float, Expression]:
    factor = 1.0
    while expression.kind == "multiple":
        factor *= expression.factor
        (expression,) = expression.operands
    return factor, expression


def _uses(results: Sequence[Expression]) -> Counter[Expression]:
    """How often each expression, apart from multiples, is an operand or a result."""
    uses: Counter[Expression] = Counter()
    waiting = list(results)
    while waiting:
        _, expression = _without_factor(waiting.pop())
        uses[expression] += 1
        if uses[expression] == 1:
            waiting.extend(expression.operands)
    return uses


class _Writer:
    """Instructions in which everything that is computed has a number of its own."""

    def __init__(self, places: dict[Expression, int], uses: Counter[Expression], numbers: int) -> None:
        self.instructions: list[Instruction] = []
        self._places, self._uses, self._numbers = places, uses, numbers

    def write_result(self, target: int, result: Expression | None) -> None:
        if result is None:
            self.instructions.append(Instruction(Operation.ZERO, target, target, target))
        else:
            self._write(target, self._terms(1.0, result))

    def _place(self, expression: Expression) -> int:
        if expression not in self._places:
            terms = self._terms(1.0, expression, is_computed=True)
            self._numbers += 1
            target = self._numbers - 1
            self._write(target, terms)
            self._places[expression] = target
        return self._places[expression]

    def _terms(self, factor: float, expression: Expression, is_computed: bool = False) -> list[Term]:
        """An expression as a sum; what is needed elsewhere, too, is one term of it unless it `is_computed` now."""
        inner, expression = _without_factor(expression)
        factor *= inner
        if expression.kind == "input" or (self._uses[expression] > 1 and not is_computed):
            return [(factor, expression, None)]
        left, right = expression.operands
        if expression.kind == "sum":
            return self._terms(factor, left) + self._terms(factor, right)
        (a, left), (b, right) = _without_factor(left), _without_factor(right)
        return [(factor * a * b, left, right)]

    def _write(self, target: int, terms: list[Term]) -> None:
        """target = Σ terms; each of them is added as soon as its operands are there."""
        is_first = True
        while terms:
            factor, x, y = terms.pop(0)
            place = self._place(x)
            other = place if y is None else self._place(y)
            if y is not None:
                operation = Operation.MULTIPLY if is_first else Operation.ADD_PRODUCT
            elif is_first and factor == 1 and terms and terms[0][2] is None:
                factor, second, _ = terms.pop(0)
                operation, other = Operation.ADD, self._place(second)
            else:
                operation = Operation.SCALE if is_first else Operation.ADD_SCALED
            self.instructions.append(Instruction(operation, target, place, other, factor))
            is_first = False


def _placed(written: Sequence[Instruction], inputs: int, results: int) -> tuple[int, list[Instruction]]:
    """The same instructions in few registers, and how many: intermediate values share them one after the other, and use
    results that are not written before they have been read for the last time."""
    last = {number: at for at, i in enumerate(written) for number in (i.target, i.x, i.y)}
    first = {}
    for at, instruction in enumerate(written):
        first.setdefault(instruction.target, at)
    waiting = sorted(range(inputs, inputs + results), key=first.__getitem__)
    registers: list[int] = []
    count = 0
    places = {number: number for number in range(inputs + results)}
    ends: dict[int, list[int]] = {}
    placed = []
    for at, instruction in enumerate(written):
        target = instruction.target
        if target not in places:
            place = next((r for r in waiting if first[r] > last[target]), None)
            if place is not None:
                waiting.remove(place)
            elif registers:
                place = registers.pop()
            else:
                place = inputs + results + count
                count += 1
            places[target] = place
            ends.setdefault(last[target], []).append(place)
        placed.append(
            Instruction(
                instruction.operation, places[target], places[instruction.x], places[instruction.y], instruction.factor
            )
        )
        for place in ends.pop(at, ()):
            if place < inputs + results:
                waiting = sorted([*waiting, place], key=first.__getitem__)
            else:
                registers.append(place)
    return count, placed
