"""Random symbols of orders up to 5 in up to 4 variables: apolar and collapsed Taylor mode against nested AD."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jax_settings import compiled
from jetbench.jax import linear_operator
from jetbench.jax.network import build
from jetbench.networks import NetworkSpec
from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import Symbol
from jetbench.torch import network as torch_network
from jetbench.torch import reference as torch_reference


@st.composite
def symbols(draw: st.DrawFn) -> Symbol:
    """Up to three terms with whole coefficients, homogeneous or not."""
    dim = draw(st.integers(1, 4))
    terms = {}
    for _ in range(draw(st.integers(1, 3))):
        exponents = [0] * dim
        for _ in range(draw(st.integers(1, 5))):
            exponents[draw(st.integers(0, dim - 1))] += 1
        terms[tuple(exponents)] = draw(st.sampled_from([-3, -1, 1, 2]))
    return Symbol(dim, terms)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(symbol=symbols(), activation=st.sampled_from(["tanh", "sin", "gelu"]))
def test_random_symbols_agree_with_nested_differentiation(symbol: Symbol, activation: str) -> None:
    spec = NetworkSpec(dim=symbol.dim, widths=(4, 3), outputs=2, activation=activation)
    x = np.linspace(-0.7, 0.8, 2 * symbol.dim).reshape(2, symbol.dim)
    with torch.no_grad():
        values = torch_reference.evaluate(torch_network.build(spec), as_operator(symbol), torch.tensor(x))
    expected = values[""].numpy()
    for method in ("apolar", "collapsed"):
        found = compiled(linear_operator(build(spec), symbol, method).evaluate)(x)
        assert np.abs(found - expected).max() < 1e-10 * max(np.abs(expected).max(), 1e-3), method
