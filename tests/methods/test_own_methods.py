"""Methods of one's own: loading them from a file, the contract they are checked by, and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from jetbench import methods, operators
from jetbench.cli.main import app
from jetbench.errors import ConfigError
from jetbench.measure import contract, own_files
from jetbench.torch import METHODS, linear_operator

FILE = '''
"""The Laplacian as the trace of a full Hessian."""

from dataclasses import dataclass

import torch

from jetbench.errors import Unsupported
from jetbench.methods import Method


@dataclass
class Hessian:
    vectors: int
    groups: tuple = ()


class FullHessian(Method):
    """The trace of the full Hessian."""

    name = "full_hessian"
    label = "Full Hessian"
    backends = ("torch",)

    def plan(self, problem):
        if problem.operator.name != "laplacian" or not problem.estimator.is_exact:
            raise Unsupported(REFUSAL)
        return Hessian(2 + 2 * problem.operator.dim)

    def build(self, net, problem, plan):
        def of_point(x):
            return FACTOR * torch.func.hessian(net)(x).diagonal(dim1=-2, dim2=-1).sum(-1)

        def evaluate(x, draws):
            values = torch.vmap(of_point)(x.reshape(-1, x.shape[-1]))
            return {"": values.reshape(*x.shape[:-1], *values.shape[1:])}

        return evaluate
'''


def written(folder: Path, refusal: str = "This is for the exact Laplacian only.", factor: float = 1.0) -> Path:
    path = folder / "own_methods.py"
    path.write_text(f"REFUSAL, FACTOR = {refusal!r}, {factor}\n{FILE}")
    return path


@pytest.fixture(autouse=True)
def as_before():
    known = {backend: dict(of) for backend, of in methods.REGISTRY.items()}
    yield
    for backend, of in known.items():
        methods.REGISTRY[backend].clear()
        methods.REGISTRY[backend].update(of)


@pytest.fixture
def few(monkeypatch):
    """Two operators in place of all."""
    monkeypatch.setattr(operators, "REGISTRY", {name: operators.REGISTRY[name] for name in ("laplacian", "biharmonic")})


def test_a_method_from_a_file_is_one_of_the_backends(tmp_path):
    assert methods.load(written(tmp_path)) == ("full_hessian",)
    assert "full_hessian" in METHODS and "full_hessian" not in methods.REGISTRY["jax"]
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    x, laplacian = torch.randn(5, 3, dtype=torch.float64), operators.laplacian(dim=3)
    found = linear_operator(net, laplacian, method="full_hessian")
    torch.testing.assert_close(found(x), linear_operator(net, laplacian, method="nested")(x))
    assert found.vectors == 8


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "full_hessian"', 'name = "nested"', "cannot be called 'nested'"),
        ('backends = ("torch",)', 'backends = ("tensorflow",)', "some of torch, jax"),
        ("    def build(", "    def built(", "defines no method"),
    ],
)
def test_a_method_that_cannot_be_used_is_refused(tmp_path, old, new, words):
    path = written(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=words):
        own_files.load(methods_file=path)


@pytest.mark.parametrize(
    ("refusal", "factor", "words"),
    [
        ("no", 1.0, "not a sentence"),
        ("This is for the exact Laplacian only.", 1 + 1e-6, "off by"),
    ],
)
def test_the_contract_finds_what_is_wrong(tmp_path, few, refusal, factor, words):
    methods.load(written(tmp_path, refusal, factor))
    outcomes = list(contract.check("full_hessian", "torch"))
    wrong = [outcome for outcome in outcomes if outcome.status == contract.WRONG]
    assert wrong and all(words in outcome.reason for outcome in wrong)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_methods_here_fulfil_the_contract(few, backend):
    outcomes = list(contract.check("collapsed", backend))
    assert {outcome.status for outcome in outcomes} == {contract.RIGHT, contract.UNSUPPORTED}
    assert sum(outcome.status == contract.RIGHT for outcome in outcomes) >= 5


def test_the_command_checks_every_method_of_a_file(tmp_path, few):
    result = CliRunner().invoke(app, ["check-method", str(written(tmp_path)), "--quiet"])
    assert result.exit_code == 0, result.output
    assert "full_hessian (torch): 1 ok, 7 unsupported, 0 wrong of 8 cases." in result.output
    result = CliRunner().invoke(app, ["check-method", str(written(tmp_path, factor=2.0)), "--quiet"])
    assert result.exit_code == 1
    assert "The value is off by 1.0e+00" in result.output


def test_own_methods_are_compared(tmp_path):
    command = (
        "compare --operator laplacian --dim 3 --widths 4 --batch 2 --budget 0.01 --no-memory --no-gradient --quiet"
    )
    found = tmp_path / "out.json"
    own = [
        "--methods-file",
        str(written(tmp_path)),
        "--methods",
        "nested",
        "full_hessian",
        "--json",
        str(found),
        "--quiet",
    ]
    result = CliRunner().invoke(app, [*command.split(), *own, "--quiet"])
    assert result.exit_code == 0, result.output
    records = json.loads(found.read_text())
    assert [(record["method"], record["status"], record["vectors"]) for record in records] == [
        ("nested", "ok", 10),
        ("full_hessian", "ok", 8),
    ]


def test_every_method_has_a_module_of_its_name():
    for name, method in methods.METHODS.items():
        assert method.__module__ == f"jetbench.methods.{name}"
        assert method.label and method.rank < 1000
