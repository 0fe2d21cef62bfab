"""What is to be computed: an operator, an estimator for it, and how its directions are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from jetbench.errors import unknown
from jetbench.operators.estimators import Estimator, exact
from jetbench.operators.symbol import Symbol

SCHEMES = ("polarization", "griewank")


@dataclass(frozen=True)
class Operator:
    """One or several linear operators L_o f(x) = p_o(σ(x)ᵀ∂) f(x), where σ(x)ᵀ∂ acts with σ held fixed.

    Attributes:
        name: as in the operator zoo.
        dim: number D of coordinates of x.
        symbols: output name → symbol p_o, all in the same R variables. An operator with one unnamed output uses "".
        factor: σ, an array (D, R), or a function from x (..., D) to σ(x) (..., D, R) in x's framework; None is the
            identity, and then R = D. A column b(x) of σ is a drift: a variable that enters p_o linearly.
        options: the arguments it was made with, for records.
        combine: applied to the dictionary of outputs, for systems that mix the components of a vector-valued f.
        components: the number C of components that f must have for `combine`; None if any number will do.
        recipe: makes the same operator again, for copies; None where the fields do.
    """

    name: str
    dim: int
    symbols: Mapping[str, Symbol]
    factor: np.ndarray | Callable[[Any], Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    combine: Callable[[Mapping[str, Any]], Any] | None = None
    components: int | None = None
    recipe: Callable[[], Operator] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.symbols:
            raise ValueError(f"The operator {self.name} has no symbol.")
        counts = {symbol.dim for symbol in self.symbols.values()}
        if len(counts) != 1:
            raise ValueError(f"The symbols of {self.name} must share their variables; they have {sorted(counts)}.")
        if self.factor is None and counts != {self.dim}:
            raise ValueError(f"{self.name}: symbols in {counts.pop()} variables, but x has {self.dim} coordinates.")
        if isinstance(self.factor, np.ndarray) and self.factor.shape != (self.dim, *counts):
            raise ValueError(f"{self.name}: the factor must have shape {(self.dim, *counts)}; got {self.factor.shape}.")
        object.__setattr__(self, "symbols", MappingProxyType(dict(self.symbols)))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def __reduce__(self) -> tuple:
        """Copied and pickled as what it was made by, or as its fields."""
        if self.recipe is not None:
            return _made, (self.recipe,)
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"symbols": dict(self.symbols), "options": dict(self.options)}
        return _made, (partial(Operator, **values),)

    @property
    def variables(self) -> int:
        """R, the number of variables of the symbols."""
        return next(iter(self.symbols.values())).dim

    @property
    def order(self) -> int:
        """K, the largest degree of a symbol."""
        return max(symbol.degree for symbol in self.symbols.values())

    @property
    def is_single(self) -> bool:
        """Whether there is one unnamed output, returned as an array and not in a dictionary."""
        return list(self.symbols) == [""]


def _made(recipe: Callable[[], Operator]) -> Operator:
    return recipe()


def as_operator(operator: Operator | Symbol | Mapping[str, Symbol]) -> Operator:
    """An `Operator` from what users may write: an operator, a symbol, or a dictionary of symbols.

    Raises:
        TypeError: it is none of these.
        ValueError: the dictionary is empty.
    """
    if isinstance(operator, Operator):
        return operator
    if isinstance(operator, Symbol):
        return Operator("symbol", operator.dim, {"": operator})
    if isinstance(operator, Mapping) and not operator:
        raise ValueError(
            'The dictionary of symbols is empty; give at least one output, such as {"u_x": xi[0]} with '
            "`xi = jetbench.variables(D)`."
        )
    got = type(operator).__name__
    if isinstance(operator, Mapping):
        wrong = {name: type(symbol).__name__ for name, symbol in operator.items() if not isinstance(symbol, Symbol)}
        if not wrong:
            return Operator("system", next(iter(operator.values())).dim, operator)
        got = ", ".join(f"a {kind} for {name!r}" for name, kind in list(wrong.items())[:4])
    raise TypeError(
        f"An operator is a jetbench Operator, a Symbol or a dictionary of name → Symbol; got {got}."
        " Make a symbol with `xi = jetbench.variables(D)`, or take one from `jetbench.operators`."
    )


@dataclass(frozen=True)
class Problem:
    """An operator, an estimator for it, and the scheme that finds directions for degrees above 2."""

    operator: Operator
    estimator: Estimator = field(default_factory=exact)
    scheme: str = "polarization"

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(unknown("scheme", self.scheme, SCHEMES, "directions"))
