"""The examples in the docstrings of public functions: every function has one, and it runs as it is shown."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import jetbench.jax
import jetbench.jax.rules
import jetbench.torch
import jetbench.torch.rules
from jetbench import estimators, operators, results, variables

#: What examples may register, put back afterwards.
REGISTRIES = (operators.REGISTRY, jetbench.torch.rules.RULES, jetbench.jax.rules.RULES)
MODULES = ("jetbench.torch", "jetbench.jax")
ALL = {module: [n for n in importlib.import_module(module).__all__ if not n.isupper()] for module in MODULES}


def public() -> dict[str, object]:
    """Name → each public function."""
    named = {
        f"{module}.{name}": getattr(importlib.import_module(module), name) for module in MODULES for name in ALL[module]
    }
    named |= {f"jetbench.estimators.{name}": getattr(estimators, name) for name in estimators.KINDS}
    named |= {f"jetbench.operators.{name}": getattr(operators, name) for name in ("operator", "load", "make")}
    return {**named, "jetbench.variables": variables, "jetbench.results.load": results.load}


@pytest.fixture
def registries():
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("name", public())
def test_examples_run(name):
    subject = public()[name]
    finder = doctest.DocTestFinder(recurse=inspect.isclass(subject))
    names = vars(inspect.getmodule(subject)) | {"__name__": "__main__"}
    examples = [each for each in finder.find(subject, name, globs=names) if each.examples]
    if inspect.isfunction(subject):
        assert examples, f"{name} has no example."
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for each in examples:
        runner.run(each, out=report.append)
    assert not runner.failures, "".join(report)
