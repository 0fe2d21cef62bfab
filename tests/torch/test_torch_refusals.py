"""What a network must not do is refused in words."""

import copy

import pytest
import torch
from torch import nn

from jetbench import operators
from jetbench.errors import JetbenchError, MissingRule, MixedRows, Unsupported
from jetbench.torch import linear_operator, rule
from jetbench.torch.jet import elementwise
from jetbench.torch.rules import RULES
from torch_cases import JETS, LAPLACIAN, METHODS, X, close, expected, network

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
    operation = torch.ops.aten.special_airy_ai.default
    op = linear_operator(torch.special.airy_ai, operators.mixed_partial(dim=2, exponents=(2,)), method)
    with pytest.raises(MissingRule, match=r"aten\.special_airy_ai\.default.*@jetbench\.torch\.rule.*registry\.py"):
        op(X)

    def tower(u, order):
        """Ai'' = u·Ai; Ai' itself is not needed here, as the directions are straight lines."""
        value = torch.special.airy_ai(u)
        return [value, torch.zeros_like(u), u * value][: order + 1]

    try:

        @rule(operation)
        def airy(x):
            return elementwise(tower, x)

        u = X[:, 0]
        found = op(X)
        close(found[:, 0], u * torch.special.airy_ai(u))
        close(found[:, 1], torch.zeros_like(u))
    finally:
        RULES.pop(operation, None)
    with pytest.raises(TypeError, match="overload"):
        rule(torch.tanh)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "net",
    [lambda x: x.add_(1).sin(), lambda x: x.unsqueeze(0).mul_(2)[0], nn.ReLU(inplace=True)],
    ids=["x", "view", "relu"],
)
def test_changing_the_input_in_place_is_refused(method, net):
    x = X.clone()
    with pytest.raises(Unsupported, match="changes its input in place"):
        linear_operator(net, LAPLACIAN, method)(x)
    assert torch.equal(x, X)


@pytest.mark.parametrize("method", METHODS)
def test_a_loop_until_all_rows_are_small_is_refused(method):
    """How often a row is halved depends on the others; rows that are NaN would never be small."""

    def halved(x):
        while not bool((x.abs() < 0.1).all()):
            x = x / 2
        return x.sin()

    with pytest.raises(JetbenchError, match=r"value|data-dependent|rows"):
        linear_operator(halved, LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", ["nested", "nested_reverse"])
def test_a_loop_until_all_rows_have_converged_is_taken(method):
    """The square root of 1 + x² by Newton's iteration: one more step changes nothing."""

    def root(x):
        y = torch.ones_like(x)
        while not bool(((y * y - 1 - x * x).abs() < 1e-13 * (1 + x * x)).all()):
            y = (y + (1 + x * x) / y) / 2
        return (y + (1 + x * x) / y) / 2

    close(linear_operator(root, LAPLACIAN, method)(X), expected(lambda x: (1 + x * x).sqrt(), LAPLACIAN, X))


@pytest.mark.parametrize(
    "x", [torch.zeros(2, 2).to_sparse(), torch.nested.nested_tensor([torch.zeros(2)])], ids=["sparse", "nested"]
)
def test_points_that_are_no_dense_tensor_are_refused(x):
    with pytest.raises(TypeError, match="dense"):
        linear_operator(torch.sin, LAPLACIAN, "collapsed")(x)
