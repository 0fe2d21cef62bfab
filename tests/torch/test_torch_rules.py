"""Every rule in fourth order against nested AD in forward mode, for one function at a time.

`test_coverage` has second and third order, and reverse mode.
"""

from functools import cache

import pytest
import torch

from coverage_table.torch import FUNCTIONS as KINDS
from jetbench.algebra.taylor import Taylor
from jetbench.errors import Unsupported
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import variables
from jetbench.torch import linear_operator, reference
from jetbench.torch.jet import Jet
from jetbench.torch.rules import RULES
from torch_truth import jets

aten = torch.ops.aten

XI = variables(3)
SYSTEM = as_operator(
    {
        "value": XI[0] ** 0,
        "fourth": (XI[0] ** 2 + XI[1] ** 2) ** 2 + XI[0] * XI[2],
    }
)
FUNCTIONS = {name: function for inner in KINDS.values() for name, function in inner.items()}
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


def jet_of(x):
    """x as the jet of a function with all its first derivatives 1."""
    return Jet(Taylor(Problem(as_operator(variables(1)[0]))), x, [torch.ones(1, *x.shape, dtype=x.dtype)])


def test_a_random_relu_draws_nothing_in_evaluation():
    x = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    for operation in (aten.rrelu_with_noise.default, aten.rrelu_with_noise_functional.default):
        found = RULES[operation](jet_of(x), torch.zeros_like(x), 0.1, 0.3, False)
        found = found[0] if isinstance(found, tuple) else found
        assert torch.equal(found.primal, torch.nn.functional.rrelu(x, 0.1, 0.3, training=False))
        torch.testing.assert_close(found.rest[0], torch.tensor([0.2, 0.2, 1.0], dtype=x.dtype))
        with pytest.raises(Unsupported, match=r"net\.eval\(\)"):
            RULES[operation](jet_of(x), torch.zeros_like(x), 0.1, 0.3, True)


def joined(*columns):
    return torch.cat(columns, -1)


PARAMETRIC = {
    "hypot": lambda y, s: torch.hypot(y * s, s + y),
    "atan2": lambda y, s: torch.atan2(y * s, s + y),
    "division": lambda y, s: (y + s) / (1 + s * y**2),
    "logarithm": lambda y, s: torch.log(s + y**2) + torch.log1p(s * y),
    "power": lambda y, s: (s + y) ** -1.5,
    "norm": lambda y, s: torch.linalg.vector_norm(joined(s * y, y + 1), 3, -1),
    "logcumsumexp": lambda y, s: torch.logcumsumexp(joined(s * y, y**2, y), -1)[:, 2],
    "inverse_functions": lambda y, s: torch.atan(s * y) + torch.asinh(s * y) * torch.acosh(1 + s + y),
    "complex": lambda y, s: (torch.exp(1j * s * y) * (y + 1j * s)).abs() + torch.complex(y, s * y).angle(),
    "gauss_of_norm_at_zero": lambda y, s: torch.exp(-(joined(y - 0.5, s * (y - 0.5)).norm(dim=-1) ** 2)),
    "huber": lambda y, s: torch.nn.functional.huber_loss(s * y, y * 0, reduction="none", delta=2.0),
    "scattered_product": lambda y, s: joined(y, s * y).scatter_reduce(
        1, torch.tensor([[0, 0]]), joined(y + s, y * s), "prod"
    ).sum(-1),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETRIC)
def test_gradients_by_a_parameter(name):
    """Against differences of the derivatives themselves, with and without a graph of the gradient."""

    def derivatives(s):
        return jets(lambda y: PARAMETRIC[name](y, s), (0.5,), (1, 2, 3)).sum()

    s, step = torch.tensor(0.7, dtype=torch.float64, requires_grad=True), 1e-5
    expected = (derivatives(s + step) - derivatives(s - step)) / (2 * step)
    (found,) = torch.autograd.grad(derivatives(s), s)
    (again,) = torch.autograd.grad(derivatives(s), s, create_graph=True)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(again.detach(), found, rtol=1e-12, atol=1e-12)
