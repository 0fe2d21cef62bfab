"""True derivatives of functions of one variable, by mpmath, and those of jets to compare with them."""

import mpmath
import torch

from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import variables
from jetbench.torch import linear_operator

(T,) = variables(1)
D64 = torch.float64
ORDERS = (1, 2, 3, 4)


def jets(function, points, orders=ORDERS, dtype=D64, method="collapsed"):
    """(points, orders): the derivatives of a function of one variable."""
    system = as_operator({str(k): T**k for k in orders})
    x = torch.tensor(points, dtype=dtype)[:, None]
    found = linear_operator(function, system, method)(x)
    return torch.stack([found[str(k)].reshape(len(points)) for k in orders], -1)


def true(function, points, orders=ORDERS):
    def derivative(p, k):
        if isinstance(function, Cylinder):
            return function(p, derivative=k)
        return mpmath.diff(function, mpmath.mpf(p), k, relative=p != 0)

    with mpmath.workdps(20):
        rows = [[derivative(p, k) for k in orders] for p in points]
    return torch.tensor([[float(mpmath.re(v)) for v in row] for row in rows], dtype=D64)


class Cylinder:
    """A Bessel function, whose derivatives mpmath knows."""

    def __init__(self, kind, index):
        self.function, self.index = kind, index

    def __call__(self, t, **options):
        return self.function(self.index, t, **options)


def assert_true(found, expected, tolerance=1e-9):
    error = (found.double() - expected).abs()
    assert (error <= tolerance * expected.abs().clamp_min(1.0)).all(), (found.tolist(), expected.tolist())
