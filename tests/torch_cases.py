"""The small networks, points and comparisons that tests of the PyTorch backend share."""

import torch

from jetbench import operators
from jetbench.networks import NetworkSpec
from jetbench.operators.problem import Problem
from jetbench.torch import METHODS as ALL_METHODS
from jetbench.torch import reference
from jetbench.torch.network import build

LAPLACIAN, BIHARMONIC = operators.laplacian(dim=2), operators.biharmonic(dim=2)
#: What this package promises, for operators of every order.
METHODS = {
    name: method
    for name, method in ALL_METHODS.items()
    if method.package is None and method.unsupported(Problem(BIHARMONIC)) is None
}
JETS = [name for name in METHODS if not name.startswith("nested")]
X = torch.tensor([[0.3, -0.2], [0.7, 0.1], [-0.4, 0.5]], dtype=torch.float64)


def network(dim=2, outputs=1, widths=(6, 5), **options):
    return build(NetworkSpec(dim=dim, widths=widths, outputs=outputs, **options))


def expected(net, operator, x):
    return reference.evaluate(net, operator, x)[""]


def close(found, wanted, tolerance=1e-11):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def assert_gradients_agree(found, wanted, tolerance=1e-9):
    for a, b in zip(found, wanted, strict=True):
        a, b = (torch.zeros(()) if g is None else g for g in (a, b))
        if a.shape != b.shape:
            assert not a.any() and not b.any()
            continue
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-6)


def sine(factor=1.0):
    """An autograd.Function of sin whose derivatives, in both modes, are multiplied by a factor."""

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
            return factor * cotangent * torch.cos(ctx.saved_tensors[0])

        @staticmethod
        def jvp(ctx, tangent):
            return factor * tangent * torch.cos(ctx.saved_tensors[0])

    return Sine


def change_in_place(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.3)
