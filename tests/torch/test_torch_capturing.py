"""What saves time when networks are captured changes nothing: zeros in place of fake tensors, proofs in place of runs,
and a walk through the network that is made again only where something on it changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coverage_table.torch import FUNCTIONS
from jetbench import operators
from jetbench.errors import JetbenchError
from jetbench.torch import capture, linear_operator, rows
from jetbench.torch.apart import are_apart
from jetbench.torch.capture import Capturing
from jetbench.torch.corrected import FORMULAS
from jetbench.torch.corrected import network as corrected_network
from jetbench.torch.recording import Recorder
from jetbench.torch.rules import RULES
from jetbench.torch.trusted import OPERATIONS
from jetbench.torch.untouched import Untouched

WEIGHT = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(3, 4)
COVERED = {f"{kind}: {name}": f for kind, found in FUNCTIONS.items() for name, f in found.items()}


def recorded(net: Callable, x: Tensor, is_for_jets: bool = True) -> tuple[object, list[Tensor]]:
    capturing = Capturing(RULES, is_complete=True) if is_for_jets else Capturing(FORMULAS, OPERATIONS)
    return Recorder(capturing, follows_authors=is_for_jets).record(Untouched(net), x)


def program(net: Callable, x: Tensor, is_for_jets: bool) -> str:
    """All that was captured, or the error."""
    try:
        graph, constants = recorded(net, x, is_for_jets)
    except JetbenchError as error:
        return f"{type(error).__name__}: {error}"
    kinds = [(tuple(t.shape), t.dtype, t.device) for t in (*constants, *graph.own)]
    values = [t.tolist() for t in graph.own]
    return repr((graph.steps, graph.output, graph.constants, kinds, values, graph.is_whole))


@pytest.mark.parametrize("name", COVERED)
def test_zeros_show_the_same_operations_as_fake_tensors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(0.1, 0.8, 12, dtype=torch.float64).reshape(4, 3)
    on_zeros = [program(COVERED[name], x, is_for_jets) for is_for_jets in (True, False)]
    monkeypatch.setattr(capture, "SMALL", -1)
    assert on_zeros == [program(COVERED[name], x, is_for_jets) for is_for_jets in (True, False)]


MASK = torch.tensor([True, False, True])
READS: dict[str, Callable[[Tensor], Tensor]] = {
    "mask of x": lambda y: y[y > 0.3],
    "mask": lambda y: torch.masked_select(y, MASK),
    "nonzero": lambda y: y * torch.nonzero(y).sum(),
    "count": lambda y: F.one_hot(y.long()).sum(-1) * y,
    "repeats": lambda y: torch.repeat_interleave(y, y[0].long(), 1),
    "draws": lambda y: F.dropout(y, 0.5, training=True),
    "equal": lambda y: y if torch.equal(y, y + 1) else -y,
    "list": lambda y: y * y.tolist()[0][0],
}


@pytest.mark.parametrize("name", READS)
def test_zeros_are_never_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(0.1, 0.8, 12, dtype=torch.float64).reshape(4, 3)
    state = torch.get_rng_state()
    on_zeros = program(READS[name], x, True)
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(capture, "SMALL", -1)
    assert on_zeros == program(READS[name], x, True)


ROW, COLUMN = torch.ones(5, 3, dtype=torch.float64), torch.ones(5, 1, dtype=torch.float64)


class Steeper(torch.autograd.Function):
    """sin with a derivative that its author gave."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return y.sin()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, cotangent: Tensor) -> Tensor:
        return 2 * cotangent * ctx.saved_tensors[0].cos()


APART: dict[str, Callable[[Tensor], Tensor]] = {
    "network": lambda y: torch.tanh(y @ WEIGHT + 1) @ WEIGHT.T,
    "layer": lambda y: F.silu(F.linear(y, WEIGHT.T, torch.ones(4, dtype=y.dtype))),
    "pieces": lambda y: torch.cat([y[:, :1].sin(), y[:, 1:] ** 2], -1).sum(-1),
    "coordinates": lambda y: (y[..., 0] * y[..., 1]).unsqueeze(-1),
    "softmax": lambda y: torch.softmax(y, -1) * y.mean(-1, keepdim=True),
    "of each row": lambda y: y * ROW + COLUMN,
    "author": lambda y: Steeper.apply(y * ROW) ** 2,
}
MIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "roll": lambda y: y.roll(2, 0),
    "flip": lambda y: y.flip(0),
    "sum": lambda y: y + y.sum(0),
    "everything": lambda y: y * y.sum(),
    "first row": lambda y: y - y[0],
    "first rows": lambda y: y - y[:1],
    "author of the first row": lambda y: y - Steeper.apply(y[:1]),
    "attention": lambda y: torch.softmax(y @ y.T, -1) @ y,
    "weights in front": lambda y: torch.ones(5, 5, dtype=y.dtype) @ y,
    "softmax of rows": lambda y: torch.softmax(y, 0),
    "rows as columns": lambda y: (y.unsqueeze(0) * y.unsqueeze(1)).sum(1),
    "rows beside rows": lambda y: (y.unsqueeze(1) - y.unsqueeze(0)).sum(0),
    "transposed": lambda y: (y[:, :1] * y[:, :1].T).sum(-1, keepdim=True),
    "added rows": lambda y: torch.cat([y[1:], y[:1]], 0),
    "cumulative": lambda y: y.cumsum(0),
    "mean": lambda y: y - y.mean((0, 1)),
    "one value": lambda y: y * y.max(),
    "sorted": lambda y: y.sort(0).values,
    "batch norm": lambda y: F.batch_norm(y, None, None, training=True),
}


def proven(net: Callable, x: Tensor) -> bool:
    graph, constants = recorded(net, x)
    return are_apart(graph, constants, x.shape)


@pytest.mark.parametrize("name", APART)
def test_rows_that_are_apart_cost_no_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(5, 3, dtype=torch.float64)
    rows.check(APART[name], tuple(x.shape), x.dtype, x.device)
    assert proven(APART[name], x)
    monkeypatch.setattr(rows, "check", pytest.fail)
    linear_operator(APART[name], operators.laplacian(dim=3))(x)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3), (5, 5, 3)], ids=str)
@pytest.mark.parametrize("name", MIXED)
def test_rows_that_are_mixed_are_never_shown_to_be_apart(name: str, shape: tuple[int, ...]) -> None:
    with contextlib.suppress(JetbenchError):  # it does not take such an x
        assert not proven(MIXED[name], torch.rand(shape, dtype=torch.float64))


def test_a_constant_with_more_rows_than_x_is_no_proof() -> None:
    assert not proven(lambda y: y * ROW, torch.rand(1, 3, dtype=torch.float64))
    assert not proven(lambda y: y * ROW[:, None], torch.rand(5, 3, dtype=torch.float64))


@pytest.mark.parametrize("name", COVERED)
def test_what_is_shown_to_be_apart_is_not_mixed(name: str) -> None:
    x = torch.linspace(0.1, 0.8, 12, dtype=torch.float64).reshape(4, 3)
    try:
        graph, constants = recorded(COVERED[name], x)
    except JetbenchError:
        return
    if are_apart(graph, constants, x.shape):
        rows.check(lambda y: graph.run(y, constants), tuple(x.shape), x.dtype, x.device)


class Slotted:
    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: list[Tensor] = []


class Shared:
    kept: list[Tensor] = []  # noqa: RUF012


class Storing(nn.Module):
    """Stores its activation wherever it can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.kept, self.table, self.slotted = nn.Linear(3, 2).double(), [], {"kept": []}, Slotted()
        self.of_closure, self.replace = closure()

    def places(self) -> list[list]:
        of_closure = self.of_closure.__closure__[0].cell_contents
        return [self.kept, self.table["kept"], self.slotted.kept, Shared.kept, of_closure]

    def forward(self, y: Tensor) -> Tensor:
        y = torch.tanh(self.linear(y))
        for place in (self.kept, self.table["kept"], self.slotted.kept, Shared.kept, self.of_closure()):
            place.append(y)
        return y


def closure() -> tuple[Callable, Callable]:
    kept: list[Tensor] = []

    def get() -> list[Tensor]:
        return kept

    def replace() -> None:
        nonlocal kept
        kept = []

    return get, replace


def test_what_is_replaced_between_calls_is_left_as_it_was_too() -> None:
    net, x = Storing(), torch.rand(4, 3, dtype=torch.float64)
    laplacian = linear_operator(net, operators.laplacian(dim=3))
    for _ in range(3):
        laplacian(x)
        assert net.places() == [[]] * 5
        before = net.places()
        net.kept, net.table["kept"], net.slotted.kept, Shared.kept = [], [], [], []
        net.replace()
        assert not any(old is new for old, new in zip(before, net.places(), strict=True))
        net.slotted, net.table = (Slotted(), {"kept": []}) if _ else (net.slotted, net.table)


def kinds(net: Callable, x: Tensor) -> dict:
    """What is known of the torch functions that a network calls, after one run."""
    corrected_network._KINDS.clear()
    with contextlib.suppress(RuntimeError, JetbenchError):
        corrected_network.corrected(net)(x)
    return dict(corrected_network._KINDS)


@pytest.mark.parametrize("name", COVERED)
def test_small_tensors_show_the_operations_that_fake_ones_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(0.1, 0.8, 12, dtype=torch.float64).reshape(4, 3)
    state = torch.get_rng_state()
    on_small = kinds(COVERED[name], x)
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(corrected_network, "SMALL", -1)
    assert on_small == kinds(COVERED[name], x)
