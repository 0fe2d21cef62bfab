"""How operators behave beyond single values: shapes, types, errors, changed networks, gradients, transformations."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev
from torch.nn import functional as F

from jetbench import estimators, operators
from jetbench.errors import JetbenchError, MissingRule, MixedRows, Unsupported
from jetbench.networks import NetworkSpec
from jetbench.symbol import variables
from jetbench.torch import METHODS, linear_operator, reference, rule
from jetbench.torch.jet import elementwise
from jetbench.torch.network import build
from jetbench.torch.rules import RULES

METHODS = {name: method for name, method in METHODS.items() if method.library is None}  # what this package promises

JETS = [name for name in METHODS if not name.startswith("nested")]
X = torch.tensor([[0.3, -0.2], [0.7, 0.1], [-0.4, 0.5]], dtype=torch.float64)
LAPLACIAN, BIHARMONIC = operators.laplacian(dim=2), operators.biharmonic(dim=2)


def network(dim=2, outputs=1, widths=(6, 5), **options):
    return build(NetworkSpec(dim=dim, widths=widths, outputs=outputs, **options))


def expected(net, operator, x):
    return reference.evaluate(net, operator, x)[""]


def close(found, wanted, tolerance=1e-11):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


# ---- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (2, 1, 3), (0,), (2, 0)])
@pytest.mark.parametrize("method", METHODS)
def test_any_leading_axes(method, shape):
    net = network(outputs=2)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(*shape, 2, generator=generator, dtype=torch.float64)
    found = linear_operator(net, BIHARMONIC, method)(x)
    assert found.shape == (*shape, 2)
    if found.numel():
        points = torch.stack([expected(net, BIHARMONIC, row[None])[0] for row in x.reshape(-1, 2)])
        close(found, points.reshape(*shape, 2))


@pytest.mark.parametrize("method", METHODS)
def test_one_coordinate(method):
    net, x = network(dim=1), torch.tensor([[0.4], [0.1]], dtype=torch.float64)
    for operator in (operators.laplacian(dim=1), operators.biharmonic(dim=1)):
        close(linear_operator(net, operator, method)(x), expected(net, operator, x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("outputs", [(), (2,), (2, 3)])
def test_outputs_of_any_shape(method, outputs):
    weight = torch.randn(*outputs, 2, dtype=torch.float64)

    def net(x):
        return torch.tanh(torch.tensordot(x, weight, ([-1], [-1])))

    close(linear_operator(net, LAPLACIAN, method)(X), expected(net, LAPLACIAN, X))


@pytest.mark.parametrize("method", METHODS)
def test_vmap_over_points(method):
    net = network()
    op = linear_operator(net, LAPLACIAN, method)
    close(torch.vmap(op)(X), expected(net, LAPLACIAN, X))
    close(torch.vmap(torch.vmap(op))(X[None].expand(2, 3, 2)), op(X).expand(2, 3, 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_system_returns_a_dictionary(method):
    t, x = variables(2)
    net = network()
    op = linear_operator(net, {"u_t": t, "u_xx": x**2}, method)
    found = op(X)
    assert list(found) == ["u_t", "u_xx"]
    close(found["u_xx"], expected(net, operators.mixed_partial(dim=2, exponents=(0, 2)), X))
    close(found["u_t"], expected(net, operators.mixed_partial(dim=2, exponents=(1,)), X))


# ---- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.2)])
@pytest.mark.parametrize("method", METHODS)
def test_precisions(method, dtype, tolerance):
    exact = expected(network(), LAPLACIAN, X)
    found = linear_operator(network().to(dtype), LAPLACIAN, method)(X.to(dtype))
    assert found.dtype == dtype
    assert ((found.double() - exact).abs() <= tolerance * exact.abs().max()).all()


@pytest.mark.parametrize("method", JETS)
def test_a_second_call_with_another_type(method):
    net = network()
    op = linear_operator(net, LAPLACIAN, method)
    net.float()
    assert op(X.float()).dtype == torch.float32
    net.double()
    close(op(X), expected(net, LAPLACIAN, X))


@pytest.mark.parametrize("method", METHODS)
def test_wrong_inputs_are_refused(method):
    op = linear_operator(network(), LAPLACIAN, method)
    with pytest.raises(ValueError, match=r"2 coordinates .* shape \(3, 5\)"):
        op(torch.zeros(3, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match="shape"):
        op(torch.tensor(1.0))
    with pytest.raises(TypeError, match="int64"):
        op(torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match="complex128"):
        op(X.to(torch.complex128))
    with pytest.raises(TypeError, match="list"):
        op([[1.0, 2.0]])
    with pytest.raises((JetbenchError, RuntimeError), match=r"(?i)dtype|type"):
        op(X.float())


@pytest.mark.parametrize("method", METHODS)
def test_seeds_belong_to_random_estimators(method):
    with pytest.raises(ValueError, match="exact"):
        linear_operator(network(), LAPLACIAN, method)(X, seed=1)
    if METHODS[method].unsupported(linear_operator(network(), LAPLACIAN, "taylor", estimators.normal(2)).problem):
        return
    op = linear_operator(network(), LAPLACIAN, method, estimators.normal(2))
    for seed in (None, 1.5, True):
        with pytest.raises(ValueError, match="seed"):
            op(X, seed)
    assert torch.equal(op(X, 3), op(X, 3))
    assert not torch.equal(op(X, 3), op(X, 4))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="nested, nested_reverse, taylor"):
        linear_operator(network(), LAPLACIAN, "jet")
    with pytest.raises(TypeError, match="Tensor"):
        linear_operator(X, LAPLACIAN)
    with pytest.raises(TypeError, match="str"):
        linear_operator(network(), "laplacian")
    with pytest.raises(TypeError, match="estimators"):
        linear_operator(network(), LAPLACIAN, estimator="normal")
    with pytest.raises(ValueError, match="polarization, griewank"):
        linear_operator(network(), LAPLACIAN, directions="random")


# ---- what a network must not do -------------------------------------------------------------------------------------

MIXING = {
    "batch_mean": lambda x: x.sin() - x.sin().mean(0),
    "cumulative_sum": lambda x: x.sin().cumsum(0),
    "roll": lambda x: x.sin() * x.roll(1, 0),
    "flip": lambda x: x.flip(0) ** 2,
    "attention_over_rows": lambda x: torch.softmax(x @ x.mT, -1) @ x,
    "sum_of_products": lambda x: x * (x[:1] * x[-1:]),
    "batch_norm": nn.BatchNorm1d(2, track_running_stats=False).double(),
    "sort": lambda x: x.sort(0).values ** 2,
    "other_row": lambda x: torch.cat([x[:2], x[1:2] ** 2]),
}


@pytest.mark.parametrize("net", MIXING.values(), ids=MIXING)
@pytest.mark.parametrize("method", METHODS)
def test_rows_that_influence_each_other_are_refused(method, net):
    with pytest.raises(MixedRows, match="rows"):
        linear_operator(net, LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_are_summed_are_refused(method):
    with pytest.raises(JetbenchError, match="leading axes"):
        linear_operator(lambda x: (x**2).sum(), LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", JETS)
def test_batch_norm_in_training_is_refused(method):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh()).double()
    before = copy.deepcopy(net.state_dict())
    op = linear_operator(net, LAPLACIAN, method)
    with pytest.raises(JetbenchError, match=r"net\.eval\(\)"):
        op(X)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} was changed"
    net.eval()
    close(op(X), expected(net, LAPLACIAN, X))


@pytest.mark.parametrize("method", JETS)
def test_dropout_in_training_is_refused(method):
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Tanh()).double()
    op = linear_operator(net, LAPLACIAN, method)
    with pytest.raises(Unsupported, match=r"random numbers.*net\.eval\(\)"):
        op(X)
    net.eval()
    close(op(X), expected(net, LAPLACIAN, X))


@pytest.mark.parametrize("method", JETS)
@pytest.mark.parametrize(
    "net",
    [
        lambda x: x.sin() if x.sum() > 0 else x.cos(),
        lambda x: x * x.max().item(),
        lambda x: x[x > 0],
        lambda x: sum([x.sin() for _ in range(int(x.abs().sum()))], x),
    ],
    ids=["if", "item", "mask", "loop"],
)
def test_decisions_by_value_are_refused(method, net):
    with pytest.raises(JetbenchError, match=r"torch\.where|leading axes"):
        linear_operator(net, LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", JETS)
def test_an_output_that_is_no_tensor_is_refused(method):
    with pytest.raises(JetbenchError, match="one tensor; it returned tuple"):
        linear_operator(lambda x: (x, x), LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", JETS)
def test_a_network_of_another_width_is_refused(method):
    with pytest.raises(JetbenchError, match=r"\(3, 2\)"):
        linear_operator(network(dim=5), LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", JETS)
def test_a_missing_rule_names_the_operation_and_can_be_added(method):
    operation = torch.ops.aten.special_bessel_j0.default
    op = linear_operator(torch.special.bessel_j0, operators.mixed_partial(dim=2, exponents=(2,)), method)
    with pytest.raises(MissingRule, match=r"aten\.special_bessel_j0\.default.*@jetbench\.torch\.rule.*registry\.py"):
        op(X)

    def tower(u, order):
        """J₀' = −J₁ and J₁' = J₀ − J₁/u; up to order 2."""
        j0, j1 = torch.special.bessel_j0(u), torch.special.bessel_j1(u)
        return [j0, -j1, j1 / u - j0][: order + 1]

    try:

        @rule(operation)
        def bessel(x):
            return elementwise(tower, x)

        u = X[:, 0]
        found = op(X)
        close(found[:, 0], torch.special.bessel_j1(u) / u - torch.special.bessel_j0(u))
        close(found[:, 1], torch.zeros_like(u))
    finally:
        RULES.pop(operation, None)
    with pytest.raises(TypeError, match="overload"):
        rule(torch.tanh)


# ---- networks that change -------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """A network with a plain attribute, a container and a parameter that is used twice."""

    def __init__(self):
        super().__init__()
        self.inner = network(outputs=2)
        self.shared = nn.Parameter(torch.tensor([[0.3, -0.7], [0.5, 0.2]], dtype=torch.float64))
        self.again = self.shared
        self.power, self.options, self.tables = 2, {"factor": 1.5}, [torch.ones(2, dtype=torch.float64)]

    def forward(self, x):
        h = self.inner(x) @ self.shared
        return (torch.tanh(h @ self.again) * self.options["factor"] * self.tables[0]) ** self.power


def change_in_place(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.3)


def change_data(net):
    net.shared.data = net.shared.data * 2


def replace_parameter(net):
    net.shared = nn.Parameter(torch.eye(2, dtype=torch.float64))


def replace_module(net):
    net.inner = network(outputs=2, seed=5)


def replace_layer(net):
    net.inner.layers[1] = nn.Linear(6, 5, dtype=torch.float64)


def change_attribute(net):
    net.power = 3


def change_dictionary(net):
    net.options["factor"] = 0.4


def change_list(net):
    net.tables[0] = torch.tensor([2.0, -1.0], dtype=torch.float64)


def change_tensor_in_list(net):
    net.tables[0].add_(1)


def add_hook(net):
    net.inner.register_forward_hook(lambda module, inputs, output: 2 * output)


def untie(net):
    net.again = nn.Parameter(torch.full((2, 2), 0.3, dtype=torch.float64))


def change_activation(net):
    net.inner.activation = torch.sin


def freeze(net):
    net.requires_grad_(False)


CHANGES = (
    change_in_place,
    change_data,
    replace_parameter,
    replace_module,
    replace_layer,
    change_attribute,
    change_dictionary,
    change_list,
    change_tensor_in_list,
    add_hook,
    change_activation,
    untie,
    freeze,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_module_is_not_evaluated_as_it_was(change):
    net = Scaled()
    op = linear_operator(net, LAPLACIAN)
    before = op(X)
    close(before, expected(net, LAPLACIAN, X))
    change(net)
    after = op(X)
    close(after, expected(net, LAPLACIAN, X))
    assert torch.equal(before, after) == (change is freeze)


FACTOR = 2.0


def with_global(x):
    return FACTOR * x**3


def test_a_changed_global_is_seen(monkeypatch):
    op = linear_operator(with_global, LAPLACIAN)
    close(op(X), 12 * X)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    close(op(X), 18 * X)


def test_a_changed_closure_is_seen():
    factor = 2.0
    table = torch.tensor([1.0, 1.0], dtype=torch.float64)

    def inner(x):
        return factor * x**3 * table

    def net(x):
        return inner(x)

    op = linear_operator(net, LAPLACIAN)
    close(op(X), 12 * X)
    factor = 3.0
    close(op(X), 18 * X)
    table = table * 2
    close(op(X), 36 * X)
    table.mul_(2)
    close(op(X), 72 * X)


def test_a_changed_attribute_of_a_plain_object_is_seen():
    class Net:
        def __init__(self):
            self.exponent = 3

        def __call__(self, x):
            return x**self.exponent

    net = Net()
    op = linear_operator(net, LAPLACIAN)
    close(op(X), 6 * X)
    net.exponent = 2
    close(op(X), torch.full_like(X, 2))


def test_training_and_evaluation_mode_are_told_apart():
    class Net(nn.Module):
        def forward(self, x):
            return x**3 if self.training else x**2

    net = Net()
    op = linear_operator(net, LAPLACIAN)
    close(op(X), 6 * X)
    net.eval()
    close(op(X), torch.full_like(X, 2))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_modules_can_be_copied_and_pickled_after_use(copied):
    net = network()
    before = linear_operator(net, LAPLACIAN)(X)
    other = copied(net)
    change_in_place(net)
    close(linear_operator(other, LAPLACIAN)(X), before)


# ---- gradients ------------------------------------------------------------------------------------------------------


def gradients_of(evaluate, inputs):
    """Gradients of the mean square, and gradients of the squared norm of these."""
    first = torch.autograd.grad(evaluate().square().mean(), inputs, create_graph=True, allow_unused=True)
    norm = sum(g.square().sum() for g in first if g is not None)
    second = torch.autograd.grad(norm, inputs, allow_unused=True)
    return [*first, *second]


def assert_gradients_agree(found, wanted, tolerance=1e-9):
    for a, b in zip(found, wanted, strict=True):
        a, b = (torch.zeros(()) if g is None else g for g in (a, b))
        if a.shape != b.shape:
            assert not a.any() and not b.any()
            continue
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-6)


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


# ---- non-smooth points ----------------------------------------------------------------------------------------------

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


# ---- compilation and other modes ------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("change", [change_in_place, change_data, replace_layer, change_attribute])
@pytest.mark.parametrize("method", ["collapsed", "nested"])
def test_a_changed_network_is_compiled_anew(method, change):
    torch._dynamo.reset()
    net = Scaled()
    op = linear_operator(net, LAPLACIAN, method)
    compiled = torch.compile(op.evaluate, backend="aot_eager")
    close(compiled(X), op(X))
    change(net)
    close(compiled(X), op(X))


@pytest.mark.parametrize("method", JETS)
def test_autocast(method):
    net = network(widths=(8, 8)).float()
    op = linear_operator(net, LAPLACIAN, method)
    exact = op(X.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = op(X.float())
    assert ((found.float() - exact).abs() <= 0.2 * exact.abs().max()).all()


@pytest.mark.parametrize("method", METHODS)
def test_fake_tensors(method):
    """The code path of another device as far as shapes and types go: nothing is computed."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        found = linear_operator(net, LAPLACIAN, method)(torch.empty(3, 2))
    assert found.shape == (3, 1)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("method", JETS)
def test_meta_device(method):
    net = network().to("meta")
    found = linear_operator(net, LAPLACIAN, method)(X.to("meta"))
    assert found.device.type == "meta"
    assert found.shape == (3, 1)


def test_the_number_of_captures_is_bounded():
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
