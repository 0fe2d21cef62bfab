"""A fixed number of random programs in the suite; `python -m fuzz` runs more."""

import random
from dataclasses import replace

import pytest
import torch

from fuzz.draft import Plan
from fuzz.interpolation import COARSE, FINE
from fuzz.jax import backend as jax
from fuzz.judge import judge, numbered
from fuzz.program import Case
from fuzz.shrink import shrunk
from fuzz.torch import backend as torch_backend
from fuzz.torch.reference import FromValues, Reference

FIRST = 100_000  # other programs than those of .ci/run
LAPLACIAN = (((1.0, (2, 0)), (1.0, (0, 2))),)


def _case(*pieces, use="value", method="collapsed", form="function", seed=0):
    plan = Plan(2, form, "", tuple((name, seed) for name in pieces))
    return Case(1, plan, 2, LAPLACIAN, method, use, is_named=True)


@pytest.mark.parametrize("number", range(FIRST, FIRST + 30))
def test_a_program_in_torch_is_right_or_refused(number):
    verdict = numbered(torch_backend, number)
    assert verdict.outcome in ("ok", "refused"), f"{verdict.reason}\n\n{verdict.program}"


@pytest.mark.parametrize("number", range(FIRST, FIRST + 6))
def test_a_program_in_jax_is_right_or_refused(number):
    verdict = numbered(jax, number)
    assert verdict.outcome in ("ok", "refused"), f"{verdict.reason}\n\n{verdict.program}"


def test_both_references_agree_with_a_known_laplacian():
    x = torch.tensor([[0.3, -0.4], [0.1, 0.9]], dtype=torch.float64)

    def net(y):
        return torch.sin(y[:, :1]) * y[:, 1:] ** 2

    known = -net(x) + 2 * torch.sin(x[:, :1])
    torch.testing.assert_close(Reference(net, LAPLACIAN)(x), known)
    for scheme in (FINE, COARSE):
        torch.testing.assert_close(FromValues(net, LAPLACIAN, scheme)(x), known, rtol=1e-6, atol=1e-6)


def test_the_same_number_gives_the_same_program():
    texts = [str(torch_backend.program(torch_backend.draw(random.Random("7/0")))) for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (lambda result: 1.001 * result, "wrong"),
        (lambda result: result.float(), "wrong"),
        (lambda result: result.as_subclass(type("Other", (torch.Tensor,), {})), "wrong"),
        (lambda result: result.missing, "crashed"),
    ],
)
def test_faults_are_found_and_made_small(monkeypatch, fault, outcome):
    """The judge must see wrong numbers, types and errors of an operator that is spoilt here on purpose."""
    from jetbench.torch import LinearOperator

    right = LinearOperator.evaluate
    monkeypatch.setattr(LinearOperator, "evaluate", lambda self, x, draws=(): fault(right(self, x, draws)))
    verdict = judge(torch_backend, _case("activation", "number", "product"))
    assert verdict.outcome == outcome
    small = shrunk(torch_backend, verdict)
    assert small.outcome == outcome
    assert len(str(small.program)) < len(str(verdict.program))


def test_a_network_that_is_left_changed_is_found(monkeypatch):
    from jetbench.torch import LinearOperator

    right = LinearOperator.evaluate

    def leaving(self, x, draws=()):
        result = right(self, x, draws)
        self.net.kept = result.as_subclass(type("FakeTensor", (torch.Tensor,), {"__module__": "torch"}))
        return result

    case = replace(_case("kept_activation", form="module"), seed=3)
    assert judge(torch_backend, case).outcome == "ok"
    monkeypatch.setattr(LinearOperator, "evaluate", leaving)
    assert judge(torch_backend, case).outcome == "wrong"


def test_networks_that_mix_rows_must_be_refused(monkeypatch):
    import jetbench.torch.rows

    texts = {seed: str(torch_backend.program(_case("mixed", seed=seed))) for seed in range(100)}
    case = _case("mixed", seed=next(seed for seed, text in texts.items() if "y - y.mean(0" in text))
    assert judge(torch_backend, case).outcome == "ok"
    monkeypatch.setattr(jetbench.torch.rows, "check", lambda *arguments: None)
    assert judge(torch_backend, case).outcome == "wrong"
