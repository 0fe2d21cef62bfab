"""`collapse` in PyTorch is never stale: what a function reads may change between two calls, and the next call is right."""

import contextvars
import copy
import dataclasses
import enum
import functools
import gc
import io
import math
import os
import pickle
import random
import sys
import threading
import types
import weakref
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap
from torch.nn import functional as F

from jetbench import operators
from jetbench.errors import JetbenchError, Unsupported
from jetbench.torch import collapse, linear_operator

X = torch.tensor([[0.3, -0.4], [-0.6, 0.2]], dtype=torch.float64)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def agrees(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def laplacian(f):
    def second(x, v):
        return jvp(lambda y: jvp(f, (y,), (v.expand_as(x),))[1], (x,), (v.expand_as(x),))[1]

    return lambda x: vmap(lambda v: second(x, v))(torch.eye(x.shape[-1], dtype=x.dtype)).sum(0)


def network(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, outputs)).double()


def scaled(tensor, factor=2.0):
    with torch.no_grad():
        tensor.mul_(factor)


class Holder:
    """Calls a method that reads an attribute; the class has one too."""

    shared = 1.0

    def __init__(self, own=1.0):
        self.own = own

    @property
    def both(self):
        return self.own * self.shared

    def scale(self, y):
        return self.both * y

    def __call__(self, y):
        return torch.tanh(self.scale(y))


class Slotted:
    __slots__ = ("factor",)

    def __call__(self, y):
        return torch.tanh(self.factor * y)


class Meta(type):
    factor = 1.0


GLOBAL, TABLE = 1.0, {"a": [({"b": [1.0]},)]}


def set_global(name, value):
    globals()[name] = value


def of_holder(change):
    class Own(Holder):
        pass

    own = Own()
    return own, lambda: change(Own, own)


def of_slots(before, after):
    slotted = Slotted()
    slotted.factor = before
    return slotted, lambda: setattr(slotted, "factor", after)


def of_value(before, change, function):
    return functools.partial(function, before), lambda: change(before)


def of_closure(before, after):
    value = before

    def function(y):
        return torch.tanh(value * y)

    def change():
        nonlocal value
        value = after

    return function, change


def of_network(change):
    net = network()
    return net, lambda: change(net)


def of_module(function, name="own_module"):
    module = types.ModuleType(name)
    module.factor = 1.0
    sys.modules[name] = module
    return functools.partial(function, module), lambda: setattr(module, "factor", 2.0)


def of_text():
    space = {"torch": torch, "factor": 1.0}
    exec("def function(y): return torch.tanh(factor * y)", space)
    return space["function"], lambda: space.update(factor=2.0)


def imported(module, y):
    from own_module import factor

    return torch.tanh(factor * y)


def with_default(y, factors=[1.0]):  # noqa: B006
    return torch.tanh(factors[0] * y)


def with_attribute(y):
    return torch.tanh(with_attribute.factor * y)


with_attribute.factor = 1.0


class Choice(enum.Enum):
    ONE, TWO = 1, 2


@dataclasses.dataclass
class Data:
    factor: object = 1.0


def of_metaclass():
    class Own(metaclass=Meta):
        def __call__(self, y):
            return torch.tanh(type(self).factor * y)

    return Own(), lambda: setattr(Meta, "factor", 3.0)


def of_cache():
    factors = [1.0]

    @functools.lru_cache
    def table(n):
        return torch.arange(1, n + 1, dtype=torch.float64)

    return lambda y: torch.tanh(table(2) * y * factors[0]), lambda: factors.append(factors.pop() + 1)


def of_weak_reference():
    data = Data()
    reference = weakref.ref(data)
    return lambda y: torch.tanh(reference().factor * y), lambda: setattr(data, "factor", 2.0)


def of_context(variable, get, change):
    return lambda y: torch.tanh(get(variable) * y), lambda: change(variable)


def of_thread():
    local = threading.local()
    local.factor = 1.0
    return lambda y: torch.tanh(local.factor * y), lambda: setattr(local, "factor", 2.0)


def of_environment():
    os.environ["JETBENCH_TEST"] = "1.0"
    return (
        lambda y: torch.tanh(float(os.environ["JETBENCH_TEST"]) * y),
        lambda: os.environ.update(JETBENCH_TEST="2.0"),
    )


def of_gradient():
    factor = tensor(1.0).requires_grad_()
    factor.grad = tensor(1.0)
    return lambda y: torch.tanh(factor.grad * y), lambda: setattr(factor, "grad", tensor(2.0))


def of_operator():
    net = network()
    operator = linear_operator(net, operators.laplacian(dim=2))
    return lambda y: operator(y) * y, lambda: scaled(net[0].weight)


def of_compiled(compiled):
    net = network()
    return compiled(net), lambda: scaled(net[0].weight)


def of_weight_norm():
    net = network()
    nn.utils.parametrizations.weight_norm(net[0])
    return net, lambda: scaled(net[0].parametrizations.weight.original0)


def of_attribute_of_a_tensor():
    factor = tensor(1.0)
    factor.power = 1
    return lambda y: torch.tanh(factor * y**factor.power), lambda: setattr(factor, "power", 2)


def of_shared_layer():
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)).double()
    net[2].weight = net[0].weight
    return net, lambda: setattr(net[2], "weight", nn.Parameter(net[0].weight.detach() * 2))


CHANGES = {
    "attribute": lambda: of_holder(lambda cls, own: setattr(own, "own", 2.0)),
    "attribute of the class": lambda: of_holder(lambda cls, own: setattr(cls, "shared", 2.0)),
    "method": lambda: of_holder(lambda cls, own: setattr(cls, "scale", lambda self, y: y**2)),
    "property": lambda: of_holder(lambda cls, own: setattr(cls, "both", property(lambda self: 3.0))),
    "attribute becomes a tensor": lambda: of_holder(lambda cls, own: setattr(own, "own", tensor(2.0, 3.0))),
    "attribute of a metaclass": of_metaclass,
    "slot": lambda: of_slots(1.0, 2.0),
    "tensor in a slot": lambda: of_slots(tensor(1.0, 2.0), tensor(2.0, 1.0)),
    "number in a closure": lambda: of_closure(1.0, 2.0),
    "tensor in a closure": lambda: of_closure(tensor(1.0, 2.0), tensor(2.0, 1.0)),
    "sign of zero": lambda: of_value([0.0], lambda v: v.append(-v.pop()), lambda v, y: math.copysign(1.0, v[0]) * y),
    "global": lambda: (lambda y: torch.tanh(GLOBAL * y), lambda: set_global("GLOBAL", GLOBAL + 1)),
    "deep in a container": lambda: (
        lambda y: torch.tanh(TABLE["a"][0][0]["b"][0] * y),
        lambda: TABLE["a"][0][0]["b"].insert(0, 5.0),
    ),
    "very deep": lambda: of_value([1.0], lambda v: v.append(v.pop() + 1), nested_calls(12)),
    "list": lambda: of_value([1.0], lambda v: v.append(v.pop() + 1), lambda v, y: torch.tanh(v[0] * y)),
    "length of a list": lambda: of_value([1], lambda v: v.append(2), lambda v, y: torch.tanh(len(v) * y)),
    "deque": lambda: of_value(deque([1.0]), lambda v: v.appendleft(2.0), lambda v, y: torch.tanh(v[0] * y)),
    "set": lambda: of_value({1.0}, lambda v: v.add(2.0), lambda v, y: torch.tanh(sum(v) * y)),
    "dataclass": lambda: of_value(Data(), lambda v: setattr(v, "factor", 2.0), lambda v, y: torch.tanh(v.factor * y)),
    "choice": lambda: of_value(
        Data(Choice.ONE), lambda v: setattr(v, "factor", Choice.TWO), lambda v, y: torch.tanh(v.factor.value * y)
    ),
    "numpy number": lambda: of_value(
        {"k": np.float64(1)}, lambda v: v.update(k=np.float64(2)), lambda v, y: torch.tanh(float(v["k"]) * y)
    ),
    "numpy array": lambda: of_value(
        np.array([1.0, 2.0]), lambda v: v.__imul__(2), lambda v, y: torch.tanh(torch.from_numpy(v) * y)
    ),
    "namespace": lambda: of_value(
        types.SimpleNamespace(k=1.0), lambda v: setattr(v, "k", 2.0), lambda v, y: torch.tanh(v.k * y)
    ),
    "tensor in place": lambda: of_value(tensor(1.0, 2.0), scaled, lambda v, y: torch.tanh(v * y)),
    "item": lambda: of_value(tensor(1.0), scaled, lambda v, y: F.softplus(y, beta=v.item())),
    "float of a computed tensor": lambda: of_value(
        tensor(1.0, 2.0), scaled, lambda v, y: y / max(1.0, float(v.detach().norm()))
    ),
    "condition": lambda: of_value(
        torch.tensor(True), lambda v: v.logical_not_(), lambda v, y: torch.tanh(y) if v else torch.sin(y)
    ),
    "tolist": lambda: of_value(tensor(1.0, 2.0), scaled, lambda v, y: sum(a * y**2 for a in v.tolist())),
    "numpy of a tensor": lambda: of_value(tensor(1.0, 2.0), scaled, lambda v, y: y * float(v.numpy().sum())),
    "keys and entries of sets that are tensors": lambda: of_value(
        {tensor(1.0): 1.0}, lambda v: v.update(dict.fromkeys(v, 2.0)), lambda v, y: sum(a * b * y for a, b in v.items())
    ),
    "attribute of a tensor": of_attribute_of_a_tensor,
    "gradient of a tensor": of_gradient,
    "requires_grad": lambda: of_value(
        tensor(1.0).requires_grad_(),
        lambda v: v.requires_grad_(False),
        lambda v, y: v * (torch.tanh(y) if v.requires_grad else y),
    ),
    "default argument": lambda: (with_default, lambda: with_default.__defaults__[0].insert(0, 3.0)),
    "attribute of a function": lambda: (with_attribute, lambda: setattr(with_attribute, "factor", 2.0)),
    "global of a module": lambda: of_module(lambda module, y: torch.tanh(module.factor * y)),
    "imported inside": lambda: of_module(imported),
    "name put together": lambda: of_module(lambda module, y: torch.tanh(getattr(module, "fac" + "tor") * y)),
    "without a module": of_text,
    "environment": of_environment,
    "context": lambda: of_context(
        contextvars.ContextVar("factor", default=1.0), lambda v: v.get(), lambda v: v.set(2.0)
    ),
    "thread": of_thread,
    "weak reference": of_weak_reference,
    "random numbers of Python": lambda: of_value(
        [1], lambda v: v.append(v.pop() + 1), lambda v, y: y * random.Random(v[0]).random()
    ),
    "cache": of_cache,
    "default type": lambda: (
        lambda y: (torch.ones(2) * y).to(torch.get_default_dtype()),
        lambda: torch.set_default_dtype(torch.float64),
    ),
    "parameter": lambda: of_network(lambda net: setattr(net[0], "bias", nn.Parameter(tensor(1.0, 2.0, 3.0)))),
    "data": lambda: of_network(lambda net: setattr(net[0].weight, "data", net[0].weight.detach() * 2)),
    "layer": lambda: of_network(lambda net: net.__setitem__(1, nn.Sigmoid())),
    "hook": lambda: of_network(lambda net: net[1].register_forward_hook(lambda module, given, found: 2 * found)),
    "hook of all modules": lambda: of_network(
        lambda net: nn.modules.module.register_module_forward_hook(lambda module, given, found: 2 * found)
    ),
    "shared layer": of_shared_layer,
    "weight norm": of_weight_norm,
    "operator": of_operator,
    "compiled": lambda: of_compiled(lambda net: torch.compile(net, backend="eager")),
    "scripted": lambda: of_compiled(torch.jit.script),
}


def nested_calls(depth):
    def last(value, y):
        return torch.tanh(value[0] * y)

    function = last
    for _ in range(depth):
        function = functools.partial(lambda inner, value, y: inner(value, y), function)
    return function


@pytest.fixture(autouse=True)
def as_before():
    kind, hooks = torch.get_default_dtype(), nn.modules.module._global_forward_hooks
    yield
    torch.set_default_dtype(kind)
    hooks.clear()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_reads_may_change(name):
    function, change = CHANGES[name]()
    collapsed = collapse(function)
    for _ in range(2):
        before = collapsed(X)
        agrees(before, function(X))
    change()
    after, expected = collapsed(X), function(X)
    agrees(after, expected)
    assert not torch.equal(before.double(), after.double()) or before.dtype != after.dtype


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
    found, expected = (take(lambda f: of_parameter(f, collapsed))(factor) for collapsed in (True, False))
    agrees(found, expected)
    assert expected.abs().max() > 0.1


def test_a_dual_that_a_function_closes_over():
    for cut in (torch.detach, lambda y: y):
        found, expected = (
            dual(lambda f: wrap(lambda y: torch.tanh(cut(f) * y) * f)(X).sum(), tensor(0.7)[0])
            for wrap in (collapse, lambda g: g)
        )
        agrees(found, expected)


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
    "a new leaf": lambda w: lambda y: torch.autograd.grad(
        (leaf := (y * w).detach().requires_grad_()).pow(3).mul(w).sum(), leaf, create_graph=True
    )[0],
    "checkpoint": lambda w: lambda y: torch.utils.checkpoint.checkpoint(
        lambda z: torch.tanh(z * w), y, use_reentrant=False
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


class Sine(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(y):
        return torch.sin(y)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, cotangent):
        return 0.5 * cotangent * torch.cos(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx, tangent):
        return 0.5 * tangent * torch.cos(ctx.saved_tensors[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: collapse(laplacian(Sine.apply))(X),
        lambda: collapse(Sine.apply)(X.clone().requires_grad_()),
        lambda: collapse(lambda y: 2 * Sine.apply(y))(X.clone().requires_grad_()),
        lambda: grad(lambda y: collapse(Sine.apply)(y).sum())(X),
        lambda: jvp(collapse(Sine.apply), (X,), (X,)),
        lambda: linear_operator(Sine.apply, operators.laplacian(dim=2), "stock_rewrite")(X),
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
        (lambda y: network()(y).sum().backward(), r"backward.*torch\.autograd\.grad"),
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
