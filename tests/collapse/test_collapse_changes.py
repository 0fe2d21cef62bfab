"""`collapse` in PyTorch is never stale: what a function reads may change, and the next call is right."""

import contextvars
import dataclasses
import enum
import functools
import math
import os
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
from torch.nn import functional as F

from collapse_cases import X, agrees, network, scaled, tensor
from jetbench import operators
from jetbench.torch import collapse, linear_operator


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


@pytest.mark.parametrize("name", ["attribute", "attribute of the class", "tensor in a closure", "list", "layer"])
def test_a_compiled_function_is_compiled_anew(name):
    torch._dynamo.reset()
    function, change = CHANGES[name]()
    compiled = torch.compile(collapse(function), backend="eager", fullgraph=True)
    before = compiled(X)
    agrees(before, function(X))
    change()
    agrees(compiled(X), function(X))
    assert not torch.equal(before, compiled(X))


@pytest.mark.parametrize("name", ["item", "context"])
def test_what_a_compiler_cannot_look_at_is_not_compiled(name):
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"cannot be compiled, as it .*outside of torch\.compile"):
        torch.compile(collapse(CHANGES[name]()[0]), backend="eager")(X)
