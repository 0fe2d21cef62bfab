"""Whatever a network reads may change between two calls, and the next call is right; the network is left as it was."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import pickle
import sys
import types
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jetbench.torch import linear_operator
from jetbench.torch.linear_operator import LinearOperator
from torch_cases import LAPLACIAN, METHODS, X, close, network

WEIGHT = torch.tensor([[0.3, -0.7, 0.4], [0.5, 0.2, -0.6]], dtype=torch.float64)
GLOBAL = 1.0
SETTINGS = types.ModuleType("settings")
sys.modules["settings_of_a_test"] = SETTINGS


class Settings:
    scale = 1.0
    table = (1.0, 2.0)


class Slotted:
    __slots__ = ("scale",)


class Reader(nn.Module):
    """Reads as many kinds of things as Python knows."""

    by_class = 1.0

    def __init__(self, reads_values: bool = True) -> None:
        super().__init__()
        self.reads_values = reads_values
        self.inner = network(outputs=3)
        self.sharpness = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("offset", torch.zeros(3, dtype=torch.float64))
        self.number, self.flag, self.text = 1.0, False, "tanh"
        self.options = {"deep": [{"deeper": (1.0, {"deepest": 1.0})}]}
        self.tables = [torch.ones(3, dtype=torch.float64)]
        self.tied = self.tables[0]
        self.slotted, self.array, self.space = Slotted(), np.ones(3), types.SimpleNamespace(scale=1.0)
        self.slotted.scale = 1.0
        self.counter = iter(())
        self.activation: Callable = torch.sin
        self.partial = functools.partial(torch.mul, 1.0)
        self.closed = _closure()

    @property
    def hidden(self) -> float:
        return self.__dict__.get("_hidden", 1.0)

    def forward(self, y: Tensor) -> Tensor:
        h = self.inner(y)
        for factor in (
            GLOBAL,
            SETTINGS.scale,
            Settings.scale,
            Settings.table[1],
            self.by_class,
            self.number,
            self.hidden,
            self.slotted.scale,
            self.space.scale,
            getattr(self, "num" + "ber"),
            self.options["deep"][0]["deeper"][1]["deepest"],
            self.closed(),
            torch.get_default_dtype().itemsize / 4,
            *((self.sharpness.item(), float(self.tied[0])) if self.reads_values else ()),
        ):
            h = torch.tanh(h * factor)
        h = self.partial(h) * self.tables[0] * torch.from_numpy(self.array) + self.offset
        h = getattr(torch, self.text)(h) if self.flag else self.activation(h)
        return h * self.sharpness if self.training else 2 * h


def _closure() -> Callable[[], float]:
    value = 1.0

    def read() -> float:
        return value

    def write(new: float) -> None:
        nonlocal value
        value = new

    read.write = write
    return read


def set_global(net: Reader) -> None:
    globals()["GLOBAL"] = 0.6


def replace_forward(net: Reader) -> None:
    net.forward = lambda y: torch.cos(net.inner(y))


def in_place(tensor: Callable[[Reader], Tensor]) -> Callable[[Reader], None]:
    def change(net: Reader) -> None:
        with torch.no_grad():
            tensor(net).mul_(0.7).add_(0.2)

    return change


CHANGES: dict[str, Callable[[Reader], object]] = {
    "global": set_global,
    "module": lambda net: setattr(SETTINGS, "scale", 0.6),
    "class": lambda net: setattr(Settings, "scale", 0.6),
    "tuple of a class": lambda net: setattr(Settings, "table", (1.0, 0.5)),
    "own class": lambda net: setattr(Reader, "by_class", 0.6),
    "attribute": lambda net: setattr(net, "number", 0.6),
    "attribute of the same value and another type": lambda net: setattr(net, "number", torch.tensor(0.6)),
    "property": lambda net: setattr(net, "_hidden", 0.6),
    "slot": lambda net: setattr(net.slotted, "scale", 0.6),
    "namespace": lambda net: setattr(net.space, "scale", 0.6),
    "deep container": lambda net: net.options["deep"][0]["deeper"][1].update(deepest=0.6),
    "list item": lambda net: net.tables.__setitem__(0, torch.full((3,), 0.6, dtype=torch.float64)),
    "tensor in a list, in place": in_place(lambda net: net.tables[0]),
    "array, in place": lambda net: net.array.__imul__(0.6),
    "array": lambda net: setattr(net, "array", np.full(3, 0.6)),
    "closure": lambda net: net.closed.write(0.6),
    "parameter that is read as a number": in_place(lambda net: net.sharpness),
    "parameter, in place": in_place(lambda net: net.inner.layers[0].weight),
    "parameter, by data": lambda net: setattr(net.inner.layers[0].weight, "data", net.inner.layers[0].weight * 0.6),
    "parameter, another one": lambda net: setattr(net.inner.layers[0], "bias", nn.Parameter(torch.ones(6).double())),
    "buffer, in place": in_place(lambda net: net.offset),
    "buffer, another one": lambda net: setattr(net, "offset", torch.ones(3, dtype=torch.float64)),
    "flag": lambda net: setattr(net, "flag", True),
    "function": lambda net: setattr(net, "activation", torch.cos),
    "partial function": lambda net: setattr(net, "partial", functools.partial(torch.mul, 0.6)),
    "layer": lambda net: net.inner.layers.__setitem__(1, nn.Linear(6, 5, dtype=torch.float64)),
    "forward": replace_forward,
    "hook": lambda net: net.inner.register_forward_hook(lambda module, inputs, output: 0.6 * output),
    "hook before": lambda net: net.inner.register_forward_pre_hook(lambda module, inputs: (0.6 * inputs[0],)),
    "mode": lambda net: net.eval(),
    "default type": lambda net: torch.set_default_dtype(torch.float64),
    "weight norm": lambda net: nn.utils.parametrizations.weight_norm(net.inner.layers[0]),
    "spectral norm": lambda net: nn.utils.spectral_norm(net.inner.layers[0]),
    "frozen": lambda net: net.requires_grad_(False),
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    monkeypatch.setitem(globals(), "GLOBAL", 1.0)
    SETTINGS.scale = 1.0
    for owner, name in ((Settings, "scale"), (Settings, "table"), (Reader, "by_class")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    default = torch.get_default_dtype()
    yield
    torch.set_default_dtype(default)


def laplacian_by_autograd(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Δ net(x) by plain reverse mode, twice; buffers that a run of the network changes are put back."""
    state = {name: buffer.clone() for name, buffer in net.named_buffers()} if isinstance(net, nn.Module) else {}
    x = x.clone().requires_grad_()
    y = net(x)
    columns = []
    for c in range(y.shape[-1]):
        (gradient,) = torch.autograd.grad(y[..., c].sum(), x, create_graph=True)
        total = torch.zeros_like(gradient[..., 0])
        for i in range(x.shape[-1]):
            (second,) = torch.autograd.grad(gradient[..., i].sum(), x, retain_graph=True, allow_unused=True)
            total = total if second is None else total + second[..., i]
        columns.append(total)
    for name, value in state.items():
        net.get_buffer(name).copy_(value)
    return torch.stack(columns, -1)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", ["nested", "nested_reverse", "collapsed", "apolar", "collapsed_rewrite"])
def test_a_change_is_seen_by_the_next_call(method: str, change: str) -> None:
    net = Reader()
    op = linear_operator(net, LAPLACIAN, method)
    before = op(X)
    close(before.detach(), laplacian_by_autograd(net, X))
    CHANGES[change](net)
    after = op(X)
    close(after.detach(), laplacian_by_autograd(net, X))
    assert torch.equal(before, after) == (
        change == "frozen" or (change == "weight norm" and (before - after).abs().max() < 1e-12)
    )


def compiled_loss(op: LinearOperator) -> Callable[[], Tensor]:
    """A loss as users compile it."""

    def loss(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return op(x).square().sum() + x.sum()

    compiled = torch.compile(loss, backend="eager")
    return lambda: compiled(X).detach()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_compiled_code(change: str) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    net = Reader(reads_values=False)
    compiled = torch.compile(linear_operator(net, LAPLACIAN).evaluate, backend="eager")
    close(compiled(X).detach(), laplacian_by_autograd(net, X))
    CHANGES[change](net)
    close(compiled(X).detach(), laplacian_by_autograd(net, X))
    # hooks that set attributes cannot be compiled
    assert bool(torch._dynamo.utils.counters["graph_break"]) == (change == "spectral norm")


@pytest.mark.long
@pytest.mark.parametrize("change", ["closure", "function", "hook", "list item"])
@pytest.mark.parametrize("method", ["nested", "nested_reverse", "apolar", "collapsed_rewrite"])
def test_a_change_is_seen_by_compiled_code_of_every_method(method: str, change: str) -> None:
    torch._dynamo.reset()
    net = Reader(reads_values=False)
    compiled = torch.compile(linear_operator(net, LAPLACIAN, method).evaluate, backend="aot_eager", fullgraph=True)
    before = compiled(X)
    CHANGES[change](net)
    after = compiled(X)
    close(after.detach(), laplacian_by_autograd(net, X))
    assert not torch.equal(before, after)


@pytest.mark.parametrize("fullgraph", [True, False])
@pytest.mark.parametrize("change", ["parameter that is read as a number", "tensor in a list, in place"])
def test_compiled_code_reads_numbers_anew(change: str, fullgraph: bool) -> None:
    """Dynamo has the numbers of tensors as variables with `fullgraph`, and calls the operator as it is without."""
    torch._dynamo.reset()
    net = Reader()
    compiled = torch.compile(linear_operator(net, LAPLACIAN).evaluate, backend="aot_eager", fullgraph=fullgraph)
    close(compiled(X).detach(), laplacian_by_autograd(net, X))
    CHANGES[change](net)
    close(compiled(X).detach(), laplacian_by_autograd(net, X))


@pytest.mark.parametrize("change", ["closure", "layer", "parameter, in place", "hook"])
def test_a_change_is_seen_by_a_compiled_training_step(change: str) -> None:
    torch._dynamo.reset()
    net = Reader(reads_values=False)
    loss = compiled_loss(linear_operator(net, LAPLACIAN))
    for act in (lambda net: None, CHANGES[change]):
        act(net)
        close(loss(), laplacian_by_autograd(net, X).square().sum() + X.sum())


class Caching(nn.Module):
    """Keeps a tensor from its first call, activations, and a count, in attributes and in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scales, self.memo, self.calls = nn.Linear(2, 1).double(), None, {}, 0

    def forward(self, y: Tensor) -> Tensor:
        self.calls += 1
        if self.scales is None:
            self.scales = torch.arange(1, 3, dtype=y.dtype)
        if y.shape not in self.memo:
            self.memo[y.shape] = torch.ones(y.shape[-1], dtype=y.dtype)
        self.last = self.linear(y * self.scales * self.memo[y.shape])
        self.memo["last"] = self.last
        return torch.tanh(self.last)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [X, X[:1], X[0]], ids=["rows", "row", "point"])
def test_a_network_is_left_as_it_was(method: str, x: Tensor) -> None:
    net = Caching()
    op = linear_operator(net, LAPLACIAN, method)
    first = op(x)
    assert net.scales is None and not net.memo and net.calls == 0 and not hasattr(net, "last")
    assert type(first) is Tensor and first.isfinite().all()
    assert type(net(x)) is Tensor
    kept = dict(vars(net))
    close(op(x), first)
    assert vars(net).keys() == kept.keys() and all(vars(net)[name] is value for name, value in kept.items())
    assert all(type(value) is Tensor for value in (net.last, net.scales, *net.memo.values()))


def test_memory_does_not_grow_with_tensors_that_a_network_closes_over() -> None:
    alive: list[weakref.ref] = []
    branch = torch.ones(3, dtype=torch.float64)

    def net(y: Tensor) -> Tensor:
        return torch.tanh(y @ WEIGHT) * branch

    op = linear_operator(net, LAPLACIAN)
    for number in range(200):
        branch = torch.full((3,), 1.0 + number, dtype=torch.float64)
        alive.append(weakref.ref(branch))
        close(op(X), laplacian_by_autograd(net, X), 1e-9)
    gc.collect()
    assert sum(reference() is not None for reference in alive) <= 1
    assert len(op._evaluation._known) == 1


@pytest.mark.parametrize("method", METHODS)
def test_operators_can_be_copied_pickled_and_averaged(method: str) -> None:
    net = network()
    op = linear_operator(net, LAPLACIAN, method)
    value = op(X).detach()

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.op = net, op

        def forward(self, x: Tensor) -> Tensor:
            return self.op(x)

    averaged = torch.optim.swa_utils.AveragedModel(Residual())
    copies = [copy.copy(op), copy.deepcopy(op), pickle.loads(pickle.dumps(op)), averaged]
    for copied in copies:
        close(copied(X).detach(), value)
    assert averaged.module.op.net is averaged.module.net
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.3)
    close(copies[1](X).detach(), value)
    close(op(X).detach(), copies[0](X).detach())


@pytest.mark.parametrize("method", METHODS)
def test_autocast_ends_where_it_ends(method: str) -> None:
    net = network(widths=(8, 8)).float()
    op = linear_operator(net, LAPLACIAN, method)
    x = X.float()
    outside = op(x)
    with torch.autocast("cpu", torch.bfloat16):
        inside, plain = op(x), net(x)
    assert inside.dtype == plain.dtype == torch.bfloat16
    close(op(x), outside, 0)
    assert ((inside.float() - outside).abs() <= 0.2 * outside.abs().max()).all()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_that_are_switched_off_inside_a_network_are_constants(method: str, context: Callable) -> None:
    def net(y: Tensor) -> Tensor:
        with torch.no_grad():
            scale = torch.sin(y).sum(-1, keepdim=True)
        return scale * y**2

    def meant(y: Tensor) -> Tensor:
        return torch.sin(y).sum(-1, keepdim=True).detach() * y**2

    with context():
        found = linear_operator(net, LAPLACIAN, method)(X)
    close(found, laplacian_by_autograd(meant, X))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
@pytest.mark.parametrize("method", METHODS)
def test_networks_with_gradients_inside_are_run_where_gradients_are_off(method: str, context: Callable) -> None:
    def net(y: Tensor) -> Tensor:
        z = y * 1
        energy = (z**3).sum() + y.sin().prod(-1).sum()
        return torch.autograd.grad(energy, z, create_graph=True)[0]

    op = linear_operator(net, LAPLACIAN, method)
    with context():
        found = op(X)
    close(found, torch.full_like(X, 6))
