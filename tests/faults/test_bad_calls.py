"""The public Python interface given what it cannot take: an error of the kind that users expect, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from junk import ANYTHING, VALUES, each

from jetbench import operators
from jetbench.errors import JetbenchError
from jetbench.measure import config
from jetbench.networks import ACTIVATIONS, NetworkSpec
from jetbench.networks import KINDS as NETWORKS
from jetbench.operators.estimators import KINDS, Estimator
from jetbench.operators.symbol import Symbol, variables
from jetbench.torch import METHODS, linear_operator

pytestmark = pytest.mark.long

NET = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
LAPLACIAN = operators.laplacian(dim=3)
COLLAPSED = linear_operator(NET, LAPLACIAN)
DRAWN = linear_operator(NET, LAPLACIAN, estimator=Estimator("normal", 2))
X = torch.zeros(2, 3, dtype=torch.float64)


def whole(least: int, most: int = 2**31 - 1) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def among(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def never(value: Any) -> bool:
    return False


def several(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(whole(1), value))


CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], bool]]] = {
    "Estimator.kind": (lambda value: Estimator(value, 2), among(*KINDS[1:])),
    "Estimator.samples": (lambda value: Estimator("normal", value), whole(1)),
    "NetworkSpec.kind": (lambda value: NetworkSpec(value, 4), among(*NETWORKS)),
    "NetworkSpec.dim": (lambda value: NetworkSpec("mlp", value), whole(1)),
    "NetworkSpec.widths": (lambda value: NetworkSpec("mlp", 3, value), several),
    "NetworkSpec.outputs": (lambda value: NetworkSpec("mlp", 3, (4,), value), whole(1)),
    "NetworkSpec.activation": (lambda value: NetworkSpec("mlp", 3, (4,), 1, value), among(*ACTIVATIONS)),
    "NetworkSpec.seed": (lambda value: NetworkSpec("mlp", 3, (4,), 1, "tanh", value), whole(0, 2**63 - 1)),
    "variables": (variables, whole(1, 4000)),
    "Symbol.dim": (lambda value: Symbol(value, {(1, 1): 1.0}), whole(2, 2)),
    "Symbol.exponents": (lambda value: Symbol(2, {(value, 1): 1.0}), lambda value: value in range(64)),
    "Symbol.coefficient": (
        lambda value: Symbol(1, {(1,): value}),
        lambda value: isinstance(value, (int, float)) and abs(value) <= 1e308,
    ),
    "Symbol.power": (lambda value: variables(2)[0] ** value, whole(0, 64)),
    "operators.make": (lambda value: operators.make(value, dim=3), among(*operators.REGISTRY)),
    "operators.dim": (lambda value: operators.laplacian(dim=value), whole(1, 4000)),
    "operators.wavenumber": (
        lambda value: operators.helmholtz(dim=3, wavenumber=value),
        lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e150,
    ),
    "linear_operator.net": (lambda value: linear_operator(value, LAPLACIAN), never),
    "linear_operator.operator": (lambda value: linear_operator(NET, value), never),
    "linear_operator.method": (lambda value: linear_operator(NET, LAPLACIAN, value), among(*METHODS)),
    "linear_operator.estimator": (
        lambda value: linear_operator(NET, LAPLACIAN, estimator=value),
        lambda value: value is None,
    ),
    "linear_operator.directions": (
        lambda value: linear_operator(NET, LAPLACIAN, directions=value),
        among("polarization", "griewank"),
    ),
    "x": (COLLAPSED, never),
    "seed": (lambda value: DRAWN(X, value), whole(-(2**63), 2**64 - 1)),
    "config": (config.validate, never),
}
TENSORS = [
    torch.zeros(()), torch.zeros(2), torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.int64), torch.zeros(3, 0),
    torch.zeros(2, 3, dtype=torch.complex128), torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3),
    torch.zeros(2, 3, dtype=torch.bfloat16), np.zeros((2, 3)), [[0.0, 0.0, 0.0]], torch.zeros(2, 3, device="meta"),
]  # fmt: skip


def wrong() -> Iterator[tuple[str, Callable, Any]]:
    for name, (call, allowed) in CALLS.items():
        for value in each(VALUES, ANYTHING, 6, allowed):
            yield name, call, value
    for x in TENSORS[:-1]:
        yield "x", COLLAPSED, x


def complaint(name: str, call: Callable, value: Any) -> str | None:
    """What is wrong with how a value is refused."""
    try:
        call(value)
    except (JetbenchError, TypeError, ValueError) as error:
        return None if str(error) else f"{name}({value!r:.80}): no message"
    except Exception as error:
        return f"{name}({value!r:.80}): {type(error).__name__}: {error}"
    return f"{name}({value!r:.80}) is accepted"


def test_wrong_arguments(tried):
    found = [complaint(*given) for given in wrong()]
    assert not [text for text in found if text is not None]
    tried("the public API", len(found))


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.package is None])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_points_that_are_not_finite_spoil_their_own_row_only(method, value):
    laplacian = linear_operator(NET, LAPLACIAN, method)
    x = torch.tensor([[0.1, 0.2, 0.3], [value, 0.0, 0.0], [0.4, 0.5, 0.6]], dtype=torch.float64)
    found, expected = laplacian(x), laplacian(x[[0, 2]])
    torch.testing.assert_close(found[[0, 2]], expected)
    assert found[1].isnan().all() or found[1].abs().max() < 1e-6, "tanh is flat far away"


@pytest.mark.parametrize(
    "make",
    [
        lambda: operators.biharmonic(dim=1000),
        lambda: operators.hessian(dim=10_000),
        lambda: operators.gradient_of_laplacian(dim=1000),
        lambda: operators.mixed_partial(dim=2, exponents=[10**9]),
        lambda: variables(20_000),
    ],
)
def test_symbols_that_would_fill_the_memory_are_refused_at_once(make):
    with pytest.raises(ValueError, match=r"too large|at most|up to"):
        make()
