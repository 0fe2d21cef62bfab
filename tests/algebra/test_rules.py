"""Rules that are made from a derivative alone, in every backend."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.extend.core import Primitive
from jax.interpreters import mlir
from torch import library

import jax_settings  # noqa: F401  (64 bits)
import jetbench.jax
import jetbench.torch
from jetbench import operators, variables
from jetbench.errors import MissingRule

ORDERS = range(1, 6)
POINTS = np.array([[0.3], [-0.7], [1.1]])
#: Name → slope(u, y, module), value(u, module), and the derivatives of the value as multiples of it.
FUNCTIONS = {
    "growth": (lambda u, y, xp: y, lambda u, xp: xp.exp(u), lambda u, m: np.exp(u)),
    "line": (lambda u, y, xp: 3, lambda u, xp: 3 * u, lambda u, m: np.full_like(u, 3.0 * (m == 1))),
    "gauss": (
        lambda u, y, xp: xp.exp(-u * u),
        lambda u, xp: (xp.special.erf if xp is torch else jax.scipy.special.erf)(u) * (math.sqrt(math.pi) / 2),
        lambda u, m: (-1) ** (m - 1) * np.polynomial.hermite.hermval(u, [0] * (m - 1) + [1]) * np.exp(-u * u),
    ),
}


def torch_operation(name, function, **options):
    return library.custom_op(f"rules::{name}", function, mutates_args=(), **options)


def torch_function(name):
    slope, value, _ = FUNCTIONS[name]

    def function(x: torch.Tensor) -> torch.Tensor:
        return value(x, torch).clone()

    operation = torch_operation(name, function)
    operation.register_fake(torch.empty_like)
    jetbench.torch.rule(getattr(torch.ops.rules, name).default, derivative=lambda u, y: slope(u, y, torch))
    return operation, jetbench.torch.linear_operator, lambda x: torch.tensor(x)


def jax_function(name):
    slope, value, _ = FUNCTIONS[name]
    primitive = Primitive(name)
    primitive.def_impl(lambda x: value(x, jnp))
    primitive.def_abstract_eval(lambda x: x)
    mlir.register_lowering(primitive, mlir.lower_fun(lambda x: value(x, jnp), multiple_results=False))
    jetbench.jax.rule(primitive, derivative=lambda u, y: slope(u, y, jnp))
    return primitive.bind, jetbench.jax.linear_operator, jnp.asarray


#: Registered once, when tests are collected.
MADE = {(make, name): make(name) for make in (torch_function, jax_function) for name in FUNCTIONS}


@pytest.mark.parametrize("method", ["taylor", "collapsed", "apolar"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("make", [torch_function, jax_function])
def test_all_derivatives_follow_from_the_first(make, name, method):
    function, linear_operator, array = MADE[make, name]
    (t,) = variables(1)
    found = linear_operator(lambda x: function(x)[..., 0], {f"d{m}": t**m for m in ORDERS}, method=method)
    for m in ORDERS:
        expected = FUNCTIONS[name][2](POINTS[:, 0], m)
        np.testing.assert_allclose(np.asarray(found(array(POINTS))[f"d{m}"]), expected, rtol=1e-9, atol=1e-12)


def scaled_exponential():
    """e^(a·u) for a tensor a, with φ' = a·φ."""

    def function(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return torch.exp(a * x)

    operation = torch_operation("scaled_exponential", function)
    operation.register_fake(lambda x, a: torch.empty_like(x))
    operation.register_autograd(
        lambda ctx, gradient: (None, (gradient * ctx.saved_tensors[0] * ctx.saved_tensors[1]).sum()),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0], output),
    )
    jetbench.torch.rule(torch.ops.rules.scaled_exponential.default, derivative=lambda u, y, a: a * y)
    return operation


SCALED_EXPONENTIAL = scaled_exponential()


def test_further_arguments_are_constants_to_which_gradients_flow():
    a, x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True), torch.tensor(POINTS)
    laplacian = jetbench.torch.linear_operator(lambda x: SCALED_EXPONENTIAL(x, a).sum(-1), operators.laplacian(dim=1))
    found = laplacian(x)
    torch.testing.assert_close(found, (a**2 * torch.exp(a * x)).sum(-1))
    (slope,) = torch.autograd.grad(found.sum(), a)
    torch.testing.assert_close(slope, ((2 * a + a**2 * x) * torch.exp(a * x)).sum())


def test_an_argument_that_depends_on_x_needs_a_rule_of_its_own():
    x = torch.tensor(POINTS)
    laplacian = jetbench.torch.linear_operator(
        lambda x: SCALED_EXPONENTIAL(x, x.mean(-1)).sum(-1), operators.laplacian(dim=1)
    )
    with pytest.raises(MissingRule, match="another argument depends on x"):
        laplacian(x[0])


@pytest.mark.parametrize("rule", [jetbench.torch.rule, jetbench.jax.rule])
def test_a_rule_belongs_to_an_operation(rule):
    with pytest.raises(TypeError, match="A rule belongs to a"):
        rule("tanh", derivative=lambda u, y: 1 - y * y)
