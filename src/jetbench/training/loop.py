"""Training in PyTorch: one step after another of every method, in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.measure import clock, machine
from jetbench.measure.backends.torch import cpu_peak
from jetbench.networks import NetworkSpec
from jetbench.torch import METHODS, linear_operator, network
from jetbench.training.problem import EQUATIONS, Training, points

ERRORS_EVERY = 10
#: Relative deviation of a loss from that of the first method up to which two runs count as one path.
SAME_PATH = 1e-3


class Trainer:
    """The network, the loss and the optimizer of one run.

    The loss is the mean square of (L f − g) / scale inside, plus that of f − u and of (B f − B u) / scale of B on the
    boundary. Adam, all points in each step.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        equation = EQUATIONS[training.problem]
        dtype, device = getattr(torch, training.dtype), torch.device(training.device)
        spec = NetworkSpec("mlp", training.dim, training.widths, 1, "tanh", training.seed)
        self.net = network.build(spec, dtype, device)
        drawn = points(training)

        def tensor(values: Any) -> Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        self.inside, self.boundary, self.test = (tensor(drawn[name]) for name in ("inside", "boundary", "test"))
        self.scale = equation.scale(training.dim)
        self.terms = []
        for name, x in [(equation.operator, "inside"), *((b, "boundary") for b in equation.boundary_operators)]:
            made = linear_operator(self.net, operators.make(name, dim=training.dim), training.method)
            values = equation.value[name](drawn[x])
            evaluate = torch.compile(made.evaluate) if training.mode == "compiled" else made.evaluate
            scale = self.scale if x == "inside" else float(abs(equation.value[name](drawn["inside"])).max())
            self.terms.append((evaluate, tensor(drawn[x]), tensor(values)[:, None], scale))
        self.wall = tensor(equation.solution(drawn["boundary"]))[:, None]
        self.solution = tensor(equation.solution(drawn["test"]))[:, None]
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=training.learning_rate)

    def loss(self) -> Tensor:
        """The loss at the present parameters."""
        total = (self.net(self.boundary) - self.wall).square().mean()
        for evaluate, x, values, scale in self.terms:
            total = total + ((evaluate(x) - values) / scale).square().mean()
        return total

    def step(self) -> float:
        """One step of Adam; the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def error(self) -> float:
        """Relative L² distance to the known solution at the test points."""
        with torch.no_grad():
            return float((self.net(self.test) - self.solution).norm() / self.solution.norm())

    def peak_bytes(self) -> int:
        """Peak memory of computing the loss and its gradient."""

        def call() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            self.loss().backward()

        if self.training.device != "cuda":
            return cpu_peak(call)
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before


def train(runs: Sequence[Training]) -> Iterator[dict[str, Any]]:
    """The records of runs that differ in their method only, trained step by step in turn."""
    records = {run.method: blank(run) for run in runs}
    trainers: dict[str, Trainer] = {}
    for run in runs:
        with _failing(records[run.method]):
            trainers[run.method] = Trainer(run)
            records[run.method]["vectors"] = METHODS[run.method].vectors(_problem(run))
    for number in range(max((run.steps for run in runs), default=0)):
        for method in [name for name, record in records.items() if _going(record)]:
            with _failing(records[method]):
                _advance(trainers[method], records[method], number)
    for method, record in records.items():
        if record["reason"] is None and record["losses"]:
            with _failing(record):
                record["step_memory_bytes"] = trainers[method].peak_bytes()
                record["final_error"] = trainers[method].error()
                _finish(record)
    _compare_paths(list(records.values()))
    yield from records.values()


def blank(run: Training) -> dict[str, Any]:
    """A record with nothing measured."""
    return {
        "key": run.key,
        "kind": "training",
        **run.identity,
        "status": "error",
        "reason": None,
        "vectors": None,
        "losses": [],
        "seconds": [],
        "errors": [],
        "first_step_s": None,
        "step_s": None,
        "step_interval_s": None,
        "steps_to_target": None,
        "seconds_to_target": None,
        "final_error": None,
        "step_memory_bytes": None,
        "warnings": [],
        "started_at": machine.now(),
    }


def _going(record: dict[str, Any]) -> bool:
    return record["reason"] is None and record["steps_to_target"] is None and len(record["losses"]) < record["steps"]


def _advance(trainer: Trainer, record: dict[str, Any], number: int) -> None:
    synchronize = torch.cuda.synchronize if trainer.training.device == "cuda" else lambda: None
    synchronize()
    start = time.perf_counter()
    loss = trainer.step()
    synchronize()
    record["seconds"].append(time.perf_counter() - start)
    record["losses"].append(loss)
    if number % ERRORS_EVERY == 0:
        record["errors"].append([number, trainer.error()])
    if loss <= record["target"] * record["losses"][0]:
        record["steps_to_target"] = len(record["losses"])
    if not loss < float("inf"):
        record["reason"] = f"The loss of step {number + 1} is {loss}."


def _finish(record: dict[str, Any]) -> None:
    """Times of steps without the first, which captures and compiles; the sum up to the target with it."""
    own = record["seconds"][1:] or record["seconds"]
    record["first_step_s"] = record["seconds"][0]
    record["step_s"] = statistics.median(own)
    record["step_interval_s"] = list(clock.interval_of_median(own))
    if record["steps_to_target"] is not None:
        record["seconds_to_target"] = sum(record["seconds"])
    else:
        record["warnings"].append(f"The target was not reached in {record['steps']} steps.")
    record["status"] = "ok"


def _compare_paths(records: list[dict[str, Any]]) -> None:
    """Warn where a method's losses are not those of the first: then equal steps are not equal work."""
    ok = [record for record in records if record["status"] == "ok"]
    for record in ok[1:]:
        both = zip(record["losses"], ok[0]["losses"], strict=False)
        worst = max(abs(own - other) / abs(other) for own, other in both)
        if worst > SAME_PATH:
            record["warnings"].append(f"Its losses differ from those of {ok[0]['method']} by up to {worst:.1e}.")


def _problem(run: Training) -> Any:
    from jetbench.operators.problem import Problem

    return Problem(operators.make(EQUATIONS[run.problem].operator, dim=run.dim))


class _failing:
    """Turns an error into the status and reason of a record."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, Exception):
            return False
        memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        self.record["status"] = "unsupported" if isinstance(error, Unsupported) else "oom" if memory else "error"
        self.record["reason"] = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return True
