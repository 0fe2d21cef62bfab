"""Random symbols of orders up to 6 in up to 6 variables: apolar and collapsed Taylor mode against nested AD."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetbench.algebra.apolar.inverse_system import dimension
from jetbench.networks import NetworkSpec
from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import Symbol, variables
from jetbench.torch import linear_operator, network, reference


@st.composite
def symbols(draw: st.DrawFn) -> Symbol:
    """Up to three terms with whole coefficients, homogeneous or not."""
    dim = draw(st.integers(1, 6))
    terms = {}
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.integers(1, 6))
        exponents = [0] * dim
        for _ in range(order):
            exponents[draw(st.integers(0, dim - 1))] += 1
        terms[tuple(exponents)] = draw(st.sampled_from([-3, -1, 1, 2]))
    return Symbol(dim, terms)


def _error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value - expected).detach().abs().max() / expected.abs().max().clamp_min(1e-3))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(symbol=symbols(), activation=st.sampled_from(["tanh", "sin", "gelu"]))
def test_random_symbols_agree_with_nested_differentiation(symbol: Symbol, activation: str) -> None:
    spec = NetworkSpec(dim=symbol.dim, widths=(4, 3), outputs=2, activation=activation)
    net = network.build(spec, dtype=torch.float64)
    x = torch.linspace(-0.7, 0.8, 2 * symbol.dim, dtype=torch.float64).reshape(2, symbol.dim)
    expected = reference.evaluate(net, as_operator(symbol), x)[""]
    for method in ("apolar", "collapsed"):
        assert _error(linear_operator(net, symbol, method)(x), expected) < 1e-10, method


@pytest.mark.parametrize("method", ["nested", "taylor", "collapsed", "apolar"])
def test_a_system_gives_all_outputs_in_one_pass(method: str) -> None:
    t, y = variables(2)
    system = {"u": t**0, "u_t": t, "u_yyy": y**3, "u_ty": t * y, "bilaplacian": (t**2 + y**2) ** 2}
    net = network.build(NetworkSpec(dim=2, widths=(6, 5)), dtype=torch.float64)
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2)
    found = linear_operator(net, system, method)
    values = found(x)
    assert list(values) == list(system)
    for name, symbol in system.items():
        expected = reference.evaluate(net, as_operator(symbol), x)[""]
        assert _error(values[name], expected) < 1e-10, name
    if method == "apolar":
        assert found.vectors == dimension(list(system.values())) == 10
