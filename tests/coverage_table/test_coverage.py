"""Every function of the coverage table, its committed results, and the command that makes it.

The table in docs/ is made by `make coverage`. Here each function runs through every method in PyTorch
and through `collapsed` in JAX, and some through every method in JAX, where compiling is what takes time.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from coverage_table import interpolation, judging, table, values
from coverage_table.__main__ import main
from coverage_table.judging import SYMBOLS, SYSTEM, TOLERANCE, Outcome, compare, judged
from coverage_table.parameters import POINTS
from coverage_table.values import Value
from jetbench.errors import JetbenchError
from jetbench.operators.symbol import variables

ROOT = Path(__file__).parents[2]
COMMITTED = table.read(ROOT / "docs" / "coverage.csv")
STATUS = {(o.backend, o.function, o.method): o.status for o in COMMITTED}
TORCH, TORCH_METHODS = judging.functions("torch")
JAX, JAX_METHODS = judging.functions("jax")
JETS = ("taylor", "collapsed", "forward_laplacian", "apolar")
XI = variables(3)
PEERS = ("jax_jet", "folx", "jet_for_pytorch", "jet_for_pytorch_standard")
# one for each kind of rule, and those that some method refuses
IN_EVERY_METHOD = (
    "gelu layer_norm real_power fmod logsumexp where_guarded sort scatter_maximum product_pool cholesky newton "
    "custom_vjp phase output_of_three_axes constant"
)


def flat(held):
    return {name: (kind, function) for kind, inner in held.FUNCTIONS.items() for name, function in inner.items()}


@pytest.mark.long
@pytest.mark.parametrize("name", flat(TORCH))
def test_function_in_torch(name):
    kind, function = flat(TORCH)[name]
    able = {label: method for label, method in TORCH_METHODS.items() if not judging.refusal(method)}
    for outcome in judged(TORCH, "torch", kind, name, function, able):
        assert outcome.status == STATUS.get(("torch", name, outcome.method), outcome.status), outcome
        assert outcome.status != "wrong" or outcome.method in PEERS, outcome


@pytest.mark.parametrize("name", flat(JAX))
def test_function_in_jax(name):
    function, known = flat(JAX)[name][1], values.known()[name]
    error, reason = compare(
        JAX.applied(function, SYSTEM, "collapsed"),
        {output: entry.value for output, entry in known.items()},
        JAX.INEXACT.get(name, TOLERANCE),
        {output: entry.error for output, entry in known.items()},
    )
    assert not reason, (error, reason)
    assert STATUS["jax", name, "collapsed"] == "ok"


@pytest.mark.long
@pytest.mark.parametrize("name", IN_EVERY_METHOD.split())
def test_function_in_every_method_of_jax(name):
    kind, function = flat(JAX)[name]
    for outcome in judged(JAX, "jax", kind, name, function, JAX_METHODS):
        assert outcome.status == STATUS["jax", name, outcome.method], outcome


RECOMPUTED = {
    "torch": "tanh layer_norm prod_with_zero_slope cumprod slogdet detach maximum sinc hardshrink",
    "jax": "tanh detach",  # operation by operation, JAX is slow
}


@pytest.mark.parametrize(("backend", "name"), [(b, name) for b, names in RECOMPUTED.items() for name in names.split()])
def test_values_are_those_of_plain_evaluations(backend, name):
    """A sample of `values.json`, computed again from each backend's own function: no derivative rule takes part."""
    for output, found in values.of(backend, [name])[name].items():
        known = values.known()[name][output]
        assert interpolation.agree([(found.value, found.error), (known.value, known.error)])
        assert max(found.error, known.error) < 2e-7


def test_values_of_the_whole_table_are_known_exactly_enough():
    known = values.known()
    assert set(known) == set(flat(JAX)) | set(flat(TORCH))
    errors = {(name, output): entry.error for name, found in known.items() for output, entry in found.items()}
    assert {place for place, error in errors.items() if error > 2e-7} == {("rounding", "third")}
    assert np.median(list(errors.values())) < 1e-9


def test_interpolation_knows_its_error():
    """The estimate bounds the error, and is small where it can be, also near kinks, poles and jumps."""
    symbol = {"third": SYMBOLS["third"]}

    def error(function, third):
        ((found, estimate),) = interpolation.evaluate(lambda x, _: function(x[:, 1]), symbol, POINTS).values()
        true = third(POINTS[:, 1])  # of x₁ alone: ∂₁², since the third derivatives are by x₀ and x₂
        assert np.abs(found - true).max() <= estimate * max(1.0, np.abs(true).max())
        return estimate

    assert error(np.exp, np.exp) < 1e-9
    assert error(lambda t: np.abs(t + 0.43) ** 3, lambda t: 6 * np.abs(t + 0.43)) < 1e-7  # a kink 0.01 away
    assert error(lambda t: 1 / (t + 0.2), lambda t: 2 / (t + 0.2) ** 3) < 1e-7
    assert error(lambda t: np.sign(t - 0.47), lambda t: 0 * t) < 1e-6


def test_the_committed_table_is_whole():
    found = {(o.backend, o.function, o.method) for o in COMMITTED}
    assert {("jax", name, method) for name in flat(JAX) for method in JAX_METHODS} <= found
    assert {("torch", name, method) for name in flat(TORCH) for method in TORCH_METHODS if method not in PEERS} <= found
    assert {o.function for o in COMMITTED} == {*flat(JAX), *flat(TORCH)}
    assert len(COMMITTED) == len(found)


def test_no_method_of_ours_is_wrong():
    assert [o for o in COMMITTED if o.status == "wrong" and o.method not in PEERS] == []


def test_jets_support_every_function_in_jax():
    refused = [o for o in COMMITTED if o.backend == "jax" and o.method in JETS and o.status != "ok"]
    assert refused == []
    assert len(flat(JAX)) >= 300


def test_methods_of_jets_support_the_same_functions_in_torch():
    of_method = {
        method: {o.function for o in COMMITTED if (o.backend, o.method, o.status) == ("torch", method, "ok")}
        for method in JETS
    }
    assert len({frozenset(names) for names in of_method.values()}) == 1


def test_the_page_says_what_the_data_say():
    assert (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8") == table.markdown(COMMITTED)


def test_there_are_twins():
    """One name means one function in both backends: most of the list in PyTorch has its twin in JAX."""
    assert set(flat(TORCH)) - set(flat(JAX)) == set()
    for name in flat(TORCH):
        assert flat(TORCH)[name][0] == flat(JAX)[name][0]


def outcome(**changes):
    return Outcome(
        **{"backend": "jax", "kind": "k", "function": "f", "method": "m", "status": "ok", "orders": ()} | changes
    )


def test_compare_sees_every_difference():
    true = {"second": np.array([1.0, 200.0])}
    assert compare({"second": np.array([1.0, 200.0 + 1e-8])}, true, 1e-9) == (pytest.approx(5e-11), "")
    assert "relative error" in compare({"second": np.array([1.0, 200.1])}, true, 1e-9)[1]
    assert compare({"second": np.array([1.0, 200.1])}, true, 1e-9, {"second": 1e-3})[1] == ""
    assert "shape" in compare({"second": np.ones((2, 1))}, true, 1e-9)[1]
    assert "not finite" in compare({"second": np.array([1.0, np.nan])}, true, 1e-9)[1]
    assert compare({"second": np.zeros(0)}, {"second": np.zeros(0)}, 1e-9) == (0.0, "")


def test_written_tables_read_back(tmp_path):
    written = [
        outcome(orders=("second", "third"), error=3e-16),
        outcome(method="other", status="unsupported", reason="No rule for | this, and that"),
        outcome(backend="torch", status="wrong", error=0.5, reason="relative error 5.0e-01"),
    ]
    data, page = table.write(written, tmp_path / "new")
    assert table.read(data) == written
    assert table.counts(written)["jax", "other"] == (0, 1, 0, 1)
    assert "| torch | m | 0 | 0 | 1 | 1 |" in page.read_text()
    assert re.search(r"\| k \| f \| ok \| – \|", page.read_text())


class Wrong:
    """A backend of one function of which a method may have any value."""

    INEXACT, ORDERS = {}, {}

    def __init__(self, value):
        self.value = value

    def applied(self, function, operator, method):
        if isinstance(self.value, Exception):
            raise self.value
        return dict.fromkeys(SYMBOLS, self.value)


class Able:
    def unsupported(self, problem):
        return None


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        (np.ones(2), "ok", ""),
        (np.zeros(2), "wrong", "third: relative error 1.0e+00"),
        (JetbenchError("No rule for it.\nMore."), "unsupported", "No rule for it."),
        (KeyError("while"), "unsupported", "KeyError: 'while'"),
    ],
)
def test_judgement(value, status, reason, monkeypatch):
    monkeypatch.setattr(values, "known", lambda: {"f": dict.fromkeys(SYMBOLS, Value(np.ones(2), 0.0))})
    (found,) = judged(Wrong(value), "torch", "k", "f", None, {"m": Able()})
    assert (found.status, found.reason, found.orders) == (status, reason, ("second", "third"))


def test_command_writes_and_counts(tmp_path, capsys):
    words = ["--backend", "torch", "--methods", "collapsed", "nested_reverse"]
    assert main([*words, "--functions", "tanh", "complex_product", "--out", str(tmp_path)]) == 0
    assert {(o.function, o.method): o.status for o in table.read(tmp_path / "coverage.csv")} == {
        ("tanh", "collapsed"): "ok",
        ("tanh", "nested_reverse"): "ok",
        ("complex_product", "collapsed"): "ok",
        ("complex_product", "nested_reverse"): "unsupported",
    }
    assert "_neg_view" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "numpy"], "Unknown backend 'numpy'"),
        (["--backend", "torch", "--methods", "magic"], "Unknown method 'magic'"),
        (["--backend", "torch", "--functions", "magic"], "Unknown function or kind 'magic'"),
        (["--methods", "magic"], "No backend has a method called magic"),
    ],
)
def test_command_names_what_is_wrong(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_command_lists_functions(capsys):
    assert main(["--list", "--backend", "jax"]) == 0
    assert "custom_vjp" in capsys.readouterr().out
