"""Jets on fake tensors, which have shapes and no values: nothing may look at data or move it to the host.

The nested methods are left out: PyTorch's own transformations do not all work on fake tensors.
"""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from jetbench import operators
from jetbench.networks import NetworkSpec
from jetbench.operators.problem import Operator
from jetbench.torch import linear_operator, network


@pytest.mark.parametrize("method", ["taylor", "collapsed", "forward_laplacian", "apolar"])
@pytest.mark.parametrize("operator", [operators.laplacian(dim=4), operators.biharmonic(dim=4)], ids=lambda o: o.name)
def test_evaluation_needs_no_values(method: str, operator: Operator) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        net = network.Network(NetworkSpec(dim=4, widths=(8, 8), outputs=2))
        x = torch.empty(3, 4)
        value = linear_operator(net, operator, method)(x)
        assert isinstance(value, FakeTensor)
        assert value.shape == (3, 2)
        assert value.square().mean().requires_grad
