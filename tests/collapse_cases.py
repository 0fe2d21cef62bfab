"""What the tests of `collapse` in PyTorch share."""

import torch
from torch import nn
from torch.func import jvp, vmap

X = torch.tensor([[0.3, -0.4], [-0.6, 0.2]], dtype=torch.float64)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def agrees(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def laplacian(f):
    def second(x, v):
        return jvp(lambda y: jvp(f, (y,), (v.expand_as(x),))[1], (x,), (v.expand_as(x),))[1]

    return lambda x: vmap(lambda v: second(x, v))(torch.eye(x.shape[-1], dtype=x.dtype)).sum(0)


def network(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, outputs)).double()


def scaled(tensor, factor=2.0):
    with torch.no_grad():
        tensor.mul_(factor)
