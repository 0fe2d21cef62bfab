"""The public libraries that are methods here: what they pass through a layer, what they refuse, and why."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.jax import METHODS, linear_operator, reference
from jetbench.jax.counting import counted_flops
from jetbench.jax.network import build
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import Problem
from jetbench.torch import METHODS as IN_TORCH

jax.config.update("jax_enable_x64", True)

ROWS = 2


def quadratic_vectors(operator, method, estimator=None):
    """Products with the matrix of a hidden layer per datum: the part of all operations that grows as its width²."""

    def hidden_layer(width):
        totals = []
        for hidden in (2, 3):
            net = build(NetworkSpec(dim=operator.dim, widths=(width,) * hidden))
            op = linear_operator(net, operator, method, estimator)
            x = jnp.ones((ROWS, operator.dim))
            totals.append(counted_flops(op.evaluate, x, op.draw(x, None if estimator is None else 0)))
        return totals[1] - totals[0]

    # a·w² + b·w, where b·w are sums over directions that folx writes as products
    vectors, rest = divmod(hidden_layer(16) - 2 * hidden_layer(8), 2 * ROWS * (16**2 - 2 * 8**2))
    assert rest == 0
    return vectors


@pytest.mark.parametrize("kind", ["mlp", "layernorm_mlp", "attention"])
def test_collapsed_taylor_mode_needs_no_more_operations_than_folx(kind):
    """Within a twentieth, both in products and as XLA counts them; sizes at which elementwise work is a small part."""
    x = jnp.ones((ROWS, 10))
    net = build(NetworkSpec(kind=kind, dim=10, widths=(48, 48), outputs=1))
    products, compiled = {}, {}
    for method in ("collapsed", "folx"):
        op = linear_operator(net, operators.laplacian(dim=10), method)
        products[method] = counted_flops(op, x)
        compiled[method] = jax.jit(op).lower(x).compile().cost_analysis()["flops"]
    assert products["collapsed"] <= 1.05 * products["folx"]
    assert compiled["collapsed"] <= 1.05 * compiled["folx"], compiled


@pytest.mark.parametrize(
    ("operator", "estimator", "method", "expected"),
    [
        (operators.laplacian(dim=4), None, "folx", 4 + 2),
        (operators.laplacian(dim=4), None, "jax_jet", 1 + 2 + 3 * 4),
        (operators.laplacian(dim=4), estimators.normal(3), "folx", 3 + 2),
        (operators.weighted_laplacian(dim=5, rank=2), None, "folx", 2 + 2),
        (operators.wave(dim=3), None, "folx", (2 + 2) + (1 + 2)),
        (operators.biharmonic(dim=3), None, "folx", (3 + 2) ** 2),
        (operators.biharmonic(dim=3), None, "jax_jet", 1 + 4 + 10 * 9),
        (operators.biharmonic(dim=3), estimators.normal(2), "jax_jet", 1 + 4 + 10 * 2),
    ],
)
def test_vectors_are_what_a_library_passes_through_a_layer(operator, estimator, method, expected):
    assert METHODS[method].vectors(Problem(operator, estimator or estimators.exact())) == expected
    assert quadratic_vectors(operator, method, estimator) == expected


def test_stock_jet_takes_both_schemes():
    operator = operators.biharmonic(dim=2)
    net, x = build(NetworkSpec(dim=2, widths=(5,))), np.random.default_rng(0).random((ROWS, 2))
    found = linear_operator(net, operator, "jax_jet", directions="griewank")(x)
    assert np.asarray(found) == pytest.approx(np.asarray(reference.evaluate(net, operator, x)[""]), rel=1e-11)


@pytest.mark.parametrize("method", ["folx", "jax_jet"])
@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_points_with_any_leading_axes(method, leading):
    operator = operators.kolmogorov_backward(dim=3)
    net, x = build(NetworkSpec(dim=3, widths=(5,))), jnp.asarray(np.random.default_rng(0).random((*leading, 3)))
    found = np.asarray(linear_operator(net, operator, method)(x))
    assert found.shape == (*leading, 1)
    assert found == pytest.approx(np.asarray(reference.evaluate(net, operator, x)[""]), rel=1e-11)


@pytest.mark.parametrize(
    ("operator", "estimator", "words"),
    [
        (operators.kdv(dim=2), None, "outputs"),
        (operators.mixed_partial(dim=2, exponents=(2, 1)), None, "not a product of operators of order 2"),
        (operators.biharmonic(dim=2), estimators.normal(2), "random directions of order 4"),
        (operators.laplacian(dim=2), estimators.coordinate(3), "too many"),
    ],
)
def test_folx_says_what_is_beyond_it(operator, estimator, words):
    reason = METHODS["folx"].unsupported(Problem(operator, estimator or estimators.exact()))
    assert words in reason and reason.endswith(".")


def test_what_a_library_says_of_a_network_is_passed_on():
    """Stock jet has no rule for sorting; that is no error of ours, and the record is to say so."""
    laplacian = linear_operator(lambda x: jax.lax.sort(x, dimension=x.ndim - 1), operators.laplacian(dim=2), "jax_jet")
    with pytest.raises(Unsupported, match=f"^jax {jax.__version__} cannot do this network: "):
        laplacian(np.ones((ROWS, 2)))


def test_an_absent_library_is_a_sentence_with_the_command(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name in ("folx", "jet") else find(name))
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    problem = Problem(operators.laplacian(dim=2))
    assert METHODS["folx"].unsupported(problem).endswith("pip install folx.")
    for method in ("jet_for_pytorch", "jet_for_pytorch_standard"):
        assert IN_TORCH[method].unsupported(problem).endswith("pip install jet-for-pytorch.")
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert "needs Python 3.12" in IN_TORCH["jet_for_pytorch"].unsupported(problem)


@pytest.mark.parametrize(
    ("operator", "collapsed", "standard"),
    [
        (operators.laplacian(dim=4), 4 + 2, 1 + 2 * 4),
        (operators.biharmonic(dim=3), 3 * 9 + 2, 1 + 4 * 9),
        (operators.wave(dim=3), (2 + 2) + (1 + 2), 1 + 2 * 3),
    ],
)
def test_vectors_of_jet_for_pytorch(operator, collapsed, standard):
    """Its sums have no weights: directions of positive and of negative weight take a pass each."""
    problem = Problem(operator)
    assert IN_TORCH["jet_for_pytorch"].vectors(problem) == collapsed
    assert IN_TORCH["jet_for_pytorch_standard"].vectors(problem) == standard


@pytest.mark.parametrize("method", ["jet_for_pytorch", "jet_for_pytorch_standard"])
def test_jet_for_pytorch_is_right_or_says_why_it_is_not_here(method):
    from jetbench.torch import linear_operator as in_torch

    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    x = torch.rand(ROWS, 3, dtype=torch.float64)
    expected = in_torch(net, operators.biharmonic(dim=3), "nested")(x)
    reason = IN_TORCH[method].unsupported(Problem(operators.biharmonic(dim=3)))
    if reason is None:
        found = in_torch(net, operators.biharmonic(dim=3), method)(x)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    else:
        with pytest.raises(Unsupported, match="jet-for-pytorch"):
            in_torch(net, operators.biharmonic(dim=3), method)
