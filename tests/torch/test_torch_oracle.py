"""Every method against values computed to 60 digits without automatic differentiation (tests/oracle/README.md)."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import nn

from jetbench.errors import Unsupported
from jetbench.operators.symbol import Symbol, variables
from jetbench.torch import METHODS, linear_operator
from jetbench.torch.network import ACTIVATIONS

METHODS = {name: method for name, method in METHODS.items() if method.package is None}  # what this package promises

ORACLE = json.loads((Path(__file__).parents[1] / "oracle" / "values.json").read_text())
CASES = ORACLE["cases"]
NAMES = [f"{case['function']}-{case['operator']}" for case in CASES]
TOLERANCE = 1e-10


def table(rows):
    return torch.tensor([[float(entry) for entry in row] for row in rows], dtype=torch.float64)


def linear(weight, bias=None):
    weight = table(weight)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float64)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = table([bias])[0]
    return layer


class Layers(nn.Module):
    """The MLPs of the specification: plain, residual or with normalized pre-activations."""

    def __init__(self, spec):
        super().__init__()
        self.kind, self.activation = spec["kind"], ACTIVATIONS[spec["activation"]]
        self.layers = nn.ModuleList(linear(layer["weight"], layer["bias"]) for layer in spec["layers"])
        self.eps = float(spec.get("eps", 0))

    def forward(self, x):
        for layer in self.layers[:-1]:
            u = layer(x)
            if self.kind == "layernorm_mlp":
                u = nn.functional.layer_norm(u, u.shape[-1:], eps=self.eps)
            h = self.activation(u)
            keeps_width = self.kind == "residual_mlp" and layer.in_features == layer.out_features
            x = h + x if keeps_width else h
        return self.layers[-1](x).squeeze(-1)


class Attention(nn.Module):
    """Mean over tokens and entries of tanh(softmax(q·k/√embedding) v)."""

    def __init__(self, spec):
        super().__init__()
        self.tokens, self.embedding = spec["tokens"], spec["embedding"]
        self.query, self.key, self.value = (linear(spec[name]) for name in ("query", "key", "value"))

    def forward(self, x):
        tokens = x.reshape(*x.shape[:-1], self.tokens, self.embedding)
        scores = self.query(tokens) @ self.key(tokens).mT / self.embedding**0.5
        return torch.tanh(torch.softmax(scores, -1) @ self.value(tokens)).mean((-2, -1))


class LogDeterminant(nn.Module):
    """log|det tanh(x_i Wᵀ)| over particles x_i."""

    def __init__(self, spec):
        super().__init__()
        self.particles, self.orbitals = spec["particles"], linear(spec["weight"])

    def forward(self, x):
        particles = x.reshape(*x.shape[:-1], self.particles, -1)
        return torch.linalg.slogdet(torch.tanh(self.orbitals(particles))).logabsdet


def network(name):
    spec = ORACLE["functions"][name]
    return {"attention": Attention, "log_abs_det": LogDeterminant}.get(spec["kind"], Layers)(spec)


def symbol(case):
    return Symbol(case["dimension"], {tuple(e): Fraction(c) for e, c in case["symbol"]})


def evaluated(case, method, operator, **options):
    x = table(case["points"])
    return linear_operator(network(case["function"]), operator, method, **options)(x)


def assert_close(found, case):
    expected = table([case["values"]])[0]
    assert found.shape == expected.shape
    error = (found - expected).abs() / expected.abs()
    assert error.max() < TOLERANCE, f"relative error {error.tolist()}"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_value(method, case):
    operator = symbol(case)
    try:
        found = evaluated(case, method, operator)
    except Unsupported as refusal:
        assert method in ("forward_laplacian", "stock_rewrite")
        assert operator.degree > 2
        assert str(refusal).endswith(".")
        return
    assert_close(found, case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("method", ["taylor", "collapsed"])
def test_value_with_the_directions_of_the_paper(method, case):
    operator = symbol(case)
    if operator.degree <= 2:
        assert len(case["symbol"]) >= 1  # both schemes share the eigenvectors, so that there is one value to compare
        return
    assert_close(evaluated(case, method, operator, directions="griewank"), case)


FACTORED = {"biharmonic": 2, "triharmonic": 3}


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["operator"] in FACTORED], ids=[n for n in NAMES if n.split("-")[1] in FACTORED]
)
@pytest.mark.parametrize("method", METHODS)
def test_value_of_a_power_of_the_laplacian(method, case):
    """A symbol that knows its factors is applied factor by factor by the methods that nest."""
    xi = variables(case["dimension"])
    operator = (xi @ xi) ** FACTORED[case["operator"]]
    assert operator == symbol(case)
    if method == "stock_rewrite":  # up to order 2
        with pytest.raises(Unsupported, match="nests forward mode"):
            evaluated(case, method, operator)
        return
    assert_close(evaluated(case, method, operator), case)


def test_the_reference_values_are_all_there():
    assert len(CASES) == 113
    assert {case["function"] for case in CASES} == set(ORACLE["functions"])
