"""Every rule against nested AD in forward and in reverse mode, for one function at a time."""

from functools import cache

import pytest
import torch

from jetbench.problem import as_operator
from jetbench.symbol import variables
from jetbench.torch import linear_operator, reference
from torch_functions import FUNCTIONS

XI = variables(3)
SYSTEM = as_operator(
    {
        "value": XI[0] ** 0,
        "second": XI[0] ** 2 + 2 * (XI[1] * XI[2]) - XI[2] ** 2 + 0.5 * XI[0] + 0.7,
        "third": XI[0] * XI[1] ** 2 - XI[2] ** 3 + XI[1] ** 2,
        "fourth": (XI[0] ** 2 + XI[1] ** 2) ** 2 + XI[0] * XI[2],
    }
)
LAPLACIAN = as_operator(XI @ XI + XI[0] - 2)
POINTS = torch.tensor([[0.31, -0.42, 0.13], [-0.25, 0.48, 0.71]], dtype=torch.float64)

# PyTorch computes the slope of celu in single precision, and higher derivatives of sinc with cancellation near 0.
INEXACT = {"celu": 1e-6, "sinc": 1e-8}
# Reverse mode gives NaN from the third derivative on, or an error for entries that were overwritten.
WITHOUT_REVERSE = ("logcumsumexp", "in_place")


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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rule_of_order_two(name):
    agrees(
        linear_operator(FUNCTIONS[name], LAPLACIAN, "collapsed")(POINTS),
        reference.evaluate(FUNCTIONS[name], LAPLACIAN, POINTS)[""],
        INEXACT.get(name, 1e-10),
    )


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in WITHOUT_REVERSE])
def test_reverse_mode_agrees_with_forward_mode(name):
    found = linear_operator(FUNCTIONS[name], SYSTEM, "nested_reverse")(POINTS)
    for output, value in expected(name).items():
        agrees(found[output], value, INEXACT.get(name, 1e-10))
