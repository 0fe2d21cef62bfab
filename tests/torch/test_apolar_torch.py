"""The apolar algebra on tensors: the same numbers as on numpy arrays, gradients, and constants of the right type."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jetbench.algebra.apolar.algebra import Apolar
from jetbench.algebra.arrays import Constant
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol, variables

SYMBOLS = {
    "biharmonic": (variables(3) @ variables(3)) ** 2,
    "biharmonic in 12 dimensions": (variables(12) @ variables(12)) ** 2,
    "mixed": variables(3)[0] ** 2 * variables(3)[1] - 2 * variables(3)[2] ** 2,
    "quadratic form": variables(3) @ np.array([[2, 1, 0], [1, 3, -1], [0, -1, 1]]) @ variables(3),
}


@pytest.fixture(params=SYMBOLS, ids=lambda name: name.replace(" ", "_"))
def symbol(request: pytest.FixtureRequest) -> Symbol:
    return SYMBOLS[request.param]


def jet(algebra: Apolar, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    u, *blocks = (torch.randn(n, 4, 2, generator=generator, dtype=torch.float64) for n in (1, *algebra.sizes))
    return u[0].to(dtype), [block.to(dtype) for block in blocks]


def algebra_of(symbol: Symbol, elementwise: str) -> Apolar:
    return Apolar(Problem(as_operator(symbol)), elementwise)


@pytest.mark.parametrize("elementwise", ["unrolled", "blockwise"])
def test_tensors_and_arrays_agree(symbol: Symbol, elementwise: str) -> None:
    algebra = algebra_of(symbol, elementwise)
    u, blocks = jet(algebra)
    towers = [torch.sin(u + m) for m in range(algebra.order)]
    found = algebra.compose(towers, blocks) + algebra.multiply(u, blocks, towers[0], blocks, torch.mul)
    arrays = [block.numpy() for block in blocks]
    expected = algebra.compose([t.numpy() for t in towers], arrays)
    expected += algebra.multiply(u.numpy(), arrays, towers[0].numpy(), arrays, np.multiply)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12 * np.abs(b).max())


def test_both_ways_have_the_same_gradients(symbol: Symbol) -> None:
    gradients = []
    for elementwise in ("unrolled", "blockwise"):
        algebra = algebra_of(symbol, elementwise)
        u, blocks = jet(algebra)
        inputs = [u.requires_grad_(), *(block.requires_grad_() for block in blocks)]
        result = algebra.compose([torch.sin(u + m) for m in range(algebra.order)], blocks)
        gradients.append(torch.autograd.grad(sum(block.square().sum() for block in result), inputs))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max()))


def test_one_algebra_serves_several_types(symbol: Symbol) -> None:
    algebra = algebra_of(symbol, "blockwise")
    for dtype in (torch.float64, torch.float32, torch.float64):
        u, blocks = jet(algebra, dtype)
        assert all(block.dtype == dtype for block in algebra.compose([u] * algebra.order, blocks))


def test_what_was_computed_in_inference_mode_does_not_disturb_gradients(symbol: Symbol) -> None:
    algebra = algebra_of(symbol, "blockwise")
    with torch.inference_mode():
        u, blocks = jet(algebra)
        algebra.compose([u] * algebra.order, blocks)
    u, blocks = jet(algebra)
    top = algebra.compose([u.requires_grad_()] * algebra.order, blocks)[-1]
    assert torch.autograd.grad(top.sum(), u)[0].abs().max() > 0


def test_constants_are_copied_once_for_each_type() -> None:
    constant = Constant(np.array([1.0, 2.5]))
    x = torch.zeros(2, dtype=torch.float32)
    assert constant.on(x) is constant.on(x + 1)
    assert constant.on(x).dtype == torch.float32
    assert constant.on(x.double()).dtype == torch.float64
    assert Constant(np.array([0, 3])).on(x).dtype == torch.long


def test_constants_do_not_outlive_a_recording() -> None:
    from torch._subclasses import FakeTensorMode

    constant = Constant(np.array([1.0, 2.5]))
    with FakeTensorMode() as mode:
        constant.on(mode.from_tensor(torch.zeros(2)))
    assert type(constant.on(torch.zeros(2))) is torch.Tensor
