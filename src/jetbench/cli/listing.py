"""What there is: tables of operators, methods, estimators, networks and studies, and of what supports what."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jetbench import estimators, networks, operators
from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure import config as configs
from jetbench.measure.backends import BACKENDS, backend_module
from jetbench.methods import Method
from jetbench.operators.problem import Operator, Problem

CONFIGS = Path("workflows/config")


def tables(config: Path | None = None) -> dict[str, Callable[[], Table | Group]]:
    """Topic → a function that makes its table.

    Raises:
        ConfigError: a config is named and cannot be used.
    """
    if config is not None:
        configs.load(config)
    return {
        "operators": _operators,
        "methods": _methods,
        "estimators": _estimators,
        "networks": _networks,
        "studies": lambda: _studies(config),
        "support": _support,
    }


def _operators() -> Table:
    made = _table("Operators", "operator", "arguments", "what it is")
    for name, function in operators.REGISTRY.items():
        made.add_row(name, escape(arguments(function)), summary(function))
    return made


def arguments(function: Callable) -> str:
    """The parameters of a function as they are written, without types."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare)).removeprefix("(").removesuffix(")")


def _methods() -> Group:
    return Group(*(_methods_of(backend) for backend in BACKENDS))


def _methods_of(backend: str) -> Table | Text:
    made = _table(f"Methods in {backend}", "method", "version", "library", "what it is")
    methods = _registered(backend)
    if isinstance(methods, Text):
        return methods
    for name, method in methods.items():
        made.add_row(name, str(method.version), method.package or "", summary(type(method)))
    return made


def _registered(backend: str) -> dict[str, Method] | Text:
    """The methods of a backend, or a line that says what to install where its framework is missing."""
    try:
        backend_module(backend)
    except BackendUnavailable as error:
        return Text(str(error), no_wrap=True, overflow="ignore")
    return importlib.import_module(f"jetbench.{backend}").METHODS


def _estimators() -> Table:
    made = _table("Estimators", "estimator", "what it is")
    for kind in estimators.KINDS:
        made.add_row(kind, summary(getattr(estimators, kind)))
    return made


def _networks() -> Table:
    made = _table("Networks", "network", "activations")
    for kind in networks.KINDS:
        made.add_row(kind, ", ".join(networks.ACTIVATIONS))
    return made


def _studies(config: Path | None) -> Table:
    made = _table("Studies", "config", "study", "axis", "backends", "methods", "cases")
    for path in [config] if config else sorted(CONFIGS.glob("*.yaml")):
        for name, study in configs.load(path)["studies"].items():
            named = [each for case in (study, *study["cases"]) for each in case.get("methods", ())]
            methods = dict.fromkeys(each if isinstance(each, str) else each["method"] for each in named)
            backends = {b for case in (study, *study["cases"]) for b in case.get("backends", ())}
            backends |= {each["backend"] for each in named if isinstance(each, dict) and "backend" in each} | {"torch"}
            cases = [f"{c['operator']} D={c.get('dim', '*')}" for c in study["cases"]]
            made.add_row(
                path.stem,
                name,
                study["axis"],
                ", ".join(b for b in BACKENDS if b in backends),
                ", ".join(methods),
                ", ".join(dict.fromkeys(cases)),
            )
    return made


def _support() -> Group:
    return Group(*(_support_of(backend) for backend in BACKENDS))


def _support_of(backend: str) -> Table | Text:
    made = _table(
        f"What supports what in {backend}: vectors per datum; - or no row where unsupported", "operator", "estimator"
    )
    methods = _registered(backend)
    if isinstance(methods, Text):
        return methods
    for name in methods:
        made.add_column(name)
    for operator in _examples():
        for kind in estimators.KINDS:
            estimator = estimators.exact() if kind == "exact" else estimators.Estimator(kind, 2)
            cells = [_vectors(method, Problem(operator, estimator)) for method in methods.values()]
            if set(cells) != {"-"}:
                made.add_row(f"{operator.name} D={operator.dim}", kind + ("" if kind == "exact" else " S=2"), *cells)
    return made


def _vectors(method: Any, problem: Problem) -> str:
    try:
        return "-" if method.unsupported(problem) else str(method.vectors(problem))
    except (JetbenchError, ValueError):
        return "-"


def _examples() -> Iterator[Operator]:
    """Each operator in the smallest number of dimensions up to 4 that it can be made with by `dim` alone."""
    for name in operators.REGISTRY:
        for dim in (3, 2, 1, 4):
            try:
                yield operators.make(name, dim=dim)
                break
            except (ValueError, TypeError):
                continue


def summary(thing: object) -> str:
    """The first line of a docstring, as rich prints it."""
    return escape((inspect.getdoc(thing) or "").partition("\n")[0])


def _table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column)
    return made
