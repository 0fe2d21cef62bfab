"""A network that has changed is never evaluated as it was, compiled or not."""

import copy
import pickle

import pytest
import torch
from torch import nn

from jetbench.torch import linear_operator
from torch_cases import LAPLACIAN, X, change_in_place, close, expected, network


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
