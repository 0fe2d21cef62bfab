"""`collapse` in PyTorch among transformations, autograd, modes and objects of others."""

import copy
import functools
import gc
import io
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

from collapse_cases import X, agrees, laplacian, network, scaled, tensor
from jetbench import operators
from jetbench.errors import JetbenchError, Unsupported
from jetbench.torch import collapse, linear_operator
from torch_cases import sine


def of_parameter(factor, collapsed):
    """The sum of a Laplacian of tanh(factor · y), whose derivatives by the factor are to be found."""
    function = laplacian(lambda y: torch.tanh(factor * y))
    return (collapse(function) if collapsed else function)(X).sum()


def dual(f, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


def taped(f, x):
    x = x.detach().requires_grad_()
    (first,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.stack([first, *torch.autograd.grad(first, x)])


DERIVATIVES = {
    "grad": grad,
    "grad of grad": lambda f: grad(grad(f)),
    "jacrev": jacrev,
    "hessian": hessian,
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,))[1],
    "vjp": lambda f: lambda x: torch.func.vjp(f, x)[1](torch.ones_like(x))[0],
    "vmap": lambda f: lambda x: vmap(f)(torch.stack([x, 2 * x])),
    "vmap of grad": lambda f: lambda x: vmap(grad(f))(torch.stack([x, 2 * x])),
    "jvp of vmap": lambda f: lambda x: jvp(lambda x: vmap(f)(torch.stack([x, x**2])), (x,), (x,))[1],
    "twice on the tape": lambda f: functools.partial(taped, f),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_by_what_a_function_closes_over(name):
    take, factor = DERIVATIVES[name], torch.tensor(0.7, dtype=torch.float64)
    found = take(lambda f: of_parameter(f, True))(factor)
    expected = take(lambda f: of_parameter(f, False))(factor)
    agrees(found, expected)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize("cut", [torch.detach, torch.exp])
def test_a_dual_that_a_function_closes_over(cut):
    def value(factor, wrap):
        return wrap(lambda y: torch.tanh(cut(factor) * y) * factor)(X).sum()

    agrees(dual(lambda f: value(f, collapse), tensor(0.7)[0]), dual(lambda f: value(f, lambda g: g), tensor(0.7)[0]))


def test_parameters_put_in_place_of_others_for_one_call():
    class Loss(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.net = network(1)
            self.function = wrap(laplacian(self.net))

        def forward(self, x):
            return self.function(x).square().sum()

    losses = [Loss(collapse), Loss(lambda f: f)]
    for _ in range(2):
        found, expected = (
            grad(lambda p, loss=loss: functional_call(loss, p, (X,)))(
                {name: 1.5 * p.detach() for name, p in loss.named_parameters()}
            )
            for loss in losses
        )
        for name in found:
            agrees(found[name], expected[name])
        agrees(losses[0](X), losses[1](X))
        for loss in losses:
            scaled(loss.net[0].weight)


def test_an_operator_within_a_function():
    net = network(1)
    operator = linear_operator(net, operators.laplacian(dim=2))

    def along(y):
        return jvp(operator, (y,), (torch.ones_like(y),))[1]

    agrees(collapse(along)(X), along(X))
    twice = linear_operator(lambda y: operator(y), operators.laplacian(dim=2), "stock_rewrite")
    agrees(twice(X), linear_operator(net, operators.biharmonic(dim=2), "apolar")(X))


def unrecorded(function):
    with torch.no_grad():
        return function()


def burgers(net):
    """u_xx + u u_y as solvers of differential equations write it."""

    def residual(x):
        x = x.requires_grad_()
        u = net(x)[:, :1]
        (first,) = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)
        second = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)[0][:, :1]
        return second + u * first[:, 1:]

    return residual


AUTOGRAD = {
    "burgers": lambda w: burgers(lambda x: torch.tanh(x * w) ** 2),
    "detach": lambda w: lambda y: (y * w) ** 2 * (y * w).detach(),
    "data": lambda w: lambda y: (y * w) ** 2 * (y * w).data,
    "no_grad": lambda w: lambda y: y * w * unrecorded(lambda: torch.tanh(y * w)),
    "no_grad within derivatives": lambda w: laplacian(lambda y: torch.sin(y * w) * unrecorded(lambda: (y * w).cos())),
    "no_grad around derivatives": lambda w: lambda y: unrecorded(lambda: laplacian(lambda z: (z * w).sin())(y)) * w,
    "grad without a graph": lambda w: lambda y: torch.autograd.grad((y * w).pow(3).sum(), w)[0] * w,
    "grad within no_grad": lambda w: lambda y: unrecorded(lambda: grad(lambda v: (y * v).pow(3).sum())(w)) * w * y,
    "a new leaf": lambda w: (
        lambda y: torch.autograd.grad(
            (leaf := (y * w).detach().requires_grad_()).pow(3).mul(w).sum(), leaf, create_graph=True
        )[0]
    ),
    "checkpoint": lambda w: (
        lambda y: torch.utils.checkpoint.checkpoint(lambda z: torch.tanh(z * w), y, use_reentrant=False)
    ),
}


@pytest.mark.parametrize("name", AUTOGRAD)
def test_what_autograd_records_is_what_the_function_records(name):
    w = tensor(1.5, 0.5).requires_grad_()
    function = AUTOGRAD[name](w)
    results = []
    for each in (collapse(function), function):
        x = X.clone().requires_grad_()
        value = each(x)
        gradients = torch.autograd.grad(value.square().sum(), [w, x], allow_unused=True)
        results.append([value, *(torch.zeros(1) if g is None else g for g in gradients)])
    for found, expected in zip(*results, strict=True):
        agrees(found.sum().double(), expected.sum().double())
    agrees(results[0][0], results[1][0])


def test_derivatives_by_tensors_from_outside_that_depend_on_each_other():
    def function(a, b):
        return torch.autograd.grad((a**2 * b).sum(), a, create_graph=True)[0]

    collapsed, x = collapse(function), X.clone().requires_grad_()
    for other in (x, x.clone(), x.detach().requires_grad_(), 2 * x):
        agrees(collapsed(x, other), function(x, other))


def test_running_statistics_and_other_changes_in_place_happen():
    nets = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh()).double()]
    nets[0].append(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2).double()))
    nets.append(copy.deepcopy(nets[0]))
    collapsed = collapse(nets[0])
    for factor in (1, 2):
        agrees(collapsed(factor * X), nets[1](factor * X))
        for name, value in nets[0].state_dict().items():
            agrees(value.double(), nets[1].state_dict()[name].double())
    total = torch.zeros_like(X)
    collapse(lambda y, into: into.add_(y))(X, total)
    agrees(total, X)


def test_the_network_of_the_user_is_as_it_was():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.seen, self.calls = None, {}, 0

        def forward(self, y):
            if self.table is None:
                self.table = torch.arange(1, 3, dtype=y.dtype)
                self.register_buffer("other", torch.ones(2, dtype=y.dtype))
            self.seen["last"] = self.last = y * self.table * self.other
            return torch.tanh(self.last)

    net = Caching()
    before = dict(vars(net))
    collapsed = collapse(net)
    for _ in range(2):
        agrees(collapsed(X), torch.tanh(X * tensor(1.0, 2.0)))
    assert vars(net).keys() == before.keys() and not net.seen and not net._buffers and net.table is None
    agrees(net(X), collapsed(X))


def test_a_function_that_counts_its_calls_goes_on_counting():
    calls = []

    def function(y):
        calls.append(1.0)
        return y * len(calls)

    collapsed = collapse(function)
    for n in (1, 2, 3):
        agrees(collapsed(X), n * X)


def test_modes_are_those_of_the_call():
    net = network(1).float()
    collapsed, function, x = collapse(laplacian(net)), laplacian(net), X.float()
    plain = collapsed(x)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = collapsed(x), function(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)
    torch.testing.assert_close(collapsed(x), plain)
    with torch.no_grad():
        assert not collapsed(x).requires_grad
    with torch.inference_mode():
        assert collapsed(x).is_inference()
    assert collapsed(x).requires_grad


Sine = sine(0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: collapse(laplacian(Sine.apply))(X),
        lambda: collapse(Sine.apply)(X.clone().requires_grad_()),
        lambda: collapse(lambda y: 2 * Sine.apply(y))(X.clone().requires_grad_()),
        lambda: grad(lambda y: collapse(Sine.apply)(y).sum())(X),
        lambda: jvp(collapse(Sine.apply), (X,), (X,)),
    ],
)
def test_a_derivative_of_the_author_is_never_dropped(call):
    with pytest.raises(Unsupported, match=r"Sine.*derivative of its own"):
        call()


def test_a_function_of_an_author_without_derivatives():
    agrees(collapse(Sine.apply)(X), X.sin())


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda y: y if y.sum() > 0 else -y, "decides by values"),
        (lambda y: y[y > 0], "decides by values"),
        (functools.partial(lambda net, y: net(y).sum().backward(), network()), r"backward.*torch\.autograd\.grad"),
    ],
)
def test_refusals(function, words):
    with pytest.raises(JetbenchError, match=words):
        collapse(function)(X)


def test_memory_does_not_grow_with_new_tensors():
    net, branch = network(), {}
    collapsed, alive = collapse(lambda y: net(y) * branch["last"]), []
    for factor in range(20):
        branch["last"] = torch.full((2,), float(factor), dtype=torch.float64)
        alive.append(weakref.ref(branch["last"]))
        agrees(collapsed(X), net(X) * factor)
    gc.collect()
    assert sum(reference() is not None for reference in alive) == 1
    assert sum(map(len, collapsed._known.values())) == 1


def test_collapsed_functions_are_copied_and_stored():
    collapsed = collapse(network())
    value = collapsed(X)
    copies = [copy.deepcopy(collapsed), copy.copy(collapsed), pickle.loads(pickle.dumps(collapsed))]
    torch.save(collapsed, io.BytesIO())
    for other in copies:
        agrees(other(X), value)
    scaled(collapsed.function[0].weight)
    agrees(copies[0](X), value)
    agrees(collapsed(X), collapsed.function(X))
