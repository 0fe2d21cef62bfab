"""Every rule in fourth order against nested AD in forward mode, for one function at a time.

`test_coverage` has second and third order, and reverse mode.
"""

from functools import cache

import pytest
import torch

from jetbench.problem import as_operator
from jetbench.symbol import variables
from jetbench.torch import linear_operator, reference
from jetbench.torch.coverage import FUNCTIONS as KINDS

XI = variables(3)
SYSTEM = as_operator(
    {
        "value": XI[0] ** 0,
        "fourth": (XI[0] ** 2 + XI[1] ** 2) ** 2 + XI[0] * XI[2],
    }
)
FUNCTIONS = {
    name: function for kind, inner in KINDS.items() if kind != "complex numbers" for name, function in inner.items()
}
POINTS = torch.tensor([[0.31, -0.42, 0.13], [-0.25, 0.48, 0.71]], dtype=torch.float64)

# PyTorch computes the slope of celu in single precision, and higher derivatives of sinc with cancellation near 0.
INEXACT = {"celu": 1e-6, "sinc": 1e-8}


def agrees(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    assert not expected.isnan().any()
    scale = expected.abs().max().clamp_min(1.0) if expected.numel() else 1.0
    assert ((found - expected).abs() <= tolerance * scale).all(), (found - expected).abs().max() / scale


@cache
def expected(name):
    return reference.evaluate(FUNCTIONS[name], SYSTEM, POINTS)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("method", ["taylor", "collapsed", "apolar"])
def test_rule(method, name):
    found = linear_operator(FUNCTIONS[name], SYSTEM, method)(POINTS)
    assert torch.equal(found["value"].isnan(), FUNCTIONS[name](POINTS).isnan())
    for output, value in expected(name).items():
        agrees(found[output], value, INEXACT.get(name, 1e-10))
