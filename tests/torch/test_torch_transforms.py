"""Derivatives of operators by tensors that the network closes over, or by parameters, in every way that PyTorch has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

from jetbench.errors import Unsupported
from jetbench.operators.symbol import variables
from jetbench.torch import collapse, linear_operator
from torch_cases import LAPLACIAN, METHODS, X, close, network

MIX = torch.tensor([[0.3, -0.7, 0.4], [0.5, 0.2, -0.6]], dtype=torch.float64)
SCALE = torch.tensor([0.7, -0.4, 1.1], dtype=torch.float64)
Loss = Callable[[Tensor], Tensor]


def loss(method: str | None) -> Loss:
    """Of a scale (3,) that the network closes over: the mean square of Δ tanh(scale · xM), by a method or by hand."""

    def by_method(scale: Tensor) -> Tensor:
        return linear_operator(lambda y: torch.tanh(scale * (y @ MIX)), LAPLACIAN, method)(X).square().mean()

    def by_hand(scale: Tensor) -> Tensor:
        t = torch.tanh(scale * (X @ MIX))
        return ((-2 * t * (1 - t**2)) * scale**2 * (MIX**2).sum(0)).square().mean()

    return by_hand if method is None else by_method


def directional(f: Loss) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(SCALE, torch.ones_like(SCALE)))).tangent


def double_backward(f: Loss) -> Tensor:
    scale = SCALE.clone().requires_grad_()
    (first,) = torch.autograd.grad(f(scale), scale, create_graph=True)
    return torch.autograd.grad(first.square().sum(), scale)[0]


TRANSFORMS: dict[str, Callable[[Loss], Tensor]] = {
    "grad": lambda f: grad(f)(SCALE),
    "vjp": lambda f: vjp(f, SCALE)[1](torch.tensor(2.0, dtype=torch.float64))[0],
    "jvp": lambda f: jvp(f, (SCALE,), (torch.ones_like(SCALE),))[1],
    "jacrev": lambda f: jacrev(f)(SCALE),
    "jacfwd": lambda f: jacfwd(f)(SCALE),
    "hessian": lambda f: hessian(f)(SCALE),
    "vmap": lambda f: vmap(f)(torch.stack([SCALE, 2 * SCALE])),
    "vmap of vmap": lambda f: vmap(vmap(f))(torch.stack([SCALE, 2 * SCALE, -SCALE, 3 * SCALE]).reshape(2, 2, 3)),
    "vmap of grad": lambda f: vmap(grad(f))(torch.stack([SCALE, 2 * SCALE])),
    "grad of vmap": lambda f: grad(lambda scales: vmap(f)(scales).prod())(torch.stack([SCALE, 2 * SCALE])),
    "jvp of grad": lambda f: jvp(grad(f), (SCALE,), (torch.ones_like(SCALE),))[1],
    "grad of grad": lambda f: grad(lambda scale: grad(f)(scale).square().sum())(SCALE),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(f))(SCALE),
    "jacrev of jacrev": lambda f: jacrev(jacrev(f))(SCALE),
    "forward_ad": directional,
    "double backward": double_backward,
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("method", METHODS)
def test_tensors_that_a_network_closes_over(method: str, transform: str) -> None:
    if (method, transform) == ("nested", "forward_ad"):
        with pytest.raises(Unsupported, match=r"Nested forward mode AD is not supported.*Use a method that propagates"):
            TRANSFORMS[transform](loss(method))
        return
    close(TRANSFORMS[transform](loss(method)), TRANSFORMS[transform](loss(None)), 1e-9)


class Residual(nn.Module):
    """Holds an operator of a network that it holds, too."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.net = network(widths=(4, 3))
        self.op = linear_operator(self.net, LAPLACIAN, method)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x).square().mean()


@pytest.mark.parametrize("method", METHODS)
def test_parameters_that_are_handed_in(method: str) -> None:
    """By functional_call under grad, alone and stacked under vmap; the operator called plainly is right in between."""
    torch.manual_seed(0)
    residual = Residual(method)
    parameters = dict(residual.named_parameters())
    plain = torch.autograd.grad(residual(X), list(parameters.values()), materialize_grads=True)

    def call(values: dict[str, Tensor]) -> Tensor:
        return functional_call(residual, values, (X,))

    found = grad(call)({name: value.detach() for name, value in parameters.items()})
    for one, other in zip(found.values(), plain, strict=True):
        close(one, other, 1e-9)
    others = [{name: value.detach() * factor for name, value in parameters.items()} for factor in (1.0, 0.5)]
    stacked = {name: torch.stack([values[name] for values in others]) for name in parameters}
    close(vmap(call)(stacked), torch.stack([call(values) for values in others]), 1e-9)
    close(vmap(grad(call))(stacked)["net.layers.0.weight"][0], plain[0], 1e-9)
    with torch.no_grad():
        for parameter in residual.parameters():
            parameter.mul_(0.5)
    close(residual(X).detach(), call(others[1]), 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_over_stacked_modules(method: str) -> None:
    networks = [network(widths=(4, 3), seed=seed) for seed in range(3)]
    parameters, buffers = stack_module_state(networks)

    def member(parameters: dict, buffers: dict) -> Tensor:
        return linear_operator(lambda y: functional_call(networks[0], (parameters, buffers), (y,)), LAPLACIAN, method)(
            X
        )

    found = vmap(member)(parameters, buffers)
    close(found, torch.stack([linear_operator(net, LAPLACIAN, method)(X) for net in networks]), 1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_call_under_a_transformation_leaves_nothing_behind(method: str) -> None:
    net = network(widths=(4, 3))
    op = linear_operator(net, LAPLACIAN, method)
    jvp(lambda x: op(x), (X,), (torch.ones_like(X),))
    vmap(op)(X)
    for factor in (1.0, 0.7):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(factor)
        close(op(X).detach(), linear_operator(net, LAPLACIAN, "nested_reverse")(X).detach())


@pytest.mark.parametrize("method", METHODS)
def test_an_operator_of_an_operator(method: str) -> None:
    net = network(widths=(4, 3))
    inner = linear_operator(net, LAPLACIAN, method)
    true = linear_operator(linear_operator(net, LAPLACIAN, "nested_reverse"), LAPLACIAN, "nested_reverse")(X)
    close(linear_operator(lambda y: inner(y), LAPLACIAN, method)(X), true, 1e-9)
    ones = torch.ones_like(X)
    along = collapse(lambda y: jvp(inner, (y,), (ones,))[1])
    close(along(X), jvp(linear_operator(net, LAPLACIAN, "nested_reverse"), (X,), (ones,))[1], 1e-9)


def with_constant_part(y: Tensor) -> Tensor:
    """A sum of a row, as jets map it over directions."""
    h = torch.cos(y @ MIX)
    return (h.sin() * h.detach()).sum(-1)


@pytest.mark.parametrize("method", METHODS)
def test_an_operator_of_an_operator_of_a_network_with_a_constant_part(method: str) -> None:
    inner = linear_operator(with_constant_part, LAPLACIAN, method)
    x = X.clone().requires_grad_()
    first = torch.autograd.grad(with_constant_part(x).sum(), x, create_graph=True)[0]
    second = sum(torch.autograd.grad(first[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))
    close(inner(X), second.detach(), 1e-9)
    slope = torch.autograd.grad(second.sum(), x)[0].sum(-1)
    outer = linear_operator(lambda y: inner(y), variables(2)[0] + variables(2)[1], method)
    close(outer(X), slope, 1e-9)
    close(jvp(inner, (X,), (torch.ones_like(X),))[1], slope, 1e-9)


OFFSET = torch.tensor([0.4, -0.9], dtype=torch.float64)
DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of sin(y)·offset by y, the diagonal, (N, 2)
    "jvp": lambda y, w: jvp(lambda h: h.sin() * w, (y,), (torch.ones_like(y),))[1],
    "jvp of a sum": lambda y, w: jvp(lambda h: h.sin() * w + w, (y,), (torch.ones_like(y),))[1],
    "jacfwd": lambda y, w: vmap(jacfwd(lambda row: row.sin() * w))(y).sum(-1),
    "jacrev": lambda y, w: vmap(jacrev(lambda row: row.sin() * w))(y).sum(-1),
    "grad": lambda y, w: grad(lambda h: (h.sin() * w).sum())(y),
    "hessian": lambda y, w: vmap(hessian(lambda row: -(row.cos() * w).sum()))(y).sum(-1),
    "diagonal": lambda y, w: vmap(jacrev(lambda row: torch.diag(row.sin() * w).diagonal()))(y).sum(-1),
}


@pytest.mark.parametrize("is_cast", [False, True])
@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("method", METHODS)
def test_networks_that_differentiate_with_tensors_closed_over(method: str, derivative: str, is_cast: bool) -> None:
    x, w = X.clone(), OFFSET.clone().requires_grad_()
    op = linear_operator(lambda y: DERIVATIVES[derivative](y, w) ** 2, LAPLACIAN, method)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_cast):
        found = op(x)
    wanted = linear_operator(lambda y: (y.cos() * w) ** 2, LAPLACIAN, method)(x)
    close(found, wanted, 1e-9)
    close(*(torch.autograd.grad(value.sum(), w)[0] for value in (found, wanted)), 1e-9)
