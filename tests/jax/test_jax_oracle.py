"""Every method in JAX against values computed to 60 digits without any AD system (tests/oracle/README.md)."""

import json
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jax_settings import compiled
from jetbench.jax import METHODS, linear_operator
from jetbench.jax.network import ACTIVATIONS
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol

ORACLE = json.loads((Path(__file__).parents[1] / "oracle" / "values.json").read_text())
CASES = ORACLE["cases"]
NAMES = [f"{case['function']}-{case['operator']}" for case in CASES]
LAPLACIANS = [case for case in CASES if case["operator"] == "laplacian"]
TOLERANCE = 1e-10
JETS = ("apolar", "collapsed", "taylor", "forward_laplacian")


def table(rows):
    return jnp.array([[float(entry) for entry in row] for row in rows])


def layered(spec):
    """The MLPs of the specification: plain, residual or with normalized pre-activations."""
    layers = [(table(layer["weight"]), table([layer["bias"]])[0]) for layer in spec["layers"]]
    activation, kind, eps = ACTIVATIONS[spec["activation"]], spec["kind"], float(spec.get("eps", 0))

    def net(x):
        for weight, bias in layers[:-1]:
            u = x @ weight.T + bias
            if kind == "layernorm_mlp":
                u = jax.nn.standardize(u, epsilon=eps)
            h = activation(u)
            x = h + x if kind == "residual_mlp" and h.shape == x.shape else h
        return (x @ layers[-1][0].T + layers[-1][1])[..., 0]

    return net


def attention(spec):
    """Mean over tokens and entries of tanh(softmax(q·k/√embedding) v)."""
    query, key, value = (table(spec[name]).T for name in ("query", "key", "value"))

    def net(x):
        tokens = x.reshape(*x.shape[:-1], spec["tokens"], spec["embedding"])
        scores = (tokens @ query) @ (tokens @ key).mT / spec["embedding"] ** 0.5
        return jnp.tanh(jax.nn.softmax(scores) @ (tokens @ value)).mean((-2, -1))

    return net


def log_determinant(spec):
    """log|det tanh(x_i Wᵀ)| over particles x_i."""
    weight = table(spec["weight"]).T

    def net(x):
        return jnp.linalg.slogdet(jnp.tanh(x.reshape(*x.shape[:-1], spec["particles"], -1) @ weight))[1]

    return net


def network(name):
    spec = ORACLE["functions"][name]
    return {"attention": attention, "log_abs_det": log_determinant}.get(spec["kind"], layered)(spec)


def symbol(case):
    return Symbol(case["dimension"], {tuple(e): Fraction(c) for e, c in case["symbol"]})


def evaluated(case, method, operator, **options):
    op = linear_operator(network(case["function"]), operator, method, **options)
    return compiled(op.evaluate)(table(case["points"]))


def assert_close(found, case):
    expected = table([case["values"]])[0]
    assert found.shape == expected.shape
    error = abs((found - expected) / expected)
    assert error.max() < TOLERANCE, f"relative error {error.tolist()}"


def in_turn():
    """Each case with one method after the other: that the methods agree is what the contract tests show."""
    for index, case in enumerate(CASES):
        for method in (JETS[index % len(JETS)], "collapsed"):
            if METHODS[method].unsupported(Problem(as_operator(symbol(case)))) is None:
                yield pytest.param(method, case, id=f"{method}-{NAMES[index]}")
                break


@pytest.mark.parametrize(("method", "case"), list(in_turn()))
def test_value(method, case):
    assert_close(evaluated(case, method, symbol(case)), case)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["operator"] == "laplacian"], ids=lambda c: c["function"]
)
@pytest.mark.parametrize("method", ["nested", "nested_reverse"])
def test_value_by_nested_differentiation(method, case):
    assert_close(evaluated(case, method, symbol(case)), case)


def test_the_reference_values_are_all_there():
    assert len(CASES) == 113
    assert {case["function"] for case in CASES} == set(ORACLE["functions"])
