"""Operators take points of any shape and type, and refuse wrong arguments in words."""

import pytest
import torch

from jetbench import operators
from jetbench.errors import JetbenchError
from jetbench.operators import estimators
from jetbench.operators.symbol import variables
from jetbench.torch import linear_operator
from torch_cases import BIHARMONIC, JETS, LAPLACIAN, METHODS, X, close, expected, network


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
