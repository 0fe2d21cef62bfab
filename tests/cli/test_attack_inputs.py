"""Inputs that users give by mistake or in unusual form: the right number, or an error that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from jetbench import operators
from jetbench.cli.main import app
from jetbench.errors import ConfigError, JetbenchError, Unsupported
from jetbench.measure import sweep
from jetbench.operators import estimators
from jetbench.report import collect
from jetbench.torch import METHODS, linear_operator

METHODS = {name: method for name, method in METHODS.items() if method.package is None}  # what this package promises

torch.set_num_threads(1)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("point", [torch.tensor(0.3), torch.tensor([0.3, -0.2, 0.5])], ids=["one number", "one row"])
def test_expanded_points(method: str, point: torch.Tensor) -> None:
    x = point.double().expand(4, 3)
    laplacian = linear_operator(network(), operators.laplacian(dim=3), method=method)
    torch.testing.assert_close(laplacian(x), laplacian(x.clone(memory_format=torch.contiguous_format)))


@pytest.mark.parametrize("method", ["nested", "nested_reverse", "taylor", "collapsed"])
@pytest.mark.parametrize("kind", ["normal", "rademacher", "coordinate"])
def test_expanded_points_with_random_directions(method: str, kind: str) -> None:
    x = torch.tensor(0.3, dtype=torch.float64).expand(4, 3)
    drawn = estimators.Estimator(kind, 2)
    laplacian = linear_operator(network(), operators.laplacian(dim=3), method=method, estimator=drawn)
    torch.testing.assert_close(laplacian(x, seed=0), laplacian(torch.full((4, 3), 0.3, dtype=torch.float64), seed=0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("returned", [lambda x: (x, x), lambda x: None], ids=["tuple", "None"])
def test_networks_that_return_no_tensor(method: str, returned) -> None:
    with pytest.raises(JetbenchError, match=r"must return one tensor; it returned (tuple|NoneType)"):
        linear_operator(returned, operators.laplacian(dim=3), method=method)(torch.zeros(4, 3))


@pytest.mark.parametrize("method", METHODS)
def test_points_of_another_type_than_the_network(method: str) -> None:
    with pytest.raises(JetbenchError, match=r"could not be run on x of shape .*float32.*same dtype"):
        linear_operator(network(), operators.laplacian(dim=3), method=method)(torch.zeros(4, 3))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "nested_reverse"])
@pytest.mark.parametrize("layout", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr], ids=["coo", "csr"])
def test_sparse_weights(method: str, layout) -> None:
    matrix, x = torch.tensor([[0.0, 1.5, 0.0], [-0.5, 0.0, 2.0]]).double(), torch.rand(4, 3, dtype=torch.float64)
    weights = layout(matrix)
    found = linear_operator(lambda x: torch.sin(weights @ x.mT).mT, operators.laplacian(dim=3), method)(x)
    torch.testing.assert_close(found, -torch.sin(x @ matrix.mT) * (matrix**2).sum(-1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["det", "slogdet", "solve"])
def test_systems_and_determinants(method: str, name: str) -> None:
    """(x, y) ↦ the determinant e^x (2 + y²) of a matrix, its logarithm, and the solution (e^−x, y/(2 + y²))."""

    def net(point: torch.Tensor) -> torch.Tensor:
        x, y = point.unbind(-1)
        zero = torch.zeros_like(x)
        matrix = torch.stack([torch.stack([x.exp(), zero], -1), torch.stack([zero, 2 + y**2], -1)], -2)
        if name == "solve":
            return torch.linalg.solve(matrix, torch.stack([zero + 1, y], -1))
        return torch.linalg.det(matrix) if name == "det" else torch.linalg.slogdet(matrix)[1]

    point = torch.tensor([[0.3, -0.4], [-0.6, 0.2]], dtype=torch.float64)
    x, y = point.unbind(-1)
    true = {
        "det": x.exp() * (4 + y**2),
        "slogdet": (4 - 2 * y**2) / (2 + y**2) ** 2,
        "solve": torch.stack([torch.exp(-x), 2 * y * (y**2 - 6) / (2 + y**2) ** 3], -1),
    }
    torch.testing.assert_close(linear_operator(net, operators.laplacian(dim=2), method)(point), true[name])


@pytest.mark.parametrize("method", METHODS)
def test_complex_networks_are_right_or_refused(method: str) -> None:
    x = torch.tensor([[0.1, 0.2, 0.3], [-0.4, 0.5, -0.6]], dtype=torch.float64)
    laplacian = linear_operator(lambda point: torch.exp(1j * point), operators.laplacian(dim=3), method=method)
    if method.startswith("nested"):
        with pytest.raises(Unsupported, match="imaginary part"):
            laplacian(x)
    else:
        torch.testing.assert_close(laplacian(x), -torch.exp(1j * x))


@pytest.mark.parametrize(
    "text, words",
    [
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (
            "from jetbench.operators import operator\n\n@operator\ndef without_dim():\n    return None\n",
            "without_dim must be a function of dim",
        ),
    ],
)
def test_operators_files_that_fail_end_in_one_line(tmp_path, text: str, words: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(text)
    result = CliRunner().invoke(app, ["list", "operators", "--operators-file", str(path)])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_dimension_is_no_option() -> None:
    result = CliRunner().invoke(app, ["compare", "--operator", "laplacian", "--dim", "2", "--option", "dim=3"])
    assert result.exit_code == 2
    assert "--dim" in result.stderr


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("point_s: 1", "point_s: .nan", "budget: point_s: nan is not allowed; it must be a finite number"),
        ("point_s: 1", "point_s: .inf", "budget: point_s: inf is not allowed"),
        ("  batch:", "  3:", "the key 3 must be a text"),
        ("dim: 3", "dim: 3, options: {dim: 4}", "`dim` stands beside `options`"),
        ("preset: own", "preset: \xff", "is not text in UTF-8"),
    ],
)
def test_configs_that_are_wrong_end_in_one_line(tmp_path, old: str, new: str, words: str) -> None:
    text = (
        "preset: own\ndevice: cpu\nbudget: {point_s: 1}\nstudies:\n  batch:\n    axis: batch\n    values: [1]\n"
        "    methods: [collapsed]\n    network: {kind: mlp, widths: [8], activation: tanh}\n"
        "    cases:\n      - {operator: laplacian, dim: 3}\n"
    )
    path = tmp_path / "own.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert CliRunner().invoke(app, ["curves", "--config", str(path)]).exit_code == 0
    path.write_bytes(text.replace(old, new).encode("latin-1"))
    result = CliRunner().invoke(app, ["curves", "--config", str(path)])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_wrong_method_leaves_an_earlier_result_alone(tmp_path) -> None:
    path, new = tmp_path / "out.json", tmp_path / "new.json"
    path.write_text("[1]")
    for target in (path, new):
        flags = ["--operator", "laplacian", "--dim", "2", "--methods", "none", "--quiet", "--json", str(target)]
        assert CliRunner().invoke(app, ["compare", *flags]).exit_code == 2
    assert path.read_text() == "[1]"
    assert not new.exists()


def test_an_endless_budget_is_refused() -> None:
    result = CliRunner().invoke(app, ["compare", "--operator", "laplacian", "--dim", "2", "--budget", "inf"])
    assert result.exit_code == 2
    assert "--budget must be above 0 and finite; got inf" in result.stderr


@pytest.mark.parametrize("x", [[1.0, 2.0, 3.0], torch.zeros(4, 3, dtype=torch.int64)], ids=["list", "integers"])
def test_random_directions_for_what_is_no_point(x) -> None:
    drawn = linear_operator(network(), operators.laplacian(dim=3), estimator=estimators.normal(2))
    with pytest.raises(TypeError, match="x must be"):
        drawn(x, seed=0)


def test_a_method_that_is_no_text() -> None:
    with pytest.raises(ValueError, match="Unknown method"):
        linear_operator(network(), operators.laplacian(dim=3), method=["collapsed"])


def test_lines_that_are_no_records_are_skipped(tmp_path, caplog) -> None:
    path = tmp_path / "machine" / "batch" / "curve.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"status": "ok", "widths": 5}\n{"key": 3}\nNaN\n{"status": "ok", "peak_memory_bytes": [1]}\n')
    assert collect.read(tmp_path).empty
    assert "skipped 4 lines" in caplog.text


def test_complex_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match="matrix must be real"):
        operators.weighted_laplacian(dim=2, matrix=np.diag([1j, 1]))


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "..", ".hidden", "", "a/b"])
def test_names_of_machines_stay_below_the_results(tmp_path, name: str) -> None:
    with pytest.raises(ConfigError, match="--machine-name must be the name of a folder"):
        sweep.folder(tmp_path, "cpu", name)
    assert sweep.folder(tmp_path, "cpu", "h200") == tmp_path / "h200"
