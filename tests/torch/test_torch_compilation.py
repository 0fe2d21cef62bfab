"""Operators under torch.compile, autocast, fake tensors and other modes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch._functorch.aot_autograd import aot_module_simplified
from torch.utils._python_dispatch import TorchDispatchMode

from jetbench import operators
from jetbench.errors import MixedRows, Unsupported
from jetbench.operators import estimators
from jetbench.operators.problem import Operator
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


@pytest.mark.long
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


def test_compiled_code_is_that_of_the_operator():
    """Operators of one network that differ in nothing but their symbols, schemes, methods and estimators."""
    torch._dynamo.reset()
    net, made = network(widths=(4, 3)), []
    t = XI[0]
    for symbol in (t, t**2, 2 * t**2, t**2 + XI[1] ** 2, t**4):
        made += [linear_operator(net, symbol, method) for method in ("collapsed", "nested")]
    with torch._dynamo.config.patch(recompile_limit=32):
        for op in made:
            torch.testing.assert_close(torch.compile(op.evaluate, backend="eager", fullgraph=True)(X), op(X))


def test_equal_operators_share_compiled_code():
    torch._dynamo.reset()
    first, second = (linear_operator(network(widths=(4, 3)), LAPLACIAN) for _ in range(2))
    torch.compile(first.evaluate, backend="eager", fullgraph=True)(X)
    with torch._dynamo.config.patch(error_on_recompile=True):
        found = torch.compile(second.evaluate, backend="eager", fullgraph=True)(X)
    torch.testing.assert_close(found, second(X))


@pytest.mark.long
@pytest.mark.parametrize("method", ["collapsed", "apolar", "nested"])
def test_compiled_to_machine_code(method):
    torch._dynamo.reset()
    net = network(kind="layernorm_mlp", widths=(4, 4))
    op = linear_operator(net, LAPLACIAN, method)
    value, gradients = losses(torch.compile(op.evaluate, fullgraph=True), net, X)
    wanted_value, wanted_gradients = losses(op.evaluate, net, X)
    close(value, wanted_value)
    assert_gradients_agree(gradients, wanted_gradients)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in PRODUCTS
        return function(*args, **(kwargs or {}))


aten = torch.ops.aten
PRODUCTS = (aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default, aten.mv.default)


@pytest.mark.parametrize("method", ["collapsed", "apolar", "nested", "collapsed_rewrite"])
def test_compiled_code_has_no_products_of_the_network_itself(method):
    torch._dynamo.reset()
    op = linear_operator(network(widths=(4, 3)), LAPLACIAN, method)
    graphs = []

    def keep(graph, examples):
        graphs.append(graph)
        return graph

    def backend(graph, examples):
        return aot_module_simplified(graph, examples, fw_compiler=keep)

    with torch.no_grad():
        torch.compile(op.evaluate, backend=backend, fullgraph=True)(X)
        op.evaluate(X)
        with Products() as products:
            op.evaluate(X)
    (graph,) = graphs
    assert 0 < sum(node.target in PRODUCTS for node in graph.graph.nodes) <= products.count


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return torch.sin(u)

    @staticmethod
    def backward(ctx, cotangent):
        return 0.5 * cotangent * ctx.saved_tensors[0].cos()


def test_an_authors_derivative_is_not_dropped():
    """Dynamo inlines the forward computation of such a function where nothing requires gradients."""
    torch._dynamo.reset()
    net = network(outputs=3)
    for function in (Halved.apply, lambda y: Halved.apply(net(y))):
        op = linear_operator(function, LAPLACIAN)
        with pytest.raises(torch._dynamo.exc.InternalTorchDynamoError, match=r"AuthorDerivative.*Function Halved"):
            torch.compile(op.evaluate, backend="eager")(X)
        assert op(X).isfinite().all()


def test_x_is_told_apart_from_the_same_tensor_in_a_network():
    torch._dynamo.reset()
    op = linear_operator(lambda y: torch.sin(y * X).sum(-1, keepdim=True), LAPLACIAN)
    close(torch.compile(op.evaluate, backend="eager", fullgraph=True)(X), op(X))


@pytest.mark.parametrize("method", ["collapsed", "nested"])
def test_compiled_networks_with_gradients_inside(method):
    """A transformation in Dynamo's graph is ended when it is left by an error."""
    torch._dynamo.reset()
    base = network(widths=(4, 3))
    op = linear_operator(lambda y: torch.func.grad(lambda z: base(z).sum())(y), LAPLACIAN, method)
    close(torch.compile(op.evaluate, backend="aot_eager", fullgraph=True)(X), op(X))
    assert torch._C._functorch.get_dynamic_layer_stack_depth() == 0


@pytest.mark.parametrize("make", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
def test_networks_that_change_themselves_are_called_without_the_compiler(make):
    torch._dynamo.reset()
    net = nn.Sequential(make(nn.Linear(2, 3)), nn.Tanh(), nn.Linear(3, 1)).double()
    op = linear_operator(net, LAPLACIAN)
    before = [buffer.clone() for buffer in net.buffers()]
    close(torch.compile(op.evaluate, backend="aot_eager")(X), op(X))
    assert all(map(torch.equal, before, net.buffers()))


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


def test_names_of_operators_tell_apart_what_differs():
    net = network(widths=(4, 3))
    half = np.array([[0.5], [0.0]])

    def made(symbol=XI[0] ** 2, method="collapsed", factor=None, **options):
        operator = Operator("own", 2, {"": symbol}, factor) if factor is not None else symbol
        return linear_operator(net, operator, method, **options)._name

    line = variables(1)[0] ** 2
    different = [
        made(),
        made(2 * XI[0] ** 2),
        made(XI[1] ** 2),
        made(method="nested"),
        made(estimator=estimators.normal(2)),
        made(estimator=estimators.normal(3)),
        made(XI[0] ** 4, directions="griewank"),
        made(XI[0] ** 4),
        made(line, factor=half),
        made(line, factor=2 * half),
        made(line, factor=lambda x: x[..., None]),
        made(line, factor=lambda x: x[..., None]),
    ]
    assert len(set(different)) == len(different)
    assert made() == made() and made(line, factor=half) == made(line, factor=half.copy())
