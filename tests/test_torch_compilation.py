"""Operators under torch.compile, autocast, fake tensors and other modes."""

import pytest
import torch
from torch import nn

from jetbench import operators
from jetbench.errors import MixedRows, Unsupported
from jetbench.operators import estimators
from jetbench.operators.symbol import variables
from jetbench.torch import linear_operator, reference
from torch_cases import (
    BIHARMONIC,
    JETS,
    LAPLACIAN,
    METHODS,
    X,
    assert_gradients_agree,
    change_in_place,
    close,
    expected,
    network,
)

XI = variables(2)


def losses(evaluate, net, x):
    value = evaluate(x)
    return value.detach(), torch.autograd.grad(value.square().mean(), [*net.parameters()], allow_unused=True)


@pytest.mark.parametrize("operator", [LAPLACIAN, BIHARMONIC], ids=["laplacian", "biharmonic"])
@pytest.mark.parametrize("method", METHODS)
def test_compiled_values_and_gradients(method, operator):
    torch._dynamo.reset()
    net = network(widths=(4, 3))
    op = linear_operator(net, operator, method)
    compiled = torch.compile(op.evaluate, fullgraph=True, backend="aot_eager")
    for x in (X, X[:2] + 0.1, torch.cat([X, X + 0.2])):
        value, gradients = losses(compiled, net, x)
        wanted_value, wanted_gradients = losses(lambda x: expected(net, operator, x), net, x)
        close(value, wanted_value)
        assert_gradients_agree(gradients, wanted_gradients)
    change_in_place(net)
    close(compiled(X).detach(), expected(net, operator, X).detach())


@pytest.mark.parametrize("method", ["collapsed", "apolar", "nested"])
def test_compiled_to_machine_code(method):
    torch._dynamo.reset()
    net = network(kind="layernorm_mlp", widths=(4, 4))
    op = linear_operator(net, LAPLACIAN, method)
    value, gradients = losses(torch.compile(op.evaluate, fullgraph=True), net, X)
    wanted_value, wanted_gradients = losses(op.evaluate, net, X)
    close(value, wanted_value)
    assert_gradients_agree(gradients, wanted_gradients)


@pytest.mark.parametrize("method", ["nested", "nested_reverse", "taylor", "collapsed"])
def test_compiled_calls_with_a_seed(method):
    torch._dynamo.reset()
    net = network()
    op = linear_operator(net, LAPLACIAN, method, estimators.rademacher(2))
    compiled = torch.compile(op, backend="aot_eager")
    for seed in (1, 2):
        close(compiled(X, seed), op(X, seed))


@pytest.mark.parametrize("method", JETS)
def test_autocast(method):
    net = network(widths=(8, 8)).float()
    op = linear_operator(net, LAPLACIAN, method)
    exact = op(X.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = op(X.float())
    assert ((found.float() - exact).abs() <= 0.2 * exact.abs().max()).all()


LAST_LAYERS = {
    "batch norm": lambda: nn.BatchNorm1d(2).eval(),
    "layer norm": lambda: nn.LayerNorm(2),
    "group norm": lambda: nn.GroupNorm(1, 2),
    "rms norm": lambda: nn.RMSNorm(2),
    "softmax": lambda: nn.Softmax(-1),
    "silu": lambda: nn.SiLU(),
}


@pytest.mark.parametrize("layer", LAST_LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_results_under_autocast_are_of_the_type_of_the_network(method, layer):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), LAST_LAYERS[layer]())
    x = X.float()
    for operator in (XI[0], XI[0] ** 2 + XI[1] ** 2, XI[0] ** 2 + 0.7 * XI[1] + 2):
        op = linear_operator(net, operator, method)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found, wanted = op(x), net(x)
        assert found.dtype == wanted.dtype
        exact = op(x)
        assert exact.dtype == torch.float32
        assert ((found.float() - exact).abs() <= 0.2 * exact.abs().max() + 0.05).all()


@pytest.mark.parametrize("method", METHODS)
def test_meta_device(method):
    net = network().to("meta")
    found = linear_operator(net, LAPLACIAN, method)(X.to("meta"))
    assert found.device.type == "meta"
    assert found.shape == (3, 1)


def test_what_an_operator_remembers_is_bounded():
    op = linear_operator(network(), LAPLACIAN)
    for rows in range(1, 70):
        op(X[:1].expand(rows, 2))
    assert len(op._evaluation._known) <= 64


@pytest.mark.parametrize("method", METHODS)
def test_no_method_evaluates_a_network_that_draws_or_keeps_statistics(method: str) -> None:
    laplacian = operators.laplacian(dim=3)
    x = torch.rand(4, 3, dtype=torch.float64)
    dropout = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1)).double()
    with pytest.raises(Unsupported, match=r"random numbers.*net\.eval"):
        linear_operator(dropout, laplacian, method)(x)
    normed = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).double()
    with pytest.raises((Unsupported, MixedRows), match=r"net\.eval"):
        linear_operator(normed, laplacian, method)(x)
    assert torch.equal(normed[1].running_mean, torch.zeros(8, dtype=torch.float64))
    for net in (dropout, normed):
        net.eval()
        expected = reference.evaluate(net, laplacian, x)[""]
        torch.testing.assert_close(linear_operator(net, laplacian, method)(x), expected)
