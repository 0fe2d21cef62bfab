"""Judging methods: each function is run through each method and compared with values that share no rule with any."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from coverage_table import values
from coverage_table.values import SYMBOLS
from jetbench.errors import JetbenchError, unknown
from jetbench.measure.backends import backend_module
from jetbench.methods import Method
from jetbench.operators.problem import Operator, Problem, as_operator

STATUSES = ("ok", "unsupported", "wrong")
TOLERANCE = 1e-9  # of the largest value

SYSTEM = as_operator(SYMBOLS)


class Functions(Protocol):
    """What `coverage_table.<backend>` holds.

    Attributes:
        FUNCTIONS: kind → name → function of rows (N, 3) → (N, …).
        INEXACT: name → tolerance, for functions that the framework itself computes less exactly.
        ORDERS: method → the outputs of `SYMBOLS` by which it is judged, where not by all that it can do.
    """

    FUNCTIONS: Mapping[str, Mapping[str, Callable]]
    INEXACT: Mapping[str, float]
    ORDERS: Mapping[str, tuple[str, ...]]

    def plain(self, function: Callable, points: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """f(points), with what f detaches as it is at the centres: no derivatives."""

    def applied(self, function: Callable, operator: Operator, method: str) -> Mapping[str, np.ndarray]:
        """Output name → value of the operator at `parameters.POINTS`, by a method."""


@dataclass(frozen=True)
class Outcome:
    """What one method made of one function.

    Attributes:
        backend, kind, function, method: names.
        status: one of `STATUSES`.
        orders: the outputs of `SYMBOLS` that the method can do at all, and was judged by.
        error: largest error relative to the largest value; None where there is no value.
        reason: first line of the error, for `unsupported` and `wrong`.
    """

    backend: str
    kind: str
    function: str
    method: str
    status: str
    orders: tuple[str, ...]
    error: float | None = None
    reason: str = ""


def functions(backend: str) -> tuple[Functions, Mapping[str, Method]]:
    """The functions and the methods of a backend.

    Raises:
        JetbenchError: there is no such backend, or its framework is not installed.
    """
    backend_module(backend)
    of_backend: ModuleType = importlib.import_module(f"jetbench.{backend}")
    return importlib.import_module(f"coverage_table.{backend}"), of_backend.METHODS


def known_names(known: Mapping[str, Method], methods: Sequence[str] | None) -> list[str]:
    """The methods asked for; all of them by default.

    Raises:
        JetbenchError: there is no such method.
    """
    for method in methods or ():
        if method not in known:
            raise JetbenchError(unknown("method", method, known))
    return list(methods or known)


def chosen(held: Functions, names: Sequence[str] | None) -> list[tuple[str, str, Callable]]:
    """(kind, name, function) of the functions asked for, by name or kind; all of them by default.

    Raises:
        JetbenchError: there is no such function or kind.
    """
    every = [(kind, name, f) for kind, inner in held.FUNCTIONS.items() for name, f in inner.items()]
    for asked in names or ():
        if asked not in held.FUNCTIONS and all(asked != name for _, name, _ in every):
            raise JetbenchError(unknown("function or kind", asked, [*held.FUNCTIONS, *(name for _, name, _ in every)]))
    return [(kind, name, f) for kind, name, f in every if not names or kind in names or name in names]


def judged(
    held: Functions, backend: str, kind: str, name: str, function: Callable, methods: Mapping[str, Method]
) -> Iterator[Outcome]:
    """The outcomes of one function, judged by the values of `values.json`."""
    expected = {output: known.value for output, known in values.known()[name].items()}
    errors = {output: known.error for output, known in values.known()[name].items()}
    for label, method in methods.items():
        operators, refusal = _operators(method, held.ORDERS.get(label, tuple(SYMBOLS)))
        orders = tuple(output for operator in operators for output in _outputs(operator))
        if not operators:
            yield Outcome(backend, kind, name, label, "unsupported", (), reason=refusal)
            continue
        try:
            found: dict[str, Any] = {}
            for operator in operators:
                applied = held.applied(function, operator, label)
                found.update(zip(_outputs(operator), applied.values(), strict=True))
        except Exception as error:  # peers raise errors of every kind
            yield Outcome(backend, kind, name, label, "unsupported", orders, reason=first_line(error))
            continue
        error, reason = compare(found, expected, held.INEXACT.get(name, TOLERANCE), errors)
        yield Outcome(backend, kind, name, label, "wrong" if reason else "ok", orders, error, reason)


def _operators(method: Method, orders: Sequence[str]) -> tuple[list[Operator], str]:
    """What a method is judged by: all outputs in one pass, or those that it can do, one by one."""
    system = Operator("system", 3, {name: SYMBOLS[name] for name in orders})
    if method.unsupported(Problem(system)) is None:
        return [system], ""
    single = [Operator(name, 3, {"": SYMBOLS[name]}) for name in orders]
    refusals = [method.unsupported(Problem(operator)) for operator in single]
    able = [operator for operator, refusal in zip(single, refusals, strict=True) if refusal is None]
    return able, next((refusal for refusal in refusals if refusal is not None), "")


def refusal(method: Method) -> str:
    """Why a method can do none of the operators, such as that its library is not installed; empty if it can."""
    operators, reason = _operators(method, tuple(SYMBOLS))
    return "" if operators else reason


def _outputs(operator: Operator) -> tuple[str, ...]:
    return (operator.name,) if operator.is_single else tuple(operator.symbols)


def compare(
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    tolerance: float,
    errors: Mapping[str, float] | None = None,
) -> tuple[float | None, str]:
    """The largest error, relative to the largest value of each output, and what is wrong, or nothing.

    Args:
        errors: output → what the expected value may itself err by; allowed where it is larger than the tolerance.
    """
    largest, reason = 0.0, ""
    for output, value in found.items():
        true = expected[output]
        if value.shape != true.shape:
            return None, f"{output}: shape {value.shape} in place of {true.shape}"
        if not np.array_equal(np.isfinite(value), np.isfinite(true)):
            return None, f"{output}: not finite where the reference is, or the other way round"
        if np.isfinite(true).any():
            error = np.abs(value - true)[np.isfinite(true)].max() / max(1.0, np.abs(true[np.isfinite(true)]).max())
            largest = max(largest, float(error))
            if error > max(tolerance, (errors or {}).get(output, 0.0)):
                reason = f"{output}: relative error {error:.1e}"
    return largest, reason


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the errors of other libraries with their type."""
    line = (str(error).strip().splitlines() or [""])[0].strip()
    return line if isinstance(error, JetbenchError) else f"{type(error).__name__}: {line}"
