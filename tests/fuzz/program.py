"""One case: a network, an operator of it, and what is done with that, as three pieces of source text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fuzz.draft import Plan

#: (coefficient, exponents) of each term of one output of an operator.
Terms = tuple[tuple[float, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Case:
    """What a case is made of; the same case always gives the same program.

    Attributes:
        seed: of what the use draws, and of the program's own random numbers.
        plan: of the network.
        rows: points in x.
        outputs: terms of each output; one output is given as a symbol, several as a dictionary.
        method: how the operator is evaluated.
        use: name of what is done with it.
        is_named: whether the program is run as a module with a name.
        precision: "float64" or "float32".
    """

    seed: int
    plan: Plan
    rows: int
    outputs: tuple[Terms, ...]
    method: str
    use: str
    is_named: bool
    precision: str = "float64"


@dataclass
class Program:
    """The text of a case.

    Attributes:
        network: defines net and x.
        operator: defines operator, by jetbench.
        setup, action: what is done with it; the last defines result.
        traits: see `Draft`.
    """

    network: str
    operator: str
    setup: str
    action: str
    traits: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return "\n".join(part for part in (self.network, self.operator, self.setup, self.action) if part)


@dataclass(frozen=True)
class Use:
    """What is done with an operator.

    Attributes:
        text: from (parameters of the network, changes that it has, random numbers, case) to the source of setup and
            action, or None where it does not fit.
        expect: the right value of `result`, from the namespace after setup where operator is the reference; None where
            the action then gives it.
        weight: how often it is drawn.
        is_twice: whether it takes second derivatives by the network's parameters.
    """

    text: Callable[..., tuple[str, str] | None]
    expect: Callable[[dict], object] | None = None
    weight: float = 1.0
    is_twice: bool = False


def symbol(terms: Terms) -> str:
    """Source of the polynomial."""

    def product(coefficient: float, exponents: tuple[int, ...]) -> str:
        powers = [f"xi[{i}]" + (f" ** {e}" if e > 1 else "") for i, e in enumerate(exponents) if e]
        return " * ".join([repr(coefficient), *powers])

    return " + ".join(product(*term) for term in terms)
