"""Operators are differentiable in parameters and points, and follow nested AD at kinks."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev
from torch.nn import functional as F

from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.torch import linear_operator
from torch_cases import BIHARMONIC, JETS, LAPLACIAN, METHODS, X, assert_gradients_agree, close, expected, network


def gradients_of(evaluate, inputs):
    """Gradients of the mean square, and gradients of the squared norm of these."""
    first = torch.autograd.grad(evaluate().square().mean(), inputs, create_graph=True, allow_unused=True)
    norm = sum(g.square().sum() for g in first if g is not None)
    second = torch.autograd.grad(norm, inputs, allow_unused=True)
    return [*first, *second]


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_for_parameters_and_points(method, kind):
    net = network(kind=kind, widths=(4, 4))
    x = X.clone().requires_grad_()
    inputs = [x, *net.parameters()]
    operator = operators.kolmogorov_backward(dim=2) if kind == "mlp" else LAPLACIAN
    wanted = gradients_of(lambda: expected(net, operator, x), inputs)
    found = gradients_of(lambda: linear_operator(net, operator, method)(x), inputs)
    assert_gradients_agree(found, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_the_biharmonic(method):
    net = network(widths=(4, 3))
    x = X.clone().requires_grad_()
    inputs = [x, *net.parameters()]
    wanted = gradients_of(lambda: expected(net, BIHARMONIC, x), inputs)
    found = gradients_of(lambda: linear_operator(net, BIHARMONIC, method)(x), inputs)
    assert_gradients_agree(found, wanted)


ACTIVATED = {
    "relu_squared": lambda u: torch.relu(u) ** 2,
    "softplus": F.softplus,
    "elu": F.elu,
    "power": lambda u: (u**2 + 1) ** 0.7,
    "power_of_x": lambda u: (u**2 + 1) ** u,
    "large": lambda u: F.elu(200 * u) + F.softplus(300 * u) / 1e3,
    "division": lambda u: u / (1 + u**2),
    "norm": lambda u: F.normalize(u, dim=-1),
}


@pytest.mark.parametrize("name", ACTIVATED)
@pytest.mark.parametrize("method", ["taylor", "collapsed", "apolar"])
def test_gradients_through_rules(method, name):
    first, last = network(outputs=4, widths=(3,)), network(dim=4, widths=(3,))

    def net(x):
        return last(ACTIVATED[name](first(x)))

    x = X.clone().requires_grad_()
    inputs = [x, *first.parameters(), *last.parameters()]
    found = gradients_of(lambda: linear_operator(net, LAPLACIAN, method)(x), inputs)
    if name == "norm":  # nested forward mode cannot be differentiated through a norm
        wanted = gradients_of(lambda: expected(lambda x: last(unit(first(x))), LAPLACIAN, x), inputs)
    else:
        wanted = gradients_of(lambda: expected(net, LAPLACIAN, x), inputs)
    assert_gradients_agree(found, wanted)


def unit(u):
    return u / u.square().sum(-1, keepdim=True).sqrt()


@pytest.mark.parametrize("method", METHODS)
def test_frozen_parameters_get_no_gradient(method):
    net = network()
    net.layers[0].requires_grad_(False)
    linear_operator(net, LAPLACIAN, method)(X).square().sum().backward()
    assert net.layers[0].weight.grad is None
    wanted = torch.autograd.grad(expected(net, LAPLACIAN, X).square().sum(), net.layers[1].weight)[0]
    close(net.layers[1].weight.grad, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_no_graph_without_gradients(method):
    op = linear_operator(network(), LAPLACIAN, method)
    wanted = op(X)
    assert wanted.requires_grad
    with torch.no_grad():
        found = op(X)
    assert not found.requires_grad
    close(found, wanted.detach())
    with torch.inference_mode():
        found = op(X)
    close(found.clone(), wanted.detach())


@pytest.mark.parametrize("method", METHODS)
def test_functional_call_with_other_parameters(method):
    net, other = network(), network(seed=3)
    op = linear_operator(net, LAPLACIAN, method)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return op(x)

    before = op(X)
    given = {f"net.{name}": value.detach() for name, value in other.named_parameters()}
    close(functional_call(Residual(), given, (X,)), expected(other, LAPLACIAN, X).detach())
    close(op(X), before)

    def loss(parameters):
        return functional_call(Residual(), parameters, (X,)).square().sum()

    weights = list(other.parameters())
    wanted = torch.autograd.grad(expected(other, LAPLACIAN, X).square().sum(), weights, allow_unused=True)
    for found, value in zip(grad(loss)(given).values(), wanted, strict=True):
        close(found, torch.zeros_like(found) if value is None else value)


@pytest.mark.parametrize("method", METHODS)
def test_jacobians_with_torch_func(method):
    net = network(widths=(3,))
    op = linear_operator(net, LAPLACIAN, method)

    def values(x):
        return op(x)

    wanted = torch.autograd.functional.jacobian(lambda x: expected(net, LAPLACIAN, x), X)
    close(jacrev(values)(X), wanted, 1e-9)


KINKS = {
    "relu": lambda x: torch.relu(x) * (1 + x),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2) * (1 + x),
    "relu6": lambda x: F.relu6(x + torch.tensor([0.0, 6.0])) * (1 + x),
    "hardtanh": lambda x: F.hardtanh(x + 1) * (1 + x),
    "clamp": lambda x: x.clamp(min=0.0) * (1 + x),
    "clamp_max": lambda x: x.clamp(max=0.0) * (1 + x),
    "abs": lambda x: x.abs() * (1 + x),
    "maximum": lambda x: torch.maximum(x, 2 * x) * (1 + x),
    "minimum": lambda x: torch.minimum(x, 3 * x) * (1 + x),
    "amax": lambda x: torch.stack([x, 3 * x, x - 1], -1).amax(-1) * (1 + x),
    "max": lambda x: torch.stack([x, 3 * x, x - 1], -1).max(-1).values * (1 + x),
    "elu": lambda x: F.elu(x, 0.5),
    "hardswish": lambda x: F.hardswish(x + 3),
    "hardswish_below": lambda x: F.hardswish(x - 3),
    "hardsigmoid": lambda x: F.hardsigmoid(x + torch.tensor([3.0, -3.0])) * (1 + x),
    "softplus": lambda x: F.softplus(x + 2, threshold=2),
    "softshrink": lambda x: F.softshrink(x + 0.5) * (1 + x),
    "threshold": lambda x: F.threshold(x, 0.0, 3.0) * (1 + x),
    "where": lambda x: torch.where(x > 0, x**2, x**3),
    "whole_power": lambda x: x**2 + x**3 + x**0,
    "power_of_tensor": lambda x: x ** torch.tensor([2.0, 3.0], dtype=x.dtype),
    "prod": lambda x: torch.stack([x, x, 1 + x], -1).prod(-1),
    "sign": lambda x: torch.sign(x) * x**2,
    "floor": lambda x: torch.floor(x) * x**2,
    "topk": lambda x: torch.stack([x, 2 * x, x - 1], -1).topk(1).values[..., 0] * (1 + x),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("method", JETS)
def test_kinks_follow_the_conventions_of_nested_ad(method, name):
    x = torch.zeros(2, 2, dtype=torch.float64)
    close(linear_operator(KINKS[name], LAPLACIAN, method)(x), expected(KINKS[name], LAPLACIAN, x))


@pytest.mark.parametrize("method", JETS)
def test_singular_points_give_no_finite_number(method):
    x = torch.zeros(1, 2, dtype=torch.float64)
    for net in (torch.sqrt, torch.log, torch.reciprocal, lambda x: x**1.5, lambda x: x.abs() ** 0.5):
        assert not linear_operator(net, LAPLACIAN, method)(x).isfinite().any()


def checkpointed(function, y):
    return torch.utils.checkpoint.checkpoint(function, y, use_reentrant=False)


def offloaded(function, y):
    with torch.autograd.graph.save_on_cpu():
        return function(y)


@pytest.mark.parametrize("around", ["nothing", "a checkpoint"])
@pytest.mark.parametrize("saving", [checkpointed, offloaded])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_networks_that_decide_what_is_saved(method, saving, around):
    net = network(widths=(4, 3))
    first, second, last = net.layers

    def saved(y):
        return last(torch.tanh(second(saving(lambda h: torch.tanh(first(h)), y))))

    operator = linear_operator(saved, LAPLACIAN, method)
    if around == "a checkpoint" and method.startswith("nested"):
        with pytest.raises(Unsupported, match="saved tensor hooks"):
            checkpointed(operator, X)
        return
    for _ in range(2):
        value = checkpointed(operator, X) if around == "a checkpoint" else operator(X)
        wanted = expected(net, LAPLACIAN, X)
        close(value.detach(), wanted.detach())
        gradients = [
            torch.autograd.grad(v.square().sum(), [*net.parameters()], allow_unused=True) for v in (value, wanted)
        ]
        assert_gradients_agree(*gradients)
