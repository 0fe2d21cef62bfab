"""Values, gradients, the pass, compilers and the protocol on each kind of device of this machine: the CPU, and a GPU.

On a GPU all cases run, on the CPU the first of each, since the rest of the suite is about it.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jax_settings import compiled
from jetbench import operators
from jetbench.jax import METHODS as JAX_METHODS
from jetbench.jax import collapse as jax_collapse
from jetbench.jax import linear_operator as jax_operator
from jetbench.jax import network as jax_network
from jetbench.measure import config, plan, point
from jetbench.measure.backends import jax as jax_measuring
from jetbench.measure.backends import torch as measuring
from jetbench.measure.case import Case, Point
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import Problem
from jetbench.torch import METHODS, collapse, linear_operator, network, reference

# JAX has to find what PyTorch finds: a GPU is not left out in silence because JAX was installed without it.
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
OPERATORS = {
    "laplacian": operators.laplacian(dim=3),
    "biharmonic": operators.biharmonic(dim=2),
    "heat": operators.heat(dim=3),
}
ACTIVATION = {"mlp": "tanh", "layernorm_mlp": "gelu", "attention": "gelu"}
KINDS = tuple(ACTIVATION)
CASES = [*(("laplacian", kind) for kind in KINDS), ("biharmonic", "mlp"), ("heat", "mlp")]


def everywhere(*cases):
    """(device, *case) for the first case on the CPU and for all of them on a GPU."""
    return [("cpu", *cases[0]), *(("cuda", *case) for case in cases if "cuda" in DEVICES)]


X = 0.2 + np.random.default_rng(1).random((4, 3))


def specification(kind, dim):
    return NetworkSpec(kind=kind, dim=dim, widths=(8, 8), outputs=1, activation=ACTIVATION[kind])


def expected(kind, operator):
    """Nested automatic differentiation on the CPU: value and gradient of its mean square."""
    net = network.build(specification(kind, operator.dim))
    value = reference.evaluate(net, operator, torch.tensor(X[:, : operator.dim]))[""]
    gradient = torch.autograd.grad(value.square().mean(), list(net.parameters()), allow_unused=True)
    return value.detach().numpy(), [torch.zeros(()) if g is None else g for g in gradient]


def supported(methods, operator):
    return [name for name, method in methods.items() if method.unsupported(Problem(operator)) is None]


def agree(found, wanted):
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize(("device", "name", "kind"), everywhere(*CASES))
def test_methods_in_pytorch(name, kind, device):
    operator = OPERATORS[name]
    value, gradient = expected(kind, operator)
    net = network.build(specification(kind, operator.dim)).to(device)
    x = torch.tensor(X[:, : operator.dim], device=device)
    for method in supported(METHODS, operator):
        if METHODS[method].package is not None and kind != "mlp":
            continue
        found = linear_operator(net, operator, method)(x)
        assert found.device == x.device and found.dtype == x.dtype
        agree(found.detach().cpu(), value)
        grads = torch.autograd.grad(found.square().mean(), list(net.parameters()), allow_unused=True)
        for mine, right in zip(grads, gradient, strict=True):
            agree(torch.zeros(right.shape) if mine is None else mine.cpu(), right)


@pytest.mark.parametrize(("device", "name", "kind"), everywhere(*CASES))
def test_methods_in_jax(name, kind, device):
    operator = OPERATORS[name]
    value, _ = expected(kind, operator)
    quick = compiled if device == "cpu" else jax.jit
    with jax.default_device(jax.devices(device)[0]), jax.default_matmul_precision("highest"):
        net = jax_network.build(specification(kind, operator.dim))
        x = jax.numpy.asarray(X[:, : operator.dim])
        for method in supported(JAX_METHODS, operator):
            if JAX_METHODS[method].package is not None and kind != "mlp":
                continue
            found = quick(lambda x, m=method, n=net: jax_operator(n, operator, m)(x))(x)
            assert found.dtype == x.dtype and found.devices() == x.devices()
            agree(found, value)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["normal", "rademacher", "coordinate"])
def test_random_directions_repeat_with_their_seed(kind, device):
    net = network.build(specification("mlp", 3)).to(device)
    x = torch.tensor(X, device=device)
    op = linear_operator(net, OPERATORS["laplacian"], "collapsed", getattr(estimators, kind)(2))
    assert torch.equal(op(x, seed=3), op(x, seed=3)) and not torch.equal(op(x, seed=3), op(x, seed=4))


def stock(f, x):
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)

    def at(x):
        def second(v):
            return torch.func.jvp(lambda y: torch.func.jvp(f, (y,), (v,))[1], (x,), (v,))[1]

        return torch.func.vmap(second)(eye).sum(0)

    return torch.func.vmap(at)(x)


@pytest.mark.parametrize(("device", "kind"), everywhere(*((kind,) for kind in KINDS)))
def test_the_pass_in_pytorch(kind, device):
    net, x = network.build(specification(kind, 3)).to(device), torch.tensor(X, device=device)
    function = collapse(lambda x: stock(net, x))
    agree(function(x).detach().cpu(), stock(net, x).detach().cpu())
    with FlopCounterMode(display=False) as ours, torch.no_grad():
        function(x)
    with FlopCounterMode(display=False) as hand_derived, torch.no_grad():
        linear_operator(net, OPERATORS["laplacian"], "collapsed")(x)
    assert ours.get_total_flops() <= 1.02 * hand_derived.get_total_flops()


@pytest.mark.parametrize(("device", "what"), everywhere(("stock code",), ("collapsed",), ("apolar",)))
def test_compilers_in_pytorch(device, what):
    operator = OPERATORS["laplacian" if what == "stock code" else "biharmonic"]
    value, _ = expected("mlp", operator)
    net = network.build(specification("mlp", operator.dim)).to(device)
    x = torch.tensor(X[:, : operator.dim], device=device)
    with torch.no_grad():
        if what == "stock code":
            found = torch.compile(lambda x: stock(net, x), backend="jetbench")(x)
        else:
            found = torch.compile(linear_operator(net, operator, what).evaluate)(x, ())
    agree(found.cpu(), value)


@pytest.mark.parametrize(("device", "kind"), everywhere(*((kind,) for kind in KINDS)))
def test_the_pass_in_jax(kind, device):
    value, _ = expected(kind, OPERATORS["laplacian"])
    with jax.default_device(jax.devices(device)[0]), jax.default_matmul_precision("highest"):
        net, x = jax_network.build(specification(kind, 3)), jax.numpy.asarray(X)

        def laplacian(x):
            def second(v):
                return jax.jvp(lambda y: jax.jvp(net, (y,), (v,))[1], (x,), (v,))[1]

            return jax.vmap(second)(jax.numpy.eye(3)).sum(0)

        agree(jax.jit(jax_collapse(jax.vmap(laplacian)))(x), value)


BUDGET = config.budget({"budget": {"point_s": 0.05, "samples_max": 8}})
TYPES = {
    ("torch", "cpu"): ("float64", "float32", "bfloat16"),
    ("torch", "cuda"): ("float64", "float32", "tf32", "bfloat16", "float16"),
    ("jax", "cpu"): ("float64", "float32"),
    ("jax", "cuda"): ("float64", "float32", "tf32", "bfloat16"),
}


@pytest.mark.parametrize(("backend", "device"), [(b, d) for b in ("torch", "jax") for d in DEVICES])
def test_the_protocol(backend, device):
    session = {"torch": measuring, "jax": jax_measuring}[backend].open_session(device)
    case = Case(
        operator="laplacian",
        dim=4,
        method="collapsed",
        backend=backend,
        widths=(64, 64),
        mode="eager" if backend == "torch" else "compiled",
        batch=32,
        device=device,
    )
    errors = {}
    for dtype in TYPES[backend, device]:
        at = Point(replace(case, dtype=dtype), axis_value=32)
        record = point.measure(session, at, BUDGET, lambda name, so_far: None)
        assert record["status"] == "ok", record["reason"]
        assert record["vectors"] == plan.vectors_of(at.case)[0] == record["floor_vectors"]
        assert record["flops"] >= 5 * record["network_flops"] > 0
        assert min(record["time_s"], record["floor_s"], record["gradient_time_s"]) > 0
        memory = record["peak_memory_bytes"]
        assert memory["differentiable"] > memory["nondifferentiable"] > 0
        assert (record["device_state"] is not None) == (device == "cuda")
        errors[dtype] = record["relative_error"]
        session.release()
    assert errors["float64"] < 1e-12 < errors["float32"] < 1e-4
    if "tf32" in errors:
        assert errors["tf32"] > errors["float32"]
